"""Low-rank factors by their certificates: tails of singular values, other formulas, convolutions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import nn
from torch.nn.functional import conv2d, unfold

from sparsecourse import costs
from sparsecourse.reference import low_rank


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@st.composite
def layers(draw):
    """W, X and a rank: any shapes, dependent rows and columns, and few samples included."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    filters, inputs, n_samples = (draw(st.integers(1, 10)) for _ in range(3))

    def of_any_rank(rows, columns):
        rank = draw(st.integers(0, min(rows, columns)))
        return rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, columns))

    W, X = of_any_rank(filters, inputs), of_any_rank(n_samples, inputs)
    return W, X, draw(st.integers(1, min(filters, inputs)))


def tail(M, rank):
    """The error that no matrix of this rank can be below."""
    return np.linalg.norm(np.linalg.svd(M, compute_uv=False)[rank:])


def convolve(x, *kernels, **options):
    """One convolution after the other."""
    x = torch.as_tensor(x)
    for kernel in kernels:
        x = conv2d(x, torch.as_tensor(kernel.copy()), **options)
    return x.numpy()


@settings(deadline=None)
@given(layers())
def test_factors_have_the_shapes_and_a_is_orthonormal(layer):
    W, X, rank = layer
    for A, B in (low_rank.approximate(W, rank), low_rank.regress(W, X, rank)):
        assert A.shape == (len(W), rank)
        assert B.shape == (rank, W.shape[1])
        np.testing.assert_allclose(A.T @ A, np.eye(rank), atol=1e-12)


@settings(deadline=None)
@given(layers())
def test_in_each_column_of_a_the_entry_of_largest_size_is_positive(layer):
    W, X, rank = layer
    for A, _ in (low_rank.approximate(W, rank), low_rank.regress(W, X, rank)):
        assert (A.max(axis=0) == np.abs(A).max(axis=0)).all()


@settings(deadline=None)
@given(layers())
def test_error_of_approximation_is_the_tail_of_the_singular_values(layer):
    W, _, rank = layer
    A, B = low_rank.approximate(W, rank)
    size = np.linalg.norm(W)
    assert np.linalg.norm(W - A @ B) == pytest.approx(tail(W, rank), rel=1e-10, abs=1e-12 * size)


@settings(deadline=None)
@given(layers())
def test_error_of_regression_is_the_tail_of_the_singular_values_of_the_outputs(layer):
    W, X, rank = layer
    A, B = low_rank.regress(W, X, rank)
    Y = X @ W.T
    size = np.linalg.norm(X) * np.linalg.norm(W)
    error = np.linalg.norm(Y - X @ B.T @ A.T)
    assert error == pytest.approx(tail(Y, rank), rel=1e-10, abs=1e-12 * size)


@settings(deadline=None)
@given(layers())
def test_outputs_of_regression_are_never_farther_off_than_those_of_approximation(layer):
    W, X, rank = layer
    errors = [
        np.linalg.norm(X @ (W - A @ B).T)
        for A, B in (low_rank.regress(W, X, rank), low_rank.approximate(W, rank))
    ]
    assert errors[0] <= errors[1] + 1e-12 * np.linalg.norm(X) * np.linalg.norm(W)


def test_regression_halves_the_error_where_inputs_are_of_unequal_size(rng):
    W = rng.normal(size=(8, 20))
    X = rng.normal(size=(100, 20)) * np.geomspace(1, 1e-3, 20)
    errors = [
        np.linalg.norm(X @ (W - A @ B).T)
        for A, B in (low_rank.regress(W, X, 4), low_rank.approximate(W, 4))
    ]
    assert errors[0] < errors[1] / 2


def test_where_inputs_are_uncorrelated_and_of_one_size_regression_is_approximation(rng):
    W = rng.normal(size=(5, 7))
    X = 3 * np.linalg.qr(rng.normal(size=(30, 7)))[0]
    for one, other in zip(low_rank.regress(W, X, 3), low_rank.approximate(W, 3), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_regression_is_approximation_in_the_metric_of_the_inputs(rng):
    W, X = rng.normal(size=(6, 5)), rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5))
    values, vectors = np.linalg.eigh(X.T @ X)
    root = vectors * np.sqrt(values) @ vectors.T
    U, s, Vt = np.linalg.svd(W @ root)
    expected = U[:, :2] * s[:2] @ Vt[:2] @ np.linalg.inv(root)
    A, B = low_rank.regress(W, X, 2)
    np.testing.assert_allclose(A @ B, expected, rtol=1e-9, atol=1e-12)


def test_with_bias_regression_on_centred_inputs_gives_the_principal_components(rng):
    W, bias = rng.normal(size=(6, 8)), rng.normal(size=6)
    X = rng.normal(size=(50, 8)) + 5 * rng.normal(size=8)
    mean = X.mean(axis=0)
    A, B = low_rank.regress(W, X - mean, 3)
    outputs = X @ B.T @ A.T + bias + (W - A @ B) @ mean
    pca = PCA(n_components=3)
    expected = pca.inverse_transform(pca.fit_transform(X @ W.T + bias))
    np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)


def test_an_approximation_by_hand():
    A, B = low_rank.approximate([[0, 3, 4], [-1, 0, 0]], 1)  # singular values 5 and 1
    np.testing.assert_allclose(A, [[1], [0]], atol=1e-15)
    np.testing.assert_allclose(B, [[0, 3, 4]], rtol=1e-14, atol=1e-15)


def test_a_regression_by_hand_keeps_the_small_weight_that_meets_large_inputs():
    W, X = np.diag([5.0, 1.0]), np.diag([1.0, 10.0])
    A, B = low_rank.regress(W, X, 1)
    np.testing.assert_allclose(A @ B, np.diag([0, 1]), atol=1e-14)
    A, B = low_rank.approximate(W, 1)
    np.testing.assert_allclose(A @ B, np.diag([5, 0]), atol=1e-14)


KERNELS = st.tuples(*(st.integers(1, size) for size in (5, 4, 3, 3)))


@settings(deadline=None)
@given(KERNELS, st.integers(0, 2**32 - 1))
def test_at_the_largest_rank_the_splits_lose_nothing(shape, seed):
    rng = np.random.default_rng(seed)
    W, x = rng.normal(size=shape), rng.normal(size=(2, shape[1], 7, 6))
    filters, channels, height, width = shape
    expected = convolve(x, W)
    for split, largest in (
        (low_rank.spatial_split, min(channels * height, filters * width)),
        (low_rank.channel_split, min(filters, channels * height * width)),
    ):
        outputs = convolve(x, *split(W, largest))
        np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-11)


def test_kernels_of_the_splits_have_their_shapes(rng):
    W = rng.normal(size=(6, 4, 5, 3))
    shapes = [kernel.shape for kernel in low_rank.spatial_split(W, 2)]
    assert shapes == [(2, 4, 5, 1), (6, 2, 1, 3)]
    shapes = [kernel.shape for kernel in low_rank.channel_split(W, 2)]
    assert shapes == [(2, 4, 5, 3), (6, 2, 1, 1)]


def test_a_split_convolves_as_the_one_kernel_that_it_stands_for(rng):
    W, x = rng.normal(size=(6, 4, 3, 3)), rng.normal(size=(2, 4, 8, 9))
    for first, second, kernel in (
        (*low_rank.spatial_split(W, 2), "rcix,fryj->fcij"),
        (*low_rank.channel_split(W, 2), "rcij,frxy->fcij"),
    ):
        as_one = np.einsum(kernel, first, second)
        assert np.linalg.norm(as_one - W) > 0.1 * np.linalg.norm(W)
        np.testing.assert_allclose(convolve(x, first, second), convolve(x, as_one), atol=1e-12)


def test_stride_and_padding_are_taken_as_said(rng):
    W, x = rng.normal(size=(4, 3, 5, 3)), rng.normal(size=(2, 3, 11, 10))
    expected = convolve(x, W, stride=(3, 2), padding=(2, 1))
    first, second = low_rank.spatial_split(W, 12)
    outputs = convolve(x, first, stride=(3, 1), padding=(2, 0))
    outputs = convolve(outputs, second, stride=(1, 2), padding=(0, 1))
    np.testing.assert_allclose(outputs, expected, atol=1e-12)
    first, second = low_rank.channel_split(W, 4)
    outputs = convolve(convolve(x, first, stride=(3, 2), padding=(2, 1)), second)
    np.testing.assert_allclose(outputs, expected, atol=1e-12)


def test_errors_of_the_splits_fall_with_the_rank(rng):
    W = rng.normal(size=(6, 4, 3, 3))
    for split, kernel, largest in (
        (low_rank.spatial_split, "rcix,fryj->fcij", 12),
        (low_rank.channel_split, "rcij,frxy->fcij", 6),
    ):
        errors = [
            np.linalg.norm(W - np.einsum(kernel, *split(W, rank))) for rank in range(1, largest + 1)
        ]
        assert (np.diff(errors) < 0).all()
        assert errors[-1] < 1e-12 < errors[-2]


def test_no_pair_of_column_and_row_kernels_is_closer(rng):
    """Alternating least squares from many starts, each to the end, finds none."""
    W = rng.normal(size=(3, 2, 3, 3))
    M = np.array(
        [[W[f, c, i, j] for f in range(3) for j in range(3)] for c in range(2) for i in range(3)]
    )
    best = np.linalg.norm(W - np.einsum("rcix,fryj->fcij", *low_rank.spatial_split(W, 2)))
    found = []
    for _ in range(10):
        columns = rng.normal(size=(6, 2))
        for _ in range(300):
            rows = np.linalg.lstsq(columns, M)[0]
            columns = np.linalg.lstsq(rows.T, M.T)[0].T
        found.append(np.linalg.norm(M - columns @ rows))
    assert min(found) == pytest.approx(best, rel=1e-6)
    assert min(found) >= best * (1 - 1e-12)


def test_the_channels_of_a_split_fitted_to_images_give_closer_outputs(rng):
    W = rng.normal(size=(8, 3, 3, 3))
    images = rng.normal(size=(4, 3, 10, 10)).cumsum(axis=2).cumsum(axis=3)  # smooth, as images are
    patches = unfold(torch.as_tensor(images), 3).numpy().transpose(0, 2, 1).reshape(-1, 27)
    A, B = low_rank.regress(W.reshape(8, 27), patches, 3)
    fitted = B.reshape(3, 3, 3, 3), A.reshape(8, 3, 1, 1)
    expected = convolve(images, W)
    errors = [
        np.linalg.norm(convolve(images, *kernels) - expected)
        for kernels in (fitted, low_rank.channel_split(W, 3))
    ]
    assert errors[0] == pytest.approx(tail(patches @ W.reshape(8, 27).T, 3), rel=1e-9)
    assert errors[0] < errors[1] / 2


def conv(first, second):
    """Two convolutions that keep the size of an image, with kernels of these shapes."""
    return nn.Sequential(
        *(nn.Conv2d(s[1], s[0], s[2:], padding="same", bias=False) for s in (first, second))
    )


def test_the_break_even_ranks_are_those_that_the_layers_count():
    filters, channels, k = 12, 5, 3
    W = np.ones((filters, channels, k, k))
    kernel = nn.Conv2d(channels, filters, k, padding="same", bias=False)
    dense = costs.count(nn.Sequential(kernel), (channels, 6, 6)).totals
    for split, break_even in (
        (low_rank.channel_split, filters * channels * k**2 / (filters + channels * k**2)),
        (low_rank.spatial_split, W.size / (channels * k + filters * k)),
    ):
        for rank in (int(break_even), int(break_even) + 1):
            shapes = [kernel.shape for kernel in split(W, rank)]
            thin = costs.count(conv(*shapes), (channels, 6, 6)).totals
            assert (thin.parameters < dense.parameters) == (rank < break_even)
            assert (thin.multiply_adds < dense.multiply_adds) == (rank < break_even)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda W: low_rank.approximate(W, 0), "between 1 and 2, .* of 2 x 3, got 0"),
        (lambda W: low_rank.approximate(W, 3), "between 1 and 2, .* of 2 x 3, got 3"),
        (lambda W: low_rank.approximate(W, 1.0), "rank must be a whole number"),
        (lambda W: low_rank.approximate(W[0], 1), "W must be 2-D, got shape"),
        (lambda W: low_rank.approximate(W * np.nan, 1), "W must be finite"),
        (lambda W: low_rank.regress(W, W, 3), "between 1 and 2, .* of 2 x 3, got 3"),
        (
            lambda W: low_rank.regress(W, W.T, 1),
            r"X must have 3 columns like W, got shape \(3, 2\)",
        ),
        (lambda W: low_rank.regress(W, W / 0, 1), "X must be finite"),
        (lambda W: low_rank.spatial_split(W, 1), "W must be 4-D, got shape"),
        (lambda W: low_rank.spatial_split(W[..., None, None], 3), "1 and 2, .* of 3 x 2, got 3"),
        (lambda W: low_rank.channel_split(W, 1), "W must be 4-D, got shape"),
        (lambda W: low_rank.channel_split(W[None, None], 2), "1 and 1, .* of 1 x 6, got 2"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((2, 3)))
