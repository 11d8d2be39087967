"""What the functions of exercise 03 must do, and mistakes that must be noticed."""

from itertools import combinations
from operator import le, lt

import numpy as np

from sparsecourse.grading.checks import Check
from sparsecourse.reference.greedy import best_subset, iht, keep_largest, omp
from sparsecourse.reference.least_squares import solve_minimum_norm
from sparsecourse.reference.norms import lp_norm

CLEAR = 0.97  # where a case compares two numbers, the smaller is at most this times the larger


def fit_on(X, y, columns):
    """Least squares on some columns, zero elsewhere."""
    b = np.zeros(X.shape[1])
    if len(columns):
        b[columns] = solve_minimum_norm(X[:, columns], y)
    return b


def ratio(X, y, b):
    """Length of the residual, that of y taken as 1."""
    return np.linalg.norm(y - X @ b) / np.linalg.norm(y)


def weighted_norm(x, w, p):
    return lp_norm(w * x, p)


def root_left_out(x, w, p):
    return weighted_norm(x, w, p) if np.isinf(p) else float(np.sum((w * np.abs(x)) ** p))


def weights_outside_the_power(x, w, p):
    if np.isinf(p):
        return weighted_norm(x, w, p)
    return float(np.sum(w * np.abs(x) ** p) ** (1 / p))


def signs_kept(x, w, p):
    return float(np.max(w * x)) if np.isinf(p) else float(np.sum((w * x) ** p) ** (1 / p))


def infinity_forgotten(x, w, p):
    return float(np.sum((w * np.abs(x)) ** p) ** (1 / p))


def powers_overflow(x, w, p):
    return float(np.linalg.norm(w * x, p))


def subsets_by_size(X_train, y_train, max_size):
    return [best_subset(X_train, y_train, k) for k in range(max_size + 1)]


def best_subset_by_validation(X_train, y_train, X_validation, y_validation, max_size):
    return min(
        subsets_by_size(X_train, y_train, max_size),
        key=lambda b: np.sum((y_validation - X_validation @ b) ** 2),
    )


def chosen_on_training_data(X_train, y_train, X_validation, y_validation, max_size):
    return best_subset(X_train, y_train, max_size)


def sets_judged_on_validation_data(X_train, y_train, X_validation, y_validation, max_size):
    sets = (
        list(columns)
        for k in range(max_size + 1)
        for columns in combinations(range(X_train.shape[1]), k)
    )
    return min(
        (fit_on(X_train, y_train, columns) for columns in sets),
        key=lambda b: np.sum((y_validation - X_validation @ b) ** 2),
    )


def empty_set_left_out(X_train, y_train, X_validation, y_validation, max_size):
    return min(
        subsets_by_size(X_train, y_train, max_size)[1:],
        key=lambda b: np.sum((y_validation - X_validation @ b) ** 2),
    )


def fitted_again_on_all_samples(X_train, y_train, X_validation, y_validation, max_size):
    b = best_subset_by_validation(X_train, y_train, X_validation, y_validation, max_size)
    X = np.vstack([X_train, X_validation])
    return fit_on(X, np.append(y_train, y_validation), np.flatnonzero(b))


def pursue(X, y, tol, is_scaled=True, is_refitted=True, power=1, after=0, is_enough=le):
    """Orthogonal matching pursuit down to a tolerance, and ways to get it wrong."""
    b, chosen = np.zeros(X.shape[1]), []
    length = np.linalg.norm(X, axis=0) if is_scaled else 1
    for _ in range(X.shape[1]):
        if is_enough(ratio(X, y, b) ** power, tol):
            if after == 0:
                break
            after -= 1
        residual = y - X @ b
        correlation = np.abs(X.T @ residual) / length
        correlation[chosen] = -1
        best = int(correlation.argmax())
        chosen.append(best)
        if is_refitted:
            b = fit_on(X, y, chosen)
        else:
            b[best] = X[:, best] @ residual / (X[:, best] @ X[:, best])
    return b


def omp_to_tolerance(X, y, tol):
    return pursue(X, y, tol)


def columns_not_scaled(X, y, tol):
    return pursue(X, y, tol, is_scaled=False)


def earlier_columns_not_fitted_again(X, y, tol):
    return pursue(X, y, tol, is_refitted=False)


def squares_compared_with_tol(X, y, tol):
    return pursue(X, y, tol, power=2)


def one_column_too_many(X, y, tol):
    return pursue(X, y, tol, after=1)


def stopped_only_below_tol(X, y, tol):
    return pursue(X, y, tol, is_enough=lt)


def thresholding_supports(X, y, k, n_iter, step=None):
    """The columns chosen in each iteration, and how clear each choice was."""
    step = 1 / np.linalg.norm(X, ord=2) ** 2 if step is None else step
    b, supports, gaps = np.zeros(X.shape[1]), [], []
    for _ in range(n_iter):
        moved = b + step * X.T @ (y - X @ b)
        size = np.sort(np.abs(moved))[::-1]
        gaps.append(0 if k == X.shape[1] else size[k] / size[k - 1])
        supports.append(list(np.flatnonzero(keep_largest(moved, k))))
        b = fit_on(X, y, supports[-1])
    return supports, gaps


def hard_thresholding_pursuit(X, y, k, n_iter):
    supports, _ = thresholding_supports(X, y, k, n_iter)
    return fit_on(X, y, supports[-1] if supports else [])


def fitted_only_at_the_end(X, y, k, n_iter):
    return iht(X, y, k, n_iter)


def step_of_one(X, y, k, n_iter):
    supports, _ = thresholding_supports(X, y, k, n_iter, step=1.0)
    return fit_on(X, y, supports[-1] if supports else [])


def gradient_alone(X, y, k, n_iter):
    b = np.zeros(X.shape[1])
    for _ in range(n_iter):
        b = fit_on(X, y, list(np.flatnonzero(keep_largest(X.T @ (y - X @ b), k))))
    return b


def not_fitted(X, y, k, n_iter):
    step, b = 1 / np.linalg.norm(X, ord=2) ** 2, np.zeros(X.shape[1])
    for _ in range(n_iter):
        b = keep_largest(b + step * X.T @ (y - X @ b), k)
    return b


def draw_weighted_vector(rng, size=None, p=None):
    """Signs of both kinds, now and then a zero; weights between 0.2 and 5."""
    n = size or int(rng.integers(2, 6))
    x = rng.normal(size=n) * rng.choice([0, 1, 1, 1], size=n)
    p = float(rng.choice([np.inf, 0.5, 1.0, 2.0, 3.0])) if p is None else p
    return {"x": x, "w": rng.uniform(0.2, 5, size=n), "p": p}


def huge_entries(rng):
    case = draw_weighted_vector(rng, size=4, p=3.0)
    return case | {"x": 1e200 * (1 + np.abs(case["x"]))}


def draw_small_or_huge(rng):
    """Now and then a vector so large that the powers of its entries overflow."""
    is_huge = rng.random() < 0.25
    case = draw_weighted_vector(rng)
    return huge_entries(rng) if is_huge else case


def no_entries_but_zero(rng):
    return draw_weighted_vector(rng, size=3, p=0.5) | {"x": np.zeros(3)}


def is_clear(values):
    """Whether the smallest value is well below the second smallest."""
    first, second = np.sort(values)[:2]
    return first <= CLEAR * second


def draw_two_parts(rng, n_features=None, n_relevant=None):
    """Correlated columns, much noise; no choice between sets or sizes is close.

    Where no column is relevant, the empty set is the best.
    """
    while True:
        p = n_features or int(rng.integers(3, 6))
        relevant = int(rng.choice([0, 0, 1, 2])) if n_relevant is None else n_relevant
        b = np.zeros(p)
        b[:relevant] = rng.choice([-1.5, 1.5], size=relevant)
        mixing = np.eye(p) + 0.4 * rng.normal(size=(p, p))
        X = rng.normal(size=(24, p)) @ mixing
        y = X @ b + 1.5 * rng.normal(size=24)
        case = {
            "X_train": X[:10],
            "y_train": y[:10],
            "X_validation": X[10:],
            "y_validation": y[10:],
            "max_size": p if n_features else int(rng.integers(2, p + 1)),
        }
        best = subsets_by_size(X[:10], y[:10], case["max_size"])
        losses = [np.sum((y[10:] - X[10:] @ b) ** 2) for b in best]
        sets = (
            [
                ratio(X[:10], y[:10], fit_on(X[:10], y[:10], list(c)))
                for c in combinations(range(p), k)
            ]
            for k in range(1, min(case["max_size"] + 1, p))
        )
        is_wanted = relevant > 0 or np.argmin(losses) == 0
        if is_wanted and is_clear(losses) and all(map(is_clear, sets)):
            return case


def draw_pursuit(rng, n_features=None, n_steps=None):
    """Columns of very different lengths; the tolerance lies between two steps, never close.

    For no step at all it is 1, which no rounding can miss.
    """
    while True:
        p = n_features or int(rng.integers(4, 8))
        n = p + int(rng.integers(3, 8))
        X = rng.normal(size=(n, p)) + 0.7 * rng.normal(size=(n, 1))
        X *= 10.0 ** rng.uniform(-1, 1, size=p)
        y = X @ (rng.normal(size=p) / np.linalg.norm(X, axis=0)) + 0.1 * rng.normal(size=n)
        steps = int(rng.integers(0, p)) if n_steps is None else n_steps
        fits = [omp(X, y, k) for k in range(steps + 1)]
        unit = X / np.linalg.norm(X, axis=0)
        choices = [-np.abs(unit.T @ (y - X @ b)) for b in fits[:-1]]
        clear = all(np.sort(c)[1] >= CLEAR * np.sort(c)[0] for c in choices)
        ratios = [ratio(X, y, b) for b in fits]
        if clear and (steps == 0 or ratios[-1] <= 0.9 * ratios[-2]):
            tol = 1.0 if steps == 0 else float(np.sqrt(ratios[-1] * ratios[-2]))
            return {"X": X, "y": y, "tol": tol}


def draw_thresholding(rng, k=None, n_iter=None):
    """Correlated columns, whose first choice is revised; no choice is close."""
    while True:
        p = int(rng.integers(5, 10))
        n = p + int(rng.integers(3, 10))
        X = 10.0 ** rng.uniform(-1, 1) * (rng.normal(size=(n, p)) + 0.5 * rng.normal(size=(n, 1)))
        y = X @ rng.normal(size=p) + rng.normal(size=n)
        case = {
            "X": X,
            "y": y,
            "k": int(rng.integers(2, 5)) if k is None else k,
            "n_iter": int(rng.integers(2, 7)) if n_iter is None else n_iter,
        }
        supports, gaps = thresholding_supports(**case)
        is_revised = n_iter is not None or supports[0] != supports[-1]
        if is_revised and all(gap <= CLEAR for gap in gaps):
            return case


CHECKS = [
    Check(
        weighted_norm,
        points=2,
        draw=draw_small_or_huge,
        hint="the weight multiplies the size of an entry before the power is taken.",
        wrong={
            "outer root left out": root_left_out,
            "weight outside the power": weights_outside_the_power,
            "signs kept": signs_kept,
            "infinity not treated apart": infinity_forgotten,
            "powers that overflow": powers_overflow,
        },
        edges=(
            huge_entries,
            no_entries_but_zero,
            lambda rng: draw_weighted_vector(rng, size=5, p=np.inf),
        ),
    ),
    Check(
        best_subset_by_validation,
        points=3,
        draw=draw_two_parts,
        hint="training samples choose the set of each size, 0 to max_size; validation the size.",
        wrong={
            "size chosen on the training data": chosen_on_training_data,
            "sets chosen on the validation data": sets_judged_on_validation_data,
            "the empty set left out": empty_set_left_out,
            "fitted again on all samples": fitted_again_on_all_samples,
        },
        edges=(
            lambda rng: draw_two_parts(rng, n_features=6, n_relevant=3),
            lambda rng: draw_two_parts(rng, n_features=2, n_relevant=0),
        ),
    ),
    Check(
        omp_to_tolerance,
        points=3,
        draw=draw_pursuit,
        hint="divide the correlation by the length of the column; before each new column, is the "
        "residual at most tol times the length of y?",
        wrong={
            "columns not scaled to length 1": columns_not_scaled,
            "earlier columns not fitted again": earlier_columns_not_fitted_again,
            "squared lengths compared with tol": squares_compared_with_tol,
            "one column too many": one_column_too_many,
            "stopped only below tol": stopped_only_below_tol,
        },
        edges=(
            lambda rng: draw_pursuit(rng, n_steps=0),
            lambda rng: draw_pursuit(rng, n_steps=0) | {"tol": 1.2},
            lambda rng: draw_pursuit(rng, n_features=12, n_steps=9),
            lambda rng: draw_pursuit(rng, n_features=3, n_steps=3),
        ),
    ),
    Check(
        hard_thresholding_pursuit,
        points=3,
        draw=draw_thresholding,
        hint="each iteration: step from b, find the k largest entries, fit least squares on them.",
        wrong={
            "fitted only at the end": fitted_only_at_the_end,
            "a step of length 1": step_of_one,
            "columns chosen by the gradient alone": gradient_alone,
            "never fitted": not_fitted,
        },
        edges=(
            lambda rng: draw_thresholding(rng, n_iter=0),
            lambda rng: draw_thresholding(rng, k=1, n_iter=4),
            lambda rng: draw_thresholding(rng, k=5, n_iter=3),
        ),
    ),
]
