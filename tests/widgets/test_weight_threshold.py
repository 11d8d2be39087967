"""The threshold on a trained network's weights, against NumPy and plain torch."""

import base64
import copy
import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from torch import nn

from sparsecourse import widgets
from sparsecourse.data import load
from sparsecourse.pruning import masks
from sparsecourse.training import NonFiniteError
from sparsecourse.widgets.weight_histogram import WeightHistogram
from sparsecourse.widgets.weight_threshold import (
    ALL_LAYERS,
    CURVE_AT,
    EDGES,
    LARGEST,
    PRUNED,
    THRESHOLD,
)
from tests.widgets.trained import lenet_on_digits

LAYERS = ["fc1", "fc2", "fc3"]


@pytest.fixture(scope="module")
def explorer():
    return widgets.weight_threshold(*lenet_on_digits())


def chosen(layer):
    return LAYERS if layer == ALL_LAYERS else [layer]


def by_hand(model, validation, layer, c):
    """Weights, how many are left, and the error: NumPy on the weights, three matrix products."""
    state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    n_weights = left = 0
    for name in chosen(layer):
        W = state[f"{name}.weight"]
        W[np.abs(W) <= c * W.astype(np.float64).std()] = 0
        n_weights, left = n_weights + W.size, left + np.count_nonzero(W)
    x = torch.tensor(validation.X).flatten(1)
    for name in LAYERS:
        x = x @ torch.tensor(state[f"{name}.weight"]).T + torch.tensor(state[f"{name}.bias"])
        x = x.relu() if name != LAYERS[-1] else x
    wrong = x.argmax(1) != torch.tensor(validation.y)
    return n_weights, left, wrong.double().mean().item()


@pytest.mark.parametrize("c", [0.0, 0.37, 1.0, 2.2, LARGEST])
@pytest.mark.parametrize("layer", [ALL_LAYERS, *LAYERS])
def test_state_is_what_pruning_by_hand_gives(explorer, layer, c):
    model, validation = lenet_on_digits()
    explorer.controls["layer"].value = layer
    explorer.controls["c"].value = c
    state = explorer.state
    n_weights, left, error = by_hand(model, validation, layer, c)
    assert (state.layer, state.c) == (layer, c)
    assert (state.weights, state.left) == (n_weights, left)
    assert state.error == pytest.approx(error, abs=1e-12)
    assert state.error_before == by_hand(model, validation, layer, 0)[2]
    assert state.sparsity == pytest.approx(1 - left / n_weights)
    assert f"{n_weights - left:,} of {n_weights:,} weights are zero" in explorer.alt
    rate = f"compression rate {n_weights / left:.1f}." if left else "none is left."
    assert rate in explorer.alt
    assert f"{state.error_before:.1%} before, {error:.1%} with the threshold" in explorer.alt
    assert f"on {len(validation.y)} images" in explorer.alt


@pytest.mark.parametrize("layer", [ALL_LAYERS, "fc2"])
def test_curve_goes_through_what_each_threshold_gives(explorer, layer):
    explorer.controls["layer"].value = layer
    found = np.array([by_hand(*lenet_on_digits(), layer, c) for c in CURVE_AT])
    np.testing.assert_allclose(explorer.state.sparsity_curve, 1 - found[:, 1] / found[:, 0])
    np.testing.assert_allclose(explorer.state.error_curve, found[:, 2], atol=1e-12)


@pytest.mark.parametrize("layer", [ALL_LAYERS, *LAYERS])
def test_histogram_counts_weights_in_deviations_of_their_own_layer(explorer, layer):
    explorer.controls["layer"].value = layer
    control = explorer.controls["c"]
    model, _ = lenet_on_digits()
    weights = {name: model.get_submodule(name).weight.detach().double() for name in chosen(layer)}
    units = torch.cat([(W / W.std(correction=0)).flatten() for W in weights.values()]).numpy()
    assert control.counts == [
        np.count_nonzero((low <= units) & (units < high)) for low, high in itertools.pairwise(EDGES)
    ]
    assert control.beyond == np.count_nonzero(np.abs(units) > LARGEST)
    expected = 0 if layer == ALL_LAYERS else weights[layer].std(correction=0).item()
    assert control.deviation == pytest.approx(expected)
    assert (EDGES[0], EDGES[-1]) == (-control.max, control.max)


def test_what_is_grey_is_what_is_pruned(explorer):
    """Bars up to the threshold hold as many weights as become zero."""
    explorer.controls["layer"].value = "fc1"
    explorer.controls["c"].value = float(EDGES[42])
    grey = sum(explorer.controls["c"].counts[18:42])
    assert explorer.state.weights - explorer.state.left == pytest.approx(grey, abs=1)


def test_the_model_stays_as_it_is_and_what_happens_to_it_later_does_not_count():
    model, validation = lenet_on_digits()
    model = copy.deepcopy(model).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    explorer = widgets.weight_threshold(model, validation)
    for layer in explorer.controls["layer"].options:
        explorer.controls["layer"].value = layer
        for c in (0, 1.3, LARGEST):
            explorer.controls["c"].value = c
    assert model.training
    assert model.fc1.training
    assert type(model.fc1) is nn.Linear
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    nn.init.zeros_(model.fc1.weight)
    explorer.controls["layer"].value = "fc1"
    explorer.controls["c"].value = 0
    assert explorer.state.left == explorer.state.weights


def test_weights_that_are_pruned_already_are_zeros_but_in_no_bar():
    model, validation = lenet_on_digits()
    model = copy.deepcopy(model)
    masks.apply(model, masks.magnitude(model, {"fc1": 0.25, "fc3": 0.0}, scope="layer"))
    explorer = widgets.weight_threshold(model, validation)
    explorer.controls["layer"].value = "fc1"
    explorer.controls["c"].value = 0
    assert explorer.state.left == 58_800
    assert sum(explorer.controls["c"].counts) + explorer.controls["c"].beyond == 58_800
    left = model.fc1.weight.detach()[model.fc1.weight != 0].double().numpy()
    assert explorer.controls["c"].deviation == pytest.approx(left.std())
    explorer.controls["c"].value = 1.2
    assert explorer.state.left == np.count_nonzero(np.abs(left) > 1.2 * left.std())
    explorer.controls["layer"].value = "fc3"
    assert explorer.controls["c"].counts == [0] * (len(EDGES) - 1)
    assert "1,000 of 1,000 weights are zero (100.0%), none is left." in explorer.alt


@pytest.mark.parametrize(("value", "zeros", "beyond"), [(0.0, 1000, 0), (-0.2, 0, 1000)])
def test_a_layer_of_equal_weights_has_no_deviation_and_only_zeros_are_pruned(value, zeros, beyond):
    model, validation = lenet_on_digits()
    model = copy.deepcopy(model)
    nn.init.constant_(model.fc3.weight, value)
    explorer = widgets.weight_threshold(model, validation)
    explorer.controls["layer"].value = "fc3"
    assert explorer.state.weights - explorer.state.left == zeros
    assert explorer.controls["c"].beyond == beyond
    assert sum(explorer.controls["c"].counts) == zeros


def test_at_most_2000_samples_are_looked_at_and_the_sentence_says_how_many():
    model, _ = lenet_on_digits()
    train = load("digits", shape=(1, 28, 28)).train
    explorer = widgets.weight_threshold(model, (train.X, train.y))
    assert "on 2,000 images" in explorer.alt
    first = load("digits", shape=(1, 28, 28)).train
    error = widgets.weight_threshold(model, (first.X[:2000], first.y[:2000])).state.error
    assert explorer.state.error == error


@pytest.mark.parametrize("c", [0.5, 1.6])
def test_in_the_still_picture_bars_are_grey_between_the_two_lines(explorer, c):
    explorer.controls["c"].value = c
    data = base64.b64decode(explorer._repr_mimebundle_()[0]["image/png"])
    pixels = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    row = pixels[int(0.8 * len(pixels)), : pixels.shape[1] // 2]  # through the bars' feet
    grey, orange = (
        np.flatnonzero((row == ImageColor.getrgb(colour)).all(axis=1))
        for colour in (PRUNED, THRESHOLD)
    )
    assert [grey[0], grey[-1]] == pytest.approx([orange[0], orange[-1]], abs=4)
    axis_pixels = pixels.shape[1] * 0.437  # as subplots_adjust leaves it, for 2 * LARGEST
    assert orange[-1] - orange[0] == pytest.approx(axis_pixels * c / LARGEST, abs=4)


def test_a_threshold_off_the_axis_goes_to_its_end_as_with_a_slider():
    control = WeightHistogram(max=LARGEST)
    for given, kept in ((-1, 0), (99, LARGEST), (0.5, 0.5)):
        control.value = given
        assert control.value == kept


def test_a_network_that_diverged_is_told_in_a_sentence():
    model, validation = lenet_on_digits()
    model = copy.deepcopy(model)
    nn.init.constant_(model.fc2.weight, float("nan"))
    with pytest.raises(NonFiniteError, match="the model diverged while it was trained"):
        widgets.weight_threshold(model, validation)
    nn.init.constant_(model.fc2.weight, 1e30)
    nn.init.constant_(model.fc1.bias, 1e30)
    with pytest.raises(NonFiniteError, match="scores are not finite"):
        widgets.weight_threshold(model, validation)


def test_weights_that_no_answer_depends_on_must_be_finite_too():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(4, 2), nn.Linear(4, 2)
            nn.init.constant_(self.unused.weight, float("inf"))

        def forward(self, x):
            return self.used(x)

    with pytest.raises(ValueError, match=r"unused\.weight must be finite, got inf"):
        widgets.weight_threshold(Unused(), (torch.ones(3, 4), torch.tensor([0, 1, 1])))


@pytest.mark.parametrize(
    ("model", "validation", "message"),
    [
        ("lenet", None, "model must be a network"),
        (nn.ReLU(), None, "ReLU has no convolution and no linear layer: nothing to prune"),
        (None, 7, r"validation must be \(X, y\)"),
        (None, (np.ones((3, 1, 28, 28), np.float32), np.zeros(2, int)), "validation must be X"),
        (None, (np.ones((3, 1, 8, 8), np.float32), np.zeros(3, int)), "images must have shape"),
        (None, (np.ones((3, 1, 28, 28), np.float32), np.full(3, 10)), "classes 0 to 9"),
        (None, (np.ones((0, 1, 28, 28), np.float32), np.zeros(0, int)), "must not be empty"),
    ],
)
def test_wrong_input_is_named(model, validation, message):
    trained, digits = lenet_on_digits()
    with pytest.raises(ValueError, match=message):
        widgets.weight_threshold(
            trained if model is None else model, digits if validation is None else validation
        )
