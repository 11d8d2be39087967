"""Accuracies, against errors and accuracies read in the papers by eye."""

import math

import pytest
from matplotlib.figure import Figure

from sparsecourse.papers.accuracy import accuracy_against_cost, imagenet_accuracies

HAN = ("han2015_networks", "https://arxiv.org/abs/1506.02626")
HOWARD = ("mobilenet_comparisons", "https://arxiv.org/abs/1704.04861")
LI = ("li2017_filter_pruning", "https://arxiv.org/abs/1608.08710")
PRINTED = {  # network: accuracy, source; Han et al. and Li et al. print errors
    "AlexNet": (100 - 42.78, *HAN),
    "VGG-16": (71.5, *HOWARD),
    "VGG-16 before pruning": (100 - 31.50, *HAN),
    "VGG-16 pruned": (100 - 31.34, *HAN),
    "GoogLeNet": (69.8, *HOWARD),
    "ResNet-34": (100 - 26.77, *LI),
    "MobileNet": (70.6, *HOWARD),
    "0.75 MobileNet": (68.4, *HOWARD),
}


def test_accuracies_are_those_printed_and_errors_are_turned_around():
    accuracies = imagenet_accuracies()
    assert set(accuracies.index) == set(PRINTED)
    assert accuracies.index.name == "network"
    for network, (percent, name, url) in PRINTED.items():
        row = accuracies.loc[network]
        assert row.top1_percent == pytest.approx(percent, abs=1e-9)
        assert (row.table, row.url) == (name, url)


def test_a_circle_stands_at_cost_and_accuracy_with_the_parameters_as_area():
    axes = Figure().subplots()
    networks = {"AlexNet": (7.0e8, 6.1e7), "MobileNet": (5.7e8, 4.2e6)}
    accuracy_against_cost(axes, networks, above=["MobileNet"], color="C1")
    assert axes.get_xscale() == "log"
    first, second = axes.collections
    assert first.get_offsets().tolist() == [[0.7, pytest.approx(57.22)]]
    assert second.get_offsets().tolist() == [[0.57, pytest.approx(70.6)]]
    areas = [circle.get_sizes()[0] for circle in (first, second)]
    assert areas[0] / areas[1] == pytest.approx(6.1e7 / 4.2e6)
    assert [text.get_text() for text in axes.texts] == ["AlexNet\n61M", "MobileNet\n4M"]
    below, above = axes.texts
    assert -below.xyann[1] > math.sqrt(areas[0] / math.pi), "the name stands outside of the circle"
    assert above.xyann[1] > math.sqrt(areas[1] / math.pi)
    assert (below.get_va(), above.get_va()) == ("top", "bottom")


def test_a_network_without_a_published_accuracy_is_refused():
    with pytest.raises(ValueError, match=r"no network 'LeNet'.*AlexNet"):
        accuracy_against_cost(Figure().subplots(), {"LeNet": (1e6, 1e5)})
