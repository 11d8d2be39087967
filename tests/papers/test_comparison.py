"""Paper and us: our figures in the paper's format, beside its own, with what differs in the row."""

import re

import numpy as np
import pytest

from sparsecourse import papers
from sparsecourse.papers import compare

PRUNED = ("LeNet-300-100", "pruned")
SHIFTED = ("LeNet-300-100", "pruned, shifted images")


def shown(name, row, column, result, origin="ours"):
    """The cell that shows one result."""
    comparison = compare(name, {row: {column: result}}, "nothing")
    return comparison.loc[row, (column, origin)]


def differs(comparison, row):
    return comparison.loc[row, ("what differs", "")]


@pytest.fixture
def lenet():
    return compare(
        "han2015_networks",
        {PRUNED: {"top1_error_percent": [1.55], "parameters": 21776}},
        {PRUNED: "10 epochs, AdamW", SHIFTED: "also shifted by one pixel"},
        recorded={
            PRUNED: {"top1_error_percent": [1.52, 1.49, 1.55], "compression_rate": [12.2] * 3},
            SHIFTED: {"top1_error_percent": [1.2, 1.3, 1.25]},
        },
        added=[SHIFTED],
    )


def test_every_row_of_the_paper_is_there_and_ours_beside(lenet):
    rows = papers.table("han2015_networks").rows
    assert [row for row in lenet.index if row != SHIFTED] == list(rows)
    errors = lenet["top1_error_percent"]
    assert list(errors.loc[PRUNED]) == ["1.59", "1.55", "1.52 ± 0.03"]
    assert list(errors.loc[("LeNet-5", "reference")]) == ["0.80", "–", "–"], "the zero is printed"


def test_columns_are_those_with_results_in_the_papers_order(lenet):
    assert list(lenet.columns) == [
        ("top1_error_percent", "paper"),
        ("top1_error_percent", "ours"),
        ("top1_error_percent", "recorded"),
        ("parameters", "paper"),
        ("parameters", "ours"),
        ("compression_rate", "paper"),
        ("compression_rate", "recorded"),
        ("what differs", ""),
    ]


def test_a_row_that_only_we_have_follows_its_like(lenet):
    assert list(lenet.index).index(SHIFTED) == list(lenet.index).index(PRUNED) + 1
    assert lenet.loc[SHIFTED, ("top1_error_percent", "paper")] == "–"
    assert lenet.loc[SHIFTED, ("top1_error_percent", "recorded")] == "1.25 ± 0.05"


def test_a_row_that_was_not_announced_is_refused():
    cells = {"top1_error_percent": [1.5]}
    wrong = ("LeNet-300-100", "prunned")
    with pytest.raises(ValueError, match=r"no row .*'prunned'.*did you mean .*'pruned'.* added"):
        compare("han2015_networks", {wrong: cells}, "x")
    with pytest.raises(ValueError, match="added, by its network, variant"):
        compare("han2015_networks", {"LeNet-300-100": cells}, "x", added=["LeNet-300-100"])
    with pytest.raises(ValueError, match="did you mean 'Conv_13'"):
        compare("li2017_vgg16_layers", {"Conv13": {"flop": 1}}, "x")


def test_what_differs_stands_in_the_row_with_the_number_of_seeds(lenet):
    assert differs(lenet, PRUNED) == (
        "10 epochs, AdamW. Ours: 1 seed; recorded: mean ± standard deviation of 3 seeds."
    )
    assert differs(lenet, SHIFTED).startswith("also shifted by one pixel. Recorded: mean")
    assert differs(lenet, ("LeNet-5", "pruned")) == ""


def test_a_count_has_no_seeds():
    row = ("LeNet-5", "reference")
    comparison = compare("han2015_networks", {row: {"parameters": 431080}}, "Counted!")
    assert differs(comparison, row) == "Counted!"


def test_different_numbers_of_seeds_are_said():
    cells = {"top1_error_percent": [1.5, 1.6, 1.7], "compression_rate": [12.0, 12.1]}
    comparison = compare("han2015_networks", {PRUNED: cells}, "x")
    assert "of 2 or 3 seeds" in differs(comparison, PRUNED)


@pytest.mark.parametrize("missing", [{}, {PRUNED: " "}, "", " "])
def test_no_figure_of_ours_stands_without_what_differs(missing):
    with pytest.raises(ValueError, match=r"what differs .* \('LeNet-300-100', 'pruned'\)"):
        compare("han2015_networks", {PRUNED: {"parameters": 1}}, missing)


def test_what_differs_in_a_row_without_results_is_refused():
    texts = {PRUNED: "x", ("LeNet-5", "pruned"): "y"}
    with pytest.raises(ValueError, match=r"\('LeNet-5', 'pruned'\), of which there is no result"):
        compare("han2015_networks", {PRUNED: {"parameters": 1}}, texts)


@pytest.mark.parametrize(
    ("name", "row", "column", "result", "text"),
    [
        # As many decimals as the paper's column has ...
        ("han2015_networks", PRUNED, "top1_error_percent", 1.5, "1.50"),
        ("sensitivity_lenet300", "Han et al.", "fc1_percent", 8.2345, "8.23"),
        ("ttq_cifar10", "ResNet-20", "improvement", -0.5, "-0.50"),
        # ... and where it has none, three digits, or all of a whole number.
        ("han2015_networks", PRUNED, "compression_rate", 12.24, "12.2"),
        ("han2015_networks", PRUNED, "parameters", 21776, "21776"),
        ("han2015_networks", PRUNED, "parameters", [21776, 21779, 21780], "21778 ± 2"),
        ("ssl_lenet_filters", "2", "conv1_filters", [5, 6, 5], "5.33 ± 0.58"),
        ("ssl_lenet_filters", "2", "conv1_filters", [5, 6, 7], "6 ± 1"),
        ("ssl_lenet_filters", "2", "conv1_filters", 0, "0"),
        ("shufflenet_groups", "ShuffleNet 1x", "mflops", 0.04567, "0.0457"),
        # The power of ten, or the unit, of the cell beside.
        ("li2017_filter_pruning", "VGG-16", "flop", 313463808, "3.13e8"),
        ("li2017_filter_pruning", "ResNet-56-pruned-B", "flop", 1.01e8, "10.10e7"),
        ("sensitivity_lenet300", "Han et al.", "parameters", 21760, "21.76k"),
        ("sensitivity_lenet300", "Han et al.", "parameters", [21e3, 22e3], "21.50k ± 0.71k"),
        ("han2015_vgg16_layers", "conv1_1", "weights", 1792, "1.79K"),
        ("han2015_vgg16_layers", "conv1_1", "flop", 173408256, "0.2B"),
        ("han2015_vgg16_layers", "conv5_1", "flop", 924844032, "924.8M"),
        ("deep_compression_networks", ("LeNet-5", "compressed"), "size", 43911, "43.9 KB"),
        ("deep_compression_networks", ("AlexNet", "compressed"), "size", 6.9e6, "6.9 MB"),
        ("resnext_stages", "parameters", "resnet50", 25557032, "25.6e6"),
        # A blank cell: as in the rest of its column.
        ("li2017_vgg16_layers", "Total", "maps_pruned", 5, "5"),
        ("han2015_networks", PRUNED, "top5_error_percent", 0.1, "0.10"),
        # Texts and nothing.
        ("ssl_mlp_neurons", "2", "neurons_per_layer", "460-290-160-10", "460-290-160-10"),
        ("han2015_networks", PRUNED, "top1_error_percent", "diverged", "diverged"),
        ("han2015_networks", PRUNED, "top1_error_percent", None, "–"),
    ],
)
def test_our_figures_are_printed_as_the_papers(name, row, column, result, text):
    assert shown(name, row, column, result) == text


def test_numbers_of_numpy_are_numbers():
    assert shown("han2015_networks", PRUNED, "parameters", np.int64(22001)) == "22001"
    errors = np.array([1.5, 1.6, 1.7], dtype=np.float32)
    assert shown("han2015_networks", PRUNED, "top1_error_percent", errors) == "1.60 ± 0.10"


@pytest.mark.parametrize("result", [np.nan, np.inf, [1.5, np.nan]])
def test_a_result_that_is_no_number_is_refused(result):
    with pytest.raises(ValueError, match=r"'pruned'\), 'top1_error_percent', is not finite"):
        shown("han2015_networks", PRUNED, "top1_error_percent", result)


@pytest.mark.parametrize("result", [[], [[1.5, 1.6]]])
def test_a_result_is_one_number_a_seed(result):
    with pytest.raises(ValueError, match="one for each seed, got"):
        shown("han2015_networks", PRUNED, "top1_error_percent", result)


@pytest.mark.parametrize(("row", "added"), [("2", []), ("4", ["4"])])
def test_a_number_where_the_paper_prints_a_text_is_refused(row, added):
    with pytest.raises(
        ValueError, match=r"is 784, but the paper prints '\d+-\d+-\d+-10': give a t"
    ):
        compare("ssl_mlp_neurons", {row: {"neurons_per_layer": 784}}, "x", added=added)


def test_an_unknown_column_is_answered_with_the_nearest_and_the_known():
    with pytest.raises(
        ValueError, match=r"no column 'error': .*'top1_error_percent'.*'parameters'"
    ):
        compare("han2015_networks", {PRUNED: {"error": 1.5}}, "x")
    with pytest.raises(ValueError, match="no column 'variant'"):
        compare("han2015_networks", {PRUNED: {"variant": "pruned"}}, "names of rows are no results")


def test_nothing_to_compare_is_said():
    with pytest.raises(ValueError, match="nothing to compare"):
        compare("han2015_networks", {}, "x")


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match="did you mean 'han2015_networks'"):
        compare("han2015_network", {PRUNED: {"parameters": 1}}, "x")


def test_recorded_results_may_stand_alone():
    recorded = {PRUNED: {"top1_error_percent": [1.5, 1.6, 1.7]}}
    comparison = compare("han2015_networks", {}, "x", recorded=recorded)
    assert [origin for _, origin in comparison.columns] == ["paper", "recorded", ""]


def test_errata_of_a_figure_stand_in_its_row_and_nowhere_else():
    ours = {"Conv 3x3": {"mult_adds_percent": 1.906}, "Conv 1x1": {"mult_adds_percent": 94.86}}
    comparison = compare("mobilenet_layer_types", ours, "counted")
    text = differs(comparison, "Conv 3x3")
    assert text.startswith("counted. Paper's mult_adds_percent: does not add up. The shares")
    assert differs(comparison, "Conv 1x1") == "counted."
    only_parameters = {"Conv 3x3": {"parameters_percent": 0.02}}
    comparison = compare("mobilenet_layer_types", only_parameters, "counted")
    assert differs(comparison, "Conv 3x3") == "counted.", "1.19 is not shown"


def test_errata_of_rows_without_results_are_shown():
    ours = {"Han et al.": {"memory_kb": 87.0}}
    comparison = compare("sensitivity_lenet300", ours, "x")
    assert "38.2 kB" in differs(comparison, "Sensitivity (unspecific)")


def test_errata_of_the_whole_table_stand_below():
    comparison = compare("han2015_vgg16_layers", {"fc6": {"flop": 205520896}}, "x")
    assert "Paper's flop: counted otherwise. Two operations a multiply-add" in repr(comparison)
    assert "Two operations a multiply-add" in comparison._repr_html_()
    comparison = compare("han2015_vgg16_layers", {"fc6": {"weights_percent": 4}}, "x")
    assert "Two operations" not in repr(comparison), "the column is not shown"


def test_rows_of_the_same_name_are_told_apart():
    comparison = compare("li2017_vgg16_layers", {"Linear #2": {"maps_pruned": 10}}, "x")
    assert comparison.loc["Linear #2", ("maps_pruned", "paper")] == "10"
    assert comparison.loc["Linear", ("maps_pruned", "paper")] == "512"


def test_a_page_shows_everything_and_the_source():
    text = "x < y & " + "a long explanation of what differs, " * 5 + "to its end"
    page = compare("han2015_networks", {PRUNED: {"parameters": 22000}}, text)._repr_html_()
    assert "x &lt; y &amp; a long" in page
    assert "to its end." in page
    assert '<th style="text-align: left">what differs' in page
    assert '<td style="text-align: left">x' in page
    assert page.count("<td style") == len(papers.table("han2015_networks").rows)
    assert '<a href="https://arxiv.org/abs/1506.02626">' in page
    assert "S. Han, J. Pool" in page


def test_a_text_shows_everything_and_the_source():
    explanation = "a long explanation of what differs, " * 5 + "to its end."
    lines = repr(
        compare("han2015_networks", {PRUNED: {"parameters": 22000}}, explanation)
    ).splitlines()
    assert f"LeNet-300-100, pruned: {explanation}" in lines
    figures = [line for line in lines if re.match(r" +pruned +22000 +22000$", line)]
    assert len(figures) == 1
    assert lines[-1].endswith("NIPS 2015, Table 1. https://arxiv.org/abs/1506.02626")


def test_a_part_shows_itself_in_the_same_way(lenet):
    part = lenet.loc["LeNet-300-100"]
    assert "AlexNet" not in part._repr_html_()
    assert "NIPS 2015, Table 1" in part._repr_html_()
    column = lenet["top1_error_percent"]
    assert "NIPS 2015, Table 1" in repr(column)
    assert "text-align: left" not in column._repr_html_()
    assert "1.52&nbsp;±&nbsp;0.03" in column._repr_html_(), "never on two lines"


def test_the_same_results_give_the_same_page():
    def page():
        ours = {PRUNED: {"top1_error_percent": [1.5, 1.6, 1.7], "parameters": 22000}}
        comparison = compare("han2015_networks", ours, "x")
        return comparison._repr_html_() + repr(comparison)

    assert page() == page()
    assert "0x" not in page()
