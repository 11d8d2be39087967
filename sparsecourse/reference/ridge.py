"""Ridge regression: minimise ||y - X b||^2 + lam ||b||^2 over b."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_triangular

from sparsecourse.reference.validation import design_and_target, finite_array, penalty

Floats = NDArray[np.float64]


def closed_form(X: ArrayLike, y: ArrayLike, lam: float) -> Floats:
    """Solve (X'X + lam I) b = X'y: for lam > 0 there is always exactly one solution.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,) or (n_samples, n_targets)
    lam : float, >= 0
        What scikit-learn calls alpha.

    Returns
    -------
    b : ndarray, shape (n_features,) or (n_features, n_targets)

    Raises
    ------
    ValueError
        If `lam` is negative, or so small that the matrix is singular to working precision, or on
        bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (3.44).
    """
    X, y = design_and_target(X, y)
    lam = float(penalty(lam))
    G = X.T @ X + lam * np.eye(X.shape[1])
    if np.linalg.matrix_rank(G, hermitian=True) < len(G):
        raise ValueError(f"X'X + lam I is singular for lam = {lam}: take a larger lam, or svd_form")
    L = np.linalg.cholesky(G)
    return solve_triangular(L.T, solve_triangular(L, X.T @ y, lower=True))


def svd_form(X: ArrayLike, y: ArrayLike, lam: float) -> Floats:
    """The same through X = U diag(s) V': b = V diag(s / (s^2 + lam)) U'y.

    Along each direction of V, ridge is least squares times s^2 / (s^2 + lam): weak directions are
    shrunk most. For lam = 0 it is the minimum-norm solution of least squares.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,) or (n_samples, n_targets)
    lam : float, >= 0

    Returns
    -------
    b : ndarray, shape (n_features,) or (n_features, n_targets)

    Raises
    ------
    ValueError
        If `lam` is negative, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (3.47).
    """
    return path(X, y, [float(penalty(lam))])[0]


def path(X: ArrayLike, y: ArrayLike, lams: ArrayLike) -> Floats:
    """Solutions for many lam at the price of one SVD.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,) or (n_samples, n_targets)
    lams : array_like, shape (n_lams,), >= 0

    Returns
    -------
    b : ndarray, shape (n_lams, n_features) or (n_lams, n_features, n_targets)

    Raises
    ------
    ValueError
        If a value of `lams` is negative, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (3.47).
    """
    X, y = design_and_target(X, y)
    lams = penalty(finite_array("lams", lams, ndim=(1,)))
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    kept = s > max(X.shape) * np.finfo(np.float64).eps * s.max()
    U, s, Vt = U[:, kept], s[kept], Vt[kept]
    return np.array([Vt.T @ ((U.T @ y).T * (s / (s**2 + lam))).T for lam in lams])


def degrees_of_freedom(X: ArrayLike, lam: float) -> float:
    """Effective number of coefficients: the sum of the factors s^2 / (s^2 + lam).

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    lam : float, >= 0

    Returns
    -------
    number : float
        The rank of `X` for lam = 0, and less and less as lam grows.

    Raises
    ------
    ValueError
        If `lam` is negative, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (3.50).
    """
    X = finite_array("X", X, ndim=(2,))
    lam = float(penalty(lam))
    s = np.linalg.svd(X, compute_uv=False)
    s = s[s > max(X.shape) * np.finfo(np.float64).eps * s.max()]
    return float(np.sum(s**2 / (s**2 + lam)))
