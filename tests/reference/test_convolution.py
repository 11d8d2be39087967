"""Columns by hand, the adjoint by its identity, the convolution against that of PyTorch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from sparsecourse.reference import convolution
from tests.parity.cases import convolutional_layer

ROUNDING = 2e-14  # of two sums of 50 products, each relative to their sizes
LAYERS = convolutional_layer()


def tensor(value):
    return torch.tensor(value) if isinstance(value, np.ndarray) else value


@settings(deadline=None, max_examples=200)
@given(LAYERS)
def test_convolution_is_that_of_torch(layer):
    expected = functional.conv2d(*map(tensor, layer)).numpy()
    X, W, bias, *rest = layer
    sizes = convolution.conv2d(np.abs(X), np.abs(W), None if bias is None else np.abs(bias), *rest)
    Y = convolution.conv2d(*layer)
    assert Y.shape == expected.shape
    assert (np.abs(Y - expected) <= ROUNDING * sizes).all()


@settings(deadline=None)
@given(LAYERS)
def test_columns_are_those_of_unfold(layer):
    X, W, _, stride, padding, dilation, _ = layer
    expected = functional.unfold(tensor(X), W.shape[2:], dilation, padding, stride)
    columns = convolution.im2col(X, W.shape[2:], stride, padding, dilation)
    np.testing.assert_array_equal(columns, expected)


@settings(deadline=None)
@given(LAYERS)
def test_images_are_those_of_fold(layer):
    X, W, _, stride, padding, dilation, _ = layer
    columns = convolution.im2col(X, W.shape[2:], stride, padding, dilation) ** 2
    expected = functional.fold(tensor(columns), X.shape[2:], W.shape[2:], dilation, padding, stride)
    images = convolution.col2im(columns, X.shape, W.shape[2:], stride, padding, dilation)
    np.testing.assert_allclose(images, expected, rtol=ROUNDING)


@settings(deadline=None)
@given(LAYERS, st.integers(0, 2**32 - 1))
def test_col2im_is_the_adjoint_of_im2col(layer, seed):
    X, W, _, *settings_of_both, _ = layer
    columns = convolution.im2col(X, W.shape[2:], *settings_of_both)
    C = np.random.default_rng(seed).normal(size=columns.shape)
    images = convolution.col2im(C, X.shape, W.shape[2:], *settings_of_both)
    scale = np.linalg.norm(columns) * np.linalg.norm(C)
    assert np.sum(columns * C) == pytest.approx(np.sum(X * images), rel=0, abs=1e-14 * scale)


def test_columns_by_hand():
    X = np.arange(1, 10).reshape(1, 1, 3, 3)
    by_hand = [[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]]
    np.testing.assert_array_equal(convolution.im2col(X, 2), [by_hand])
    # The pixel in the middle is in all four patches, one at a side in two, one at a corner in one.
    seen = convolution.col2im(np.ones((1, 4, 4)), X.shape, 2)
    np.testing.assert_array_equal(seen, [[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]])


def test_rows_of_the_filter_matrix_and_of_the_columns_are_in_one_order():
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(2, 3, 7, 5)), rng.normal(size=(4, 3, 3, 2))
    product = W.reshape(4, -1) @ convolution.im2col(X, (3, 2))
    np.testing.assert_allclose(product.reshape(2, 4, 5, 4), convolution.conv2d(X, W), atol=1e-13)


def test_a_fully_connected_layer_is_a_convolution_of_one_pixel():
    rng = np.random.default_rng(0)
    X, W, bias = rng.normal(size=(6, 10)), rng.normal(size=(3, 10)), rng.normal(size=3)
    Y = convolution.conv2d(X[:, :, None, None], W[:, :, None, None], bias)
    np.testing.assert_allclose(Y[:, :, 0, 0], X @ W.T + bias, atol=1e-13)


def test_a_fully_connected_layer_on_maps_is_a_kernel_as_large_as_the_image():
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(6, 2, 4, 5)), rng.normal(size=(3, 40))
    Y = convolution.conv2d(X, W.reshape(3, 2, 4, 5))
    np.testing.assert_allclose(Y[:, :, 0, 0], X.reshape(6, -1) @ W.T, atol=1e-13)


def test_a_kernel_of_one_pixel_is_the_same_matrix_at_each_place():
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(7, 3))
    expected = np.moveaxis(np.moveaxis(X, 1, -1) @ W.T, -1, 1)
    np.testing.assert_allclose(convolution.conv2d(X, W[:, :, None, None]), expected, atol=1e-13)


def test_depthwise_each_channel_meets_its_own_filter():
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(2, 5, 6, 6)), rng.normal(size=(5, 1, 3, 3))
    Y = convolution.conv2d(X, W, padding=1, groups=5)
    for c in range(5):
        alone = convolution.conv2d(X[:, [c]], W[[c]], padding=1)
        np.testing.assert_allclose(Y[:, [c]], alone, atol=1e-13)


def test_output_size_of_layers_with_known_ones():
    assert convolution.output_size(227, 11, stride=4) == (55, 55)  # AlexNet conv1
    assert convolution.output_size((224, 112), 7, stride=2, padding=3) == (112, 56)  # ResNet conv1
    assert convolution.output_size(28, 5) == (24, 24)  # LeNet-5 conv1
    assert convolution.output_size((7, 9), (3, 1), dilation=(3, 5)) == (1, 9)


@settings(deadline=None)
@given(LAYERS)
def test_output_size_is_the_number_of_places_that_fit(layer):
    X, W, _, stride, padding, dilation, _ = layer
    fitting = [
        sum(first + d * (k - 1) < h + 2 * p for first in range(0, h + 2 * p, s))
        for h, k, s, p, d in zip(
            X.shape[2:],
            W.shape[2:],
            *(np.broadcast_to(setting, 2) for setting in (stride, padding, dilation)),
            strict=True,
        )
    ]
    size = convolution.output_size(X.shape[2:], W.shape[2:], stride, padding, dilation)
    assert size == tuple(fitting)


X, W = np.ones((2, 4, 5, 6)), np.ones((6, 2, 3, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convolution.im2col(X[0], 3), r"X must be 4-D, got shape \(4, 5, 6\)"),
        (lambda: convolution.im2col(X / 0, 3), "X must be finite, got inf"),
        (lambda: convolution.im2col(X[:0], 3), "X must not be empty"),
        (lambda: convolution.im2col(X, 0), "kernel_size must be a whole number >= 1 .* got 0"),
        (lambda: convolution.im2col(X, (3, 3, 3)), "or a pair of them, got \\(3, 3, 3\\)"),
        (lambda: convolution.im2col(X, 3.0), "kernel_size must be a whole number"),
        (lambda: convolution.im2col(X, 3, stride=0), "stride must be a whole number >= 1"),
        (lambda: convolution.im2col(X, 3, stride=(1, -1)), r"stride must .* got \(1, -1\)"),
        (lambda: convolution.im2col(X, 3, padding=-1), "padding must be a whole number >= 0"),
        (lambda: convolution.im2col(X, 3, padding="same"), "padding must .* got 'same'"),
        (lambda: convolution.im2col(X, 3, dilation=0), "dilation must be a whole number >= 1"),
        (lambda: convolution.im2col(X, (3, 7)), "reaches over 7 pixels, .* padding = 0 has 6"),
        (lambda: convolution.im2col(X, 3, 1, 0, 3), "reaches over 7 pixels, .* has 5"),
        (lambda: convolution.col2im(X[0], (4, 5), 3), r"shape must be \(n, channels, height"),
        (
            lambda: convolution.col2im(np.ones((2, 36, 11)), X.shape, 3),
            r"columns must have shape \(2, 36, 12\) for .* got \(2, 36, 11\)",
        ),
        (lambda: convolution.conv2d(X, W), r"W must have shape \(filters, 4, k_h, k_w\) for 4"),
        (lambda: convolution.conv2d(X, W, groups=0), "groups must divide .* got 0"),
        (lambda: convolution.conv2d(X, W, groups=3), "groups must divide the 4 channels"),
        (lambda: convolution.conv2d(X, W, groups=4), "the 6 filters of W, got 4"),
        (lambda: convolution.conv2d(X, W[0], groups=2), "W must be 4-D"),
        (lambda: convolution.conv2d(X, W * np.nan, groups=2), "W must be finite, got nan"),
        (lambda: convolution.conv2d(X, W, [1, 2], groups=2), r"bias must have shape \(6,\)"),
        (lambda: convolution.conv2d(X, W, 1, groups=2), "bias must be 1-D"),
        (lambda: convolution.output_size((5, 0), 1), "size must be a whole number >= 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message), np.errstate(divide="ignore"):
        call()
