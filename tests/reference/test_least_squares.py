"""Certificates of least squares: normal equations, shortest solution, outside implementations."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from sparsecourse.reference import least_squares as ls

WAYS = [ls.solve_normal_equations, ls.solve_qr, ls.solve_minimum_norm]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("solve", WAYS)
def test_line_through_three_points_is_the_one_found_by_hand(solve):
    X = np.array([[1, 0], [1, 1], [1, 2]])
    np.testing.assert_allclose(solve(X, [1, 3, 4]), [7 / 6, 3 / 2], rtol=1e-14)


@pytest.mark.parametrize("solve", WAYS)
def test_solution_is_that_of_scikit_learn(solve, rng):
    X, Y = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    expected = LinearRegression(fit_intercept=False).fit(X, Y).coef_.T
    np.testing.assert_allclose(solve(X, Y), expected, rtol=1e-10)


@pytest.mark.parametrize("solve", WAYS)
def test_residual_is_orthogonal_to_the_columns(solve, rng):
    X, y = rng.normal(size=(20, 5)), rng.normal(size=20)
    np.testing.assert_allclose(X.T @ (y - X @ solve(X, y)), 0, atol=1e-13)


def test_minimum_norm_is_orthogonal_to_the_null_space(rng):
    X, y = rng.normal(size=(3, 7)), rng.normal(size=3)
    b = ls.solve_minimum_norm(X, y)
    null_space = np.linalg.svd(X)[2][3:]
    np.testing.assert_allclose(X @ b, y, rtol=1e-12)
    np.testing.assert_allclose(null_space @ b, 0, atol=1e-14)


def test_rcond_decides_what_counts_as_zero():
    X = np.diag([1.0, 1e-6])
    np.testing.assert_allclose(ls.solve_minimum_norm(X, [1, 1], rcond=1e-7), [1, 1e6])
    np.testing.assert_allclose(ls.solve_minimum_norm(X, [1, 1], rcond=1e-5), [1, 0])


@pytest.mark.parametrize("solve", WAYS[:2])
def test_dependent_columns_are_refused_whatever_the_shape(solve, rng):
    for _ in range(300):
        p = int(rng.integers(2, 15))
        n = int(rng.integers(1, 40))
        rank = int(rng.integers(1, p))
        X = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, p))
        with pytest.raises(ValueError, match=rf"{p} columns of which only {min(n, rank)} "):
            solve(X, rng.normal(size=n))


def test_normal_equations_refuse_what_qr_still_solves():
    X = ls.polynomial_features(np.linspace(0, 1, 100), 13)
    with pytest.raises(
        ValueError, match=r"singular to working precision.*condition number 4\.0e\+09"
    ):
        ls.solve_normal_equations(X, X.sum(axis=1))
    np.testing.assert_allclose(ls.solve_qr(X, X.sum(axis=1)), 1, atol=1e-5)


def test_gradient_descent_from_zero_ends_at_the_minimum_norm_solution(rng):
    X, y = rng.normal(size=(4, 9)), rng.normal(size=4)
    path = ls.gradient_descent(X, y, n_iter=5000)
    np.testing.assert_array_equal(path[0], 0)
    np.testing.assert_allclose(path[-1], ls.solve_minimum_norm(X, y), rtol=1e-8)


def test_first_gradient_step_is_the_one_computed_by_hand():
    path = ls.gradient_descent([[1.0], [2.0]], [1.0, 3.0], n_iter=1, step=0.1)
    assert path[1, 0] == pytest.approx(0.1 * (1 * 1 + 2 * 3) / 2)


def test_default_step_never_raises_the_loss(rng):
    X, y = rng.normal(size=(10, 4)), rng.normal(size=10)
    losses = [np.sum((y - X @ b) ** 2) for b in ls.gradient_descent(X, y, n_iter=100)]
    assert (np.diff(losses) <= 1e-13).all()


def test_gradient_descent_on_zeros_stays_at_zero():
    np.testing.assert_array_equal(ls.gradient_descent(np.zeros((3, 2)), np.ones(3), 4), 0)


def test_condition_number_of_a_diagonal_matrix():
    assert ls.condition_number(np.diag([8.0, 2.0])) == 4
    assert ls.condition_number(np.diag([8.0, 0.0])) == np.inf
    assert ls.condition_number(np.ones((2, 3))) == np.inf
    assert ls.condition_number([[1, 2], [2, 4], [3, 6]]) == np.inf


def test_minimum_norm_of_a_zero_matrix_is_zero():
    np.testing.assert_array_equal(ls.solve_minimum_norm(np.zeros((3, 2)), np.ones(3)), 0)


def test_default_rcond_is_working_precision():
    X = np.diag([1.0, 1e-12])
    np.testing.assert_allclose(ls.solve_minimum_norm(X, [1, 1]), [1, 1e12])


def test_polynomial_features_are_powers():
    for degree in (3, np.int64(3)):
        X = ls.polynomial_features([2, 3], degree)
        np.testing.assert_array_equal(X, [[1, 2, 4, 8], [1, 3, 9, 27]])


def test_local_sensitivity_of_a_linear_function_is_its_coefficients(rng):
    b = rng.normal(size=4)
    S = ls.local_sensitivity(lambda x: x @ b, rng.normal(size=4), step=[0.1, -1, 3, 0.5])
    np.testing.assert_allclose(S, b, rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ls.solve_qr([[1.0], [np.nan]], [1, 2]),
            r"X must be finite, got nan at index \(1, 0\)",
        ),
        (
            lambda: ls.solve_qr([[1.0], [2.0]], [1, np.inf]),
            r"y must be finite, got inf at index \(1,\)",
        ),
        (lambda: ls.solve_qr([1.0, 2.0], [1, 2]), r"X must be 2-D, got shape \(2,\)"),
        (lambda: ls.solve_qr([[1.0], [2.0]], [1, 2, 3]), r"one row per sample: X has 2.*\(3,\)"),
        (lambda: ls.solve_qr(np.ones((0, 2)), []), r"X must not be empty, got shape \(0, 2\)"),
        (lambda: ls.solve_qr([["a"]], [1]), "X must be an array of real numbers, got list of <U1"),
        (lambda: ls.solve_minimum_norm([[1.0]], [1], rcond=1), r"rcond must be in \[0, 1\), got 1"),
        (
            lambda: ls.gradient_descent([[1.0]], [1], -1),
            "n_iter must be a whole number >= 0, got -1",
        ),
        (lambda: ls.gradient_descent([[1.0]], [1], 1, step=0), "step must be > 0, got 0"),
        (lambda: ls.polynomial_features([1.0], -2), "degree must be a whole number >= 0, got -2"),
        (lambda: ls.polynomial_features([1.0], 2.5), "degree must be a whole number >= 0, got 2.5"),
        (lambda: ls.solve_qr([[1.0 + 2j]], [1]), "X must be an array of real numbers"),
        (lambda: ls.solve_qr(np.ma.array([[1.0]], mask=True), [1]), "got MaskedArray of float64"),
        (lambda: ls.solve_qr([[1.0], [1.0, 2.0]], [1, 2]), "X must be an array of numbers"),
        (lambda: ls.local_sensitivity(sum, [1.0], 0), "step must not be zero"),
        (lambda: ls.local_sensitivity(sum, [1.0], [1, 2]), r"of shape \(1,\), got \(2,\)"),
        (lambda: ls.condition_number([1.0]), "X must be 2-D"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
