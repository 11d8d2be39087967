"""What parity with the reference does not cover: dtypes, devices, many samples, trained weights."""

import pytest
import torch
from torch import nn

from sparsecourse.functional import channel_selection

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)]


def layer(n=300):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    W, X = draw(5, 6, 2, 2), draw(n, 24) + draw(n, 1)
    return W, X, X @ W.flatten(1).mT + draw(n, 5)


CALLS = {
    "solve_beta": lambda W, X, Y: (channel_selection.solve_beta(W, X, Y, 2.0).coef,),
    "solve_weights": lambda W, X, Y: channel_selection.solve_weights(W, W[0, :, 0, 0], X, Y, 2.0),
    "alternate": lambda W, X, Y: channel_selection.alternate(W, X, Y, 2.0, 3)[:2],
    "select_lasso": lambda W, X, Y: channel_selection.select_lasso(W, X, Y, 3)[1:2],
    "reconstruct": lambda W, X, Y: (channel_selection.reconstruct(W, X, Y, [4, 1]),),
    "rescale": lambda W, X, Y: (channel_selection.rescale(W, X, Y, torch.tensor([4, 1])),),
    "output_error": lambda W, X, Y: (channel_selection.output_error(W, X, Y, range(6)),),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_float32_stays_float32_on_its_device_and_is_accurate(call, device):
    exact = call(*layer())
    got = call(*(part.float().to(device) for part in layer()))
    for one, other in zip(got, exact, strict=True):
        assert (one.dtype, one.device.type) == (torch.float32, device)
        torch.testing.assert_close(one.cpu().double(), other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_trained_weights_give_results_without_gradient_and_stay_as_they_are(call):
    W, X, Y = layer()
    trained = nn.Parameter(W.clone())
    assert not any(part.requires_grad for part in call(trained, X, Y))
    assert torch.equal(trained.detach(), W)


def test_objectives_stay_in_float64_where_weights_are_in_float32():
    W, X, Y = (part.float() for part in layer())
    chosen = channel_selection.select_alternating(W, X, Y, 2)
    assert chosen.W.dtype == torch.float32
    assert chosen.history.dtype == chosen.lams.dtype == torch.float64
    fell = chosen.history.diff()[chosen.lams.diff() == 0]
    assert (fell <= 1e-12 * chosen.history[0]).all()


def test_repeating_all_samples_changes_nothing():
    """The objective is a mean over samples, whatever they are compressed to."""
    W, X, Y = layer(n=40)
    one = channel_selection.select_lasso(W, X, Y, 3)
    other = channel_selection.select_lasso(W, X.repeat(9, 1), Y.repeat(9, 1), 3)
    torch.testing.assert_close(one.lam, other.lam)
    torch.testing.assert_close(one.kept, other.kept)
    torch.testing.assert_close(one.beta, other.beta)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, W, X, Y: c.select_l1(W[None], 1), "W must be 4-D, .* one layer at a time"),
        (lambda c, W, X, Y: c.select_thinet(W, X.float(), 1), "X must be torch.float64 on cpu"),
        (lambda c, W, X, Y: c.reconstruct(W, X, Y[1:], [0]), r"Y must have shape \(300, 5\)"),
        (lambda c, W, X, Y: c.rescale(W, X, Y, torch.tensor([0.0])), "kept must list channels"),
        (lambda c, W, X, Y: c.rescale(W, X, Y, [1, 1]), "each channel once at most"),
        (lambda c, W, X, Y: c.normalize(W, W[0, :2, 0, 0]), r"beta must have shape \(6,\)"),
        (lambda c, W, X, Y: c.solve_beta(W, X, Y, 1.0, beta0=X[0, :6].float()), "beta0 must be"),
        (lambda c, W, X, Y: c.select_lasso(W, X, 0 * Y, 1), "orthogonal to the responses"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(channel_selection, *layer())
