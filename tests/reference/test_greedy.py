"""Best subset by its definition, pursuit by scikit-learn, thresholding by what it keeps."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.linear_model import OrthogonalMatchingPursuit

from sparsecourse.reference import greedy

METHODS = [greedy.best_subset, greedy.omp, greedy.iht]


def sparse_problem(seed=0, n=40, p=12, noise=0.1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    b = np.zeros(p)
    b[[1, 5, 8]] = [3.0, -2.0, 1.5]
    return X, X @ b + noise * rng.normal(size=n), b


def residual(X, y, b):
    return np.sum((y - X @ b) ** 2)


@pytest.mark.parametrize("method", METHODS)
def test_the_true_columns_are_found_where_noise_is_small(method):
    X, y, b = sparse_problem(n=200)
    found = method(X, y, 3)
    np.testing.assert_array_equal(np.flatnonzero(found), np.flatnonzero(b))
    np.testing.assert_allclose(found, b, atol=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_the_residual_is_orthogonal_to_the_columns_chosen(method):
    X, y, _ = sparse_problem(noise=2.0)
    b = method(X, y, 4)
    np.testing.assert_allclose(X[:, b != 0].T @ (y - X @ b), 0, atol=1e-11)
    assert np.count_nonzero(b) == 4


@pytest.mark.parametrize("method", METHODS)
def test_none_and_all_of_the_columns(method):
    X, y, _ = sparse_problem()
    assert not method(X, y, 0).any()
    expected = np.linalg.lstsq(X, y)[0]
    np.testing.assert_allclose(method(X, y, 12), expected, rtol=1e-9)


def test_best_subset_is_best():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(8, 6)), rng.normal(size=8)
    for k in range(1, 6):
        b = greedy.best_subset(X, y, k)
        for columns in combinations(range(6), k):
            other = np.zeros(6)
            other[list(columns)] = np.linalg.lstsq(X[:, columns], y)[0]
            assert residual(X, y, b) <= residual(X, y, other) + 1e-10


def test_greedy_can_be_fooled_where_best_subset_is_not():
    """The sum of two columns looks better than either of them, and is needed with neither."""
    rng = np.random.default_rng(0)
    pair = rng.normal(size=(50, 2))
    decoy = pair.sum(axis=1) + 0.5 * rng.normal(size=50)
    X, y = np.column_stack([pair, decoy]), pair.sum(axis=1)
    assert residual(X, y, greedy.best_subset(X, y, 2)) < 1e-20
    assert residual(X, y, greedy.omp(X, y, 2)) > 0.1


def test_omp_is_that_of_scikit_learn():
    for seed in range(10):
        X, y, _ = sparse_problem(seed, noise=2.0)
        X /= np.linalg.norm(X, axis=0)  # scikit-learn asks for that
        model = OrthogonalMatchingPursuit(n_nonzero_coefs=5, fit_intercept=False).fit(X, y)
        np.testing.assert_allclose(greedy.omp(X, y, 5), model.coef_, atol=1e-10)


def test_omp_does_not_depend_on_the_scale_of_a_column():
    X, y, _ = sparse_problem(noise=2.0)
    scale = np.geomspace(1e-3, 1e3, 12)
    np.testing.assert_allclose(greedy.omp(X * scale, y, 4) * scale, greedy.omp(X, y, 4), rtol=1e-8)


def test_omp_stops_when_nothing_is_left_to_explain():
    X, y, _ = sparse_problem(noise=0.0)
    assert np.count_nonzero(greedy.omp(X, y, 10)) == 3
    assert not greedy.omp(X, np.zeros(40), 5).any()
    assert not greedy.omp(np.zeros((4, 3)), np.ones(4), 2).any()


def test_iht_never_raises_the_residual():
    X, y, _ = sparse_problem(noise=1.0)
    largest = np.linalg.norm(X, ord=2)
    b, values = np.zeros(12), []
    for _ in range(50):
        b = greedy.keep_largest(b + X.T @ (y - X @ b) / largest**2, 3)
        values.append(residual(X, y, b))
    assert (np.diff(values) <= 1e-10).all()
    assert residual(X, y, greedy.iht(X, y, 3, n_iter=50)) <= values[-1] + 1e-10


def test_keep_largest_keeps_k_also_among_ties():
    np.testing.assert_array_equal(greedy.keep_largest([1, -3, 2], 2), [0, -3, 2])
    np.testing.assert_array_equal(greedy.keep_largest([2, -2, 2, 1], 2), [2, -2, 0, 0])
    np.testing.assert_array_equal(greedy.keep_largest([1.0, 2.0], 0), [0, 0])
    many = greedy.keep_largest(np.ones(1000), 10)
    np.testing.assert_array_equal(np.flatnonzero(many), np.arange(10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: greedy.omp([[1.0, 2.0]], [1], 3),
            "k must be at most the number of features, 2, got 3",
        ),
        (lambda: greedy.omp([[1.0]], [1], -1), "k must be a whole number >= 0, got -1"),
        (lambda: greedy.iht([[1.0]], [1], 1, n_iter=0.5), "n_iter must be a whole number"),
        (lambda: greedy.best_subset(np.ones((2, 60)), [1, 2], 20), "more than can be tried"),
        (lambda: greedy.best_subset([[1.0]], [[1.0, 2.0]], 1), "y must be 1-D"),
        (lambda: greedy.keep_largest([np.nan], 1), "w must be finite"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
