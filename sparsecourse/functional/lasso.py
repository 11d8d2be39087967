"""The lasso on tensors: the twins of `sparsecourse.reference.lasso`, and `solve`, which is fast.

The objective is ||y - X b||^2 / (2n) + lam ||b||_1. Every solver is stopped by the duality gap,
which is computed in float64 whatever the dtype of the data. `ista`, `fista` and
`coordinate_descent` take many problems at once: several targets, a lam for each, a batch of designs
in the leading dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparsecourse.functional.validation import (
    coefficients,
    design_and_target,
    one_design_and_target,
    penalty,
    strength,
    strengths,
)
from sparsecourse.functional.working_set import solve_path
from sparsecourse.reference.convergence import Solution
from sparsecourse.reference.validation import count, positive

STEPS_BETWEEN_GAPS = 10


def lambda_max(X: Tensor, y: Tensor) -> Tensor:
    """The smallest lam for which the solution is zero.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)

    Returns
    -------
    lam : Tensor, shape (...) or (..., n_targets)

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Friedman, Hastie, Tibshirani, Regularization paths for generalized linear models via
    coordinate descent, JSS 2010, section 2.5.
    """
    X, Y, is_vector = design_and_target(X, y)
    lam = (X.mT @ Y).abs().amax(-2) / X.shape[-2]
    return lam.squeeze(-1) if is_vector else lam


def objective(X: Tensor, y: Tensor, b: Tensor, lam: float | Tensor) -> Tensor:
    """Value of ||y - X b||^2 / (2n) + lam ||b||_1.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)
    b : Tensor, shape (..., n_features) or (..., n_features, n_targets)
    lam : float or Tensor that broadcasts to the shape of the result, >= 0

    Returns
    -------
    value : Tensor, shape (...) or (..., n_targets)

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Tibshirani, Regression shrinkage and selection via the lasso, JRSS B 1996.
    """
    X, Y, is_vector = design_and_target(X, y)
    B = coefficients("b", b, X, is_vector)
    value = _objective(X, Y, B, _column_penalties(lam, X, Y, is_vector))
    return value.squeeze(-1) if is_vector else value


def duality_gap(X: Tensor, y: Tensor, b: Tensor, lam: float | Tensor) -> Tensor:
    """How far the objective at `b` can be from the minimum, relative to its value at zero.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)
    b : Tensor, shape (..., n_features) or (..., n_features, n_targets)
    lam : float or Tensor that broadcasts to the shape of the result, >= 0
        For lam = 0 there is no useful bound of this kind: the gap stays the objective itself.

    Returns
    -------
    gap : Tensor of float64, shape (...) or (..., n_targets)
        Relative to ||y||^2 / (2n); absolute where y = 0.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Kim et al., An interior-point method for large-scale l1-regularized least squares, IEEE
    J-STSP 2007, section III.
    """
    X, Y, is_vector = design_and_target(X, y)
    B = coefficients("b", b, X, is_vector)
    X, Y = X.double(), Y.double()
    gap = _duality_gap(X, Y, B.double(), _column_penalties(lam, X, Y, is_vector))
    return gap.squeeze(-1) if is_vector else gap


def coordinate_descent(
    X: Tensor,
    y: Tensor,
    lam: float | Tensor,
    tol: float = 1e-6,
    max_iter: int = 1000,
    b0: Tensor | None = None,
) -> Solution[Tensor]:
    """Minimise over one coefficient at a time, in turn, until the duality gap is below `tol`.

    One coefficient is one small kernel, so this pays only for many targets at once.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)
    lam : float or Tensor that broadcasts to (...) or (..., n_targets), >= 0
    tol : float, > 0
        Bound on the relative duality gap.
    max_iter : int, >= 0
        Sweeps over all columns.
    b0 : Tensor, shape (..., n_features) or (..., n_features, n_targets), optional
        Where to start. Default: zero.

    Returns
    -------
    solution : Solution, with coef of the shape of `b0`

    Raises
    ------
    ValueError
        If `lam` is negative, `tol` is not positive, `max_iter` is negative or not whole, or on bad
        input.

    References
    ----------
    Friedman et al., Pathwise coordinate optimization, AOAS 2007, section 2.
    """

    def sweep(X: Tensor, Y: Tensor, lam: Tensor, B: Tensor) -> Tensor:
        B, residual = B.clone(), Y - X @ B
        scale = X.square().mean(-2)
        for j in range(X.shape[-1]):
            x, curvature = X[..., j : j + 1], scale[..., j, None]
            z = (x * residual).mean(-2) + curvature * B[..., j, :]
            shrunk = z.sign() * (z.abs() - lam).clamp(min=0)
            new = torch.where(curvature > 0, shrunk / curvature, 0)  # nothing from empty columns
            residual -= x * (new - B[..., j, :]).unsqueeze(-2)
            B[..., j, :] = new
        return B

    return _iterate(X, y, lam, tol, max_iter, b0, sweep, steps_between_gaps=1)


def ista(
    X: Tensor,
    y: Tensor,
    lam: float | Tensor,
    tol: float = 1e-6,
    max_iter: int = 10000,
    b0: Tensor | None = None,
) -> Solution[Tensor]:
    """Gradient step on the smooth part, soft threshold for the other, again and again.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)
    lam : float or Tensor that broadcasts to (...) or (..., n_targets), >= 0
    tol : float, > 0
        Bound on the relative duality gap, which is looked at every tenth step.
    max_iter : int, >= 0
    b0 : Tensor, shape (..., n_features) or (..., n_features, n_targets), optional
        Where to start. Default: zero.

    Returns
    -------
    solution : Solution, with coef of the shape of `b0`

    Raises
    ------
    ValueError
        As `coordinate_descent`.

    References
    ----------
    Beck, Teboulle, A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sci. 2009,
    eq. (1.4).
    """
    return _iterate(X, y, lam, tol, max_iter, b0, _ProximalSteps(), STEPS_BETWEEN_GAPS)


def fista(
    X: Tensor,
    y: Tensor,
    lam: float | Tensor,
    tol: float = 1e-6,
    max_iter: int = 10000,
    b0: Tensor | None = None,
) -> Solution[Tensor]:
    """As `ista`, but step from a point beyond the last iterate, in the direction it came.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)
    lam : float or Tensor that broadcasts to (...) or (..., n_targets), >= 0
    tol : float, > 0
        Bound on the relative duality gap, which is looked at every tenth step.
    max_iter : int, >= 0
    b0 : Tensor, shape (..., n_features) or (..., n_features, n_targets), optional
        Where to start. Default: zero.

    Returns
    -------
    solution : Solution, with coef of the shape of `b0`

    Raises
    ------
    ValueError
        As `coordinate_descent`.

    References
    ----------
    Beck, Teboulle, A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sci. 2009,
    eqs. (4.1) to (4.3).
    """
    steps = _ProximalSteps(accelerated=True)
    return _iterate(X, y, lam, tol, max_iter, b0, steps, STEPS_BETWEEN_GAPS)


def solve(
    X: Tensor,
    y: Tensor,
    lam: float,
    tol: float = 1e-6,
    max_iter: int = 1000,
    b0: Tensor | None = None,
) -> Solution[Tensor]:
    """Minimise by Newton's method on a growing set of columns: the fast way.

    The work is done in float64, on one thread, and the result brought back to the dtype of `X`.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
        Fastest where columns are contiguous in memory.
    y : Tensor, shape (n_samples,)
    lam : float, >= 0
        What scikit-learn calls alpha.
    tol : float, > 0
        Bound on the relative duality gap.
    max_iter : int, >= 0
        Looks at all columns.
    b0 : Tensor, shape (n_features,), optional
        Where to start. Default: zero.

    Returns
    -------
    solution : Solution, with coef of shape (n_features,)

    Raises
    ------
    ValueError
        If `lam` is negative, `tol` is not positive, `max_iter` is negative or not whole, or on bad
        input.

    References
    ----------
    Massias, Gramfort, Salmon, Celer: a fast solver for the lasso with dual extrapolation, ICML
    2018; Lee, Sun, Saunders, Proximal Newton-type methods, SIOPT 2014.
    """
    X, y = one_design_and_target(X, y)
    return _path(X, y, [strength(lam)], tol, max_iter, b0)[0]


def path(
    X: Tensor, y: Tensor, lams: Tensor, tol: float = 1e-6, max_iter: int = 1000
) -> list[Solution[Tensor]]:
    """Solutions for many lam as by `solve`, each started from the one before.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    lams : Tensor, shape (n_lams,), >= 0
        Best from large to small: the path then starts at zero and grows.
    tol : float, > 0
    max_iter : int, >= 0
        Looks at all columns, for each lam.

    Returns
    -------
    solutions : list of Solution, one for each of `lams`

    Raises
    ------
    ValueError
        If a value of `lams` is negative, `tol` is not positive, or on bad input.

    References
    ----------
    Friedman, Hastie, Tibshirani, Regularization paths for generalized linear models via
    coordinate descent, JSS 2010, section 2.5.
    """
    X, y = one_design_and_target(X, y)
    return _path(X, y, strengths(lams), tol, max_iter, None)


@dataclass(frozen=True)
class _L1:
    """The l1 norm, as the working-set engine asks for it."""

    lam: float

    def value(self, b: Tensor) -> float:
        return self.lam * float(b.abs().sum())

    def scores(self, g: Tensor) -> Tensor:
        return g.abs()

    def prox(self, w: Tensor, step: float) -> Tensor:
        return w.sign() * (w.abs() - step * self.lam).clamp(min=0)

    def gradient(self, b: Tensor, support: Tensor) -> Tensor:
        return self.lam * b[support].sign()

    def add_curvature(self, H: Tensor, b: Tensor, support: Tensor) -> None:
        pass  # straight on either side of zero

    def stop_at_zero(self, x: Tensor, b: Tensor) -> Tensor:
        return torch.where(x * b.sign() > 0, x, 0)

    def line_search(
        self, b: Tensor, d: Tensor, support: Tensor, slope: float, curvature: float
    ) -> Tensor:
        # The slope along d rises in a line, and jumps where an entry meets zero, at t_1, t_2, ...:
        # slopes[k] + curvature t is the one between t_k and t_k+1. Find where it changes sign.
        t, order = torch.where(b * d < 0, -b / d, math.inf).sort()
        jumps = 2 * self.lam * d[order].abs()
        slopes = slope + self.lam * (d @ b.sign()) + torch.cat([jumps[:1] * 0, jumps.cumsum(0)])
        uphill = slopes[1:] + curvature * t >= 0  # infinite t, never met, are uphill
        k = int(torch.cat([uphill, uphill.new_ones(1)]).int().argmax())
        if k == len(t) or not torch.isfinite(t[k]) or slopes[k] + curvature * t[k] > 0:
            return b - slopes[k] / curvature * d  # between two jumps
        x = b + t[k] * d
        x[order[k]] = 0  # at a jump
        return x

    def columns(self, units: Tensor) -> Tensor:
        return units

    def restrict(self, units: Tensor) -> _L1:
        return self


def _path(
    X: Tensor, y: Tensor, lams: list[float], tol: float, max_iter: int, b0: Tensor | None
) -> list[Solution[Tensor]]:
    def gap_of(b: Tensor, lam: float) -> Tensor:
        return duality_gap(X, y, b, lam)

    return solve_path(X, y, [_L1(lam) for lam in lams], tol, max_iter, b0, gap_of)


def _iterate(
    X: Tensor,
    y: Tensor,
    lam: float | Tensor,
    tol: float,
    max_iter: int,
    b0: Tensor | None,
    step: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    steps_between_gaps: int,
) -> Solution[Tensor]:
    """Repeat `step` until the gap of every target is below `tol`."""
    X, Y, is_vector = design_and_target(X, y)
    tol, max_iter = positive("tol", tol), count("max_iter", max_iter)
    lams = _column_penalties(lam, X, Y, is_vector)
    if b0 is None:
        B = X.new_zeros((*X.shape[:-2], X.shape[-1], Y.shape[-1]))
    else:
        B = coefficients("b0", b0, X, is_vector)
    X, Y, lams, B = X.detach(), Y.detach(), lams.detach(), B.detach()
    exact = X.double(), Y.double()

    def worst_gap(B: Tensor) -> float:
        return float(_duality_gap(*exact, B.double(), lams.double()).max())

    gap, n_iter = worst_gap(B), 0
    while gap > tol and n_iter < max_iter:
        for _ in range(min(steps_between_gaps, max_iter - n_iter)):
            B = step(X, Y, lams, B)
            n_iter += 1
        gap = worst_gap(B)
    coef = B.squeeze(-1) if is_vector else B
    return Solution(coef, gap, n_iter).warn_unless(tol)


def _column_penalties(lam: float | Tensor, X: Tensor, Y: Tensor, is_vector: bool) -> Tensor:
    """One lam for each target of each problem, shape (..., n_targets)."""
    lams = penalty(lam, like=X)
    shape = (*Y.shape[:-2], Y.shape[-1])
    if is_vector and lams.ndim:
        lams = lams.unsqueeze(-1)
    try:
        return lams.expand(shape)
    except RuntimeError:
        expected = shape[:-1] if is_vector else shape
        given = tuple(penalty(lam, like=X).shape)
        raise ValueError(f"lam must broadcast to shape {tuple(expected)}, got {given}") from None


def _objective(X: Tensor, Y: Tensor, B: Tensor, lam: Tensor) -> Tensor:
    squares = (Y - X @ B).square().sum(-2)
    return squares / (2 * X.shape[-2]) + lam * B.abs().sum(-2)


def _duality_gap(X: Tensor, Y: Tensor, B: Tensor, lam: Tensor) -> Tensor:
    n = X.shape[-2]
    residual = Y - X @ B
    steepest = (X.mT @ residual).abs().amax(-2)
    # In this order, so that what is no number does not count as small enough.
    shrink = torch.where(steepest <= n * lam, 1, n * lam / steepest)
    energy = Y.square().sum(-2)
    below = (energy - (Y - shrink.unsqueeze(-2) * residual).square().sum(-2)) / (2 * n)
    at_zero = energy / (2 * n)
    return (_objective(X, Y, B, lam) - below) / torch.where(at_zero > 0, at_zero, 1)


class _ProximalSteps:
    """Gradient step, then soft threshold; accelerated, from a point beyond the last iterate."""

    def __init__(self, accelerated: bool = False) -> None:
        self.accelerated = accelerated
        self.t = 1.0
        self.beyond: Tensor | None = None
        self.length: Tensor | None = None

    def __call__(self, X: Tensor, Y: Tensor, lam: Tensor, B: Tensor) -> Tensor:
        if self.length is None:
            self.length = _step_length(X)
        W = B if self.beyond is None else self.beyond
        W = W - self.length * (X.mT @ (X @ W - Y)) / X.shape[-2]
        new = W.sign() * (W.abs() - self.length * lam.unsqueeze(-2)).clamp(min=0)
        if self.accelerated:
            t_before, self.t = self.t, (1 + math.sqrt(1 + 4 * self.t**2)) / 2
            self.beyond = new + (t_before - 1) / self.t * (new - B)
        return new


def _step_length(X: Tensor) -> Tensor:
    """1 / L, where L is the largest curvature of ||y - X b||^2 / (2n), shape (..., 1, 1)."""
    n, p = X.shape[-2:]
    # The largest eigenvalue of X'X and of XX' is the same: take the smaller matrix.
    gram = (X @ X.mT if n < p else X.mT @ X) / n
    if not torch.isfinite(gram).all():
        raise ValueError("X is too large: its products are not finite; rescale it")
    largest = torch.linalg.eigvalsh(gram)[..., -1, None, None]
    return torch.where(largest > 0, 1 / largest, 1)
