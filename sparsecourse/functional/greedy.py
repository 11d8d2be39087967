"""At most k non-zero coefficients, on tensors: the twins of `sparsecourse.reference.greedy`.

One problem at a time; dtype and device are kept.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import torch
from torch import Tensor

from sparsecourse.functional.least_squares import solve_minimum_norm
from sparsecourse.functional.validation import finite_tensor, one_design_and_target
from sparsecourse.reference.greedy import SUBSETS_AT_MOST
from sparsecourse.reference.validation import count

SUBSETS_AT_ONCE = 20_000


def best_subset(X: Tensor, y: Tensor, k: int) -> Tensor:
    """Try every set of k columns, many at once, and keep the smallest residual sum of squares.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    k : int, 0 to n_features

    Returns
    -------
    b : Tensor, shape (n_features,), with at most k entries that are not zero

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
    # The triangular factor of [X y] has the same residuals, and at most p + 1 rows.
    R = torch.linalg.qr(torch.cat([X, y[:, None]], dim=1), mode="r").R
    best, smallest = torch.zeros_like(X[0]), torch.inf
    if k == 0:
        return best
    sets = torch.tensor(list(combinations(range(p), k)), device=X.device)
    for some in torch.split(sets, SUBSETS_AT_ONCE):
        columns = R[:, some].movedim(1, 0)
        target = R[:, -1].expand(len(some), -1)
        fitted = columns @ solve_minimum_norm(columns, target)[..., None]
        residual = (target - fitted.squeeze(-1)).square().sum(-1)
        at = int(residual.argmin())
        if residual[at] < smallest:
            smallest = float(residual[at])
            best = _fit_on(X, y, some[at])
    return best


def omp(X: Tensor, y: Tensor, k: int) -> Tensor:
    """Orthogonal matching pursuit: add the column most correlated with the residual, fit anew.

    The fits share an orthonormal basis of the columns chosen, which grows by one vector a step.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    k : int, 0 to n_features

    Returns
    -------
    b : Tensor, shape (n_features,), with at most k entries that are not zero
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
    length = torch.linalg.vector_norm(X, dim=0)
    length = torch.where(length > 0, length, 1)
    rounding = len(y) * torch.finfo(X.dtype).eps * torch.linalg.vector_norm(y)
    Q = X.new_zeros(len(y), 0)
    chosen: list[int] = []
    residual = y
    for _ in range(k):
        correlation = (X.T @ residual).abs() / length
        correlation[chosen] = 0
        best = int(correlation.argmax())
        if correlation[best] <= rounding:
            break
        chosen.append(best)
        q = X[:, best] / length[best]
        for _ in range(2):  # once leaves rounding behind
            q = q - Q @ (Q.T @ q)
        q = q / torch.linalg.vector_norm(q)
        Q = torch.cat([Q, q[:, None]], dim=1)
        residual = residual - q * (q @ residual)
    return _fit_on(X, y, torch.tensor(chosen, dtype=torch.int64, device=X.device))


def keep_largest(w: Tensor, k: int) -> Tensor:
    """Set all but the k entries of largest size to zero; the earlier one stays where two tie.

    Parameters
    ----------
    w : Tensor, shape (n_features,)
    k : int, 0 to n_features

    Returns
    -------
    x : Tensor, shape (n_features,)

    Raises
    ------
    ValueError
        If `k` is out of range, or on bad input.

    References
    ----------
    Blumensath, Davies, Iterative hard thresholding for compressed sensing, ACHA 2009.
    """
    w = finite_tensor("w", w, least_ndim=1)
    if w.ndim != 1:
        raise ValueError(f"w must be 1-D, got shape {tuple(w.shape)}")
    kept = torch.sort(w.abs(), descending=True, stable=True).indices[: _in_range(k, len(w))]
    x = torch.zeros_like(w)
    x[kept] = w[kept]
    return x


def iht(X: Tensor, y: Tensor, k: int, n_iter: int = 100) -> Tensor:
    """Iterative hard thresholding: a gradient step, then keep the k largest, again and again.

    The step is 1 / L, so that the residual never grows; on the columns found, the last fit is
    least squares.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    k : int, 0 to n_features
    n_iter : int, >= 0

    Returns
    -------
    b : Tensor, shape (n_features,), with at most k entries that are not zero

    Raises
    ------
    ValueError
        If `k` is out of range, `n_iter` is negative or not whole, or on bad input.

    References
    ----------
    Blumensath, Davies, Iterative hard thresholding for compressed sensing, ACHA 2009.
    """
    X, y, k = _prepare(X, y, k)
    largest = torch.linalg.matrix_norm(X, ord=2)
    step = torch.where(largest > 0, largest, torch.inf) ** -2
    b = torch.zeros_like(X[0])
    for _ in range(count("n_iter", n_iter)):
        b = keep_largest(b + step * (X.T @ (y - X @ b)), k)
    return _fit_on(X, y, torch.nonzero(b).squeeze(-1))


def _prepare(X: Tensor, y: Tensor, k: int) -> tuple[Tensor, Tensor, int]:
    X, y = one_design_and_target(X, y)
    return X, y, _in_range(k, X.shape[1])


def _in_range(k: int, n_features: int) -> int:
    if count("k", k) > n_features:
        raise ValueError(f"k must be at most the number of features, {n_features}, got {k}")
    return k


def _fit_on(X: Tensor, y: Tensor, columns: Tensor) -> Tensor:
    """Least squares on some columns, zero elsewhere."""
    b = torch.zeros_like(X[0])
    if len(columns) > 0:
        b[columns] = solve_minimum_norm(X[:, columns], y)
    return b
