"""The engine of the fast solvers: a small problem that grows until it is certainly large enough.

Few columns of X enter the solution. So solve the problem on a few of them, the working set, through
their Gram matrix alone; then look at all columns once. If the duality gap of the whole problem is
not closed, the columns that the optimality conditions call for join, and so on.

The small problem is solved by Newton's method on the support. Every Newton step follows a proximal
gradient step and is kept only if it lowers the objective further. Proximal gradient steps alone
converge, so the whole does: a bad Newton step costs time, nothing else.

References
----------
Massias, Gramfort, Salmon, Celer: a fast solver for the lasso with dual extrapolation, ICML 2018
(working sets). Beck, Teboulle, A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging
Sci. 2009 (proximal gradient steps). Lee, Sun, Saunders, Proximal Newton-type methods, SIOPT 2014.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

FIRST_COLUMNS = 50
GROWTH = 1.5  # of the working set, at most, from one look to the next
INNER_SHARE = 0.1  # the small problem is solved to this share of the gap of the whole one
INNER_ITERATIONS = 200
STEP_LENGTHS = (1.0, 0.3)
ROUNDING = 1e-14
LEAST_DAMPING, FIRST_DAMPING = 1e-14, 1e-3  # relative to the mean curvature


class Penalty(Protocol):
    """A penalty that splits into units: single columns, or groups of them."""

    @property
    def lam(self) -> float:
        """Its strength."""

    def value(self, b: Tensor) -> float:
        """The penalty at `b`, its strength included."""

    def scores(self, g: Tensor) -> Tensor:
        """For each unit, the least strength that would hold it at zero if -g is the gradient."""

    def prox(self, w: Tensor, step: float) -> Tensor:
        """Minimise 1/2 ||x - w||^2 + step * penalty(x) over x."""

    def gradient(self, b: Tensor, support: Tensor) -> Tensor:
        """First derivatives with respect to the columns of the support."""

    def add_curvature(self, H: Tensor, b: Tensor, support: Tensor) -> None:
        """Add to `H` the second derivatives with respect to the columns of the support."""

    def stop_at_zero(self, x: Tensor, b: Tensor) -> Tensor:
        """Set to zero the units of `x` that lie beyond zero as seen from `b`."""

    def line_search(
        self, b: Tensor, d: Tensor, support: Tensor, slope: float, curvature: float
    ) -> Tensor:
        """Minimise slope t + curvature t^2 / 2 + penalty(b + t d) over t > 0; return b + t d.

        `b` and `d` hold the columns of the support.
        """

    def columns(self, units: Tensor) -> Tensor:
        """The columns that belong to these units, in their order."""

    def restrict(self, units: Tensor) -> Penalty:
        """The same penalty on the columns of these units alone."""


class WorkingSetSolver:
    """Minimise ||y - X b||^2 / (2n) + penalty(b), for one penalty after another.

    From one call of `solve` to the next it keeps the last solution, to start from, and the Gram
    matrix of all columns that ever mattered.

    Parameters
    ----------
    X : Tensor of float64, shape (n_samples, n_features)
    y : Tensor of float64, shape (n_samples,)
    penalty : Penalty
        Any strength; the units stay the same.
    b0 : Tensor of float64, shape (n_features,), optional
        Where to start. Default: zero.

    Raises
    ------
    ValueError
        If the numbers are too large for their squares to be finite.
    """

    def __init__(self, X: Tensor, y: Tensor, penalty: Penalty, b0: Tensor | None = None) -> None:
        self.X, self.y, self.n = X, y, len(y)
        self.energy = float(y @ y) / self.n
        self.c = X.mT @ y / self.n
        if not math.isfinite(self.energy + float(self.c.abs().max())):
            raise ValueError("X and y are too large: their products are not finite; rescale them")
        self.units = torch.empty(0, dtype=torch.long, device=X.device)
        self.columns = self.units
        self.rows = X.mT[self.columns]
        self.G = self.rows @ self.rows.mT
        self.b = torch.zeros_like(self.c)
        self.g = self.c  # correlations of all columns with the residual
        self.residual = y
        if b0 is not None and b0.any():
            self._join(penalty, penalty.scores(b0).nonzero().squeeze(-1))
            self._move_to(b0[self.columns])

    def solve(self, penalty: Penalty, tol: float, max_iter: int) -> tuple[Tensor, float, int]:
        """Look at all columns, solve on those that matter, until the gap is below `tol`.

        Parameters
        ----------
        penalty : Penalty
        tol : float, > 0
            Bound on the duality gap, relative to ||y||^2 / (2n); absolute where y = 0.
        max_iter : int, >= 0
            Looks at all columns.

        Returns
        -------
        b : Tensor, shape (n_features,)
        gap : float
        n_iter : int
        """
        with _one_thread():
            return self._solve(penalty, tol, max_iter)

    def _solve(self, penalty: Penalty, tol: float, max_iter: int) -> tuple[Tensor, float, int]:
        unit = self.energy / 2 if self.energy > 0 else 1.0
        n_iter, least = 0, math.inf
        while True:
            gap = self._gap(penalty)
            scores = penalty.scores(self.g)
            scores[self.units] = 0
            wanted = int((scores > penalty.lam).sum())
            stuck = gap >= least and not wanted  # rounding is all that is left
            if gap <= tol * unit or n_iter >= max_iter or stuck:
                return self.b.clone(), gap / unit, n_iter
            n_iter, least = n_iter + 1, min(gap, least)
            first = max(1, FIRST_COLUMNS * len(scores) // len(self.b))
            room = max(first, int((GROWTH - 1) * len(self.units)))
            self._join(penalty, scores.topk(min(wanted, room)).indices)
            inner_tol = max(tol * unit / 3, INNER_SHARE * min(gap, unit))
            small = SmallProblem(self.G, self.c[self.columns], self.energy)
            start = self.b[self.columns]
            self._move_to(small.solve(penalty.restrict(self.units), start, inner_tol))

    def _join(self, penalty: Penalty, units: Tensor) -> None:
        """Let more units join the working set."""
        rows = self.X.mT[penalty.columns(units)]
        across = self.rows @ rows.mT / self.n
        corner = rows @ rows.mT / self.n
        self.G = torch.cat([torch.cat([self.G, across], 1), torch.cat([across.mT, corner], 1)])
        self.rows = torch.cat([self.rows, rows])
        self.units = torch.cat([self.units, units])
        self.columns = penalty.columns(self.units)

    def _move_to(self, b: Tensor) -> None:
        """Take these coefficients of the working set, and look at all columns."""
        support = b.nonzero().squeeze(-1)
        self.b = torch.zeros_like(self.b).index_copy(0, self.columns, b)
        self.residual = self.y - b[support] @ self.rows[support]
        self.g = self.X.mT @ self.residual / self.n

    def _gap(self, penalty: Penalty) -> float:
        squared = float(self.residual @ self.residual) / self.n
        return _duality_gap(
            penalty, self.b, self.g, squared, float(self.y @ self.residual) / self.n
        )


def _duality_gap(penalty: Penalty, b: Tensor, g: Tensor, rr: float, yr: float) -> float:
    """Absolute, from the correlations g = X'r / n and the products r'r / n and y'r / n."""
    steepest = float(penalty.scores(g).max())
    shrink = min(1.0, penalty.lam / steepest) if steepest > 0 else 1.0
    return rr / 2 + penalty.value(b) - (shrink * yr - shrink**2 * rr / 2)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Many small products on several threads lose more time than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Point:
    """Coefficients of a small problem, and what is asked of them again and again."""

    b: Tensor
    g: Tensor  # c - G b
    value: float  # of the objective, without the constant energy / 2


@dataclass(frozen=True)
class SmallProblem:
    """Minimise b'G b / 2 - c'b + penalty(b), where G = X'X / n and c = X'y / n of few columns."""

    G: Tensor
    c: Tensor
    energy: float  # ||y||^2 / n

    def solve(self, penalty: Penalty, b: Tensor, tol: float) -> Tensor:
        """Alternate proximal gradient and Newton steps until the absolute gap is below `tol`."""
        curvature = float(self.G.abs().sum(0).max())  # bounds the largest eigenvalue
        if curvature == 0:
            return b
        point, damping = self.point(penalty, b), 0.0
        for _ in range(INNER_ITERATIONS):
            if self.gap(penalty, point) <= tol:
                break
            before = point
            point = self.proximal_step(penalty, point, curvature)
            point, length = self.newton_step(penalty, point, max(damping, LEAST_DAMPING))
            if length == 1:
                damping /= 10
            elif length < 0.3:
                damping = max(10 * damping, FIRST_DAMPING)
            if point is before and damping > 1:
                break  # rounding is all that is left
        return point.b

    def point(self, penalty: Penalty, b: Tensor) -> Point:
        """Compute what belongs to these coefficients."""
        g = self.c - self.G @ b
        return Point(b, g, penalty.value(b) - float(b @ (self.c + g)) / 2)

    def gap(self, penalty: Penalty, point: Point) -> float:
        """Duality gap, absolute, of the small problem."""
        yr = self.energy - float(point.b @ self.c)
        return _duality_gap(penalty, point.b, point.g, yr - float(point.b @ point.g), yr)

    def is_better(self, penalty: Penalty, one: Point, other: Point) -> bool:
        """By the objective; where that differs by rounding alone, by the gap."""
        if abs(one.value - other.value) > ROUNDING * self.energy:
            return one.value < other.value
        return self.gap(penalty, one) < self.gap(penalty, other)

    def proximal_step(self, penalty: Penalty, point: Point, curvature: float) -> Point:
        """One proximal gradient step; it lets units join the support, and leave it."""
        b = penalty.prox(point.b + point.g / curvature, 1 / curvature)
        candidate = self.point(penalty, b)
        return candidate if self.is_better(penalty, candidate, point) else point

    def newton_step(self, penalty: Penalty, point: Point, damping: float) -> tuple[Point, float]:
        """Step to the minimum of the quadratic model on the support, or as far as it pays."""
        support = point.b.nonzero().squeeze(-1)
        if len(support) == 0:
            return point, 0.0
        H = self.G.index_select(0, support).index_select(1, support)
        penalty.add_curvature(H, point.b, support)
        H.diagonal().add_(damping * H.diagonal().mean())
        L, failed = torch.linalg.cholesky_ex(H)
        if failed:
            return point, 0.0
        downhill = point.g[support] - penalty.gradient(point.b, support)
        step = torch.cholesky_solve(downhill.unsqueeze(-1), L).squeeze(-1)
        for length in STEP_LENGTHS:
            b = penalty.stop_at_zero(point.b.index_add(0, support, length * step), point.b)
            candidate = self.point(penalty, b)
            if self.is_better(penalty, candidate, point):
                return candidate, length
        slope = -float(point.g[support] @ step)
        everywhere = torch.zeros_like(point.b).index_copy(0, support, step)
        curvature = float(everywhere @ (self.G @ everywhere))
        b = penalty.line_search(point.b[support], step, support, slope, curvature)
        candidate = self.point(penalty, point.b.index_copy(0, support, b))
        return (candidate if self.is_better(penalty, candidate, point) else point), 0.0
