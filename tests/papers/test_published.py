"""Every table says where it is from and what its columns mean, and prints what the paper prints."""

import dataclasses
import re
import subprocess
import sys
import tomllib

import pandas as pd
import pytest

from sparsecourse import papers
from sparsecourse.cli.requirements import ROOT

FOLDER = ROOT / "sparsecourse" / "papers"
CATALOGUE = tomllib.loads((FOLDER / "tables.toml").read_text(encoding="utf-8"))

# Cells read in the seeds (slides and papers) by eye: table, row, column, what stands there.
CELLS = [
    ("energy_per_operation", "32 bit DRAM memory", "energy_pj", 640),
    ("energy_per_operation", "32 bit float MULT", "relative_cost", 37),
    ("han2015_networks", ("LeNet-300-100", "pruned"), "top1_error_percent", 1.59),
    ("han2015_networks", ("LeNet-5", "pruned"), "parameters", 36000),
    ("han2015_networks", ("VGG-16", "pruned"), "top5_error_percent", 10.88),
    ("han2015_vgg16_layers", "conv3_1", "weights_percent", 53),
    ("han2015_vgg16_layers", "fc6", "flop", "206M"),
    ("han2015_vgg16_layers", "total", "weights_percent", 7.5),
    ("deep_compression_networks", ("LeNet-5", "compressed"), "size", "44 KB"),
    ("deep_compression_networks", ("VGG-16", "compressed"), "compression_rate", 49),
    ("li2017_filter_pruning", "VGG-16-pruned-A", "error_percent", 6.60),
    ("li2017_filter_pruning", "ResNet-110-pruned-B", "flop", 1.55e8),
    ("li2017_filter_pruning", "ResNet-34-pruned-C", "parameters_pruned_percent", 7.2),
    ("li2017_vgg16_layers", "Conv_8", "maps_pruned", 256),
    ("li2017_vgg16_layers", "Linear #2", "flop", 5.1e3),
    ("ssl_lenet_filters", "2", "conv2_speedup", 5.23),
    ("ssl_lenet_shapes", "5", "conv2_filter_size", 14),
    ("ssl_mlp_neurons", "3", "neurons_per_layer", "434-174-78-10"),
    ("ssl_convnet_cifar10", "3", "error_percent", 16.9),
    ("ssl_resnet_depth_cifar10", ("SSL-ResNet", "18"), "error_percent", 7.40),
    ("ssl_alexnet_imagenet", ("1", "l1", "gpu_speedup"), "conv1", 0.25),
    ("ssl_alexnet_imagenet", ("2", "SSL", "column_sparsity_percent"), "conv4", 84.7),
    ("ssl_alexnet_imagenet", ("3", "pruning", "sparsity_percent"), "conv2", 62.0),
    ("binaryconnect_errors", "BinaryConnect (stoch.)", "cifar10_error_percent", 8.27),
    ("binaryconnect_errors", "BinaryConnect (det.)", "mnist_std", 0.08),
    ("binaryconnect_errors", "DropConnect", "svhn_error_percent", 1.94),
    ("ttq_cifar10", "ResNet-56", "ternary_error_percent", 6.44),
    ("ttq_imagenet", ("ResNet-18", "top5_error_percent"), "two_bit_ttq", 12.8),
    ("mobilenet_architecture", "FC", "filter_shape", "1024x1000"),
    ("mobilenet_layer_types", "Conv 3x3", "mult_adds_percent", 1.19),
    ("mobilenet_modifications", "rho = 0.714", "million_mult_adds", 15.1),
    ("mobilenet_comparisons", ("narrow vs shallow", "Shallow MobileNet"), "million_mult_adds", 307),
    ("resnext_stages", "flops", "resnext50_32x4d", "4.2e9"),
    ("shufflenet_groups", "ShuffleNet 0.5x", "error_g4", 41.6),
    ("l0_mnist", ("LeNet-5-Caffe 20-50-800-500", "SBP"), "pruned_architecture", "3-18-284-283"),
    ("l0_mnist", ("MLP 784-300-100", "L0 hard concrete, lambda = 0.1/N"), "error_percent", 1.4),
    ("sensitivity_lenet300", "Sensitivity (unspecific)", "memory_kb", 34.2),
    ("sensitivity_lenet300", "Sensitivity (unspecific) #2", "compression", 103),
    ("sensitivity_lenet5", "Sparse VD", "parameters", "1.54k"),
    ("sensitivity_vgg16_imagenet", "Sensitivity (specific)", "fc_percent", 2.56),
    ("snip_grasp", ("VGG19", "GraSP"), "cifar100_98", 68.90),
    ("snip_grasp", ("ResNet32", "SNIP"), "cifar100_98_std", 1.43),
    ("darb_retained_weights", "Decoder", "block_4x4_to_irregular_percent", 45.2),
]


def cell(name, row, column):
    table = papers.table(name)
    row = row if isinstance(row, tuple) else (row,)
    return table.frame[column].iloc[table.rows.index(row)]


def test_every_table_has_a_source_and_every_source_a_table():
    assert papers.tables() == sorted(path.stem for path in FOLDER.glob("tables/*.csv"))
    assert len(papers.tables()) == 27
    cited = {about["paper"] for about in CATALOGUE["tables"].values()}
    assert cited == set(CATALOGUE["papers"])


def test_the_package_is_installed_with_its_tables():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    patterns = build["setuptools"]["package-data"]["sparsecourse"]
    shipped = {path for pattern in patterns for path in (ROOT / "sparsecourse").glob(pattern)}
    assert {FOLDER / "tables.toml", *FOLDER.glob("tables/*.csv")} <= shipped


@pytest.mark.parametrize("name", papers.tables())
def test_every_column_is_explained_and_no_other(name):
    table = papers.table(name)
    assert list(table.columns) == list(table.frame.columns)
    assert all(text.strip() for text in table.columns.values())
    shares = [column for column in table.columns if column.endswith("_percent")]
    assert all("%" in table.columns[column] for column in shares), "the unit is not said"


@pytest.mark.parametrize("name", papers.tables())
def test_a_source_names_authors_title_year_place_and_link(name):
    table = papers.table(name)
    paper = CATALOGUE["papers"][CATALOGUE["tables"][name]["paper"]]
    assert set(paper) == {"authors", "title", "venue", "url"}
    for part in (paper["authors"], paper["title"], paper["venue"]):
        assert part in table.citation
    assert re.search(r" 20\d\d, .", table.citation), "year, then the place in the paper"
    assert re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{5}", table.url)


@pytest.mark.parametrize("name", papers.tables())
def test_rows_have_one_name_each(name):
    table = papers.table(name)
    assert len(set(table.rows)) == len(table.rows) == len(table.frame)
    assert set(table.row_columns) <= set(table.columns)
    starts = [row[0] for row in table.rows]
    together = sorted(starts, key=starts.index)
    assert starts == together, "rows that begin alike stand together, as compare() has it"


@pytest.mark.parametrize("name", papers.tables())
def test_errata_speak_of_what_is_there(name):
    table = papers.table(name)
    for erratum in table.errata:
        assert erratum.what in ("does not add up", "counted otherwise")
        assert erratum.row == () or erratum.row in table.rows
        assert set(erratum.columns) <= set(table.columns) - set(table.row_columns)
        assert erratum.text.endswith("."), "sentences: compare() adds them to others"
    about = CATALOGUE["tables"][name].get("errata", [])
    assert all(set(erratum) <= {"what", "text", "row", "columns"} for erratum in about)


@pytest.mark.parametrize(("name", "row", "column", "printed"), CELLS)
def test_cells_are_those_of_the_paper(name, row, column, printed):
    assert cell(name, row, column) == printed


def test_a_cell_of_every_table_was_read():
    assert {name for name, *_ in CELLS} == set(papers.tables())


def test_blank_cells_are_missing_numbers():
    assert pd.isna(cell("han2015_networks", ("LeNet-5", "pruned"), "top5_error_percent"))
    assert pd.isna(cell("li2017_vgg16_layers", "Total", "maps"))


def test_a_table_cannot_be_spoilt_for_the_next_reader():
    first = papers.table("han2015_networks")
    first.frame.loc[0, "parameters"] = 0
    first.columns.clear()
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.errata = ()
    second = papers.table("han2015_networks")
    assert second.frame.loc[0, "parameters"] == 267000
    assert second.columns


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("han2015_network", "han2015_networks"), ("shufflenet", "shufflenet_groups")],
)
def test_an_unknown_table_is_answered_with_the_nearest_and_the_known(wrong, right):
    with pytest.raises(
        ValueError, match=rf"no table '{wrong}': did you mean .*'{right}'"
    ) as caught:
        papers.table(wrong)
    assert all(repr(name) in str(caught.value) for name in papers.tables())


def test_tables_need_neither_torch_nor_the_rest_of_the_package():
    code = (
        "import sys; from sparsecourse import papers; papers.table('l0_mnist');"
        "print('torch' in sys.modules, [name for name in sys.modules if name.count('.') == 1 and"
        " name.startswith('sparsecourse.')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout == "False ['sparsecourse.papers']\n", ended.stderr
