"""Low rank of a trained layer, against NumPy's singular value decomposition and plain torch."""

import copy

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from sparsecourse import costs, nets, widgets
from sparsecourse.data import load
from sparsecourse.widgets.rank_explorer import (
    COLOURS,
    draw_low_rank,
    inputs_as_rows,
    projection_errors,
)
from tests.widgets.trained import convolution_on_digits, lenet_on_digits


@pytest.fixture(scope="module")
def explorer():
    return widgets.rank_explorer(*convolution_on_digits())


def maps_before_and_after(images):
    """What conv2 of the trained LeNet-5 reads and gives without its bias, by torch alone."""
    model, *_ = convolution_on_digits()
    with torch.no_grad():
        before = model.pool1(model.conv1(torch.as_tensor(images))).double()
        return before, nn.functional.conv2d(before, model.conv2.weight.double())


def size(M):
    return np.sqrt((np.asarray(M) ** 2).sum())


def by_hand(n_images, rank):
    """Errors of weights and outputs of both methods: two SVDs, two convolutions in a row."""
    model, _, fitted, validation = convolution_on_digits()
    W = model.conv2.weight.detach().double().numpy().reshape(50, 500)
    _, Y = maps_before_and_after(fitted.X[:n_images])
    samples = Y.numpy().transpose(0, 2, 3, 1).reshape(-1, 50)
    U, s, Vt = np.linalg.svd(W, full_matrices=False)
    V = np.linalg.svd(samples, full_matrices=False)[2][:rank].T
    factors = {
        "approximation": (U[:, :rank], np.diag(s[:rank]) @ Vt[:rank]),
        "regression": (V, V.T @ W),
    }
    errors = {}
    for method, (A, B) in factors.items():
        found = [size(W - A @ B) / size(W)]
        for images in (fitted.X[:n_images], validation.X[:500]):
            before, after = maps_before_and_after(images)
            thin = nn.functional.conv2d(before, torch.tensor(B).reshape(rank, 20, 5, 5))
            again = nn.functional.conv2d(thin, torch.tensor(A.copy())[:, :, None, None])
            found.append(size(after - again) / size(after))
        errors[method] = found
    return errors


@pytest.mark.parametrize(("n_images", "rank"), [(1, 3), (5, 1), (20, 17), (500, 10), (500, 50)])
def test_state_is_what_two_decompositions_by_hand_give(explorer, n_images, rank):
    explorer.controls["n_images"].value = n_images
    explorer.controls["rank"].value = rank
    state = explorer.state
    assert (state.rank, state.n_images, state.n_validation) == (rank, n_images, 360)
    by_method = by_hand(n_images, rank)
    for method, expected in by_method.items():
        errors = state.errors[method]
        found = [curve[rank - 1] for curve in (errors.weights, errors.fitted, errors.validation)]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert f"{method} {100 * expected[2]:.1f} %" in explorer.alt.partition("outputs")[2]
        assert f"{method} {100 * expected[0]:.1f} %" in explorer.alt.partition("outputs")[0]
    fitted = 100 * by_method["regression"][1]
    assert f"image{'s' * (n_images > 1)} and is {fitted:.1f} % off there." in explorer.alt


def draw(explorer):
    figure = Figure()
    draw_low_rank(figure, explorer.state)
    return figure.axes


def said(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_titles_and_legends_say_which_error_is_whose(explorer):
    explorer.controls["n_images"].value = 20
    explorer.controls["rank"].value = 17
    approximation, regression = by_hand(20, 17).values()  # weights, fitted, validation
    left, right = draw(explorer)
    expected = {"approximation": approximation[0], "regression": regression[0]}
    assert left.get_title() == "Error of the weights"
    assert said(left)[:2] == [f"{name}: {100 * error:.1f} %" for name, error in expected.items()]
    expected = {
        "approximation": approximation[2],
        "regression": regression[2],
        "regression, fitted images": regression[1],
    }
    assert right.get_title() == "Error of the outputs"
    assert said(right)[:3] == [f"{name}: {100 * error:.1f} %" for name, error in expected.items()]


def test_no_curve_hides_the_markers_of_this_rank(explorer):
    explorer.controls["rank"].value = 10
    for axes, what in zip(draw(explorer), ("weights", "validation"), strict=True):
        marked = {line.get_color(): line for line in axes.lines if line.get_marker() == "o"}
        assert set(marked) == set(COLOURS.values())
        curves = [line for line in axes.lines if line.get_marker() != "o"]
        for method, colour in COLOURS.items():
            (x,), (y,) = marked[colour].get_data()
            error = getattr(explorer.state.errors[method], what)[9]
            assert (x, y) == (10, pytest.approx(100 * error))
            assert marked[colour].get_zorder() > max(curve.get_zorder() for curve in curves)


def test_errors_fall_with_the_rank_to_nothing_and_each_method_wins_at_what_it_minimises(explorer):
    explorer.controls["n_images"].value = 20
    one, other = explorer.state.errors["approximation"], explorer.state.errors["regression"]
    for errors in (one, other):
        for curve in (errors.weights, errors.fitted, errors.validation):
            assert curve.shape == (50,)
            assert (np.diff(curve) <= 1e-12).all()
            assert curve[-1] < 1e-6
    assert (one.weights[:-1] < other.weights[:-1]).all()
    assert (other.fitted[:-1] < one.fitted[:-1]).all()


@pytest.mark.parametrize("rank", [1, 45, 46])
def test_multiply_adds_are_those_of_the_two_layers(explorer, rank):
    explorer.controls["rank"].value = rank
    state = explorer.state
    factored = nn.Sequential(nn.Conv2d(20, rank, 5), nn.Conv2d(rank, 50, 1))
    assert state.multiply_adds == costs.count(factored, (20, 12, 12)).totals.multiply_adds
    dense = costs.count(nets.lenet5(), (1, 28, 28)).to_frame().multiply_adds["conv2"]
    assert state.dense_multiply_adds == dense
    assert (rank < state.break_even) == (state.multiply_adds < dense)
    assert f"{state.multiply_adds:,} multiply-adds an image instead of 1,600,000" in explorer.alt
    said = f"{dense / state.multiply_adds:.2f} times fewer"
    more = f"{state.multiply_adds / dense:.2f} times as many"
    assert (said if rank < 46 else more) in explorer.alt


def test_a_linear_layer_is_its_own_matrix():
    model, validation = lenet_on_digits()
    train = load("digits", shape=(1, 28, 28)).train
    explorer = widgets.rank_explorer(model, "fc2", train, validation)
    explorer.controls["rank"].value = 7
    with torch.no_grad():
        X = model.relu1(model.fc1(torch.as_tensor(train.X[:500]).flatten(1))).double().numpy()
    W = model.fc2.weight.detach().double().numpy()
    s = np.linalg.svd(X @ W.T, compute_uv=False)
    found = explorer.state.errors["regression"].fitted[6]
    assert found == pytest.approx(size(s[7:]) / size(s), rel=1e-5)
    assert explorer.state.places == 1
    assert explorer.state.dense_multiply_adds == 300 * 100
    assert explorer.controls["rank"].max == 100


def test_fewer_images_than_asked_for_are_all_taken():
    model, layer, fitted, validation = convolution_on_digits()
    few = fitted.X[:7], fitted.y[:7]
    explorer = widgets.rank_explorer(model, layer, few, validation)
    assert explorer.controls["n_images"].options == (1, 5, 7)
    assert explorer.state.n_images == 7


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(3, 4, (3, 2), stride=2, padding=(1, 2), dilation=(1, 2)), nn.Linear(6, 4)]
)
def test_rows_times_weights_are_what_the_layer_gives(layer):
    X = torch.randn(5, 3, 8, 6)
    with torch.no_grad():
        outputs = layer(X)
    rows = inputs_as_rows(nn.Sequential(layer), "0", X)
    assert not layer._forward_pre_hooks
    Y = rows @ layer.weight.detach().double().flatten(1).mT + layer.bias.detach()
    if outputs.shape[1] == 4:
        outputs = outputs.permute(0, 2, 3, 1)
    np.testing.assert_allclose(Y.numpy(), outputs.reshape(-1, 4).numpy(), atol=1e-5)


def test_a_projection_by_hand():
    M = np.array([[3.0, 0.0], [0.0, 4.0]])
    np.testing.assert_allclose(projection_errors(M, np.eye(2)[:, ::-1]), [0.6, 0], atol=1e-15)
    with pytest.raises(ValueError, match="M must not be zero everywhere"):
        projection_errors(0 * M, np.eye(2))


def test_the_model_stays_as_it_is_and_what_happens_to_it_later_does_not_count():
    trained, layer, fitted, validation = convolution_on_digits()
    model = copy.deepcopy(trained).train()
    explorer = widgets.rank_explorer(model, layer, fitted, validation)
    before = explorer.alt
    assert model.training
    assert model.conv2.training
    assert not model.conv2._forward_pre_hooks
    rank = explorer.controls["rank"].value
    nn.init.zeros_(model.conv2.weight)
    explorer.controls["rank"].value = 3
    explorer.controls["rank"].value = rank
    assert explorer.alt == before


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.unused = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(self.layer(x))


FEW = torch.ones(3, 4), torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("model", "layer", "samples", "message"),
    [
        ("lenet", "conv2", FEW, "model must be a network"),
        (nn.Sequential(nn.Linear(4, 2)), "1", FEW, r"linear layer of the model, \['0'\], got '1'"),
        (nn.Sequential(nn.Linear(4, 2), nn.ReLU()), "1", FEW, r"\['0'\], got '1'"),
        (nn.Sequential(nn.Conv2d(2, 2, 1, groups=2)), "0", FEW, "one matrix product .* groups=2"),
        (nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")), "0", FEW, "reflect"),
        (Twice(), "layer", FEW, "'layer' ran 2 times"),
        (Twice(), "unused", FEW, "'unused' ran 0 times"),
        (nn.Sequential(nn.Linear(4, 2)), "0", 7, r"fitted must be \(X, y\)"),
        (nn.Sequential(nn.Linear(4, 2)), "0", (0 * FEW[0], FEW[1]), "must not be zero everywhere"),
    ],
)
def test_wrong_input_is_named(model, layer, samples, message):
    with pytest.raises(ValueError, match=message):
        widgets.rank_explorer(model, layer, samples, FEW)
