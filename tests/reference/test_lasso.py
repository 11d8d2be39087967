"""The lasso: certified by the gap, equal to known cases, equal to scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso, lasso_path

from sparsecourse.reference import lasso
from sparsecourse.reference.convergence import ConvergenceWarning, Solution
from sparsecourse.reference.least_squares import solve_minimum_norm
from sparsecourse.reference.norms import soft_threshold

SOLVERS = [lasso.coordinate_descent, lasso.ista, lasso.fista]


def problem(seed=0, n=20, p=6):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ np.where(np.arange(p) % 3 == 0, 2.0, 0.0) + 0.3 * rng.normal(size=n)


def kkt_violation(X, y, b, lam):
    """Largest violation of: gradient = -lam sign(b_j), or at most lam in size where b_j = 0."""
    gradient = X.T @ (X @ b - y) / len(y)
    active = np.abs(gradient + lam * np.sign(b))
    return np.where(b != 0, active, np.maximum(np.abs(gradient) - lam, 0)).max()


@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize("shape", [(20, 6), (6, 20), (1, 4), (5, 1)])
def test_optimality_conditions_hold(solve, shape):
    X, y = problem(1, *shape)
    lam = lasso.lambda_max(X, y) / 5
    solution = solve(X, y, lam, tol=1e-10, max_iter=200000)
    assert solution.gap <= 1e-10
    assert kkt_violation(X, y, solution.coef, lam) <= 1e-4 * lam


@pytest.mark.parametrize("solve", SOLVERS)
def test_objective_is_that_of_scikit_learn(solve):
    X, y = problem()
    lam = lasso.lambda_max(X, y) / 10
    ours = solve(X, y, lam, tol=1e-10, max_iter=100000).coef
    theirs = Lasso(alpha=lam, fit_intercept=False, tol=1e-12, max_iter=100000).fit(X, y).coef_
    values = [lasso.objective(X, y, b, lam) for b in (ours, theirs)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("solve", SOLVERS)
def test_an_orthonormal_design_gives_the_soft_threshold(solve):
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 4)))
    X, y = np.sqrt(12) * Q, np.random.default_rng(1).normal(size=12)  # X'X / n = I
    b = solve(X, y, 0.2, tol=1e-12).coef
    np.testing.assert_allclose(b, soft_threshold(X.T @ y / 12, 0.2), atol=1e-13)


@pytest.mark.parametrize("solve", SOLVERS)
def test_from_lambda_max_on_the_solution_is_exactly_zero_and_just_below_it_is_not(solve):
    X, y = problem()
    top = lasso.lambda_max(X, y)
    for lam in (top, 2 * top):
        solution = solve(X, y, lam)
        assert not solution.coef.any()
        assert solution.n_iter == 0
    assert solve(X, y, 0.99 * top).coef.any()


def test_lambda_max_does_not_depend_on_the_sign():
    X, y = np.array([[1.0, 2.0], [1.0, -2.0]]), np.array([1.0, 0.0])
    assert lasso.lambda_max(X, y) == lasso.lambda_max(-X, y) == 1.0


@pytest.mark.parametrize("solve", SOLVERS)
def test_the_start_is_left_as_it_was(solve):
    X, y = problem()
    start = np.ones(6)
    solve(X, y, 0.1, b0=start)
    np.testing.assert_array_equal(start, 1)


def test_the_gap_is_never_negative_and_bounds_the_distance_to_the_minimum():
    X, y = problem()
    lam = lasso.lambda_max(X, y) / 10
    best = lasso.objective(X, y, lasso.fista(X, y, lam, tol=1e-13, max_iter=10**6).coef, lam)
    rng = np.random.default_rng(0)
    for _ in range(100):
        b = rng.normal(size=6)
        gap = lasso.duality_gap(X, y, b, lam) * (y @ y) / (2 * len(y))
        assert gap >= lasso.objective(X, y, b, lam) - best - 1e-12


def test_the_gap_is_the_one_by_which_scikit_learn_stops():
    X, y = problem()
    model = Lasso(alpha=0.1, fit_intercept=False, tol=1e-3).fit(X, y)
    relative = 2 * model.dual_gap_ * len(y) / (y @ y)
    assert lasso.duality_gap(X, y, model.coef_, 0.1) == pytest.approx(relative, rel=1e-6)


def test_one_sweep_is_the_one_computed_by_hand():
    X, y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([3.0, 2.0])
    b = lasso.coordinate_descent(X, y, 0.5, max_iter=1, b0=[0.0, 1.0]).coef
    # z_1 = 3/2, scale 1/2; z_2 = 4/2, scale 2: (1.5 - 0.5) / 0.5 and (2 - 0.5) / 2.
    np.testing.assert_allclose(b, [2.0, 0.75], rtol=1e-15)


def test_fista_needs_fewer_steps_than_ista_where_columns_are_alike():
    X, y = problem(0, 40, 10)
    X = X + 5 * X[:, :1]
    lam = lasso.lambda_max(X, y) / 100
    slow, fast = (solve(X, y, lam, max_iter=10**6).n_iter for solve in (lasso.ista, lasso.fista))
    assert fast < slow / 3


def test_a_warm_started_path_is_that_of_scikit_learn():
    X, y = problem(0, 30, 8)
    lams = lasso.lambda_max(X, y) * np.geomspace(1, 0.01, 10)
    solutions = lasso.path(X, y, lams, tol=1e-9, max_iter=10000)
    _, theirs, _ = lasso_path(X, y, alphas=lams, tol=1e-12, max_iter=100000)
    for lam, solution, b in zip(lams, solutions, theirs.T, strict=True):
        ours = lasso.objective(X, y, solution.coef, lam)
        assert ours == pytest.approx(lasso.objective(X, y, b, lam), rel=1e-8)
    cold = sum(lasso.coordinate_descent(X, y, lam, 1e-9, 10000).n_iter for lam in lams)
    assert sum(solution.n_iter for solution in solutions) < cold


@pytest.mark.parametrize("solve", SOLVERS)
def test_degenerate_columns_and_targets_behave(solve):
    X, y = problem()
    X[:, 1] = X[:, 0]  # twice the same
    X[:, 2] = 0
    solution = solve(X, y, 0.1, tol=1e-9, max_iter=10**5)
    assert solution.gap <= 1e-9
    assert solution.coef[2] == 0
    assert not solve(X, np.zeros(20), 0.1).coef.any()
    assert not solve(np.zeros((4, 3)), np.ones(4), 0.1).coef.any()


@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize("scale", [1e-50, 1e-5, 1e5, 1e50])
def test_scaling_the_target_scales_the_solution(solve, scale):
    X, y = problem()
    expected = solve(X, y, 0.1, tol=1e-10, max_iter=10**5).coef
    b = solve(X, scale * y, 0.1 * scale, tol=1e-10, max_iter=10**5).coef
    np.testing.assert_allclose(b / scale, expected, atol=1e-6)


def test_a_vanishing_penalty_tends_to_least_squares():
    X, y = problem()
    b = lasso.coordinate_descent(X, y, 1e-7, tol=1e-9, max_iter=10000).coef
    np.testing.assert_allclose(b, solve_minimum_norm(X, y), atol=1e-4)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 15), st.integers(1, 25), st.sampled_from([2, 10, 100])
)
def test_every_problem_is_certified_or_says_how_far_it_got(seed, n, p, divisor):
    X, y = problem(seed, n, p)
    lam = lasso.lambda_max(X, y) / divisor
    solution = lasso.coordinate_descent(X, y, lam, max_iter=5000)
    assert np.isfinite(solution.coef).all()
    assert solution.gap <= 1e-6


def test_what_did_not_converge_warns_with_its_gap_and_keeps_the_iterate():
    X, y = problem()
    with pytest.warns(
        ConvergenceWarning, match=r"not converged after 3 iterations: gap \d\.\de-\d\d"
    ):
        solution = lasso.ista(X, y, 0.01, tol=1e-12, max_iter=3)
    assert isinstance(solution, Solution)
    assert solution.n_iter == 3
    assert solution.coef.any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lasso.coordinate_descent([[1.0]], [1], -1), "lam must be >= 0, got -1"),
        (lambda: lasso.fista([[1.0]], [1], 1, tol=0), "tol must be > 0, got 0"),
        (lambda: lasso.ista([[1.0]], [1], 0.1, max_iter=-1), "max_iter must be a whole number"),
        # also where the start is the solution, and no iteration is needed
        (lambda: lasso.coordinate_descent([[1.0]], [1], 2, max_iter=-1), "max_iter must be"),
        (lambda: lasso.ista([[1.0]], [1], 2, max_iter=2.5), "max_iter must be"),
        (lambda: lasso.fista([[1.0]], [1], 2, max_iter=-1), "max_iter must be"),
        (lambda: lasso.ista([[1.0]], [[1.0, 2.0]], 1), "y must be 1-D"),
        (lambda: lasso.duality_gap([[1.0]], [1], [1, 2], 1), r"b must have shape \(1,\)"),
        (lambda: lasso.coordinate_descent([[1.0]], [1], 1, b0=[np.nan]), "b must be finite"),
        (lambda: lasso.path([[1.0]], [1], 1.0), "lams must be 1-D"),
        (lambda: lasso.lambda_max([[1.0]], [np.inf]), "y must be finite"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("solve", SOLVERS)
def test_an_empty_column_forgets_its_start(solve):
    X, y = problem()
    X[:, 2] = 0
    solution = solve(X, y, 0.1, max_iter=10**5, b0=np.ones(6))
    assert solution.gap <= 1e-6
    assert solution.coef[2] == 0


def test_the_second_step_of_fista_has_no_momentum_yet_and_the_third_has():
    X, y = problem()
    for n_steps, same in ((2, True), (3, False)):
        with pytest.warns(ConvergenceWarning):
            one, other = (f(X, y, 0.01, 1e-15, n_steps).coef for f in (lasso.ista, lasso.fista))
        assert np.array_equal(one, other) == same


@pytest.mark.filterwarnings("ignore:(overflow|invalid)")
def test_what_is_too_large_is_named_and_no_gap_is_nan():
    X, y = problem()
    for solve in SOLVERS:
        with pytest.raises(ValueError, match="too large"):
            solve(1e200 * X, 1e200 * y, 0.1)


def test_a_lam_that_is_several_is_named():
    X, y = problem()
    with pytest.raises(ValueError, match="lam must be a single number"):
        lasso.coordinate_descent(X, y, [0.1, 0.2])
