"""The group lasso: certified by the gap, equal to known cases, equal to celer."""

import celer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsecourse.reference import group_lasso, lasso
from sparsecourse.reference.convergence import ConvergenceWarning
from sparsecourse.reference.norms import group_soft_threshold, soft_threshold

PAIRS = [[0, 3], [1, 4], [2, 5]]


def problem(seed=0, n=20, p=6):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X[:, 0] - 2 * X[:, p // 2] + 0.3 * rng.normal(size=n)


def kkt_violation(X, y, b, groups, lam, w, l1_ratio):
    """How far each block is from being the fixed point of its own proximal step."""
    worst = 0.0
    for g, w_g in zip(groups, w, strict=True):
        step = len(y) / np.linalg.norm(X[:, g], 2) ** 2
        z = b[g] + step * X[:, g].T @ (y - X @ b) / len(y)
        z = soft_threshold(z, step * lam * l1_ratio)
        z = group_soft_threshold(z, step * lam * (1 - l1_ratio) * w_g)
        worst = max(worst, np.abs(z - b[g]).max())
    return worst


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), l1_ratio=st.sampled_from([0.0, 0.3, 1.0]))
def test_optimality_conditions_hold(seed, l1_ratio):
    rng = np.random.default_rng(seed)
    n, p = rng.integers(1, 25), rng.integers(1, 12)
    X, y = rng.normal(size=(n, p)), rng.normal(size=n)
    cuts = (
        np.sort(rng.choice(np.arange(1, p), size=rng.integers(0, p), replace=False))
        if p > 1
        else []
    )
    groups = np.split(rng.permutation(p), cuts)
    w = rng.uniform(0.5, 2, size=len(groups))
    lam = group_lasso.lambda_max(X, y, groups, w, l1_ratio) * rng.uniform(0.1, 0.9)
    b = group_lasso.coordinate_descent(X, y, groups, lam, w, l1_ratio, 1e-11, 10**5).coef
    assert kkt_violation(X, y, b, groups, lam, w, l1_ratio) <= 1e-4


@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
def test_from_lambda_max_on_the_solution_is_exactly_zero_and_just_below_it_is_not(l1_ratio):
    X, y = problem()
    top = group_lasso.lambda_max(X, y, PAIRS, [1, 2, 0.5], l1_ratio)
    for lam in (top, 2 * top):
        solution = group_lasso.coordinate_descent(X, y, PAIRS, lam, [1, 2, 0.5], l1_ratio)
        assert not solution.coef.any()
        assert solution.n_iter == 0
    below = group_lasso.coordinate_descent(X, y, PAIRS, 0.99 * top, [1, 2, 0.5], l1_ratio)
    assert below.coef.any()


def test_lambda_max_by_hand():
    X, y = np.eye(4), np.array([3.0, 4.0, 6.0, 0.0])
    groups = [[0, 1], [2, 3]]
    assert group_lasso.lambda_max(X, y, groups) == pytest.approx(6 / 4)
    assert group_lasso.lambda_max(X, y, groups, [0.5, 2.0]) == pytest.approx(10 / 4)
    assert group_lasso.lambda_max(X, y, groups, l1_ratio=1.0) == pytest.approx(6 / 4)
    # (3/4 - t/2)^2 + (1 - t/2)^2 = (t/2)^2 has the smaller root t = 7/2 - sqrt(6).
    first = group_lasso.lambda_max(X[:, :2], y, [[0, 1]], l1_ratio=0.5)
    assert first == pytest.approx(3.5 - np.sqrt(6))


def test_groups_of_one_are_the_lasso():
    X, y = problem()
    singles = [[j] for j in range(6)]
    assert group_lasso.lambda_max(X, y, singles) == pytest.approx(lasso.lambda_max(X, y))
    ours = group_lasso.coordinate_descent(X, y, singles, 0.1, tol=1e-12, max_iter=10**4)
    theirs = lasso.coordinate_descent(X, y, 0.1, tol=1e-12, max_iter=10**4)
    np.testing.assert_allclose(ours.coef, theirs.coef, atol=1e-6)
    b = np.arange(6.0) - 2
    gap = group_lasso.duality_gap(X, y, b, singles, 0.1)
    assert gap == pytest.approx(lasso.duality_gap(X, y, b, 0.1))


def test_l1_ratio_one_is_the_lasso_whatever_the_groups():
    X, y = problem()
    ours = group_lasso.coordinate_descent(X, y, PAIRS, 0.1, None, 1.0, 1e-12, 10**4)
    theirs = lasso.coordinate_descent(X, y, 0.1, tol=1e-12, max_iter=10**4)
    np.testing.assert_allclose(ours.coef, theirs.coef, atol=1e-6)


def test_one_group_of_everything_is_a_ridge_whose_strength_depends_on_the_length():
    X, y = problem()
    b = group_lasso.coordinate_descent(X, y, [range(6)], 0.3, tol=1e-14, max_iter=10**5).coef
    # The gradient of lam ||b|| is lam b / ||b||: ridge with n lam / ||b|| in its place.
    strength = len(y) * 0.3 / np.linalg.norm(b)
    ridge = np.linalg.solve(X.T @ X + strength * np.eye(6), X.T @ y)
    np.testing.assert_allclose(b, ridge, atol=1e-6)


def test_orthonormal_groups_give_the_block_soft_threshold_in_one_sweep():
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 6)))
    X, y = np.sqrt(12) * Q, np.random.default_rng(1).normal(size=12)  # X'X / n = I
    solution = group_lasso.coordinate_descent(X, y, PAIRS, 0.3, tol=1e-12)
    z = X.T @ y / 12
    for g in PAIRS:
        expected = group_soft_threshold(z[g], 0.3)
        np.testing.assert_allclose(solution.coef[g], expected, atol=1e-13)
    assert solution.n_iter == 1


def test_a_group_is_zero_as_a_whole_and_with_l1_also_in_parts():
    X, y = problem(n=40)
    top = group_lasso.lambda_max(X, y, PAIRS)
    b = group_lasso.coordinate_descent(X, y, PAIRS, 0.5 * top, tol=1e-10).coef
    assert [b[g].any() for g in PAIRS] == [b[g].all() for g in PAIRS] == [True, False, False]
    b = group_lasso.coordinate_descent(X, y, [[0, 1, 2], [3, 4, 5]], 0.3, None, 0.9, 1e-10).coef
    assert (b != 0).tolist() == [True, False, False, True, False, False]


def test_objective_is_that_of_celer():
    X, y = problem(1, 30, 12)
    groups = [list(range(i, i + 3)) for i in range(0, 12, 3)]
    lam = group_lasso.lambda_max(X, y, groups) / 10
    model = celer.GroupLasso(groups=3, alpha=lam, fit_intercept=False, tol=1e-12)
    theirs = model.fit(np.asfortranarray(X), y).coef_
    ours = group_lasso.coordinate_descent(X, y, groups, lam, tol=1e-11, max_iter=10**5).coef
    values = [group_lasso.objective(X, y, b, groups, lam) for b in (ours, theirs)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_gap_is_never_negative_and_bounds_the_distance_to_the_minimum():
    X, y = problem()
    for l1_ratio in (0.0, 0.5):
        best = group_lasso.coordinate_descent(X, y, PAIRS, 0.1, None, l1_ratio, 1e-13, 10**5).coef
        least = group_lasso.objective(X, y, best, PAIRS, 0.1, None, l1_ratio)
        rng = np.random.default_rng(0)
        for _ in range(50):
            b = rng.normal(size=6)
            gap = group_lasso.duality_gap(X, y, b, PAIRS, 0.1, None, l1_ratio)
            distance = group_lasso.objective(X, y, b, PAIRS, 0.1, None, l1_ratio) - least
            assert gap * (y @ y) / (2 * len(y)) >= distance - 1e-12


def test_a_path_is_its_solutions_and_starts_each_from_the_one_before():
    X, y = problem(0, 30, 6)
    lams = group_lasso.lambda_max(X, y, PAIRS) * np.geomspace(1, 0.05, 8)
    solutions = group_lasso.path(X, y, PAIRS, lams, tol=1e-10, max_iter=10**4)
    cold = [group_lasso.coordinate_descent(X, y, PAIRS, lam, tol=1e-10) for lam in lams]
    for one, other in zip(solutions, cold, strict=True):
        np.testing.assert_allclose(one.coef, other.coef, atol=1e-4)
    assert sum(s.n_iter for s in solutions) < sum(s.n_iter for s in cold)


def test_degenerate_columns_and_targets_behave():
    X, y = problem()
    X[:, 3] = X[:, 0]  # twice the same, in one group
    X[:, [1, 4]] = 0  # a group that explains nothing
    solution = group_lasso.coordinate_descent(X, y, PAIRS, 0.1, tol=1e-9, max_iter=10**5)
    assert solution.gap <= 1e-9
    assert not solution.coef[[1, 4]].any()
    assert solution.coef[0] == pytest.approx(solution.coef[3])
    assert not group_lasso.coordinate_descent(X, np.zeros(20), PAIRS, 0.1).coef.any()
    assert group_lasso.coordinate_descent([[2.0]], [3.0], [[0]], 1.0).coef == pytest.approx(1.25)


def test_too_few_sweeps_are_said():
    X, y = problem()
    with pytest.warns(ConvergenceWarning, match="after 1 iterations: gap"):
        group_lasso.coordinate_descent(X, y, PAIRS, 0.01, tol=1e-12, max_iter=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": [[0, 1], [1, 2], [3, 4, 5]]}, "overlap, but column 1 is in groups 0 and 1"),
        ({"groups": [[0, 0], [1, 2, 3, 4, 5]]}, "overlap, but column 0 is in group 0 twice"),
        ({"groups": [[0, 1], [2, 3, 4]]}, "column 5 is in none"),
        ({"groups": [[0, 1, 2, 3, 4, 6]]}, "group 0 holds column 6; X has columns 0 to 5"),
        ({"groups": [[], range(6)]}, "group 0 must list one or more column numbers"),
        ({"groups": [[0.5, 1], [2, 3, 4, 5]]}, "group 0 must list one or more column numbers"),
        ({"weights": [1, 1]}, "weights must be 3 numbers > 0"),
        ({"weights": [1, 0, 1]}, "weights must be 3 numbers > 0"),
        ({"l1_ratio": 1.5}, "l1_ratio must be between 0 and 1, got 1.5"),
        ({"lam": -1}, "lam must be >= 0"),
        ({"tol": 0}, "tol must be > 0, got 0"),
        ({"max_iter": 1.5}, "max_iter must be a whole number"),
        ({"b0": [1, 2]}, r"b must have shape \(6,\)"),
    ],
)
def test_bad_input_is_named(change, message):
    X, y = problem()
    arguments = {"X": X, "y": y, "groups": PAIRS, "lam": 0.1} | change
    with pytest.raises(ValueError, match=message):
        group_lasso.coordinate_descent(**arguments)
