"""Linear least squares on tensors: the twins of `sparsecourse.reference.least_squares`.

Every function takes leading batch dimensions, and keeps dtype and device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparsecourse.functional.validation import design_and_target, finite_tensor
from sparsecourse.reference.validation import count


def solve_normal_equations(X: Tensor, y: Tensor) -> Tensor:
    """Solve X'X b = X'y by a Cholesky factorisation: fast, but it squares the condition number.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)

    Returns
    -------
    b : Tensor, shape (..., n_features) or (..., n_features, n_targets)

    Raises
    ------
    ValueError
        If a matrix X'X is singular to working precision, or on bad input.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., eq. (3.6).
    """
    X, Y, is_vector = design_and_target(X, y)
    G = X.mT @ X
    if (torch.linalg.matrix_rank(G, hermitian=True) < X.shape[-1]).any():
        raise _no_unique_solution(X)
    L = torch.linalg.cholesky(G)
    b = torch.cholesky_solve(X.mT @ Y, L)
    return b.squeeze(-1) if is_vector else b


def solve_qr(X: Tensor, y: Tensor) -> Tensor:
    """Solve R b = Q'y where X = QR: works on X itself, so keeps its condition number.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)

    Returns
    -------
    b : Tensor, shape (..., n_features) or (..., n_features, n_targets)

    Raises
    ------
    ValueError
        If the columns of an `X` are linearly dependent to working precision, or on bad input.

    References
    ----------
    Golub, Van Loan, Matrix Computations, 4th ed., section 5.3.2.
    """
    X, Y, is_vector = design_and_target(X, y)
    Q, R = torch.linalg.qr(X)
    if (torch.linalg.matrix_rank(R) < X.shape[-1]).any():
        raise _no_unique_solution(X)
    b = torch.linalg.solve_triangular(R, Q.mT @ Y, upper=True)
    return b.squeeze(-1) if is_vector else b


def solve_minimum_norm(X: Tensor, y: Tensor, rcond: float | None = None) -> Tensor:
    """Of all b that minimise ||y - X b||, return the one with the smallest ||b||, by the SVD.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)
    rcond : float in [0, 1), optional
        Singular values up to ``rcond * s.max()`` count as zero.
        Default: ``max(n_samples, n_features)`` times the precision of the dtype.

    Returns
    -------
    b : Tensor, shape (..., n_features) or (..., n_features, n_targets)

    Raises
    ------
    ValueError
        If `rcond` is outside [0, 1), or on bad input.

    References
    ----------
    Golub, Van Loan, Matrix Computations, 4th ed., theorem 5.5.1.
    """
    X, Y, is_vector = design_and_target(X, y)
    if rcond is None:
        rcond = max(X.shape[-2:]) * torch.finfo(X.dtype).eps
    if not 0 <= rcond < 1:
        raise ValueError(f"rcond must be in [0, 1), got {rcond}")
    U, s, Vh = torch.linalg.svd(X, full_matrices=False)
    kept = s > rcond * s.amax(-1, keepdim=True)
    inverse = torch.where(kept, 1 / s, 0)
    b = Vh.mT @ (inverse.unsqueeze(-1) * (U.mT @ Y))
    return b.squeeze(-1) if is_vector else b


def gradient_descent(X: Tensor, y: Tensor, n_iter: int, step: float | None = None) -> Tensor:
    """Minimise ||y - X b||^2 / (2n) from b = 0 by gradient steps, and keep every iterate.

    Each step multiplies by X'X, formed once: cheap where there are more samples than features.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)
    n_iter : int, >= 0
    step : float, > 0, optional
        Step length. Default: 1 / L of each `X`, where L = s.max()^2 / n.

    Returns
    -------
    path : Tensor, shape (n_iter + 1, ..., n_features) or (n_iter + 1, ..., n_features, n_targets)
        ``path[k]`` is b after k steps; ``path[0]`` is zero.

    Raises
    ------
    ValueError
        If `n_iter` is negative or not whole, `step` is not positive, or on bad input.

    References
    ----------
    Nesterov, Introductory Lectures on Convex Optimization, 2004, section 2.1.5.
    """
    X, Y, is_vector = design_and_target(X, y)
    n_iter = count("n_iter", n_iter)
    if step is not None and not step > 0:
        raise ValueError(f"step must be > 0, got {step}")
    n_samples = X.shape[-2]
    if step is None:
        largest = torch.linalg.matrix_norm(X, ord=2)[..., None, None]
        length = torch.where(largest > 0, n_samples / largest**2, 1.0)
    else:
        length = torch.as_tensor(step, dtype=X.dtype, device=X.device)
    G = X.mT @ X / n_samples
    moment = X.mT @ Y / n_samples
    path = [torch.zeros_like(moment)]
    for _ in range(n_iter):
        path.append(path[-1] - length * (G @ path[-1] - moment))
    b = torch.stack(path)
    return b.squeeze(-1) if is_vector else b


def condition_number(X: Tensor) -> Tensor:
    """Ratio of the largest to the smallest singular value of `X`: how far errors are magnified.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)

    Returns
    -------
    ratio : Tensor, shape (...), >= 1
        Infinite where the columns of `X` are dependent to working precision.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Golub, Van Loan, Matrix Computations, 4th ed., section 5.3.7.
    """
    X = finite_tensor("X", X, least_ndim=2)
    s = torch.linalg.svdvals(X)
    deficient = torch.linalg.matrix_rank(X) < X.shape[-1]
    return torch.where(deficient, torch.inf, s.amax(-1) / s.amin(-1))


def polynomial_features(x: Tensor, degree: int) -> Tensor:
    """Columns 1, x, x^2, ..., x^degree: least squares on them fits a polynomial.

    Parameters
    ----------
    x : Tensor, shape (..., n_samples)
    degree : int, >= 0

    Returns
    -------
    X : Tensor, shape (..., n_samples, degree + 1)
        The Vandermonde matrix of `x`, lowest power first.

    Raises
    ------
    ValueError
        If `degree` is negative or not whole, or on bad input.

    References
    ----------
    Golub, Van Loan, Matrix Computations, 4th ed., section 4.6.
    """
    x = finite_tensor("x", x, least_ndim=1)
    degree = count("degree", degree)
    return x.unsqueeze(-1) ** torch.arange(degree + 1, device=x.device)


def local_sensitivity(f: Callable[[Tensor], Tensor], x: Tensor, step: float | Tensor) -> Tensor:
    """Change of f per unit of each input, moving one input at a time away from a nominal point.

    Parameters
    ----------
    f : callable
        Takes a Tensor of shape (..., n_inputs), returns one of shape (...): all moves at once.
    x : Tensor, shape (n_inputs,)
        The nominal point, in the units of the inputs.
    step : float or Tensor, shape (n_inputs,), non-zero
        How far each input moves, in its own unit.

    Returns
    -------
    S : Tensor, shape (n_inputs,)
        ``S[i] = (f(x + step_i e_i) - f(x)) / step_i``.

    Raises
    ------
    ValueError
        If a step is zero, if `step` has another shape than `x`, or on bad input.

    References
    ----------
    Saltelli et al., Global Sensitivity Analysis: The Primer, 2008, section 1.2.
    """
    x = finite_tensor("x", x, least_ndim=1)
    if x.ndim != 1:
        raise ValueError(f"x must be 1-D, got shape {tuple(x.shape)}")
    steps = finite_tensor("step", torch.as_tensor(step, dtype=x.dtype, device=x.device), 0)
    if steps.ndim > 0 and steps.shape != x.shape:
        raise ValueError(
            f"step must be one number or of shape {tuple(x.shape)}, got {tuple(steps.shape)}"
        )
    if not steps.all():
        raise ValueError(f"step must not be zero, got {step}")
    moved = x + torch.diag(steps.expand_as(x))
    return (f(moved) - f(x)) / steps


def _no_unique_solution(X: Tensor) -> ValueError:
    n_samples, n_features = X.shape[-2:]
    rank = int(torch.linalg.matrix_rank(X).min())
    return ValueError(
        f"X has {n_features} columns of which only {rank} are linearly independent "
        f"({n_samples} samples): no unique solution. solve_minimum_norm picks the smallest one."
        if rank < n_features
        else f"X'X is singular to working precision, or out of range: X has condition number "
        f"{condition_number(X).max().item():.1e}. Use solve_qr or solve_minimum_norm."
    )
