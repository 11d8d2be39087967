"""The fast group lasso: certified or warned, equal to the known cases, equal to celer."""

import warnings

import celer
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsecourse.functional import group_lasso, lasso, working_set
from sparsecourse.reference import group_lasso as reference
from sparsecourse.reference.convergence import ConvergenceWarning

PAIRS = [[0, 3], [1, 4], [2, 5]]


def problem(seed=0, n=20, p=6, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = X[:, 0] - 2 * X[:, p // 2] + 0.3 * rng.normal(size=n)
    return torch.tensor(X, dtype=dtype), torch.tensor(y, dtype=dtype)


def awkward(seed):
    """Alike, equal and empty columns, more features than samples, groups of any sizes."""
    rng = np.random.default_rng(seed)
    n, p = rng.integers(1, 31, size=2)
    X = rng.normal(size=(n, p)) + rng.choice([0, 0, 5]) * rng.normal(size=(n, 1))
    X[:, rng.integers(p)] = X[:, 0]
    X[:, rng.integers(p)] *= rng.integers(2)
    y = rng.normal(size=n) * 10.0 ** rng.integers(-8, 9)
    cuts = rng.choice(np.arange(1, p), size=rng.integers(p), replace=False) if p > 1 else []
    groups = [g.tolist() for g in np.split(rng.permutation(p), np.sort(cuts).astype(int))]
    weights = rng.uniform(0.3, 3, size=len(groups))
    l1_ratio = float(rng.choice([0, 0, 0.3, 1]))
    top = reference.lambda_max(X, y, groups, weights, l1_ratio)
    lam = top / rng.choice([0.9, 1.5, 5, 20, 100, 1000])
    return torch.tensor(X), torch.tensor(y), groups, lam, torch.tensor(weights), l1_ratio


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), tol=st.sampled_from([1e-4, 1e-6, 1e-10]))
def test_the_gap_is_certified_or_a_warning_states_it_and_nothing_is_nan(seed, tol):
    X, y, groups, lam, weights, l1_ratio = awkward(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solution = group_lasso.solve(X, y, groups, lam, weights, l1_ratio=l1_ratio, tol=tol)
    assert torch.isfinite(solution.coef).all()
    exact = reference.duality_gap(X, y, solution.coef, groups, lam, weights, l1_ratio)
    assert solution.gap == pytest.approx(exact, abs=1e-12)
    if caught:
        assert caught[0].category is ConvergenceWarning
        assert f"gap {solution.gap:.1e}" in str(caught[0].message)
    else:
        assert solution.gap <= tol


@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_awkward_problems_are_in_fact_solved(seed):
    X, y, groups, lam, weights, l1_ratio = awkward(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = group_lasso.solve(X, y, groups, lam, weights, l1_ratio=l1_ratio, tol=1e-8)
    assert solution.gap <= 1e-8


def test_coefficients_are_those_of_celer():
    X, y = problem(1, 30, 60)
    groups = [list(range(i, i + 3)) for i in range(0, 60, 3)]
    lam = float(group_lasso.lambda_max(X, y, groups)) / 10
    model = celer.GroupLasso(groups=3, alpha=lam, fit_intercept=False, tol=1e-13, max_iter=10**4)
    theirs = model.fit(np.asfortranarray(X), y.numpy()).coef_
    ours = group_lasso.solve(X, y, groups, lam, tol=1e-12).coef
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_groups_of_one_are_the_lasso():
    X, y = problem(0, 30, 60)
    singles = [[j] for j in range(60)]
    lam = float(lasso.lambda_max(X, y)) / 10
    ours = group_lasso.solve(X, y, singles, lam, tol=1e-11).coef
    torch.testing.assert_close(ours, lasso.solve(X, y, lam, tol=1e-11).coef, atol=1e-6, rtol=0)
    weighted = group_lasso.solve(X, y, singles, lam, l1_ratio=1.0, tol=1e-11).coef
    torch.testing.assert_close(weighted, ours, atol=1e-6, rtol=0)


def test_one_group_of_everything_is_a_ridge_whose_strength_depends_on_the_length():
    X, y = problem()
    b = group_lasso.solve(X, y, [range(6)], 0.3, tol=1e-13).coef
    strength = len(y) * 0.3 / b.norm()
    ridge = torch.linalg.solve(X.mT @ X + strength * torch.eye(6), X.mT @ y)
    torch.testing.assert_close(b, ridge, atol=1e-6, rtol=0)


def test_a_group_is_zero_as_a_whole_and_with_l1_also_in_parts():
    X, y = problem(n=40)
    top = float(group_lasso.lambda_max(X, y, PAIRS))
    b = group_lasso.solve(X, y, PAIRS, 0.5 * top, tol=1e-10).coef
    assert [bool(b[g].any()) for g in PAIRS] == [bool(b[g].all()) for g in PAIRS]
    assert [bool(b[g].any()) for g in PAIRS] == [True, False, False]
    halves = [[0, 1, 2], [3, 4, 5]]
    b = group_lasso.solve(X, y, halves, 0.3, tol=1e-10, l1_ratio=0.9).coef
    assert (b != 0).tolist() == [True, False, False, True, False, False]


def test_from_lambda_max_on_the_solution_is_exactly_zero():
    X, y = problem()
    for l1_ratio in (0.0, 0.4, 1.0):
        top = float(group_lasso.lambda_max(X, y, PAIRS, l1_ratio=l1_ratio))
        assert not group_lasso.solve(X, y, PAIRS, top, l1_ratio=l1_ratio).coef.any()
        assert group_lasso.solve(X, y, PAIRS, 0.99 * top, l1_ratio=l1_ratio).coef.any()


def test_the_order_of_groups_and_columns_plays_no_part():
    X, y = problem(0, 40, 9)
    groups = [[8, 0], [3, 4, 1, 2], [5], [7, 6]]
    w = torch.tensor([1.0, 2.0, 0.5, 1.5], dtype=torch.float64)
    lam = float(group_lasso.lambda_max(X, y, groups, w)) / 5
    one = group_lasso.solve(X, y, groups, lam, w, tol=1e-12).coef
    order = [2, 0, 3, 1]
    other = group_lasso.solve(X, y, [groups[i][::-1] for i in order], lam, w[order], tol=1e-12)
    torch.testing.assert_close(one, other.coef, atol=1e-8, rtol=0)


@pytest.mark.parametrize("solve", [group_lasso.solve, group_lasso.coordinate_descent])
def test_float32_stays_float32_and_is_certified_in_float64(solve):
    X, y = problem(dtype=torch.float32)
    solution = solve(X, y, PAIRS, 0.1, tol=1e-5)
    assert solution.coef.dtype == torch.float32
    exact = reference.duality_gap(X, y, solution.coef, PAIRS, 0.1)
    assert solution.gap == pytest.approx(exact, rel=1e-3, abs=1e-9)
    assert solution.gap <= 1e-5


@pytest.mark.parametrize("solve", [group_lasso.solve, group_lasso.coordinate_descent])
def test_the_start_is_used_and_left_as_it_was(solve):
    X, y = problem()
    best = solve(X, y, PAIRS, 0.1, tol=1e-10)
    kept = best.coef.clone()
    assert solve(X, y, PAIRS, 0.1, tol=1e-9, b0=best.coef).n_iter == 0 < best.n_iter
    torch.testing.assert_close(best.coef, kept, rtol=0, atol=0)


def test_too_few_iterations_are_said():
    for solve in (group_lasso.solve, group_lasso.coordinate_descent):
        with pytest.warns(ConvergenceWarning, match="after 1 iterations: gap"):
            solve(*problem(), PAIRS, 0.001, tol=1e-14, max_iter=1)


@pytest.mark.parametrize("solve", [group_lasso.solve, group_lasso.coordinate_descent])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": [[0, 1], [1, 2], [3, 4, 5]]}, "overlap, but column 1 is in groups 0 and 1"),
        ({"groups": [[0, 1], [2, 3, 4]]}, "column 5 is in none"),
        ({"weights": torch.ones(2, dtype=torch.float64)}, "weights must be 3 numbers > 0"),
        ({"weights": torch.tensor([1.0, 0.0, 1.0]).double()}, "weights must be 3 numbers > 0"),
        ({"l1_ratio": -0.5}, "l1_ratio must be between 0 and 1"),
        ({"lam": -1.0}, "lam must be >= 0"),
        ({"tol": 0.0}, "tol must be > 0"),
        ({"max_iter": 0.5}, "max_iter must be a whole number"),
        ({"b0": torch.ones(2, dtype=torch.float64)}, r"b0 must have shape \(6,\)"),
        ({"y": torch.ones(20, 2, dtype=torch.float64)}, "X must be 2-D and y 1-D"),
    ],
)
def test_bad_input_is_named(solve, change, message):
    X, y = problem()
    with pytest.raises(ValueError, match=message):
        solve(**({"X": X, "y": y, "groups": PAIRS, "lam": 0.1} | change))


@pytest.mark.parametrize("solve", [group_lasso.solve, group_lasso.coordinate_descent])
def test_a_start_that_is_not_the_solution_is_left_as_it_was(solve):
    start = torch.ones(6, dtype=torch.float64)
    assert solve(*problem(), PAIRS, 0.1, b0=start).n_iter > 0
    assert (start == 1).all()


@pytest.mark.parametrize("solve", [group_lasso.solve, group_lasso.coordinate_descent])
def test_empty_columns_forget_their_start(solve):
    X, y = problem()
    X[:, [1, 4]] = 0
    solution = solve(X, y, PAIRS, 0.1, b0=torch.ones(6, dtype=torch.float64))
    assert solution.gap <= 1e-6
    assert not solution.coef[[1, 4]].any()


@pytest.mark.parametrize("solve", [group_lasso.solve, group_lasso.coordinate_descent])
def test_weights_may_have_another_precision_and_no_graph_is_kept(solve):
    X, y = problem()
    w = torch.tensor([1.0, 2.0, 0.5], requires_grad=True)
    solution = solve(X.clone().requires_grad_(), y, PAIRS, 0.1, w)
    assert solution.gap <= 1e-6
    assert not solution.coef.requires_grad
    with pytest.raises(ValueError, match="weights must be a tensor of float32 or float64"):
        solve(X, y, PAIRS, 0.1, [1.0, 2.0, 0.5])


@pytest.mark.parametrize("groups", [None, 3, (g for g in PAIRS), [[0, [1, 2]], [3, 4, 5]]])
def test_groups_that_are_none_are_named(groups):
    with pytest.raises(ValueError, match="group"):
        group_lasso.solve(*problem(), groups, 0.1)


def test_options_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        group_lasso.solve(*problem(), PAIRS, 0.1, None, 0.5)


def test_the_first_look_takes_about_fifty_columns(monkeypatch):
    X, y = problem(0, 50, 400)
    groups = [list(range(i, i + 10)) for i in range(0, 400, 10)]
    sizes = []
    restrict = group_lasso._GroupPenalty.restrict

    def record(self, units):
        sizes.append(len(units))
        return restrict(self, units)

    monkeypatch.setattr(group_lasso._GroupPenalty, "restrict", record)
    group_lasso.solve(X, y, groups, float(group_lasso.lambda_max(X, y, groups)) / 20)
    assert sizes[0] == 5


@pytest.mark.parametrize("l1_ratio", [0.0, 0.4])
def test_gradient_and_curvature_are_the_derivatives_of_the_penalty(l1_ratio):
    weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    X = torch.ones(1, 6, dtype=torch.float64)
    whole = group_lasso._penalty(X, [[0, 1, 2], [3, 4], [5]], 0.7, weights, l1_ratio)
    b = torch.tensor([0.5, -1.0, 2.0, 0.3, -0.4, 1.5], dtype=torch.float64)
    everything = torch.arange(6)
    steps = 1e-6 * torch.eye(6, dtype=torch.float64)
    slopes = [(whole.value(b + h) - whole.value(b - h)) / 2e-6 for h in steps]
    gradient = whole.gradient(b, everything)
    torch.testing.assert_close(
        gradient, torch.tensor(slopes, dtype=torch.float64), atol=1e-8, rtol=0
    )
    changes = [whole.gradient(b + h, everything) - whole.gradient(b - h, everything) for h in steps]
    H = torch.zeros(6, 6, dtype=torch.float64)
    whole.add_curvature(H, b, everything)
    torch.testing.assert_close(H, torch.stack(changes) / 2e-6, atol=1e-7, rtol=0)


def test_newton_steps_bend_with_the_penalty():
    X, y = problem(0, 40, 30)
    groups = [list(range(i, i + 5)) for i in range(0, 30, 5)]
    lam = float(group_lasso.lambda_max(X, y, groups)) / 5
    whole = group_lasso._penalty(X, groups, lam, None, 0.0)
    small = working_set._SmallProblem(X.mT @ X / 40, X.mT @ y / 40, float(y @ y) / 40, whole)
    point = small.point(group_lasso.solve(X, y, groups, lam, tol=1e-3).coef)
    for _ in range(4):  # quadratic convergence: the digits double from step to step
        point, _ = small.newton_step(point, 1e-14)
    assert small.gap(point) <= 1e-10 * small.energy
