"""Norms and thresholds on tensors: the twins of `sparsecourse.reference.norms`.

Every threshold solves min_x 1/2 (x - w)^2 + lam * penalty(x), and differs in the penalty.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparsecourse.functional.validation import finite_tensor, penalty


def lp_norm(x: Tensor, p: float) -> Tensor:
    """Length of `x`: (sum |x_i|^p)^(1/p), and the largest |x_i| for p = infinity.

    For p < 1 this is no norm (a straight way can be longer than a detour), but still a size.

    Parameters
    ----------
    x : Tensor of any shape
    p : float, > 0, or infinity

    Returns
    -------
    length : Tensor, shape ()

    Raises
    ------
    ValueError
        If `p` is not positive, or on bad input.

    References
    ----------
    Golub, Van Loan, Matrix Computations, 4th ed., section 2.2.1.
    """
    size = finite_tensor("x", x, least_ndim=0).abs()
    if not p > 0:
        raise ValueError(f"p must be > 0, got {p} (l0_norm counts the non-zeros)")
    largest = size.max()
    if largest == 0 or math.isinf(p):
        return largest
    return largest * (size / largest).pow(p).sum().pow(1 / p)


def l0_norm(x: Tensor) -> Tensor:
    """Count the entries of `x` that are not zero.

    Parameters
    ----------
    x : Tensor of any shape

    Returns
    -------
    number : Tensor of int64, shape ()

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Donoho, Elad, Optimally sparse representation, PNAS 2003, section 1.
    """
    return finite_tensor("x", x, least_ndim=0).count_nonzero()


def soft_threshold(w: Tensor, lam: float | Tensor) -> Tensor:
    """Minimise 1/2 (x - w)^2 + lam |x| over x, entry by entry.

    Parameters
    ----------
    w : Tensor of any shape
    lam : float or Tensor that broadcasts to the shape of `w`, >= 0

    Returns
    -------
    x : Tensor, shape of `w`
        ``sign(w) * max(|w| - lam, 0)``: zero exactly where ``|w| <= lam``.

    Raises
    ------
    ValueError
        If `lam` is negative, or on bad input.

    References
    ----------
    Friedman et al., Pathwise coordinate optimization, AOAS 2007, eq. (3).
    """
    w = finite_tensor("w", w, least_ndim=0)
    return w.sign() * (w.abs() - penalty(lam, like=w)).clamp(min=0)


def hard_threshold(w: Tensor, lam: float | Tensor) -> Tensor:
    """Minimise 1/2 (x - w)^2 + lam [x != 0] over x, entry by entry: keep or drop.

    Parameters
    ----------
    w : Tensor of any shape
    lam : float or Tensor that broadcasts to the shape of `w`, >= 0

    Returns
    -------
    x : Tensor, shape of `w`
        ``w`` where ``|w| > sqrt(2 lam)``, else zero.

    Raises
    ------
    ValueError
        If `lam` is negative, or on bad input.

    References
    ----------
    Blumensath, Davies, Iterative thresholding for sparse approximations, JFAA 2008. Their
    penalty weight is 2 lam.
    """
    w = finite_tensor("w", w, least_ndim=0)
    return torch.where(w.abs() > (2 * penalty(lam, like=w)).sqrt(), w, 0)


def half_threshold(w: Tensor, lam: float | Tensor) -> Tensor:
    """Minimise 1/2 (x - w)^2 + lam |x|^(1/2) over x, entry by entry.

    Parameters
    ----------
    w : Tensor of any shape
    lam : float or Tensor that broadcasts to the shape of `w`, >= 0

    Returns
    -------
    x : Tensor, shape of `w`
        Zero where ``|w| <= 3/2 lam^(2/3)``; it jumps there, to at least ``lam^(2/3)``.

    Raises
    ------
    ValueError
        If `lam` is negative, or on bad input.

    References
    ----------
    Xu et al., L1/2 regularization: a thresholding representation theory and a fast solver,
    TNNLS 2012. Their penalty weight is 2 lam.
    """
    w = finite_tensor("w", w, least_ndim=0)
    lam = penalty(lam, like=w)
    size = w.abs()
    kept = size > 1.5 * lam ** (2 / 3)
    # Where nothing is kept the angle means nothing: any argument inside [-1, 1] will do.
    cosine = torch.where(kept, lam / 4 * (size / 3) ** -1.5, 0)
    x = 2 / 3 * w * (1 + torch.cos(2 / 3 * (torch.pi - torch.arccos(cosine))))
    return torch.where(kept, x, 0)


def group_soft_threshold(w: Tensor, lam: float | Tensor) -> Tensor:
    """Minimise 1/2 ||x - w||^2 + lam ||x|| over x: shrink a whole group, or drop it.

    Parameters
    ----------
    w : Tensor, shape (..., group_size)
        One group along the last axis; any number of groups before it.
    lam : float or Tensor that broadcasts to the shape (...), >= 0

    Returns
    -------
    x : Tensor, shape of `w`
        ``max(1 - lam / ||w||, 0) * w`` for each group.

    Raises
    ------
    ValueError
        If `w` is a single number, `lam` is negative, or on bad input.

    References
    ----------
    Yuan, Lin, Model selection and estimation in regression with grouped variables, JRSS B 2006,
    eq. (2.4).
    """
    w = finite_tensor("w", w, least_ndim=1)
    lam = penalty(lam, like=w)
    length = torch.linalg.vector_norm(w, dim=-1)
    return torch.where(length > lam, 1 - lam / length, 0).unsqueeze(-1) * w
