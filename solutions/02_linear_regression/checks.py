"""What the functions of exercise 02 must do, and mistakes that must be noticed."""

import numpy as np

from sparsecourse.grading.checks import Check
from sparsecourse.reference.least_squares import polynomial_features, solve_minimum_norm


def fit_with_intercept(X, y):
    b = solve_minimum_norm(X - X.mean(axis=0), y - y.mean())
    return float(y.mean() - X.mean(axis=0) @ b), b


def intercept_left_out(X, y):
    return 0.0, solve_minimum_norm(X, y)


def intercept_is_mean_of_y(X, y):
    return float(y.mean()), solve_minimum_norm(X - X.mean(axis=0), y - y.mean())


def target_not_centred(X, y):
    b = solve_minimum_norm(X, y - y.mean())
    return float(y.mean() - X.mean(axis=0) @ b), b


def weighted_least_squares(X, y, w):
    root = np.sqrt(w)
    return solve_minimum_norm(root[:, None] * X, root * y)


def weights_squared(X, y, w):
    return solve_minimum_norm(w[:, None] * X, w * y)


def weights_ignored(X, y, w):
    return solve_minimum_norm(X, y)


def only_target_weighted(X, y, w):
    return solve_minimum_norm(X, w * y)


def closest_solution(X, y, start):
    return start + solve_minimum_norm(X, y - X @ start)


def start_ignored(X, y, start):
    return solve_minimum_norm(X, y)


def start_added_to_full_fit(X, y, start):
    return start + solve_minimum_norm(X, y)


def only_for_wide_matrices(X, y, start):
    return start + X.T @ np.linalg.solve(X @ X.T, y - X @ start)


def losses(x_train, y_train, x_validation, y_validation, max_degree):
    """Training and validation loss at each degree."""
    pairs = []
    for degree in range(max_degree + 1):
        b = solve_minimum_norm(polynomial_features(x_train, degree), y_train)
        pairs.append(
            [
                np.mean((y - polynomial_features(x, degree) @ b) ** 2)
                for x, y in ((x_train, y_train), (x_validation, y_validation))
            ]
        )
    return np.array(pairs)


def best_degree(x_train, y_train, x_validation, y_validation, max_degree):
    return int(losses(x_train, y_train, x_validation, y_validation, max_degree)[:, 1].argmin())


def chosen_on_training_data(x_train, y_train, x_validation, y_validation, max_degree):
    return int(losses(x_train, y_train, x_validation, y_validation, max_degree)[:, 0].argmin())


def fitted_on_validation_data(x_train, y_train, x_validation, y_validation, max_degree):
    return int(losses(x_validation, y_validation, x_train, y_train, max_degree)[:, 1].argmin())


def highest_degree_left_out(x_train, y_train, x_validation, y_validation, max_degree):
    return best_degree(x_train, y_train, x_validation, y_validation, max(max_degree - 1, 0))


def draw_regression(rng, n_samples=None, n_features=None):
    """More samples than features unless told; columns and target away from zero."""
    p = n_features or int(rng.integers(1, 5))
    n = n_samples or p + int(rng.integers(2, 8))
    X = rng.normal(size=(n, p)) + rng.normal(size=p)
    return {"X": X, "y": X @ rng.normal(size=p) + 3 + 0.5 * rng.normal(size=n)}


def draw_weighted(rng, **shape):
    """Weights between 0.1 and 4; in half of the cases the first sample does not count."""
    case = draw_regression(rng, **shape)
    w = rng.uniform(0.1, 4, size=len(case["y"]))
    if rng.random() < 0.5:
        w[0] = 0
    return case | {"w": w}


def draw_any_shape(rng, n_samples=None, n_features=None):
    """Few samples, few features, more of either; now and then a row twice."""
    n = n_samples or int(rng.integers(1, 5))
    p = n_features or int(rng.integers(1, 6))
    X = rng.normal(size=(n, p))
    if rng.random() < 0.4:
        X[-1] = X[0]
    return {
        "X": X,
        "y": rng.normal(size=n),
        "start": rng.normal(size=p),
    }


def draw_polynomial(rng, max_degree=None, coefficients=None):
    """Noisy samples of a polynomial, of random degree unless told, on [-1, 1]."""
    if coefficients is None:
        coefficients = rng.normal(size=int(rng.integers(1, 6)))

    def sample(n):
        x = rng.uniform(-1, 1, size=n)
        return x, np.polynomial.polynomial.polyval(x, coefficients) + 0.2 * rng.normal(size=n)

    x_train, y_train = sample(12)
    x_validation, y_validation = sample(30)
    return {
        "x_train": x_train,
        "y_train": y_train,
        "x_validation": x_validation,
        "y_validation": y_validation,
        "max_degree": int(rng.integers(4, 9)) if max_degree is None else max_degree,
    }


def large_values(rng):
    case = draw_regression(rng)
    return {"X": 1e4 * case["X"], "y": 1e6 * case["y"]}


def some_weights_zero(rng):
    case = draw_weighted(rng, n_samples=9, n_features=3)
    case["w"][:4] = 0
    return case


CHECKS = [
    Check(
        fit_with_intercept,
        points=2,
        draw=draw_regression,
        hint="the fit passes through the mean of X and the mean of y: which b0 makes it so?",
        wrong={
            "intercept left out": intercept_left_out,
            "mean of y taken as the intercept": intercept_is_mean_of_y,
            "only y centred": target_not_centred,
        },
        edges=(large_values, lambda rng: draw_regression(rng, n_samples=40, n_features=12)),
    ),
    Check(
        weighted_least_squares,
        points=3,
        draw=draw_weighted,
        hint="which factor on a row makes its squared residual count w times?",
        wrong={
            "rows multiplied by w, not its root": weights_squared,
            "weights ignored": weights_ignored,
            "only y weighted": only_target_weighted,
        },
        edges=(some_weights_zero, lambda rng: draw_weighted(rng, n_samples=30, n_features=10)),
    ),
    Check(
        closest_solution,
        points=3,
        draw=draw_any_shape,
        hint="write b = start + d: which least-squares problem does the step d solve, and which d?",
        wrong={
            "start ignored": start_ignored,
            "step fitted to y instead of the residual": start_added_to_full_fit,
            "only for matrices with fewer rows than columns": only_for_wide_matrices,
        },
        edges=(
            lambda rng: draw_any_shape(rng, n_samples=9, n_features=3),
            lambda rng: draw_any_shape(rng, n_samples=1, n_features=1),
        ),
    ),
    Check(
        best_degree,
        points=3,
        draw=draw_polynomial,
        hint="fit on the training samples, judge on the validation samples, try 0 to max_degree.",
        wrong={
            "chosen on the training data": chosen_on_training_data,
            "fitted on the validation data": fitted_on_validation_data,
            "highest degree left out": highest_degree_left_out,
        },
        edges=(
            lambda rng: draw_polynomial(rng, max_degree=0),
            lambda rng: draw_polynomial(rng, max_degree=2, coefficients=[1, -1, 5]),
        ),
    ),
]
