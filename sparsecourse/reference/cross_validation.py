"""Cross-validation of a path: which lam predicts best on samples that the fit has not seen?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference.validation import count, design_and_one_target, finite_array

Floats = NDArray[np.float64]


def folds(n_samples: int, n_folds: int = 10, seed: int = 0) -> list[NDArray[np.int64]]:
    """Deal the samples out, shuffled, into parts that differ in size by at most one.

    Parameters
    ----------
    n_samples : int
    n_folds : int, 2 to `n_samples`
    seed : int

    Returns
    -------
    parts : list of ndarray of int64, each of shape (fold_size,)
        The samples of each fold; every sample is in exactly one.

    Raises
    ------
    ValueError
        If `n_folds` is out of range.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., section 7.10.1.
    """
    if not 2 <= count("n_folds", n_folds) <= n_samples:
        raise ValueError(f"n_folds must be from 2 to the {n_samples} samples, got {n_folds}")
    return np.array_split(np.random.default_rng(seed).permutation(n_samples), n_folds)


def path_errors(
    X: ArrayLike,
    y: ArrayLike,
    lams: ArrayLike,
    fit_path: Callable[[Floats, Floats, Floats], ArrayLike],
    n_folds: int = 10,
    seed: int = 0,
) -> Floats:
    """Error of each lam on each fold, when fitted to all others.

    Columns and target are centred with the means of the samples that are fitted, which gives the
    model an intercept without penalising it.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    lams : array_like, shape (n_lams,)
    fit_path : callable
        ``fit_path(X, y, lams)`` returns coefficients of shape (n_lams, n_features).
    n_folds : int, 2 to n_samples
    seed : int
        Of the shuffling before the folds are dealt.

    Returns
    -------
    errors : ndarray, shape (n_folds, n_lams)
        Mean squared error, in the squared unit of y.

    Raises
    ------
    ValueError
        If `n_folds` is out of range, `fit_path` returns another shape, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (7.50).
    """
    X, y = design_and_one_target(X, y)
    lams = finite_array("lams", lams, ndim=(1,))
    errors = []
    for held_out in folds(len(y), n_folds, seed):
        kept = np.setdiff1d(np.arange(len(y)), held_out)
        center, level = X[kept].mean(axis=0), y[kept].mean()
        B = np.asarray(fit_path(X[kept] - center, y[kept] - level, lams))
        if B.shape != (len(lams), X.shape[1]):
            expected = (len(lams), X.shape[1])
            raise ValueError(f"fit_path must return coefficients of {expected}, got {B.shape}")
        predicted = level + (X[held_out] - center) @ B.T
        errors.append(np.mean((y[held_out, None] - predicted) ** 2, axis=0))
    return np.array(errors)


def one_standard_error(errors: ArrayLike) -> int:
    """The simplest model that is no worse than the best by more than one standard error.

    Parameters
    ----------
    errors : array_like, shape (n_folds, n_lams)
        As `path_errors` gives them, lams from the simplest model to the least simple.

    Returns
    -------
    index : int

    Raises
    ------
    ValueError
        If there are fewer than two folds, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., section 7.10.1.
    """
    errors = finite_array("errors", errors, ndim=(2,))
    if len(errors) < 2:
        raise ValueError(f"errors must have a row for each of 2 or more folds, got {errors.shape}")
    mean = errors.mean(axis=0)
    best = int(mean.argmin())
    limit = mean[best] + errors[:, best].std(ddof=1) / np.sqrt(len(errors))
    return int(np.flatnonzero(mean <= limit)[0])
