"""At most k non-zero coefficients: by trying all sets, by adding one at a time, by cutting off."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference.least_squares import solve_minimum_norm
from sparsecourse.reference.validation import count, design_and_one_target, finite_array

Floats = NDArray[np.float64]
SUBSETS_AT_MOST = 200_000


def best_subset(X: ArrayLike, y: ArrayLike, k: int) -> Floats:
    """Try every set of k columns, and keep the one with the smallest residual sum of squares.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    k : int, 0 to n_features

    Returns
    -------
    b : ndarray, shape (n_features,), with at most k entries that are not zero

    Raises
    ------
    ValueError
        If `k` is out of range, if there are more than SUBSETS_AT_MOST sets, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., section 3.3.1.
    """
    X, y, k = _prepare(X, y, k)
    p = X.shape[1]
    if comb(p, k) > SUBSETS_AT_MOST:
        raise ValueError(
            f"{p} columns have {comb(p, k)} sets of {k}, more than can be tried "
            f"({SUBSETS_AT_MOST}): omp and iht are made for that"
        )
    candidates = (_fit_on(X, y, list(columns)) for columns in combinations(range(p), k))
    return min(candidates, key=lambda b: float(np.sum((y - X @ b) ** 2)))


def omp(X: ArrayLike, y: ArrayLike, k: int) -> Floats:
    """Orthogonal matching pursuit: add the column most correlated with the residual, fit anew.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    k : int, 0 to n_features

    Returns
    -------
    b : ndarray, shape (n_features,), with at most k entries that are not zero
        Fewer where the residual is zero before: nothing is then left to explain.

    Raises
    ------
    ValueError
        If `k` is out of range, or on bad input.

    References
    ----------
    Pati, Rezaiifar, Krishnaprasad, Orthogonal matching pursuit, Asilomar 1993.
    """
    X, y, k = _prepare(X, y, k)
    length = np.linalg.norm(X, axis=0)
    chosen: list[int] = []
    b = np.zeros(X.shape[1])
    for _ in range(k):
        residual = y - X @ b
        correlation = np.abs(X.T @ residual) / np.where(length > 0, length, 1)
        correlation[chosen] = 0  # but for rounding
        best = int(correlation.argmax())
        # What is left is rounding: a column chosen for it would mean nothing.
        if correlation[best] <= len(y) * np.finfo(np.float64).eps * np.linalg.norm(y):
            break
        chosen.append(best)
        b = _fit_on(X, y, chosen)
    return b


def keep_largest(w: ArrayLike, k: int) -> Floats:
    """Set all but the k entries of largest size to zero; the earlier one stays where two tie.

    Parameters
    ----------
    w : array_like, shape (n_features,)
    k : int, 0 to n_features

    Returns
    -------
    x : ndarray, shape (n_features,)

    Raises
    ------
    ValueError
        If `k` is out of range, or on bad input.

    References
    ----------
    Blumensath, Davies, Iterative hard thresholding for compressed sensing, ACHA 2009.
    """
    w = finite_array("w", w, ndim=(1,))
    kept = np.argsort(-np.abs(w), kind="stable")[: _in_range(k, len(w))]
    x = np.zeros_like(w)
    x[kept] = w[kept]
    return x


def iht(X: ArrayLike, y: ArrayLike, k: int, n_iter: int = 100) -> Floats:
    """Iterative hard thresholding: a gradient step, then keep the k largest, again and again.

    The step is 1 / L, so that the residual never grows; on the columns found, the last fit is
    least squares.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    k : int, 0 to n_features
    n_iter : int, >= 0

    Returns
    -------
    b : ndarray, shape (n_features,), with at most k entries that are not zero

    Raises
    ------
    ValueError
        If `k` is out of range, `n_iter` is negative or not whole, or on bad input.

    References
    ----------
    Blumensath, Davies, Iterative hard thresholding for compressed sensing, ACHA 2009.
    """
    X, y, k = _prepare(X, y, k)
    largest = np.linalg.norm(X, ord=2)
    b = np.zeros(X.shape[1])
    for _ in range(count("n_iter", n_iter)):
        if largest > 0:
            b = keep_largest(b + X.T @ (y - X @ b) / largest**2, k)
    return _fit_on(X, y, list(np.flatnonzero(b)))


def _prepare(X: ArrayLike, y: ArrayLike, k: int) -> tuple[Floats, Floats, int]:
    X, y = design_and_one_target(X, y)
    return X, y, _in_range(k, X.shape[1])


def _in_range(k: int, n_features: int) -> int:
    if count("k", k) > n_features:
        raise ValueError(f"k must be at most the number of features, {n_features}, got {k}")
    return k


def _fit_on(X: Floats, y: Floats, columns: list[int]) -> Floats:
    """Least squares on some columns, zero elsewhere."""
    b = np.zeros(X.shape[1])
    if columns:
        b[columns] = solve_minimum_norm(X[:, columns], y)
    return b
