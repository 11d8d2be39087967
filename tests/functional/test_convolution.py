"""What parity with the reference does not cover: dtypes, gradients, memory layouts, errors."""

import math

import pytest
import torch
from torch.nn import functional

from sparsecourse.functional import convolution


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_float32_stays_and_is_as_accurate_as_that_of_torch(groups, generator):
    X = torch.randn(4, 8, 12, 9, generator=generator)
    W = torch.randn(16, 8 // groups, 3, 5, generator=generator)
    bias = torch.randn(16, generator=generator)
    settings = {"stride": (2, 1), "padding": (1, 3), "dilation": (1, 2), "groups": groups}
    exact = functional.conv2d(X.double(), W.double(), bias.double(), **settings)
    sizes = functional.conv2d(X.abs(), W.abs(), bias.abs(), **settings)
    Y = convolution.conv2d(X, W, bias, **settings)
    assert Y.dtype == torch.float32
    assert Y.is_contiguous()
    # The bound on a sum of that many products, in any order (Higham, 2nd ed., eq. 3.5).
    products = W[0].numel() + 1
    assert ((Y - exact).abs() <= products * torch.finfo(torch.float32).eps / 2 * sizes).all()


def test_columns_and_images_keep_float32(generator):
    X = torch.randn(2, 3, 7, 6, generator=generator)
    columns = convolution.im2col(X, 3, stride=2, padding=1)
    assert torch.equal(columns, functional.unfold(X, 3, stride=2, padding=1))
    images = convolution.col2im(columns, X.shape, 3, stride=2, padding=1)
    assert images.dtype == torch.float32
    torch.testing.assert_close(images, functional.fold(columns, (7, 6), 3, stride=2, padding=1))


def test_gradients_of_a_convolution_are_those_of_torch(generator):
    leaves = [
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in [(3, 4, 6, 7), (6, 2, 3, 2), (6,)]
    ]
    settings = {"stride": (1, 2), "padding": 1, "dilation": (2, 1), "groups": 2}
    gradients = [
        torch.autograd.grad(conv2d(*leaves, **settings).pow(2).sum(), leaves)
        for conv2d in (convolution.conv2d, functional.conv2d)
    ]
    for ours, those_of_torch in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, those_of_torch)


def test_the_gradient_of_im2col_is_col2im_and_the_other_way_round(generator):
    X = torch.randn(2, 3, 6, 5, generator=generator, requires_grad=True)
    columns = convolution.im2col(X, (3, 2), stride=2, padding=1)
    C = torch.randn(columns.shape, generator=generator, requires_grad=True)
    images = convolution.col2im(C, X.shape, (3, 2), stride=2, padding=1)
    of_X = torch.autograd.grad(columns, X, C.detach())[0]
    of_C = torch.autograd.grad(images, C, X.detach())[0]
    torch.testing.assert_close(of_X, images.detach())
    torch.testing.assert_close(of_C, columns.detach())


def test_memory_layout_makes_no_difference(generator):
    X = torch.randn(2, 4, 6, 5, generator=generator)
    W = torch.randn(3, 4, 3, 3, generator=generator)
    channels_last = [t.to(memory_format=torch.channels_last) for t in (X, W)]
    torch.testing.assert_close(convolution.conv2d(*channels_last), convolution.conv2d(X, W))


def test_what_is_given_is_left_as_it_was(generator):
    X = torch.randn(2, 3, 5, 5, generator=generator)
    columns = convolution.im2col(X, 1)
    before = columns.clone(), X.clone()
    convolution.im2col(X, 1).zero_()
    convolution.col2im(columns, X.shape, 1).zero_()
    assert torch.equal(columns, before[0])
    assert torch.equal(X, before[1])


X, W = torch.ones(2, 4, 5, 6), torch.ones(6, 2, 3, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convolution.im2col(X.int(), 3), "X must be a tensor of float32"),
        (lambda: convolution.im2col(X[0], 3), "X must be at least 4-D"),
        (lambda: convolution.im2col(X[None], 3), r"X must be 4-D, got shape \(1, 2, 4, 5, 6\)"),
        (lambda: convolution.im2col(X * math.nan, 3), "X must be finite, got nan"),
        (lambda: convolution.im2col(X, (3, 0)), r"kernel_size must .* got \(3, 0\)"),
        (lambda: convolution.im2col(X, 3, stride=0), "stride must be a whole number >= 1"),
        (lambda: convolution.im2col(X, 3, padding=-1), "padding must be a whole number >= 0"),
        (lambda: convolution.im2col(X, 3, dilation=1.5), "dilation must be a whole number >= 1"),
        (lambda: convolution.im2col(X, 7, padding=(1, 0)), "reaches over 7 pixels, .* has 6"),
        (lambda: convolution.col2im(X[0, 0], X.shape, 3), "columns must be at least 3-D"),
        (lambda: convolution.col2im(X[0], X.shape[1:], 3), r"shape must be \(n, channels, height"),
        (
            lambda: convolution.col2im(X[0], X.shape, 3),
            r"columns must have shape \(2, 36, 12\) for images of shape \(2, 4, 5, 6\), got",
        ),
        (lambda: convolution.conv2d(X, W), r"W must have shape \(filters, 4, k_h, k_w\) for 4"),
        (lambda: convolution.conv2d(X, W, groups=0), "groups must divide .* got 0"),
        (lambda: convolution.conv2d(X, W, groups=3), "groups must divide the 4 channels"),
        (lambda: convolution.conv2d(X, W, groups=4), "the 6 filters of W, got 4"),
        (lambda: convolution.conv2d(X, W.double(), groups=2), "W must be torch.float32 on cpu"),
        (lambda: convolution.conv2d(X, W[None], groups=2), "W must be 4-D"),
        (lambda: convolution.conv2d(X, W, torch.ones(6).double(), groups=2), "bias must be torch"),
        (lambda: convolution.conv2d(X, W, torch.ones(2), groups=2), r"bias must have shape \(6,\)"),
        (lambda: convolution.conv2d(X, W, W[:, 0, 0, 0] / 0, groups=2), "bias must be finite"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
