"""What the functions of exercise 05 must do, and mistakes that must be noticed."""

import numpy as np

from sparsecourse.grading.certificates import nonnegative_lasso as gap_of_nonnegative_lasso
from sparsecourse.grading.checks import Check
from sparsecourse.reference import lasso
from sparsecourse.reference.norms import soft_threshold


def one_sweep(X, y, lam, b, order, divide=True, in_turn=True, threshold_first=False):
    """The right sweep, and, by its switches, some wrong ones."""
    n = len(y)
    scale = np.sum(X**2, axis=0) / n
    b, residual = b.copy(), y - X @ b
    for j in order:
        if scale[j] == 0:
            b[j] = 0
            continue
        z = X[:, j] @ residual / n + scale[j] * b[j]
        if threshold_first:
            new = soft_threshold(z / scale[j], lam)
        else:
            new = soft_threshold(z, lam) / (scale[j] if divide else 1)
        if in_turn:
            residual = residual - X[:, j] * (new - b[j])
        b[j] = new
    return b, y - X @ b


def sweep(X, y, lam, b, order):
    return one_sweep(X, y, lam, b, order)


def order_ignored(X, y, lam, b, order):
    return one_sweep(X, y, lam, b, np.arange(len(b)))


def started_from_zero(X, y, lam, b, order):
    return one_sweep(X, y, lam, np.zeros_like(b), order)


def residual_not_updated(X, y, lam, b, order):
    return one_sweep(X, y, lam, b, order, in_turn=False)


def columns_taken_as_standardised(X, y, lam, b, order):
    return one_sweep(X, y, lam, b, order, divide=False)


def divided_before_thresholding(X, y, lam, b, order):
    return one_sweep(X, y, lam, b, order, threshold_first=True)


def own_part_forgotten(X, y, lam, b, order):
    """z without s_j b_j: the whole residual instead of the partial one."""
    n = len(y)
    scale = np.sum(X**2, axis=0) / n
    b, residual = b.copy(), y - X @ b
    for j in order:
        new = soft_threshold(X[:, j] @ residual / n, lam) / scale[j] if scale[j] > 0 else 0
        residual = residual - X[:, j] * (new - b[j])
        b[j] = new
    return b, residual


def nonnegative_gap(X, y, b, lam):
    return gap_of_nonnegative_lasso(b, X, y, lam)


def gap_by(X, y, b, lam, steepest, relative=True):
    n, residual = len(y), y - X @ b
    shrink = min(1.0, n * lam / steepest) if steepest > 0 else 1.0
    below = (y @ y - np.sum((y - shrink * residual) ** 2)) / (2 * n)
    gap = residual @ residual / (2 * n) + lam * np.abs(b).sum() - below
    return float(gap / (y @ y / (2 * n)) if relative else gap)


def rule_of_the_lasso(X, y, b, lam):
    return gap_by(X, y, b, lam, np.abs(X.T @ (y - X @ b)).max())


def nothing_shrunk(X, y, b, lam):
    return gap_by(X, y, b, lam, 0.0)


def gap_not_relative(X, y, b, lam):
    return gap_by(X, y, b, lam, max((X.T @ (y - X @ b)).max(), 0), relative=False)


def always_scaled_to_the_limit(X, y, b, lam):
    """Also stretches a residual that keeps the rule with room to spare."""
    n, residual = len(y), y - X @ b
    shrink = n * lam / max((X.T @ residual).max(), 1e-12)
    below = (y @ y - np.sum((y - shrink * residual) ** 2)) / (2 * n)
    return float((residual @ residual / (2 * n) + lam * b.sum() - below) / (y @ y / (2 * n)))


def descend(X, y, step, max_sweeps=20000):
    """Coordinate descent with `step(z, s, j)`, until nothing moves."""
    n, p = X.shape
    scale = np.sum(X**2, axis=0) / n
    b, residual = np.zeros(p), y.copy()
    for _ in range(max_sweeps):
        before = b.copy()
        for j in np.flatnonzero(scale):
            new = step(X[:, j] @ residual / n + scale[j] * b[j], scale[j], j)
            residual -= X[:, j] * (new - b[j])
            b[j] = new
        if np.abs(b - before).max() <= 1e-11 * max(np.abs(b).max(), 1e-300):
            break
    return b


def nonnegative_lasso(X, y, lam):
    return descend(X, y, lambda z, s, j: max(z - lam, 0.0) / s)


def lasso_cut_at_zero(X, y, lam):
    return np.maximum(weighted_lasso(X, y, lam, np.ones(X.shape[1])), 0)


def signs_dropped(X, y, lam):
    return np.abs(weighted_lasso(X, y, lam, np.ones(X.shape[1])))


def free_least_squares_then_threshold(X, y, lam):
    return np.maximum(np.linalg.lstsq(X, y)[0] - lam, 0)


def a_hundred_sweeps(X, y, lam):
    return descend(X, y, lambda z, s, j: max(z - lam, 0.0) / s, max_sweeps=100)


def penalty_forgotten(X, y, lam):
    return descend(X, y, lambda z, s, j: max(z, 0.0) / s)


def weighted_lasso(X, y, lam, w):
    return descend(X, y, lambda z, s, j: float(soft_threshold(z, lam * w[j])) / s)


def weights_ignored(X, y, lam, w):
    return weighted_lasso(X, y, lam, np.ones(len(w)))


def columns_multiplied_by_weights(X, y, lam, w):
    return weighted_lasso(X * w, y, lam, np.ones(len(w))) * w


def not_scaled_back(X, y, lam, w):
    return weighted_lasso(X / w, y, lam, np.ones(len(w)))


def one_sweep_only(X, y, lam, w):
    return descend(X, y, lambda z, s, j: float(soft_threshold(z, lam * w[j])) / s, max_sweeps=1)


def stopped_after_a_small_fall(X, y, lam, w):
    """Stops when a sweep lowers the objective by less than a thousandth."""
    X, b, last = X / w, np.zeros(len(w)), np.inf
    for _ in range(10000):
        b, _ = one_sweep(X, y, lam, b, np.arange(len(b)))
        value = lasso.objective(X, y, b, lam)
        if last - value < 1e-3 * value:
            break
        last = value
    return b / w


def draw_problem(rng, n_samples=None, n_features=None, correlation=None):
    """Columns of different lengths, correlated; effects of both signs; lam that leaves some."""
    p = n_features or int(rng.integers(3, 6))
    n = n_samples or int(rng.integers(p + 2, 12))
    if correlation is None:
        correlation = rng.choice([0.3, 0.9, 0.999])
    common = rng.normal(size=(n, 1))
    X = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * rng.normal(size=(n, p))
    X *= rng.uniform(0.5, 2, size=p)
    b = rng.uniform(0.5, 2, size=p) * np.where(np.arange(p) % 2, -1, 1)
    y = X @ b + 0.3 * rng.normal(size=n)
    lam = rng.uniform(0.05, 0.25) * np.abs(X.T @ y).max() / n
    return {"X": X, "y": y, "lam": float(lam)}


def narrow_valley(rng):
    """Each two columns have correlation 0.98, all stay in: 100 sweeps do not do, 1000 do."""
    p = int(rng.integers(3, 6))
    n = int(rng.integers(p + 2, 12))
    basis = np.sqrt(n) * np.linalg.qr(rng.normal(size=(n, p + 1)))[0]
    X = np.sqrt(0.98) * basis[:, :1] + np.sqrt(0.02) * basis[:, 1:]
    y = X @ rng.uniform(0.5, 2, size=p)
    return {"X": X, "y": y, "lam": float(1e-4 * np.abs(X.T @ y).max() / n)}


def draw_nonnegative(rng):
    return narrow_valley(rng) if rng.random() < 0.3 else draw_problem(rng)


def draw_sweep(rng, **shape):
    """From a start that is not zero, in an order that is not that of the columns.

    Now and then a column is empty, and now and then one is missing in the order, or there twice.
    """
    case = draw_problem(rng, **shape)
    p = case["X"].shape[1]
    order = rng.permutation(p)
    if (order == np.arange(p)).all():
        order = order[::-1].copy()
    if rng.random() < 0.4:
        order[-1] = order[0]
    if rng.random() < 0.4:
        case["X"][:, order[0]] = 0
    return case | {"b": rng.normal(size=p), "order": order}


def column_of_zeros(rng):
    case = draw_sweep(rng, n_features=4)
    case["X"][:, 2] = 0
    return case


def only_some_columns(rng):
    case = draw_sweep(rng, n_features=5)
    return case | {"order": np.array([4, 1, 4])}


def draw_gap(rng, **shape):
    """At a b that is not the solution, or near it; now and then a column pulls downwards most."""
    case = draw_problem(rng, **shape)
    b = np.abs(rng.normal(size=case["X"].shape[1]))
    kind = rng.integers(3)
    if kind == 0:
        b = one_sweep_nonnegative(case)
    elif kind == 1:
        b[:] = 0
    return case | {"b": b}


def one_sweep_nonnegative(case):
    lam = case["lam"]
    return descend(case["X"], case["y"], lambda z, s, j: max(z - lam, 0.0) / s, max_sweeps=1)


def lam_beyond_all_pulls(rng):
    case = draw_gap(rng)
    return case | {"lam": float(np.abs(case["X"].T @ case["y"]).max())}


def all_pull_downwards(rng):
    case = draw_problem(rng, n_features=3)
    X = np.abs(case["X"])
    return {"X": X, "y": -X.sum(axis=1), "lam": 0.1, "b": np.zeros(3)}


def large_numbers(draw):
    def scaled(rng):
        case = draw(rng)
        return case | {"X": 1e3 * case["X"], "y": 1e5 * case["y"], "lam": 1e8 * case["lam"]}

    return scaled


def draw_weighted(rng, **shape):
    case = draw_problem(rng, **shape)
    return case | {"w": rng.uniform(0.3, 3, size=case["X"].shape[1])}


def nothing_left(draw):
    def large(rng):
        case = draw(rng)
        least = 0.2  # no weight is smaller
        return case | {"lam": float(np.abs(case["X"].T @ case["y"]).max() / least)}

    return large


def equal_columns(draw):
    def doubled(rng):
        case = draw(rng, n_features=4)
        case["X"][:, 3] = case["X"][:, 0]
        return case

    return doubled


def zero_column(draw):
    def emptied(rng):
        case = draw(rng, n_features=4)
        case["X"][:, 1] = 0
        return case

    return emptied


CHECKS = [
    Check(
        sweep,
        points=2,
        draw=draw_sweep,
        hint="compute z from the residual as it is now, S(z, lam) / s, and update the residual.",
        wrong={
            "order ignored": order_ignored,
            "started from zero": started_from_zero,
            "all steps from the old residual": residual_not_updated,
            "columns taken as standardised": columns_taken_as_standardised,
            "divided by s, then threshold lam": divided_before_thresholding,
            "own part of the residual forgotten": own_part_forgotten,
        },
        edges=(
            column_of_zeros,
            only_some_columns,
            lambda rng: draw_sweep(rng, n_samples=3, n_features=8),
            lambda rng: draw_sweep(rng) | {"lam": 0.0},
            large_numbers(draw_sweep),
        ),
    ),
    Check(
        nonnegative_gap,
        points=3,
        draw=draw_gap,
        hint="for which u is lam b_j >= u'x_j b_j / n for every b_j >= 0? No absolute value.",
        wrong={
            "rule of the lasso, with absolute values": rule_of_the_lasso,
            "residual not shrunk": nothing_shrunk,
            "not divided by the objective at zero": gap_not_relative,
            "residual stretched": always_scaled_to_the_limit,
        },
        edges=(
            lam_beyond_all_pulls,
            all_pull_downwards,
            lambda rng: draw_gap(rng, n_samples=4, n_features=9),
            large_numbers(draw_gap),
        ),
    ),
    Check(
        nonnegative_lasso,
        points=3,
        draw=draw_nonnegative,
        hint="solve for one b_j >= 0 exactly, z as in the lecture; sweep until the gap is closed.",
        wrong={
            "lasso, negative ones set to zero": lasso_cut_at_zero,
            "lasso, signs dropped": signs_dropped,
            "least squares, then threshold": free_least_squares_then_threshold,
            "penalty forgotten": penalty_forgotten,
            "a hundred sweeps": a_hundred_sweeps,
        },
        edges=(
            narrow_valley,
            lambda rng: draw_problem(rng, n_samples=30, n_features=12, correlation=0.9),
            lambda rng: draw_problem(rng, n_samples=5, n_features=10),
            zero_column(draw_problem),
            equal_columns(draw_problem),
            nothing_left(draw_problem),
            large_numbers(draw_problem),
        ),
        certificate="nonnegative_lasso",
    ),
    Check(
        weighted_lasso,
        points=3,
        draw=draw_weighted,
        hint="what is the price of b_j in its own problem? And did you sweep until the gap closed?",
        wrong={
            "weights ignored": weights_ignored,
            "columns multiplied by the weights": columns_multiplied_by_weights,
            "solution not scaled back": not_scaled_back,
            "one sweep": one_sweep_only,
            "stopped after a small fall": stopped_after_a_small_fall,
        },
        edges=(
            lambda rng: draw_weighted(rng, n_samples=30, n_features=12, correlation=0.9),
            lambda rng: draw_weighted(rng, n_samples=5, n_features=10),
            zero_column(draw_weighted),
            equal_columns(draw_weighted),
            nothing_left(draw_weighted),
            large_numbers(draw_weighted),
        ),
        certificate="lasso",
    ),
]
