"""Linear least squares: minimise ||y - X b||^2 over b, in the four classical ways.

Where the columns of `X` are linearly dependent, many `b` are equally good: two of the ways refuse,
`solve_minimum_norm` returns the shortest, and gradient descent from zero walks towards that one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_triangular

from sparsecourse.reference.validation import count, design_and_target, finite_array

Floats = NDArray[np.float64]
EPS = np.finfo(np.float64).eps


def solve_normal_equations(X: ArrayLike, y: ArrayLike) -> Floats:
    """Solve X'X b = X'y by a Cholesky factorisation: fast, but it squares the condition number.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,) or (n_samples, n_targets)

    Returns
    -------
    b : ndarray, shape (n_features,) or (n_features, n_targets)

    Raises
    ------
    ValueError
        If X'X is singular to working precision, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (3.6).
    """
    X, y = design_and_target(X, y)
    G = X.T @ X
    if np.linalg.matrix_rank(G, hermitian=True) < len(G):
        raise _no_unique_solution(X)
    L = np.linalg.cholesky(G)
    return solve_triangular(L.T, solve_triangular(L, X.T @ y, lower=True))


def solve_qr(X: ArrayLike, y: ArrayLike) -> Floats:
    """Solve R b = Q'y where X = QR: works on X itself, so keeps its condition number.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,) or (n_samples, n_targets)

    Returns
    -------
    b : ndarray, shape (n_features,) or (n_features, n_targets)

    Raises
    ------
    ValueError
        If the columns of `X` are linearly dependent to working precision, or on bad input.

    References
    ----------
    Golub, Van Loan, Matrix Computations, 4th ed., section 5.3.2.
    """
    X, y = design_and_target(X, y)
    Q, R = np.linalg.qr(X)
    if np.linalg.matrix_rank(R) < X.shape[1]:
        raise _no_unique_solution(X)
    return solve_triangular(R, Q.T @ y)


def solve_minimum_norm(X: ArrayLike, y: ArrayLike, rcond: float | None = None) -> Floats:
    """Of all b that minimise ||y - X b||, return the one with the smallest ||b||, by the SVD.

    With X = U diag(s) V', it is b = V diag(1/s) U'y, where a singular value that counts as zero
    contributes nothing instead of 1/0.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,) or (n_samples, n_targets)
    rcond : float in [0, 1), optional
        Singular values up to ``rcond * s.max()`` count as zero.
        Default: ``max(n_samples, n_features)`` times the machine precision.

    Returns
    -------
    b : ndarray, shape (n_features,) or (n_features, n_targets)

    Raises
    ------
    ValueError
        If `rcond` is outside [0, 1), or on bad input.

    References
    ----------
    Golub, Van Loan, Matrix Computations, 4th ed., theorem 5.5.1.
    """
    X, y = design_and_target(X, y)
    if rcond is None:
        rcond = max(X.shape) * EPS
    if not 0 <= rcond < 1:
        raise ValueError(f"rcond must be in [0, 1), got {rcond}")
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    kept = s > rcond * s.max()
    return Vt[kept].T @ ((U[:, kept].T @ y).T / s[kept]).T


def gradient_descent(X: ArrayLike, y: ArrayLike, n_iter: int, step: float | None = None) -> Floats:
    """Minimise ||y - X b||^2 / (2n) from b = 0 by gradient steps, and keep every iterate.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,) or (n_samples, n_targets)
    n_iter : int, >= 0
    step : float, > 0, optional
        Step length. Default: 1 / L, where L = s.max()^2 / n is the largest curvature.

    Returns
    -------
    path : ndarray, shape (n_iter + 1, n_features) or (n_iter + 1, n_features, n_targets)
        ``path[k]`` is b after k steps; ``path[0]`` is zero.

    Raises
    ------
    ValueError
        If `n_iter` is negative or not whole, `step` is not positive, or on bad input.

    References
    ----------
    Nesterov, Introductory Lectures on Convex Optimization, 2004, section 2.1.5.
    """
    X, y = design_and_target(X, y)
    n_iter = count("n_iter", n_iter)
    n_samples, n_features = X.shape
    largest = np.linalg.norm(X, ord=2)
    if step is None:
        step = n_samples / largest**2 if largest > 0 else 1.0
    if not step > 0:
        raise ValueError(f"step must be > 0, got {step}")
    path = np.zeros((n_iter + 1, n_features, *y.shape[1:]))
    for k in range(n_iter):
        gradient = X.T @ (X @ path[k] - y) / n_samples
        path[k + 1] = path[k] - step * gradient
    return path


def condition_number(X: ArrayLike) -> float:
    """Ratio of the largest to the smallest singular value of `X`: how far errors are magnified.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)

    Returns
    -------
    ratio : float, >= 1
        Infinite where the columns of `X` are dependent to working precision.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Golub, Van Loan, Matrix Computations, 4th ed., section 5.3.7.
    """
    X = finite_array("X", X, ndim=(2,))
    if np.linalg.matrix_rank(X) < X.shape[1]:
        return float("inf")
    s = np.linalg.svd(X, compute_uv=False)
    return float(s.max() / s.min())


def polynomial_features(x: ArrayLike, degree: int) -> Floats:
    """Columns 1, x, x^2, ..., x^degree: least squares on them fits a polynomial.

    Parameters
    ----------
    x : array_like, shape (n_samples,)
    degree : int, >= 0

    Returns
    -------
    X : ndarray, shape (n_samples, degree + 1)
        The Vandermonde matrix of `x`, lowest power first.

    Raises
    ------
    ValueError
        If `degree` is negative or not whole, or on bad input.

    References
    ----------
    Golub, Van Loan, Matrix Computations, 4th ed., section 4.6.
    """
    x = finite_array("x", x, ndim=(1,))
    degree = count("degree", degree)
    return np.stack([x**power for power in range(degree + 1)], axis=1)


def local_sensitivity(f: Callable[[Floats], float], x: ArrayLike, step: ArrayLike) -> Floats:
    """Change of f per unit of each input, moving one input at a time away from a nominal point.

    Parameters
    ----------
    f : callable
        Takes an ndarray of shape (n_inputs,), returns a float.
    x : array_like, shape (n_inputs,)
        The nominal point, in the units of the inputs.
    step : float or array_like, shape (n_inputs,), non-zero
        How far each input moves, in its own unit.

    Returns
    -------
    S : ndarray, shape (n_inputs,)
        ``S[i] = (f(x + step_i e_i) - f(x)) / step_i``.

    Raises
    ------
    ValueError
        If a step is zero, if `step` has another shape than `x`, or on bad input.

    References
    ----------
    Saltelli et al., Global Sensitivity Analysis: The Primer, 2008, section 1.2.
    """
    x = finite_array("x", x, ndim=(1,))
    step = finite_array("step", step, ndim=(0, 1))
    if step.ndim == 1 and step.shape != x.shape:
        raise ValueError(f"step must be one number or of shape {x.shape}, got {step.shape}")
    if not step.all():
        raise ValueError(f"step must not be zero, got {step}")
    nominal = f(x)
    steps = np.diag(np.broadcast_to(step, x.shape))
    return np.array([(f(x + steps[i]) - nominal) / steps[i, i] for i in range(len(x))])


def _no_unique_solution(X: Floats) -> ValueError:
    n_samples, n_features = X.shape
    rank = np.linalg.matrix_rank(X)
    return ValueError(
        f"X has {n_features} columns of which only {rank} are linearly independent "
        f"({n_samples} samples): no unique solution. solve_minimum_norm picks the smallest one."
        if rank < n_features
        else f"X'X is singular to working precision, or out of range: X has condition number "
        f"{condition_number(X):.1e}. Use solve_qr or solve_minimum_norm."
    )
