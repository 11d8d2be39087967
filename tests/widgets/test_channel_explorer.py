"""Channels that a trained layer goes on reading, against plain torch, NumPy and scikit-learn."""

import copy

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from sklearn.linear_model import lars_path_gram
from torch import nn

from sparsecourse.widgets.channel_explorer import (
    COLOURS,
    EXAMPLES,
    FADED,
    IMAGES_AT_MOST,
    channel_explorer,
    draw_channels,
    draw_maps,
    triangle,
)
from tests.widgets.trained import convolution_on_digits


@pytest.fixture(scope="module")
def explorer():
    return channel_explorer(*convolution_on_digits())


def set_to(explorer, **values):
    for name, value in values.items():
        explorer.controls[name].value = value
    return explorer.state


def read_and_given(part):
    """What conv2 reads, as maps and as rows, and what it gives without its bias, by torch alone."""
    model, *_ = convolution_on_digits()
    with torch.no_grad():
        maps = model.pool1(model.conv1(torch.as_tensor(part.X[:IMAGES_AT_MOST]))).double()
        Y = nn.functional.conv2d(maps, model.conv2.weight.double())
    rows = nn.functional.unfold(maps, 5).mT.reshape(-1, 20, 25).numpy()
    return maps, rows, Y.permute(0, 2, 3, 1).reshape(-1, 50).numpy()


def errors_by_hand(kept):
    """With old weights: a convolution with zeros; refitted: NumPy's least squares on all rows."""
    model, _, fitted, validation = convolution_on_digits()
    (_, X, Y), (maps, X_new, Y_new) = read_and_given(fitted), read_and_given(validation)
    zeros = model.conv2.weight.detach().double().clone()
    zeros[:, [i for i in range(20) if i not in kept]] = 0
    old = nn.functional.conv2d(maps, zeros).permute(0, 2, 3, 1).reshape(-1, 50).numpy()
    V = np.linalg.lstsq(X[:, list(kept)].reshape(len(X), -1), Y, rcond=None)[0]
    new = X_new[:, list(kept)].reshape(len(X_new), -1) @ V
    return [np.linalg.norm(Y_new - given) / np.linalg.norm(Y_new) for given in (old, new)]


@pytest.mark.parametrize("n_kept", [1, 9, 20])
def test_errors_are_those_of_zeros_and_of_least_squares(explorer, n_kept):
    state = set_to(explorer, n_kept=n_kept, draw=3)
    assert list(state.choices) == list(COLOURS) == ["lasso", "l1", "random"]
    for method, choice in state.choices.items():
        assert len(choice.kept) == n_kept
        expected = errors_by_hand(choice.kept)
        found = [choice.old_weights, choice.refitted]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)
        kept = ", ".join(map(str, choice.kept))
        assert f"{method} keeps {kept}: {found[0]:.1%} with the old" in explorer.alt
        assert f"{found[1]:.1%} refitted" in explorer.alt
    assert f"conv2 reads {n_kept} of 20 channels, fitted to 200 images" in explorer.alt


def test_the_lasso_keeps_what_the_path_of_least_angles_enters_first(explorer):
    model, _, fitted, _ = convolution_on_digits()
    _, X, Y = read_and_given(fitted)
    W = model.conv2.weight.detach().double().numpy().reshape(50, 20, 25)
    W = W / np.sqrt((W**2).sum(axis=(0, 2), keepdims=True))
    Z = np.einsum("nik,fik->inf", X, W).reshape(20, -1)
    _, _, path = lars_path_gram(Z @ Y.ravel(), Z @ Z.T, n_samples=Y.size, method="lasso")
    counts = (path != 0).sum(axis=0)
    for n_kept in (1, 4, 10):
        support = np.flatnonzero(path[:, counts == n_kept][:, 0])
        assert set_to(explorer, n_kept=n_kept).choices["lasso"].kept == tuple(support)


def test_l1_keeps_the_channels_read_with_the_largest_weights(explorer):
    model, *_ = convolution_on_digits()
    norms = model.conv2.weight.detach().abs().sum((0, 2, 3)).numpy()
    for n_kept in (1, 7, 19):
        kept = set_to(explorer, n_kept=n_kept).choices["l1"].kept
        assert kept == tuple(np.sort(np.argsort(norms)[-n_kept:]))


def test_only_chance_looks_at_the_draw_and_nothing_at_the_image(explorer):
    first = set_to(explorer, n_kept=6, image=0, draw=0)
    other = set_to(explorer, draw=5)
    assert first.choices["random"].kept != other.choices["random"].kept
    assert all(first.choices[method] == other.choices[method] for method in ("lasso", "l1"))
    assert set_to(explorer, image=4).choices == other.choices
    assert len({set_to(explorer, draw=n).choices["random"].kept for n in range(20)}) > 15


def test_maps_are_what_the_layer_reads_of_the_validation_images(explorer):
    *_, validation = convolution_on_digits()
    maps, _, _ = read_and_given(validation)
    assert explorer.controls["image"].max == EXAMPLES - 1
    for image in (0, EXAMPLES - 1):
        shown = set_to(explorer, image=image).maps
        np.testing.assert_allclose(shown, maps[image].numpy(), rtol=1e-5, atol=1e-6)


def test_maps_of_dropped_channels_are_faded_and_the_others_are_not():
    axes = Figure().add_subplot()
    axes.set_facecolor("white")
    values = np.linspace(0, 1, 12)
    maps = values.reshape(12, 1, 1) * np.ones((12, 2, 3))
    draw_maps(axes, maps, kept=(0, 3, 11))
    sheet = np.asarray(axes.images[0].get_array())
    assert sheet.shape == (2 * 2 + 1, 10 * 3 + 9, 3)
    for i, value in enumerate(values):
        top, left = 3 * (i // 10), 4 * (i % 10)
        seen = value if i in (0, 3, 11) else FADED * value + 1 - FADED
        np.testing.assert_allclose(sheet[top : top + 2, left : left + 3], seen)
    np.testing.assert_array_equal(sheet[2], 1)


def test_maps_that_are_equal_everywhere_can_be_drawn():
    axes = Figure().add_subplot()
    draw_maps(axes, np.full((2, 3, 3), 0.7), kept=(0,))
    assert np.isfinite(axes.images[0].get_array()).all()


def test_bars_are_the_errors(explorer):
    state = set_to(explorer, n_kept=5)
    figure = Figure()
    draw_channels(figure, state)
    bars = figure.axes[0]
    choices = state.choices.values()
    widths = [bar.get_width() for bar in bars.patches]
    assert widths[:3] == [100 * choice.old_weights for choice in choices]
    assert widths[3:] == [100 * choice.refitted for choice in choices]
    assert [label.get_text() for label in bars.get_yticklabels()] == list(COLOURS)
    assert [axes.get_title() for axes in figure.axes[1:]] == [f"{m} keeps 5" for m in COLOURS]


def test_the_first_picture_has_half_of_the_channels():
    explorer = channel_explorer(*convolution_on_digits())
    control = explorer.controls["n_kept"]
    assert (control.min, control.value, control.max) == (1, 10, 20)
    assert explorer.state.n_kept == 10
    assert (explorer.state.n_fitted, explorer.state.n_validation) == (200, 200)


@pytest.mark.parametrize("n_samples", [4, 30])
def test_the_triangle_has_the_errors_of_all_samples(n_samples):
    chance = torch.Generator().manual_seed(0)
    X, Y = (torch.randn(n_samples, n, generator=chance, dtype=torch.float64) for n in (5, 2))
    M = torch.randn(5, 2, generator=chance, dtype=torch.float64)
    fewer, outputs = triangle(X, Y)
    assert len(fewer) == len(outputs) == min(n_samples, 7)
    torch.testing.assert_close((outputs - fewer @ M).norm(), (Y - X @ M).norm())


def test_the_model_stays_as_it_is_and_what_happens_to_it_later_does_not_count():
    trained, layer, fitted, validation = convolution_on_digits()
    model = copy.deepcopy(trained).train()
    explorer = channel_explorer(model, layer, fitted, validation)
    before = explorer.alt
    assert model.conv2.training
    assert not model.conv2._forward_pre_hooks
    assert all(map(torch.equal, model.state_dict().values(), trained.state_dict().values()))
    nn.init.zeros_(model.conv2.weight)
    set_to(explorer, n_kept=3)
    set_to(explorer, n_kept=10)
    assert explorer.alt == before


def small_net(**settings):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, **settings), nn.Flatten(), nn.LazyLinear(2)
    )


IMAGES = torch.rand(6, 1, 5, 5, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2


def test_few_images_and_a_layer_of_few_channels_will_do():
    net = small_net()
    net(IMAGES[0])
    explorer = channel_explorer(net, "1", IMAGES, IMAGES)
    assert explorer.controls["n_kept"].max == 4
    assert explorer.controls["image"].max == 5
    assert set_to(explorer, n_kept=4).choices["lasso"].refitted < 1e-9


@pytest.mark.parametrize(
    ("change", "layer", "fitted", "message"),
    [
        (None, "1", IMAGES, "model must be a network"),
        ({}, "0", IMAGES, r"two channels or more, one of \['1'\], got '0'"),
        ({}, "2", IMAGES, "got '2'"),
        ({}, "conv2", IMAGES, "got 'conv2'"),
        ({"groups": 2}, "1", IMAGES, r"without groups .* one of \[\], got '1'"),
        ({}, "1", 7, r"fitted must be \(X, y\)"),
        ({}, "1", (IMAGES[0], IMAGES[1] + 5), "y of fitted must be classes"),
    ],
)
def test_wrong_input_is_named(change, layer, fitted, message):
    net = "lenet5" if change is None else small_net(**change)
    if change is not None:
        net(IMAGES[0])
    with pytest.raises(ValueError, match=message):
        channel_explorer(net, layer, fitted, IMAGES)


def test_a_layer_that_puts_out_nothing_is_refused():
    net = small_net()
    net(IMAGES[0])
    nn.init.zeros_(net[1].weight)
    with pytest.raises(ValueError, match="outputs of 1 must not be zero everywhere"):
        channel_explorer(net, "1", IMAGES, IMAGES)
