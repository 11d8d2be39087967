"""The fast lasso: certified or warned, whatever the design; many problems at once."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso

from sparsecourse.functional import lasso, working_set
from sparsecourse.reference import lasso as reference
from sparsecourse.reference.convergence import ConvergenceWarning

SOLVERS = [lasso.coordinate_descent, lasso.ista, lasso.fista, lasso.solve]
SUBGRADIENT = [lasso.coordinate_descent, lasso.ista, lasso.fista]


def problem(seed=0, n=20, p=6, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = X @ np.where(np.arange(p) % 3 == 0, 2.0, 0.0) + 0.3 * rng.normal(size=n)
    return torch.tensor(X, dtype=dtype), torch.tensor(y, dtype=dtype)


def awkward(seed):
    """Alike columns, equal columns, empty columns, more features than samples, odd scales."""
    rng = np.random.default_rng(seed)
    n, p = rng.integers(1, 31, size=2)
    X = rng.normal(size=(n, p)) + rng.choice([0, 0, 5]) * rng.normal(size=(n, 1))
    X[:, rng.integers(p)] = X[:, 0]
    X[:, rng.integers(p)] *= rng.integers(2)
    y = rng.normal(size=n) if rng.random() < 0.9 else X[:, 0]
    X, y = X * 10.0 ** rng.integers(-8, 9), y * 10.0 ** rng.integers(-8, 9)
    lam = np.abs(X.T @ y).max() / n / rng.choice([0.9, 1.5, 5, 20, 100, 1000])
    return torch.tensor(X), torch.tensor(y), float(lam)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), tol=st.sampled_from([1e-4, 1e-6, 1e-10]))
def test_the_gap_is_certified_or_a_warning_states_it_and_nothing_is_nan(seed, tol):
    X, y, lam = awkward(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solution = lasso.solve(X, y, lam, tol)
    assert torch.isfinite(solution.coef).all()
    exact = reference.duality_gap(X, y, solution.coef, lam)
    assert solution.gap == pytest.approx(exact, abs=1e-12)
    if caught:
        assert caught[0].category is ConvergenceWarning
        assert f"gap {solution.gap:.1e}" in str(caught[0].message)
    else:
        assert solution.gap <= tol


@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_awkward_problems_are_in_fact_solved(seed):
    X, y, lam = awkward(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lasso.solve(X, y, lam, 1e-8).gap <= 1e-8


@pytest.mark.parametrize("divisor", [1.5, 5, 50])
def test_coefficients_are_those_of_scikit_learn(divisor):
    X, y = problem(0, 40, 100)
    lam = float(lasso.lambda_max(X, y)) / divisor
    ours = lasso.solve(X, y, lam, tol=1e-12).coef
    peer = Lasso(alpha=lam, fit_intercept=False, tol=1e-13, max_iter=10**6)
    np.testing.assert_allclose(ours, peer.fit(X.numpy(), y.numpy()).coef_, atol=1e-6)


@pytest.mark.parametrize("solve", SOLVERS)
def test_from_lambda_max_on_the_solution_is_exactly_zero_and_just_below_it_is_not(solve):
    X, y = problem()
    top = float(lasso.lambda_max(X, y))
    for lam in (top, 2 * top):
        solution = solve(X, y, lam)
        assert not solution.coef.any()
        assert solution.n_iter == 0
    assert solve(X, y, 0.99 * top).coef.any()


@pytest.mark.parametrize("solve", SOLVERS)
def test_an_orthonormal_design_gives_the_soft_threshold(solve):
    Q, _ = torch.linalg.qr(problem(0, 12, 4)[0])
    X, y = math.sqrt(12) * Q, problem(1, 12, 4)[1]  # X'X / n = I
    z = X.mT @ y / 12
    expected = z.sign() * (z.abs() - 0.2).clamp(min=0)
    torch.testing.assert_close(solve(X, y, 0.2, tol=1e-12).coef, expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize("solve", SOLVERS)
def test_the_smallest_problems_have_their_solution_by_hand(solve):
    one = torch.ones(1, 1, dtype=torch.float64)
    assert solve(2 * one, 3 * one[0], 1.0).coef.item() == pytest.approx(1.25)  # (6 - 1) / 4
    assert solve(2 * one, 3 * one[0], 6.0).coef.item() == 0
    X, y = problem()
    assert not solve(X, torch.zeros_like(y), 0.1).coef.any()
    assert not solve(torch.zeros_like(X), y, 0.1).coef.any()


@pytest.mark.parametrize("solve", SOLVERS)
def test_float32_stays_float32_and_is_certified_in_float64(solve):
    X, y = problem(dtype=torch.float32)
    solution = solve(X, y, 0.1, tol=1e-5)
    assert solution.coef.dtype == torch.float32
    assert solution.gap <= 1e-5
    exact = reference.duality_gap(X, y, solution.coef, 0.1)
    assert solution.gap == pytest.approx(exact, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("solve", SOLVERS)
def test_the_start_is_used_and_left_as_it_was(solve):
    X, y = problem()
    best = solve(X, y, 0.1, tol=1e-10)
    kept = best.coef.clone()
    again = solve(X, y, 0.1, tol=1e-9, b0=best.coef)
    assert again.n_iter == 0 < best.n_iter
    torch.testing.assert_close(best.coef, kept, rtol=0, atol=0)


@pytest.mark.parametrize("solve", SUBGRADIENT)
def test_many_targets_and_many_lams_are_solved_at_once(solve):
    X, y = problem()
    Y = torch.stack([y, 2 * y, y.flip(0)], dim=1)
    lams = torch.tensor([0.1, 0.3, 0.05], dtype=torch.float64)
    together = solve(X, Y, lams, tol=1e-10, max_iter=10**5)
    assert together.coef.shape == (6, 3)
    for i in range(3):
        alone = lasso.solve(X, Y[:, i], float(lams[i]), tol=1e-10).coef
        torch.testing.assert_close(together.coef[:, i], alone, atol=1e-5, rtol=0)
    gaps = lasso.duality_gap(X, Y, together.coef, lams)
    assert float(gaps.max()) == pytest.approx(together.gap, abs=1e-15)


@pytest.mark.parametrize("solve", SUBGRADIENT)
def test_a_batch_of_designs_is_solved_at_once(solve):
    pairs = [problem(seed) for seed in (1, 2, 3)]
    X, y = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    lams = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    together = solve(X, y, lams, tol=1e-10, max_iter=10**5)
    assert together.coef.shape == (3, 6)
    for b, (X_i, y_i), lam in zip(together.coef, pairs, lams.tolist(), strict=True):
        alone = lasso.solve(X_i, y_i, lam, tol=1e-10).coef
        torch.testing.assert_close(b, alone, atol=1e-5, rtol=0)


def test_a_path_needs_fewer_looks_than_its_solutions_one_by_one():
    X, y = problem(0, 40, 200)
    lams = lasso.lambda_max(X, y) * torch.logspace(0, -2, 10, dtype=torch.float64)
    warm = lasso.path(X, y, lams, tol=1e-10)
    cold = [lasso.solve(X, y, float(lam), tol=1e-10) for lam in lams]
    for one, other in zip(warm, cold, strict=True):
        torch.testing.assert_close(one.coef, other.coef, atol=1e-5, rtol=0)
    assert sum(s.n_iter for s in warm) < sum(s.n_iter for s in cold)


def test_only_the_columns_that_matter_are_multiplied(monkeypatch):
    X, y = problem(0, 50, 2000)
    sizes = []
    solve = working_set._WorkingSetSolver._join

    def record(self, *arguments):
        solve(self, *arguments)
        sizes.append(len(self.G))

    monkeypatch.setattr(working_set._WorkingSetSolver, "_join", record)
    lasso.solve(X, y, float(lasso.lambda_max(X, y)) / 5)
    assert 0 < max(sizes) < 400


def test_solvers_leave_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        lasso.solve(*problem(), 0.1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_too_few_iterations_are_said():
    X, y = problem(0, 40, 200)
    for solve in SOLVERS:
        with pytest.warns(ConvergenceWarning, match="after 1 iterations: gap"):
            solve(X, y, 0.001, tol=1e-12, max_iter=1)
    with pytest.warns(ConvergenceWarning):
        assert lasso.solve(*problem(), 0.0).gap > 0  # there is no certificate for lam = 0


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e30, 1e100])
def test_scaling_the_data_scales_the_solution(scale):
    X, y = problem()
    expected = lasso.solve(X, y, 0.1, tol=1e-10).coef
    of_target = lasso.solve(X, scale * y, 0.1 * scale, tol=1e-10).coef
    of_design = lasso.solve(scale * X, y, 0.1 * scale, tol=1e-10).coef
    torch.testing.assert_close(of_target / scale, expected, atol=1e-8, rtol=0)
    torch.testing.assert_close(of_design * scale, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lam": -1e-9}, "lam must be >= 0"),
        ({"tol": "a"}, "tol must be > 0, got 'a'"),
        ({"lam": math.nan}, "lam must be finite"),
        ({"tol": 0}, "tol must be > 0"),
        ({"max_iter": -1}, "max_iter must be a whole number >= 0"),
        ({"b0": torch.ones(5, dtype=torch.float64)}, r"b0 must have shape \(6,\), got \(5,\)"),
        ({"b0": torch.ones(6)}, "b0 must be torch.float64 on cpu like X"),
        ({"X": torch.full((20, 6), math.nan, dtype=torch.float64)}, r"X must be finite, got nan"),
        ({"y": torch.ones(19, dtype=torch.float64)}, r"y must have shape \(20,\)"),
        ({"y": torch.ones(20)}, "y must be torch.float64"),
        ({"X": [[1.0]]}, "X must be a tensor"),
    ],
)
@pytest.mark.parametrize("solve", SOLVERS)
def test_bad_input_is_named(solve, change, message):
    X, y = problem()
    with pytest.raises(ValueError, match=message):
        solve(**({"X": X, "y": y, "lam": 0.1} | change))


def test_what_solve_cannot_do_is_named():
    X, y = problem()
    with pytest.raises(ValueError, match=r"X must be 2-D and y 1-D, got shapes \(20, 6\) and"):
        lasso.solve(X, y.unsqueeze(-1), 0.1)
    with pytest.raises(ValueError, match="lams must be 1-D"):
        lasso.path(X, y, torch.ones(2, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match="lams must be a tensor"):
        lasso.path(X, y, [0.1])
    with pytest.raises(ValueError, match=r"lam must broadcast to shape \(3,\), got \(2,\)"):
        lasso.fista(X, y.unsqueeze(-1).expand(-1, 3), torch.ones(2))
    with pytest.raises(ValueError, match="too large: their products are not finite"):
        lasso.solve(1e200 * X, 1e200 * y, 0.1)


@pytest.mark.parametrize("solve", SOLVERS)
def test_a_start_that_is_not_the_solution_is_left_as_it_was(solve):
    start = torch.ones(6, dtype=torch.float64)
    assert solve(*problem(), 0.1, b0=start).n_iter > 0
    assert (start == 1).all()


@pytest.mark.parametrize("solve", SOLVERS)
def test_an_empty_column_forgets_its_start(solve):
    X, y = problem()
    X[:, 2] = 0
    solution = solve(X, y, 0.1, b0=torch.ones(6, dtype=torch.float64))
    assert solution.gap <= 1e-6
    assert solution.coef[2] == 0
    nothing = solve(0 * X, y, 0.1, b0=torch.ones(6, dtype=torch.float64)).coef
    torch.testing.assert_close(nothing, torch.zeros_like(nothing), atol=1e-12, rtol=0)


@pytest.mark.parametrize("p", [200, 300])  # with few enough columns to be used, and with too many
def test_a_start_far_away_costs_nothing(p):
    rng = np.random.default_rng(0)
    X, y = problem(0, 50, p)
    far = torch.tensor(1e6 * rng.normal(size=p))
    lam = float(lasso.lambda_max(X, y)) / 5
    assert lasso.solve(X, y, lam, b0=far).n_iter == lasso.solve(X, y, lam).n_iter


@pytest.mark.parametrize("solve", SUBGRADIENT)
def test_an_empty_design_in_a_batch_spoils_nothing(solve):
    X, y = problem()
    together = solve(torch.stack([X, 0 * X]), torch.stack([y, y]), 0.1)
    torch.testing.assert_close(together.coef[0], solve(X, y, 0.1).coef, atol=1e-3, rtol=0)
    assert not together.coef[1].any()


@pytest.mark.parametrize("seed", range(3))
def test_columns_that_are_random_walks_are_solved(seed):
    rng = np.random.default_rng(seed)
    X, y = torch.tensor(rng.normal(size=(60, 300)).cumsum(1)), torch.tensor(rng.normal(size=60))
    assert lasso.solve(X, y, float(lasso.lambda_max(X, y)) / 100).gap <= 1e-6


def test_where_nothing_moves_any_more_solve_stops():
    with pytest.warns(ConvergenceWarning):
        assert lasso.solve(*problem(), 0.0).n_iter < 10


def test_the_line_search_finds_the_minimum():
    rng = np.random.default_rng(0)
    for _ in range(200):
        b, d = torch.tensor(rng.normal(size=5)), torch.tensor(3 * rng.normal(size=5))
        curvature, penalty = float(rng.uniform(0.1, 3)), lasso._L1(0.5)
        # Downhill at the start, as a Newton step is.
        slope = -float(rng.uniform(0, 9)) - 0.5 * float(d @ b.sign())
        x = penalty.line_search(b, d, torch.arange(5), slope, curvature)
        t = torch.cat([(x - b) @ d / (d @ d) * torch.ones(1), torch.linspace(0, 60, 2001)]).double()
        values = slope * t + curvature * t**2 / 2 + 0.5 * (b + t[:, None] * d).abs().sum(1)
        assert values[0] <= values[1:].min() + 1e-9


def test_solutions_of_a_path_share_no_memory():
    one, other = lasso.path(*problem(), torch.tensor([0.1, 0.1]))
    one.coef.zero_()
    assert other.coef.any()


def test_no_graph_is_kept():
    X, y = problem()
    for solve in SOLVERS:
        assert not solve(
            X.clone().requires_grad_(), y.clone().requires_grad_(), 0.1
        ).coef.requires_grad


def test_numbers_whose_sum_overflows_are_finite():
    X = torch.full((20, 6), 3e38)
    assert lasso.solve(X, torch.ones(20), 1e36, tol=1e-4).gap <= 1e-4


def test_what_is_too_large_is_named_and_no_gap_is_nan():
    X, y = problem()
    for solve in SOLVERS:
        with pytest.raises(ValueError, match="too large"):
            solve(1e200 * X, 1e120 * y, 0.1)
    far = torch.full((6,), 1e200, dtype=torch.float64)
    assert lasso.solve(X, y, 0.1, b0=far).gap <= 1e-6


@pytest.mark.parametrize("lam", [None, "0.1", 1j, [0.1, 0.2]])
def test_a_lam_that_is_no_number_is_named(lam):
    with pytest.raises(ValueError, match="lam must be"):
        lasso.solve(*problem(), lam)


def test_lam_may_be_a_tensor_and_is_not_rounded_to_float32():
    X, y = problem(dtype=torch.float32)
    assert isinstance(lasso.solve(X, y, torch.tensor(0.1), tol=1e-4).gap, float)
    with pytest.raises(ValueError, match="lam must be >= 0"):
        lasso.solve(X, y, -1e-50)
