"""The group lasso: minimise ||y - X b||^2 / (2n) + lam sum_g w_g ||b_g|| over b.

The columns come in groups, and a group enters the model as a whole or not at all. With `l1_ratio`
above zero it is the sparse group lasso: of the columns in a group that enters, some stay zero. Its
penalty is a mixture, lam ((1 - l1_ratio) sum_g w_g ||b_g|| + l1_ratio ||b||_1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference.convergence import Solution
from sparsecourse.reference.norms import group_soft_threshold, soft_threshold
from sparsecourse.reference.validation import (
    Groups,
    coefficients,
    column_groups,
    count,
    design_and_one_target,
    finite_array,
    fraction,
    positive,
    strength,
)

Floats = NDArray[np.float64]


def lambda_max(
    X: ArrayLike,
    y: ArrayLike,
    groups: Groups,
    weights: ArrayLike | None = None,
    l1_ratio: float = 0.0,
) -> float:
    """The smallest lam for which the solution is zero.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    groups : sequence of sequences of int
        The columns of each group; every column in exactly one.
    weights : array_like, shape (n_groups,), > 0, optional
        w_g. Default: one for each group.
    l1_ratio : float, 0 to 1

    Returns
    -------
    lam : float, >= 0

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Yuan, Lin, Model selection and estimation in regression with grouped variables, JRSS B 2006,
    section 2; for l1_ratio > 0 Ndiaye et al., Gap safe screening rules for sparse-group lasso,
    NeurIPS 2016, section 3.
    """
    X, y = design_and_one_target(X, y)
    members, w, l1_ratio = _prepare(X, groups, weights, l1_ratio)
    v = np.abs(X.T @ y) / len(y)
    return max(_least_lam(v[g], w_g, l1_ratio) for g, w_g in zip(members, w, strict=True))


def objective(
    X: ArrayLike,
    y: ArrayLike,
    b: ArrayLike,
    groups: Groups,
    lam: float,
    weights: ArrayLike | None = None,
    l1_ratio: float = 0.0,
) -> float:
    """Value of ||y - X b||^2 / (2n) + lam ((1 - l1_ratio) sum_g w_g ||b_g|| + l1_ratio ||b||_1).

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    b : array_like, shape (n_features,)
    groups : sequence of sequences of int
    lam : float, >= 0
    weights : array_like, shape (n_groups,), > 0, optional
    l1_ratio : float, 0 to 1

    Returns
    -------
    value : float

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Simon et al., A sparse-group lasso, JCGS 2013, eq. (3).
    """
    X, y = design_and_one_target(X, y)
    b = coefficients(X, b)
    members, w, l1_ratio = _prepare(X, groups, weights, l1_ratio)
    lengths = np.array([np.linalg.norm(b[g]) for g in members])
    size = (1 - l1_ratio) * (w @ lengths) + l1_ratio * np.abs(b).sum()
    residual = y - X @ b
    return float(residual @ residual / (2 * len(y)) + strength(lam) * size)


def duality_gap(
    X: ArrayLike,
    y: ArrayLike,
    b: ArrayLike,
    groups: Groups,
    lam: float,
    weights: ArrayLike | None = None,
    l1_ratio: float = 0.0,
) -> float:
    """How far the objective at `b` can be from the minimum, relative to its value at zero.

    As for the lasso: the residual, shrunk until no group would enter a model that is zero, bounds
    the minimum from below.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    b : array_like, shape (n_features,)
    groups : sequence of sequences of int
    lam : float, >= 0
        For lam = 0 there is no useful bound of this kind: the gap stays the objective itself.
    weights : array_like, shape (n_groups,), > 0, optional
    l1_ratio : float, 0 to 1

    Returns
    -------
    gap : float, >= 0 up to rounding
        Relative to ||y||^2 / (2n); absolute where y = 0.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Ndiaye et al., Gap safe screening rules for sparse-group lasso, NeurIPS 2016, section 2.
    """
    X, y = design_and_one_target(X, y)
    b = coefficients(X, b)
    n = len(y)
    residual = y - X @ b
    steepest = lambda_max(X, residual, groups, weights, l1_ratio)
    shrink = min(1.0, strength(lam) / steepest) if steepest > 0 else 1.0
    below = (y @ y - np.sum((y - shrink * residual) ** 2)) / (2 * n)
    at_zero = y @ y / (2 * n)
    value = objective(X, y, b, groups, lam, weights, l1_ratio)
    return float((value - below) / (at_zero if at_zero > 0 else 1.0))


def coordinate_descent(
    X: ArrayLike,
    y: ArrayLike,
    groups: Groups,
    lam: float,
    weights: ArrayLike | None = None,
    l1_ratio: float = 0.0,
    tol: float = 1e-6,
    max_iter: int = 1000,
    b0: ArrayLike | None = None,
) -> Solution[Floats]:
    """Move one group at a time, in turn, until the duality gap is below `tol`.

    With all other groups fixed, take the gradient step that the largest curvature of the block
    allows, then threshold the block. Where X_g'X_g is a multiple of I, this is the exact minimum
    over the block; otherwise it lowers the objective.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    groups : sequence of sequences of int
        The columns of each group; every column in exactly one.
    lam : float, >= 0
    weights : array_like, shape (n_groups,), > 0, optional
        w_g. Default: one for each group.
    l1_ratio : float, 0 to 1
        Share of the l1 norm in the penalty: 0 is the group lasso, 1 the lasso.
    tol : float, > 0
        Bound on the relative duality gap.
    max_iter : int, >= 0
        Sweeps over all groups.
    b0 : array_like, shape (n_features,), optional
        Where to start. Default: zero.

    Returns
    -------
    solution : Solution, with coef of shape (n_features,)

    Raises
    ------
    ValueError
        If groups overlap or leave a column out, a weight is not positive, `lam` is negative,
        `l1_ratio` is outside [0, 1], `tol` is not positive, or on bad input.

    References
    ----------
    Qin, Scheinberg, Goldfarb, Efficient block-coordinate descent algorithms for the group lasso,
    Math. Prog. Comp. 2013, section 3; Simon et al., A sparse-group lasso, JCGS 2013, section 3.
    """
    X, y = design_and_one_target(X, y)
    members, w, l1_ratio = _prepare(X, groups, weights, l1_ratio)
    lam, tol, max_iter = strength(lam), positive("tol", tol), count("max_iter", max_iter)
    b = np.zeros(X.shape[1]) if b0 is None else coefficients(X, b0)
    n = len(y)
    curvature = [np.linalg.norm(X[:, g], ord=2) ** 2 / n for g in members]
    residual = y - X @ b

    def gap_of(b: Floats) -> float:
        return duality_gap(X, y, b, groups, lam, weights, l1_ratio)

    gap, sweeps = gap_of(b), 0
    while gap > tol and sweeps < max_iter:
        for g, L, w_g in zip(members, curvature, w, strict=True):
            if L == 0:  # empty columns explain nothing
                b[g] = 0
                continue
            z = b[g] + X[:, g].T @ residual / (n * L)
            z = soft_threshold(z, lam * l1_ratio / L)
            new = group_soft_threshold(z, lam * (1 - l1_ratio) * w_g / L)
            residual -= X[:, g] @ (new - b[g])
            b[g] = new
        sweeps += 1
        gap = gap_of(b)
    return Solution(b, gap, sweeps).warn_unless(tol)


def path(
    X: ArrayLike,
    y: ArrayLike,
    groups: Groups,
    lams: ArrayLike,
    weights: ArrayLike | None = None,
    l1_ratio: float = 0.0,
    tol: float = 1e-6,
    max_iter: int = 1000,
) -> list[Solution[Floats]]:
    """Solutions for many lam by block coordinate descent, each started from the one before.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)
    groups : sequence of sequences of int
    lams : array_like, shape (n_lams,), >= 0
        Best from large to small: the path then starts at zero and grows.
    weights : array_like, shape (n_groups,), > 0, optional
    l1_ratio : float, 0 to 1
    tol : float, > 0
    max_iter : int, >= 0

    Returns
    -------
    solutions : list of Solution, one for each of `lams`

    Raises
    ------
    ValueError
        As `coordinate_descent`, and if a value of `lams` is negative.

    References
    ----------
    Yuan, Lin, Model selection and estimation in regression with grouped variables, JRSS B 2006,
    section 5.
    """
    solutions: list[Solution[Floats]] = []
    for lam in finite_array("lams", lams, ndim=(1,)):
        start = solutions[-1].coef if solutions else None
        solutions.append(
            coordinate_descent(X, y, groups, lam, weights, l1_ratio, tol, max_iter, start)
        )
    return solutions


def _prepare(
    X: Floats, groups: Groups, weights: ArrayLike | None, l1_ratio: float
) -> tuple[list[NDArray[np.int64]], Floats, float]:
    checked = column_groups(groups, X.shape[1])
    w = np.ones(len(checked)) if weights is None else finite_array("weights", weights, ndim=(1,))
    if len(w) != len(checked) or (w <= 0).any():
        raise ValueError(f"weights must be {len(checked)} numbers > 0, one a group, got {w}")
    return checked, w, fraction("l1_ratio", l1_ratio)


def _least_lam(v: Floats, w: float, l1_ratio: float) -> float:
    """The lam that just holds a group at zero against the correlations `v`, all >= 0.

    Solve ||soft_threshold(v, lam l1_ratio)|| = lam (1 - l1_ratio) w for lam.
    Where the k largest entries exceed lam l1_ratio, this is a quadratic equation.
    """
    if l1_ratio == 0:
        return float(np.linalg.norm(v) / w)
    v = np.sort(v)[::-1]
    group_share = (1 - l1_ratio) * w
    for k in range(1, len(v) + 1):
        a = k * l1_ratio**2 - group_share**2
        half_b, c = l1_ratio * v[:k].sum(), float(v[:k] @ v[:k])
        # The smaller root of a lam^2 - 2 half_b lam + c, in a form that holds for a = 0 too.
        root = np.sqrt(max(half_b**2 - a * c, 0.0))
        lam = c / (half_b + root) if half_b + root > 0 else 0.0
        if k == len(v) or lam * l1_ratio >= v[k]:
            break
    return float(lam)
