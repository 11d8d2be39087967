"""Fewer filters in a trained network, against zeros in the weights that read them, by torch."""

import copy

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from sparsecourse import timing, widgets
from sparsecourse.nets import NETS
from sparsecourse.timing import Measurement
from sparsecourse.widgets.filter_explorer import IMAGES_AT_MOST, draw_filters
from tests.widgets.trained import convolution_on_digits

LAYERS = ("conv1", "conv2", "fc1")
FILTERS = {"conv1": 20, "conv2": 50, "fc1": 500}


def filters_on_digits():
    """What `filter_explorer` takes: a trained LeNet-5, its layers and images to judge by."""
    model, _, _, validation = convolution_on_digits()
    return model, LAYERS, validation


@pytest.fixture
def explorer():
    return widgets.filter_explorer(*filters_on_digits())


def set_to(explorer, kept):
    for name, n in kept.items():
        explorer.controls[name].value = n
    return explorer.state


def error_with_zeros(kept):
    """Of a copy in which the filters of the smallest l1 norm are zero, and nothing else changes.

    Without biases they would give zeros; here no ReLU follows a convolution, and a bias is a
    filter's too, so it is set to zero with them.
    """
    model, _, validation = filters_on_digits()
    masked = copy.deepcopy(model)
    with torch.no_grad():
        for name, n in kept.items():
            layer = masked.get_submodule(name)
            norms = layer.weight.abs().flatten(1).sum(1).numpy()
            for filter_ in np.argsort(norms)[: len(norms) - n]:
                layer.weight[filter_] = 0
                layer.bias[filter_] = 0
        answers = masked(torch.as_tensor(validation.X)).argmax(1).numpy()
    return float((answers != np.asarray(validation.y)).mean())


@pytest.mark.parametrize(
    "kept",
    [
        {"conv1": 20, "conv2": 50, "fc1": 500},
        {"conv1": 7, "conv2": 50, "fc1": 500},
        {"conv1": 20, "conv2": 13, "fc1": 100},
        {"conv1": 5, "conv2": 10, "fc1": 37},
        {"conv1": 1, "conv2": 1, "fc1": 1},
    ],
)
def test_state_is_what_zeros_and_counting_by_hand_give(explorer, kept):
    state = set_to(explorer, kept)
    assert state.kept == kept
    assert state.error == pytest.approx(error_with_zeros(kept), abs=1e-9)
    assert state.error_before == pytest.approx(error_with_zeros(FILTERS), abs=1e-9)
    a, b, c = kept.values()
    places, weights = (24 * 24, 8 * 8, 1, 1), (25 * a, 25 * a * b, 16 * b * c, 10 * c)
    multiply_adds = sum(n * w for n, w in zip(places, weights, strict=True))
    parameters = sum(weights) + a + b + c + 10
    assert state.after.totals.multiply_adds == multiply_adds
    assert state.after.totals.parameters == parameters
    assert state.share("multiply_adds") == multiply_adds / 2_293_000
    assert state.share("parameters") == parameters / 431_080
    assert f"conv2 {b} of 50, fc1 {c} of 500" in explorer.alt
    assert f"{multiply_adds:,} of 2,293,000 multiply-adds" in explorer.alt
    assert f"{parameters:,} of 431,080 parameters" in explorer.alt
    assert f"{state.error_before:.1%} before, {state.error:.1%} now" in explorer.alt


def test_bars_are_the_costs_of_the_layers(explorer):
    state = set_to(explorer, {"conv1": 10, "conv2": 20, "fc1": 500})
    figure = Figure()
    draw_filters(figure, state)
    expected = {
        "multiply-adds": ([288_000, 1_600_000, 400_000, 5000], [144_000, 320_000, 160_000, 5000]),
        "parameters": ([520, 25_050, 400_500, 5010], [260, 5020, 160_500, 5010]),
    }
    for axes, (cost, (before, after)) in zip(figure.axes, expected.items(), strict=True):
        assert [label.get_text() for label in axes.get_yticklabels()] == [*LAYERS, "fc2"]
        widths = [bar.get_width() for bar in axes.patches]
        assert widths == [n / 1000 for n in (*before, *after)]
        assert axes.get_title() == f"{sum(after) / sum(before):.1%} of the {cost} left"


def test_the_first_picture_has_half_of_the_filters(explorer):
    assert {name: (c.min, c.value, c.max) for name, c in explorer.controls.items()} == {
        name: (1, n // 2, n) for name, n in FILTERS.items()
    }
    assert explorer.state.share("multiply_adds") == 646_500 / 2_293_000
    assert set_to(explorer, FILTERS).share("parameters") == 1


def test_many_images_are_cut_to_what_a_redraw_can_take():
    model, layers, validation = filters_on_digits()
    many = np.tile(validation.X, (4, 1, 1, 1)), np.tile(validation.y, 4)
    assert len(many[1]) > IMAGES_AT_MOST
    assert widgets.filter_explorer(model, layers, many).state.images == IMAGES_AT_MOST


def test_the_model_stays_as_it_is_and_what_happens_to_it_later_does_not_count():
    trained, layers, validation = filters_on_digits()
    model = copy.deepcopy(trained)
    explorer = widgets.filter_explorer(model, layers, validation)
    said = [set_to(explorer, {"conv2": n}) and explorer.alt for n in (10, 50)]
    assert all(map(torch.equal, model.state_dict().values(), trained.state_dict().values()))
    nn.init.zeros_(model.conv2.weight)
    assert [set_to(explorer, {"conv2": n}) and explorer.alt for n in (10, 50)] == said


FEW = torch.zeros(4, 1, 28, 28), torch.tensor([0, 1, 2, 3])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), r"one to 3 of those that can lose filters, \['conv1', 'conv2', 'fc1'\], got \(\)"),
        (("conv1", "pool1"), "got .*'pool1'"),
        (("fc2",), "got .*'fc2'"),
        ("fc2", "got 'fc2'"),
        (("conv1", "conv2", "conv1", "fc1"), "one to 3"),
        (("conv1", "conv1"), "must not share channels"),
    ],
)
def test_wrong_layers_are_named(layers, message):
    with pytest.raises(ValueError, match=message):
        widgets.filter_explorer(NETS["lenet5"](), layers, FEW)


def test_layers_that_share_channels_are_refused():
    images = torch.zeros(2, 3, 32, 32), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="must not share channels"):
        widgets.filter_explorer(NETS["resnet20"](), ("stage1.0.conv2", "stage1.1.conv2"), images)


def test_one_layer_by_its_name():
    model, _, validation = filters_on_digits()
    explorer = widgets.filter_explorer(model, "conv2", validation)
    assert list(explorer.controls) == ["conv2"]


def test_a_model_that_is_none_is_refused():
    with pytest.raises(ValueError, match="model must be a network"):
        widgets.filter_explorer("lenet5", LAYERS, FEW)


def test_button_measures_the_network_shown_at_both_batches(explorer, monkeypatch):
    measured = []

    def measure_in_turn(calls, **settings):
        assert [call.func for call in calls] == [explorer.dense, explorer.state.model]
        measured.append([call().shape for call in calls])
        times = [Measurement((seconds,), 1, 1, "CPU", True) for seconds in (3.0, 2.0)]
        assert settings["threads"] == 1
        return times

    monkeypatch.setattr(timing, "measure_in_turn", measure_in_turn)
    set_to(explorer, {"conv1": 20, "conv2": 25, "fc1": 500})
    explorer.measure.click()
    assert measured == [[(1, 10)] * 2, [(64, 10)] * 2]
    assert "1 image at a time: 1.50x" in explorer.measured.value
    assert "64 images at a time: 1.50x" in explorer.measured.value
    share = (288_000 + 800_000 + 200_000 + 5_000) / 2_293_000
    assert f"would be {1 / share:.2f}x" in explorer.measured.value
    assert not explorer.measure.disabled


def test_measured_time_goes_when_the_network_changes(explorer):
    explorer.measure.click()
    assert "Measured on one thread" in explorer.measured.value
    explorer.controls["conv2"].value = 20
    assert explorer.measured.value == ""


def test_network_with_dropout_and_normalisation_is_measured_as_it_is_used():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(144, 2)
    )
    X = torch.rand(8, 1, 8, 8)
    explorer = widgets.filter_explorer(model.train(), ["0"], (X, torch.zeros(8, dtype=torch.int64)))
    assert not explorer.dense.training
    assert not any(module.training for module in explorer.state.model.modules())
