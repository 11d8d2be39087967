"""What the functions of exercise 04 must do, and mistakes that must be noticed."""

import numpy as np

from sparsecourse.grading.checks import Check
from sparsecourse.reference.norms import soft_threshold


def ridge_with_intercept(X, y, lam):
    x_mean, y_mean = X.mean(axis=0), y.mean()
    Z = X - x_mean
    b = np.linalg.solve(Z.T @ Z + np.diag(lam), Z.T @ (y - y_mean))
    return float(y_mean - x_mean @ b), b


def intercept_charged(X, y, lam):
    ones = np.column_stack([np.ones(len(X)), X])
    prices = np.diag(np.append(lam.mean(), lam))
    b = np.linalg.solve(ones.T @ ones + prices, ones.T @ y)
    return float(b[0]), b[1:]


def intercept_is_mean_of_y(X, y, lam):
    return float(y.mean()), ridge_with_intercept(X, y, lam)[1]


def one_price_for_all(X, y, lam):
    return ridge_with_intercept(X, y, np.full(len(lam), lam.mean()))


def prices_squared(X, y, lam):
    return ridge_with_intercept(X, y, lam**2)


def prices_of_the_lasso_scaling(X, y, lam):
    return ridge_with_intercept(X, y, 2 * len(y) * lam)


def nothing_centred(X, y, lam):
    b = np.linalg.solve(X.T @ X + np.diag(lam + 1e-9), X.T @ y)
    return float(y.mean() - X.mean(axis=0) @ b), b


def elastic_net_threshold(w, lam1, lam2):
    return soft_threshold(w, lam1) / (1 + lam2)


def shrunk_before_thresholding(w, lam1, lam2):
    return soft_threshold(w / (1 + lam2), lam1)


def square_without_its_half(w, lam1, lam2):
    return soft_threshold(w, lam1) / (1 + 2 * lam2)


def square_forgotten(w, lam1, lam2):
    return soft_threshold(w, lam1)


def only_for_positive_w(w, lam1, lam2):
    return np.maximum(w - lam1, 0) / (1 + lam2)


def not_cut_at_zero(w, lam1, lam2):
    return np.sign(w) * (np.abs(w) - lam1) / (1 + lam2)


def lasso_perpendicular(X, y, lam):
    return soft_threshold(X.T @ y / len(y), lam) / (np.sum(X**2, axis=0) / len(y))


def columns_taken_as_normalised(X, y, lam):
    return soft_threshold(X.T @ y / len(y), lam)


def least_squares_then_threshold(X, y, lam):
    return soft_threshold(X.T @ y / np.sum(X**2, axis=0), lam)


def number_of_samples_forgotten(X, y, lam):
    return soft_threshold(X.T @ y, lam) / np.sum(X**2, axis=0)


def factor_half_forgotten(X, y, lam):
    return soft_threshold(X.T @ y / len(y), lam / 2) / (np.sum(X**2, axis=0) / len(y))


def price_of_budget(w, eta):
    size = np.sort(np.abs(w))[::-1]
    price = np.max((np.cumsum(size) - eta) / np.arange(1, len(size) + 1))
    return float(max(price, 0.0))


def all_coefficients_taken_as_left(w, eta):
    return float(max((np.abs(w).sum() - eta) / len(w), 0))


def signs_forgotten(w, eta):
    size = np.sort(w)[::-1]
    price = np.max((np.cumsum(size) - eta) / np.arange(1, len(size) + 1))
    return float(max(price, 0.0))


def price_may_be_negative(w, eta):
    size = np.sort(np.abs(w))[::-1]
    return float(np.max((np.cumsum(size) - eta) / np.arange(1, len(size) + 1)))


def budget_for_the_squares(w, eta):
    """Ridge's: the length of w / (1 + lam)."""
    return float(max(np.linalg.norm(w) / eta - 1, 0))


def draw_ridge(rng, n_samples=None, n_features=None):
    """Columns and target away from zero; now and then a price of zero, or few samples."""
    p = n_features or int(rng.integers(3, 6))
    n = n_samples or int(rng.integers(3, 10))
    lam = rng.uniform(0.5, 5, size=p)
    if n > p + 1 and rng.random() < 0.4:
        lam[0] = 0
    X = rng.normal(size=(n, p)) + rng.normal(size=p) + 1
    return {"X": X, "y": X @ rng.normal(size=p) + 3 + 0.5 * rng.normal(size=n), "lam": lam}


def large_columns(rng):
    case = draw_ridge(rng, n_samples=8, n_features=3)
    return {"X": 1e3 * case["X"], "y": 1e5 * case["y"], "lam": 1e6 * case["lam"]}


def all_prices_zero_but_one(rng):
    case = draw_ridge(rng, n_samples=12, n_features=4)
    return case | {"lam": np.array([0, 0, 2.5, 0])}


def draw_threshold(rng, shape=None):
    """Some entries below the threshold, some above; both signs; zero among them."""
    w = 2 * rng.normal(size=shape or int(rng.integers(3, 7)))
    w.flat[0] = abs(w.flat[0]) + 1
    w.flat[1] = -abs(w.flat[1]) - 1
    w.flat[-1] = 0
    return {"w": w, "lam1": float(rng.uniform(0.2, 0.9)), "lam2": float(rng.uniform(0.3, 2))}


def on_the_border(rng):
    return {"w": np.array([-1.5, -0.5, 0.5, 0.0, 2.0]), "lam1": 0.5, "lam2": 1.0}


def draw_perpendicular(rng, n_samples=None, n_features=None):
    """A rotation, its columns stretched; a price between the smallest and the largest effect."""
    n = n_samples or int(rng.integers(5, 9))
    p = n_features or int(rng.integers(2, min(n, 4) + 1))
    Q = np.linalg.qr(rng.normal(size=(n, p)))[0]
    X = Q * rng.uniform(1, 6, size=p)
    b = rng.normal(size=p) + np.sign(rng.normal(size=p))
    y = X @ b + 0.3 * rng.normal(size=n)
    effects = np.sort(np.abs(X.T @ y)) / n
    return {"X": X, "y": y, "lam": float(effects[0] + rng.uniform(0.1, 0.7) * np.ptp(effects))}


def free(rng):
    return draw_perpendicular(rng) | {"lam": 0.0}


def nothing_left(rng):
    case = draw_perpendicular(rng, n_samples=6, n_features=3)
    return case | {"lam": float(np.abs(case["X"].T @ case["y"]).max())}


def draw_budget(rng, n_features=None, share=None):
    """Mostly a budget for some of the coefficients; now and then one that buys them all."""
    w = 2 * rng.normal(size=n_features or int(rng.integers(3, 8)))
    w[0] = -np.abs(w).max() - 0.5
    if share is None:
        share = 1.4 if rng.random() < 0.35 else rng.uniform(0.1, 0.6)
    return {"w": w, "eta": float(share * np.abs(w).sum())}


def ties(rng):
    return {"w": np.array([2.0, -2.0, 2.0, 0.0, 1.0]), "eta": 3.0}


CHECKS = [
    Check(
        ridge_with_intercept,
        points=3,
        draw=draw_ridge,
        hint="centre X and y, solve for b with a diagonal matrix of prices, then find b0.",
        wrong={
            "intercept charged too": intercept_charged,
            "mean of y taken as the intercept": intercept_is_mean_of_y,
            "the mean price for all": one_price_for_all,
            "prices squared": prices_squared,
            "prices multiplied by 2n, as for the lasso": prices_of_the_lasso_scaling,
            "X and y not centred": nothing_centred,
        },
        edges=(
            large_columns,
            all_prices_zero_but_one,
            lambda rng: draw_ridge(rng, n_samples=3, n_features=9),
        ),
    ),
    Check(
        elastic_net_threshold,
        points=2,
        draw=draw_threshold,
        hint="for x > 0, where is the derivative zero, and for which w is that x positive?",
        wrong={
            "shrunk before thresholding": shrunk_before_thresholding,
            "the factor 1/2 of lam2 overlooked": square_without_its_half,
            "lam2 forgotten": square_forgotten,
            "negative w set to zero": only_for_positive_w,
            "sign changes instead of zero": not_cut_at_zero,
        },
        edges=(
            on_the_border,
            lambda rng: draw_threshold(rng) | {"lam1": 0.0},
            lambda rng: draw_threshold(rng) | {"lam2": 0.0},
            lambda rng: draw_threshold(rng, shape=(3, 4)),
        ),
    ),
    Check(
        lasso_perpendicular,
        points=3,
        draw=draw_perpendicular,
        hint="each b_j has a loss (a/2) b_j^2 - c b_j: what are a and c? Is lam divided too?",
        wrong={
            "columns taken as of equal length": columns_taken_as_normalised,
            "least squares, then threshold lam": least_squares_then_threshold,
            "n forgotten": number_of_samples_forgotten,
            "threshold lam / 2": factor_half_forgotten,
        },
        edges=(
            free,
            nothing_left,
            lambda rng: draw_perpendicular(rng, n_samples=12, n_features=8),
        ),
    ),
    Check(
        price_of_budget,
        points=3,
        draw=draw_budget,
        hint="if the k largest are left, they spend their sum minus k lam; which k is consistent?",
        wrong={
            "all coefficients taken as left": all_coefficients_taken_as_left,
            "signs of w forgotten": signs_forgotten,
            "price negative where the budget is large": price_may_be_negative,
            "the budget of ridge": budget_for_the_squares,
        },
        atol=1e-7,
        edges=(
            ties,
            lambda rng: draw_budget(rng, share=2.0),
            lambda rng: draw_budget(rng, n_features=30, share=0.05),
        ),
    ),
]
