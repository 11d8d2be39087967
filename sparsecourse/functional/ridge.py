"""Ridge regression on tensors: the twins of `sparsecourse.reference.ridge`.

The objective is ||y - X b||^2 + lam ||b||^2. Leading dimensions are a batch of problems.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparsecourse.functional.validation import design_and_target, finite_tensor, penalty


def closed_form(X: Tensor, y: Tensor, lam: float) -> Tensor:
    """Solve (X'X + lam I) b = X'y: for lam > 0 there is always exactly one solution.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)
    lam : float, >= 0
        What scikit-learn calls alpha.

    Returns
    -------
    b : Tensor, shape (..., n_features) or (..., n_features, n_targets)

    Raises
    ------
    ValueError
        If `lam` is negative, or so small that a matrix is singular to working precision, or on
        bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (3.44).
    """
    X, Y, is_vector = design_and_target(X, y)
    n_features = X.shape[-1]
    eye = torch.eye(n_features, dtype=X.dtype, device=X.device)
    G = X.mT @ X + penalty(lam, like=X) * eye
    if (torch.linalg.matrix_rank(G, hermitian=True) < n_features).any():
        raise ValueError(f"X'X + lam I is singular for lam = {lam}: take a larger lam, or svd_form")
    b = torch.cholesky_solve(X.mT @ Y, torch.linalg.cholesky(G))
    return b.squeeze(-1) if is_vector else b


def svd_form(X: Tensor, y: Tensor, lam: float) -> Tensor:
    """The same through X = U diag(s) V': b = V diag(s / (s^2 + lam)) U'y.

    For lam = 0 it is the minimum-norm solution of least squares.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)
    lam : float, >= 0

    Returns
    -------
    b : Tensor, shape (..., n_features) or (..., n_features, n_targets)

    Raises
    ------
    ValueError
        If `lam` is negative, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (3.47).
    """
    return path(X, y, penalty(lam, like=X).reshape(1))[0]


def path(X: Tensor, y: Tensor, lams: Tensor) -> Tensor:
    """Solutions for many lam at the price of one SVD, all at once.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)
    lams : Tensor, shape (n_lams,), >= 0

    Returns
    -------
    b : Tensor, shape (n_lams, ..., n_features) or (n_lams, ..., n_features, n_targets)

    Raises
    ------
    ValueError
        If a value of `lams` is negative, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (3.47).
    """
    X, Y, is_vector = design_and_target(X, y)
    lams = penalty(finite_tensor("lams", lams, least_ndim=1), like=X)
    if lams.ndim != 1:
        raise ValueError(f"lams must be 1-D, got shape {tuple(lams.shape)}")
    U, s, Vh = torch.linalg.svd(X, full_matrices=False)
    factors = _factors(X, s, lams.reshape(-1, *[1] * s.ndim)) / torch.where(s > 0, s, 1)
    b = Vh.mT @ (factors.unsqueeze(-1) * (U.mT @ Y))
    return b.squeeze(-1) if is_vector else b


def degrees_of_freedom(X: Tensor, lam: float) -> Tensor:
    """Effective number of coefficients: the sum of the factors s^2 / (s^2 + lam).

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    lam : float, >= 0

    Returns
    -------
    number : Tensor, shape (...)
        The rank of `X` for lam = 0, and less and less as lam grows.

    Raises
    ------
    ValueError
        If `lam` is negative, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (3.50).
    """
    X = finite_tensor("X", X, least_ndim=2)
    return _factors(X, torch.linalg.svdvals(X), penalty(lam, like=X)).sum(-1)


def _factors(X: Tensor, s: Tensor, lam: Tensor) -> Tensor:
    """How much of each direction is kept; nothing of those that count as zero in `X`."""
    limit = max(X.shape[-2:]) * torch.finfo(X.dtype).eps * s.amax(-1, keepdim=True)
    return torch.where(s > limit, s**2 / (s**2 + lam), 0)
