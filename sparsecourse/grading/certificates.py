"""Certificates of optimisation problems: they tell how good an answer is without knowing a better.

Each takes a result and the arguments that the student's function got, and returns the duality gap,
relative to the objective at zero (absolute where that is 0): no other answer can be better by more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def lasso(b: Floats, X: Floats, y: Floats, lam: float, w: Floats | None = None) -> float:
    """Gap of ||y - X b||^2 / (2n) + lam sum_j w_j |b_j|, with w_j = 1 unless given.

    Parameters
    ----------
    b : ndarray, shape (n_features,)
    X : ndarray, shape (n_samples, n_features)
    y : ndarray, shape (n_samples,)
    lam : float, > 0
    w : ndarray, shape (n_features,), > 0, optional

    Returns
    -------
    gap : float
    """
    w = np.ones(len(b)) if w is None else w
    return _gap(b, X, y, lam, lam * w @ np.abs(b), lambda g: (np.abs(g) / w).max())


def nonnegative_lasso(b: Floats, X: Floats, y: Floats, lam: float) -> float:
    """Gap of ||y - X b||^2 / (2n) + lam sum_j b_j with all b_j >= 0; infinite where one is not.

    Parameters
    ----------
    b : ndarray, shape (n_features,)
    X : ndarray, shape (n_samples, n_features)
    y : ndarray, shape (n_samples,)
    lam : float, > 0

    Returns
    -------
    gap : float
    """
    if (b < 0).any():
        return np.inf
    return _gap(b, X, y, lam, lam * b.sum(), lambda g: max(g.max(), 0.0))


def group_lasso(
    b: Floats, X: Floats, y: Floats, labels: NDArray, lam: float, w: Floats | None = None
) -> float:
    """Gap of ||y - X b||^2 / (2n) + lam sum_g w_g ||b_g||, with w_g = 1 unless given.

    Parameters
    ----------
    b : ndarray, shape (n_features,)
    X : ndarray, shape (n_samples, n_features)
    y : ndarray, shape (n_samples,)
    labels : ndarray of int, shape (n_features,)
        The number of each column's group, from 0.
    lam : float, > 0
    w : ndarray, shape (n_groups,), > 0, optional

    Returns
    -------
    gap : float
    """
    n_groups = int(labels.max()) + 1
    w = np.ones(n_groups) if w is None else w

    def lengths(v: Floats) -> Floats:
        return np.sqrt(np.bincount(labels, weights=v**2, minlength=n_groups))

    return _gap(b, X, y, lam, lam * w @ lengths(b), lambda g: (lengths(g) / w).max())


def _gap(b: Floats, X: Floats, y: Floats, lam: float, penalty: float, least_lam: Callable) -> float:
    """The residual, shrunk until it could hold all of b at zero, bounds the minimum from below."""
    n = len(y)
    residual = y - X @ b
    steepest = least_lam(X.T @ residual / n)
    shrink = min(1.0, lam / steepest) if steepest > 0 else 1.0
    below = (y @ y - np.sum((y - shrink * residual) ** 2)) / (2 * n)
    at_zero = y @ y / (2 * n)
    value = residual @ residual / (2 * n) + penalty
    return float((value - below) / (at_zero if at_zero > 0 else 1.0))


CERTIFICATES = {function.__name__: function for function in (lasso, nonnegative_lasso, group_lasso)}
