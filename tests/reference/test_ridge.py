"""Ridge: the gradient is zero, the limits are least squares and zero, scikit-learn agrees."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sparsecourse.reference import least_squares, ridge

FORMS = [ridge.closed_form, ridge.svd_form]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("solve", FORMS)
@pytest.mark.parametrize("shape", [(30, 5), (5, 30), (1, 3), (3, 1)])
def test_gradient_of_the_objective_is_zero(solve, shape, rng):
    X, y = rng.normal(size=shape), rng.normal(size=shape[0])
    b = solve(X, y, 0.7)
    np.testing.assert_allclose(-2 * X.T @ (y - X @ b) + 2 * 0.7 * b, 0, atol=1e-12)


@pytest.mark.parametrize("solve", FORMS)
def test_solution_is_that_of_scikit_learn(solve, rng):
    X, Y = rng.normal(size=(20, 6)), rng.normal(size=(20, 2))
    expected = Ridge(alpha=3.0, fit_intercept=False).fit(X, Y).coef_.T
    np.testing.assert_allclose(solve(X, Y, 3.0), expected, rtol=1e-10)


def test_without_penalty_it_is_least_squares_also_with_dependent_columns(rng):
    X, y = rng.normal(size=(4, 9)), rng.normal(size=4)
    expected = least_squares.solve_minimum_norm(X, y)
    np.testing.assert_allclose(ridge.svd_form(X, y, 0.0), expected, rtol=1e-12)


def test_a_vanishing_penalty_tends_to_the_minimum_norm_solution(rng):
    X, y = rng.normal(size=(4, 9)), rng.normal(size=4)
    expected = least_squares.solve_minimum_norm(X, y)
    np.testing.assert_allclose(ridge.svd_form(X, y, 1e-9), expected, rtol=1e-7)


def test_an_orthonormal_design_shrinks_every_coefficient_alike(rng):
    Q, _ = np.linalg.qr(rng.normal(size=(10, 4)))
    y = rng.normal(size=10)
    np.testing.assert_allclose(ridge.closed_form(Q, y, 3.0), Q.T @ y / 4, rtol=1e-12)


def test_the_path_is_the_single_solutions_and_shrinks(rng):
    X, y = rng.normal(size=(12, 5)), rng.normal(size=12)
    lams = [0.0, 0.1, 1.0, 10.0, 1e6]
    b = ridge.path(X, y, lams)
    for lam, row in zip(lams, b, strict=True):
        np.testing.assert_allclose(row, ridge.closed_form(X, y, lam), rtol=1e-9)
    assert (np.diff(np.linalg.norm(b, axis=1)) < 0).all()
    assert not (b == 0).any(), "small, but never exactly zero"


def test_degrees_of_freedom_fall_from_the_rank_to_zero(rng):
    X = rng.normal(size=(10, 3)) @ rng.normal(size=(3, 6))
    freedom = [ridge.degrees_of_freedom(X, lam) for lam in (0.0, 1.0, 100.0, 1e9)]
    assert freedom[0] == pytest.approx(3, rel=1e-12)
    assert (np.diff(freedom) < 0).all()
    assert freedom[-1] < 1e-5


def test_degrees_of_freedom_are_the_trace_of_the_hat_matrix(rng):
    X = rng.normal(size=(8, 4))
    hat = X @ np.linalg.solve(X.T @ X + 2.0 * np.eye(4), X.T)
    assert ridge.degrees_of_freedom(X, 2.0) == pytest.approx(np.trace(hat), rel=1e-12)


def test_zero_columns_get_zero(rng):
    X = rng.normal(size=(6, 3))
    X[:, 1] = 0
    for solve in FORMS:
        assert solve(X, rng.normal(size=6), 0.5)[1] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ridge.closed_form([[1.0]], [1], -1), "lam must be >= 0, got -1"),
        (lambda: ridge.closed_form([[1.0, 1.0]], [1], 0), "singular for lam = 0.0"),
        (lambda: ridge.svd_form([[np.inf]], [1], 1), "X must be finite"),
        (lambda: ridge.path([[1.0]], [1], 3.0), "lams must be 1-D"),
        (lambda: ridge.path([[1.0]], [1], [1.0, -3.0]), "lam must be >= 0, got -3"),
        (lambda: ridge.degrees_of_freedom([1.0], 1), "X must be 2-D"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
