"""What parity with the reference does not cover: batches, dtypes, devices, arbitrary factors."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from sparsecourse.functional import low_rank

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)]
CALLS = {
    "approximate": lambda W, X: low_rank.approximate(W.flatten(-3), 3),
    "regress": lambda W, X: low_rank.regress(W.flatten(-3), X, 3),
    "spatial_split": lambda W, X: low_rank.spatial_split(W, 3),
    "channel_split": lambda W, X: low_rank.channel_split(W, 3),
}


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def draw(generator, *shape, dtype=torch.float64):
    return torch.randn(shape, generator=generator, dtype=dtype)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_batch_is_the_same_as_one_at_a_time(call, generator):
    W, X = draw(generator, 2, 3, 5, 4, 3, 2), draw(generator, 2, 3, 40, 24)
    together = call(W, X)
    for i in range(2):
        for j in range(3):
            for one, other in zip(together, call(W[i, j], X[i, j]), strict=True):
                torch.testing.assert_close(one[i, j], other)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_float32_stays_float32_on_its_device(call, device, generator):
    W, X = draw(generator, 5, 4, 3, 2), draw(generator, 40, 24)
    got = call(W.float().to(device), X.float().to(device))
    for one, exact in zip(got, call(W, X), strict=True):
        assert (one.dtype, one.device.type) == (torch.float32, device)
        assert one.is_contiguous()
        torch.testing.assert_close(one.cpu().double(), exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_weights_that_are_trained_give_factors_without_gradient(call, generator):
    W = nn.Parameter(draw(generator, 5, 4, 3, 2))
    assert not any(factor.requires_grad for factor in call(W, draw(generator, 40, 24)))


@pytest.mark.parametrize("n_samples", [1, 3, 50])
def test_outputs_of_lower_rank_than_asked_for_are_kept(n_samples, generator):
    """The factors are not unique here, which is why parity does not compare them."""
    W, X = draw(generator, 6, 8), draw(generator, n_samples, 2) @ draw(generator, 2, 8)
    A, B = low_rank.regress(W, X, 4)
    assert (A.shape, B.shape) == ((6, 4), (4, 8))
    torch.testing.assert_close(A.mT @ A, torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(X @ B.mT @ A.mT, X @ W.mT)


def test_weights_of_lower_rank_than_asked_for_are_kept(generator):
    for W in (draw(generator, 6, 2) @ draw(generator, 2, 8), torch.zeros(6, 8)):
        A, B = low_rank.approximate(W, 4)
        torch.testing.assert_close(A.mT @ A, torch.eye(4, dtype=W.dtype))
        torch.testing.assert_close(A @ B, W)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_split_kernels_load_into_layers(memory_format, generator):
    W, x = draw(generator, 6, 4, 3, 3), draw(generator, 2, 4, 9, 9)
    W = W.to(memory_format=memory_format)
    for first, second in (low_rank.spatial_split(W, 12), low_rank.channel_split(W, 6)):
        layers = nn.Sequential(
            nn.Conv2d(4, len(first), first.shape[2:], bias=False, dtype=W.dtype),
            nn.Conv2d(len(first), 6, second.shape[2:], bias=False, dtype=W.dtype),
        )
        layers.load_state_dict({"0.weight": first, "1.weight": second})
        torch.testing.assert_close(layers(x), conv2d(x, W))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda W: low_rank.approximate(W, 3), "between 1 and 2, .* of 2 x 3, got 3"),
        (lambda W: low_rank.approximate(W, 0), "between 1 and 2, .* of 2 x 3, got 0"),
        (lambda W: low_rank.approximate(W, 1.0), "rank must be a whole number"),
        (lambda W: low_rank.approximate(W.int(), 1), "W must be a tensor of float32"),
        (lambda W: low_rank.approximate(W[0], 1), "W must be at least 2-D, got shape"),
        (lambda W: low_rank.regress(W, W, 3), "between 1 and 2, .* of 2 x 3, got 3"),
        (lambda W: low_rank.regress(W, W.mT, 1), r"shape \('n_samples', 3\) .* got \(3, 2\)"),
        (lambda W: low_rank.regress(W[None], W, 1), r"shape \(1, 'n_samples', 3\) .* got \(2, 3\)"),
        (lambda W: low_rank.regress(W, W.double(), 1), "X must be torch.float32 on cpu like W"),
        (lambda W: low_rank.regress(W, W / 0, 1), "X must be finite"),
        (lambda W: low_rank.spatial_split(W, 1), "W must be at least 4-D, got shape"),
        (lambda W: low_rank.spatial_split(W[..., None, None], 3), "1 and 2, .* of 3 x 2, got 3"),
        (lambda W: low_rank.channel_split(W, 1), "W must be at least 4-D, got shape"),
        (lambda W: low_rank.channel_split(W[None, None], 2), "1 and 1, .* of 1 x 6, got 2"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(2, 3))
