"""Norms, and what each of them does to a single number, or a single group, when it is a penalty.

Every threshold below solves min_x 1/2 (x - w)^2 + lam * penalty(x), and differs in the penalty.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference.validation import count, finite_array, penalty

Floats = NDArray[np.float64]
ANY_SHAPE = tuple(range(33))


def lp_norm(x: ArrayLike, p: float) -> float:
    """Length of `x`: (sum |x_i|^p)^(1/p), and the largest |x_i| for p = infinity.

    For p < 1 this is no norm (a straight way can be longer than a detour), but still a size.

    Parameters
    ----------
    x : array_like of any shape
    p : float, > 0, or infinity

    Returns
    -------
    length : float, of an array of any shape

    Raises
    ------
    ValueError
        If `p` is not positive, or on bad input.

    References
    ----------
    Golub, Van Loan, Matrix Computations, 4th ed., section 2.2.1.
    """
    x = np.abs(finite_array("x", x, ANY_SHAPE))
    if not p > 0:
        raise ValueError(f"p must be > 0, got {p} (l0_norm counts the non-zeros)")
    largest = x.max()
    if largest == 0 or np.isinf(p):
        return float(largest)
    return float(largest * np.sum((x / largest) ** p) ** (1 / p))


def l0_norm(x: ArrayLike) -> int:
    """Count the entries of `x` that are not zero.

    Parameters
    ----------
    x : array_like of any shape

    Returns
    -------
    number : int, for an array of any shape

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Donoho, Elad, Optimally sparse representation, PNAS 2003, section 1.
    """
    return int(np.count_nonzero(finite_array("x", x, ANY_SHAPE)))


def unit_circle(p: float, n_points: int) -> Floats:
    """Points of the plane at distance 1 from the origin, when distance is the lp norm.

    Parameters
    ----------
    p : float, > 0, or infinity
    n_points : int, >= 1
        How many directions, evenly spaced in angle, the first along the first axis.

    Returns
    -------
    points : ndarray, shape (n_points, 2)

    Raises
    ------
    ValueError
        If `p` is not positive or `n_points` is not a whole number >= 1.

    References
    ----------
    Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., figure 3.12.
    """
    if count("n_points", n_points) == 0:
        raise ValueError("n_points must be >= 1, got 0")
    angles = 2 * np.pi * np.arange(n_points) / n_points
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.array([direction / lp_norm(direction, p) for direction in directions])


def soft_threshold(w: ArrayLike, lam: ArrayLike) -> Floats:
    """Minimise 1/2 (x - w)^2 + lam |x| over x, entry by entry.

    Parameters
    ----------
    w : array_like of any shape
    lam : float or array_like that broadcasts to the shape of `w`, >= 0

    Returns
    -------
    x : ndarray, shape of `w`
        ``sign(w) * max(|w| - lam, 0)``: zero exactly where ``|w| <= lam``.

    Raises
    ------
    ValueError
        If `lam` is negative, or on bad input.

    References
    ----------
    Friedman et al., Pathwise coordinate optimization, AOAS 2007, eq. (3).
    """
    w, lam = finite_array("w", w, ANY_SHAPE), penalty(lam)
    return np.sign(w) * np.maximum(np.abs(w) - lam, 0)


def hard_threshold(w: ArrayLike, lam: ArrayLike) -> Floats:
    """Minimise 1/2 (x - w)^2 + lam [x != 0] over x, entry by entry: keep or drop.

    Parameters
    ----------
    w : array_like of any shape
    lam : float or array_like that broadcasts to the shape of `w`, >= 0

    Returns
    -------
    x : ndarray, shape of `w`
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
    w, lam = finite_array("w", w, ANY_SHAPE), penalty(lam)
    return np.where(np.abs(w) > np.sqrt(2 * lam), w, 0.0)


def half_threshold(w: ArrayLike, lam: ArrayLike) -> Floats:
    """Minimise 1/2 (x - w)^2 + lam |x|^(1/2) over x, entry by entry.

    Beyond the threshold, setting the derivative to zero gives a cubic equation in sqrt(x), which
    has three real roots; the largest one is the minimum.

    Parameters
    ----------
    w : array_like of any shape
    lam : float or array_like that broadcasts to the shape of `w`, >= 0

    Returns
    -------
    x : ndarray, shape of `w`
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
    w, lam = finite_array("w", w, ANY_SHAPE), penalty(lam)
    lam = np.broadcast_to(lam, w.shape)
    size = np.abs(w)
    kept = size > 1.5 * lam ** (2 / 3)
    x = np.zeros_like(w)
    phi = np.arccos(lam[kept] / 4 * (size[kept] / 3) ** -1.5)
    x[kept] = 2 / 3 * w[kept] * (1 + np.cos(2 / 3 * (np.pi - phi)))
    return x


def group_soft_threshold(w: ArrayLike, lam: ArrayLike) -> Floats:
    """Minimise 1/2 ||x - w||^2 + lam ||x|| over x: shrink a whole group, or drop it.

    Parameters
    ----------
    w : array_like, shape (..., group_size)
        One group along the last axis; any number of groups before it.
    lam : float or array_like that broadcasts to the shape (...), >= 0

    Returns
    -------
    x : ndarray, shape of `w`
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
    w, lam = finite_array("w", w, ANY_SHAPE[1:]), penalty(lam)
    length = np.linalg.norm(w, axis=-1)
    # A group of length zero is zero whatever the factor, and must not be divided by.
    factor = np.maximum(1 - lam / np.where(length > 0, length, 1), 0)
    return np.where(length > lam, factor, 0)[..., None] * w
