"""Cross-validation on tensors: the twins of `sparsecourse.reference.cross_validation`.

The folds are index arrays, so they are dealt by the reference, alike for both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sparsecourse.functional.validation import finite_tensor, one_design_and_target
from sparsecourse.reference.cross_validation import folds


def path_errors(
    X: Tensor,
    y: Tensor,
    lams: Tensor,
    fit_path: Callable[[Tensor, Tensor, Tensor], Tensor],
    n_folds: int = 10,
    seed: int = 0,
) -> Tensor:
    """Error of each lam on each fold, when fitted to all others.

    Columns and target are centred with the means of the samples that are fitted.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    lams : Tensor, shape (n_lams,)
    fit_path : callable
        ``fit_path(X, y, lams)`` returns coefficients of shape (n_lams, n_features).
    n_folds : int, 2 to n_samples
    seed : int
        Of the shuffling before the folds are dealt.

    Returns
    -------
    errors : Tensor, shape (n_folds, n_lams)
        Mean squared error, in the squared unit of y.

    Raises
    ------
    ValueError
        If `n_folds` is out of range, `fit_path` returns another shape, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (7.50).
    """
    X, y = one_design_and_target(X, y)
    if finite_tensor("lams", lams, least_ndim=1).ndim != 1:
        raise ValueError(f"lams must be 1-D, got shape {tuple(lams.shape)}")
    errors = []
    for part in folds(len(y), n_folds, seed):
        held_out = torch.as_tensor(part, device=X.device)
        kept = torch.as_tensor(np.setdiff1d(np.arange(len(y)), part), device=X.device)
        center, level = X[kept].mean(0), y[kept].mean()
        B = fit_path(X[kept] - center, y[kept] - level, lams)
        expected = (len(lams), X.shape[1])
        if tuple(B.shape) != expected:
            raise ValueError(
                f"fit_path must return coefficients of {expected}, got {tuple(B.shape)}"
            )
        predicted = level + (X[held_out] - center) @ B.mT
        errors.append((y[held_out, None] - predicted).square().mean(0))
    return torch.stack(errors)


def one_standard_error(errors: Tensor) -> Tensor:
    """The simplest model that is no worse than the best by more than one standard error.

    Parameters
    ----------
    errors : Tensor, shape (n_folds, n_lams)
        As `path_errors` gives them, lams from the simplest model to the least simple.

    Returns
    -------
    index : Tensor of int64, 0-D

    Raises
    ------
    ValueError
        If there are fewer than two folds, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., section 7.10.1.
    """
    if finite_tensor("errors", errors, least_ndim=2).ndim != 2:
        raise ValueError(f"errors must be 2-D, got shape {tuple(errors.shape)}")
    if len(errors) < 2:
        shape = tuple(errors.shape)
        raise ValueError(f"errors must have a row for each of 2 or more folds, got {shape}")
    mean = errors.mean(0)
    best = mean.argmin()
    limit = mean[best] + errors[:, best].std() / len(errors) ** 0.5
    return (mean <= limit).int().argmax()
