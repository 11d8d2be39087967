"""The lasso: minimise ||y - X b||^2 / (2n) + lam ||b||_1 over b.

Three ways to the same minimum, each stopped by the same certificate, the duality gap. (The lasso
is often written without the 1 / (2n); its lam is then 2n times the one here.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference.convergence import Solution
from sparsecourse.reference.norms import soft_threshold
from sparsecourse.reference.validation import (
    coefficients,
    count,
    design_and_one_target,
    finite_array,
    positive,
    strength,
)

Floats = NDArray[np.float64]


def lambda_max(X: ArrayLike, y: ArrayLike) -> float:
    """The smallest lam for which the solution is zero.

    At b = 0 no coefficient can leave zero as long as |x_j'y| / n <= lam for every column.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)

    Returns
    -------
    lam : float, >= 0

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Friedman, Hastie, Tibshirani, Regularization paths for generalized linear models via
    coordinate descent, JSS 2010, section 2.5.
    """
    X, y = design_and_one_target(X, y)
    return float(np.abs(X.T @ y).max() / len(y))


def objective(X: ArrayLike, y: ArrayLike, b: ArrayLike, lam: float) -> float:
    """Value of ||y - X b||^2 / (2n) + lam ||b||_1.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    b : array_like, shape (n_features,)
    lam : float, >= 0

    Returns
    -------
    value : float

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Tibshirani, Regression shrinkage and selection via the lasso, JRSS B 1996.
    """
    X, y = design_and_one_target(X, y)
    b = coefficients(X, b)
    residual = y - X @ b
    return float(residual @ residual / (2 * len(y)) + strength(lam) * np.abs(b).sum())


def duality_gap(X: ArrayLike, y: ArrayLike, b: ArrayLike, lam: float) -> float:
    """How far the objective at `b` can be from the minimum, relative to its value at zero.

    Any u with |x_j'u| <= n lam for every column bounds the minimum from below, by
    (||y||^2 - ||y - u||^2) / (2n). The residual, shrunk until it satisfies that, is such a u; at
    the solution it is the best one, and the gap closes.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    b : array_like, shape (n_features,)
    lam : float, >= 0
        For lam = 0 there is no useful bound of this kind: the gap stays the objective itself.

    Returns
    -------
    gap : float, >= 0 up to rounding
        Relative to ||y||^2 / (2n), as scikit-learn's ``2 * tol``; absolute where y = 0.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Kim et al., An interior-point method for large-scale l1-regularized least squares, IEEE
    J-STSP 2007, section III.
    """
    X, y = design_and_one_target(X, y)
    b = coefficients(X, b)
    n = len(y)
    residual = y - X @ b
    steepest = np.abs(X.T @ residual).max()
    shrink = min(1.0, n * strength(lam) / steepest) if steepest > 0 else 1.0
    below = (y @ y - np.sum((y - shrink * residual) ** 2)) / (2 * n)
    at_zero = y @ y / (2 * n)
    return float((objective(X, y, b, lam) - below) / (at_zero if at_zero > 0 else 1.0))


def coordinate_descent(
    X: ArrayLike,
    y: ArrayLike,
    lam: float,
    tol: float = 1e-6,
    max_iter: int = 1000,
    b0: ArrayLike | None = None,
) -> Solution[Floats]:
    """Minimise over one coefficient at a time, in turn, until the duality gap is below `tol`.

    For column j, with all other coefficients fixed, the problem is the one of a single variable:
    the least-squares coefficient on the partial residual, soft-thresholded.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    lam : float, >= 0
        What scikit-learn calls alpha.
    tol : float, > 0
        Bound on the relative duality gap.
    max_iter : int, >= 0
        Sweeps over all columns.
    b0 : array_like, shape (n_features,), optional
        Where to start. Default: zero.

    Returns
    -------
    solution : Solution, with coef of shape (n_features,)

    Raises
    ------
    ValueError
        If `lam` is negative, `tol` is not positive, `max_iter` is negative or not whole, or on bad
        input.

    References
    ----------
    Friedman et al., Pathwise coordinate optimization, AOAS 2007, section 2.
    """
    X, y, lam, b = _prepare(X, y, lam, tol, b0)
    max_iter = count("max_iter", max_iter)
    n, p = X.shape
    scale = np.sum(X**2, axis=0) / n
    residual = y - X @ b
    gap, sweeps = duality_gap(X, y, b, lam), 0
    while gap > tol and sweeps < max_iter:
        for j in range(p):
            if scale[j] == 0:  # an empty column explains nothing
                b[j] = 0
                continue
            z = X[:, j] @ residual / n + scale[j] * b[j]
            new = soft_threshold(z, lam) / scale[j]
            residual -= X[:, j] * (new - b[j])
            b[j] = new
        sweeps += 1
        gap = duality_gap(X, y, b, lam)
    return Solution(b, gap, sweeps).warn_unless(tol)


def ista(
    X: ArrayLike,
    y: ArrayLike,
    lam: float,
    tol: float = 1e-6,
    max_iter: int = 10000,
    b0: ArrayLike | None = None,
) -> Solution[Floats]:
    """Gradient step on the smooth part, soft threshold for the other, again and again.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    lam : float, >= 0
    tol : float, > 0
        Bound on the relative duality gap.
    max_iter : int, >= 0
    b0 : array_like, shape (n_features,), optional
        Where to start. Default: zero.

    Returns
    -------
    solution : Solution, with coef of shape (n_features,)

    Raises
    ------
    ValueError
        If `lam` is negative, `tol` is not positive, `max_iter` is negative or not whole, or on bad
        input.

    References
    ----------
    Beck, Teboulle, A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sci. 2009,
    eq. (1.4).
    """
    X, y, lam, b = _prepare(X, y, lam, tol, b0)
    max_iter = count("max_iter", max_iter)
    step = _step_length(X)
    gap, steps = duality_gap(X, y, b, lam), 0
    while gap > tol and steps < max_iter:
        b = _proximal_step(X, y, lam, b, step)
        steps += 1
        gap = duality_gap(X, y, b, lam)
    return Solution(b, gap, steps).warn_unless(tol)


def fista(
    X: ArrayLike,
    y: ArrayLike,
    lam: float,
    tol: float = 1e-6,
    max_iter: int = 10000,
    b0: ArrayLike | None = None,
) -> Solution[Floats]:
    """As `ista`, but step from a point beyond the last iterate, in the direction it came.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    lam : float, >= 0
    tol : float, > 0
        Bound on the relative duality gap.
    max_iter : int, >= 0
    b0 : array_like, shape (n_features,), optional
        Where to start. Default: zero.

    Returns
    -------
    solution : Solution, with coef of shape (n_features,)

    Raises
    ------
    ValueError
        If `lam` is negative, `tol` is not positive, `max_iter` is negative or not whole, or on bad
        input.

    References
    ----------
    Beck, Teboulle, A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sci. 2009,
    eqs. (4.1) to (4.3).
    """
    X, y, lam, b = _prepare(X, y, lam, tol, b0)
    max_iter = count("max_iter", max_iter)
    step = _step_length(X)
    beyond, t = b, 1.0
    gap, steps = duality_gap(X, y, b, lam), 0
    while gap > tol and steps < max_iter:
        before, b = b, _proximal_step(X, y, lam, beyond, step)
        t_before, t = t, (1 + np.sqrt(1 + 4 * t**2)) / 2
        beyond = b + (t_before - 1) / t * (b - before)
        steps += 1
        gap = duality_gap(X, y, b, lam)
    return Solution(b, gap, steps).warn_unless(tol)


def path(
    X: ArrayLike, y: ArrayLike, lams: ArrayLike, tol: float = 1e-6, max_iter: int = 1000
) -> list[Solution[Floats]]:
    """Solutions for many lam by coordinate descent, each started from the one before.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    lams : array_like, shape (n_lams,), >= 0
        Best from large to small: the path then starts at zero and grows.
    tol : float, > 0
    max_iter : int, >= 0

    Returns
    -------
    solutions : list of Solution, one for each of `lams`

    Raises
    ------
    ValueError
        If a value of `lams` is negative, `tol` is not positive, or on bad input.

    References
    ----------
    Friedman, Hastie, Tibshirani, Regularization paths for generalized linear models via
    coordinate descent, JSS 2010, section 2.5.
    """
    solutions: list[Solution[Floats]] = []
    for lam in finite_array("lams", lams, ndim=(1,)):
        start = solutions[-1].coef if solutions else None
        solutions.append(coordinate_descent(X, y, float(lam), tol, max_iter, start))
    return solutions


def _prepare(
    X: ArrayLike, y: ArrayLike, lam: float, tol: float, b0: ArrayLike | None
) -> tuple[Floats, Floats, float, Floats]:
    X, y = design_and_one_target(X, y)
    positive("tol", tol)
    start = np.zeros(X.shape[1]) if b0 is None else coefficients(X, b0)
    return X, y, strength(lam), start


def _step_length(X: Floats) -> float:
    """1 / L, where L is the largest curvature of ||y - X b||^2 / (2n)."""
    largest = float(np.linalg.norm(X, ord=2))
    return len(X) / (largest * largest) if largest * largest > 0 else 1.0


def _proximal_step(X: Floats, y: Floats, lam: float, b: Floats, step: float) -> Floats:
    gradient = X.T @ (X @ b - y) / len(y)
    return soft_threshold(b - step * gradient, step * lam)
