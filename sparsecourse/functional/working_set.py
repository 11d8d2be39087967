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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sparsecourse.functional.validation import coefficients
from sparsecourse.reference.convergence import Solution
from sparsecourse.reference.validation import count, positive

FIRST_COLUMNS = 50
GROWTH = 1.5  # of the working set, at most, from one look to the next
START_AT_MOST = 5  # columns in a start, as a multiple of the samples: their Gram matrix is kept
INNER_SHARE = 0.1  # the small problem is solved to this share of the gap of the whole one
INNER_ITERATIONS = 200
STEP_LENGTHS = (1.0, 0.3)
ROUNDING = 1e-14
LEAST_DAMPING, FIRST_DAMPING, MOST_DAMPING = 1e-14, 1e-3, 1.0  # relative to the mean curvature


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


def solve_path(
    X: Tensor,
    y: Tensor,
    penalties: Sequence[Penalty],
    tol: float,
    max_iter: int,
    b0: Tensor | None,
    gap_of: Callable[[Tensor, float], Tensor],
) -> list[Solution[Tensor]]:
    """Solve for one penalty after another, each started from the solution before.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    penalties : sequence of Penalty
        The same units, other strengths.
    tol : float, > 0
    max_iter : int, >= 0
        Looks at all columns, for each penalty.
    b0 : Tensor, shape (n_features,), optional
    gap_of : callable
        The certificate, from coefficients in the dtype of `X` and a strength.

    Returns
    -------
    solutions : list of Solution, with coef in the dtype of `X`

    Raises
    ------
    ValueError
        If `tol` is not positive, `max_iter` is negative or not whole, `b0` has another shape, or
        the numbers are too large for their products to be finite.

    References
    ----------
    Massias, Gramfort, Salmon, ICML 2018, as above.
    """
    tol, max_iter = positive("tol", tol), count("max_iter", max_iter)
    start = None if b0 is None else coefficients("b0", b0, X, is_vector=True).squeeze(-1).double()
    solutions = []
    with _one_thread(), torch.no_grad():
        solver = _WorkingSetSolver(X.double(), y.double())
        for penalty in penalties:
            b, gap, n_iter = solver.solve(penalty, tol, max_iter, start)
            start = None
            if X.dtype != b.dtype:
                b = b.to(X.dtype)  # the gap is that of what is returned, rounding included
                gap = float(gap_of(b, penalty.lam))
            solutions.append(Solution(b, gap, n_iter))
    return [solution.warn_unless(tol) for solution in solutions]


class _WorkingSetSolver:
    """Minimise ||y - X b||^2 / (2n) + penalty(b), for one penalty after another.

    From one call of `solve` to the next it keeps the last solution, to start from, and the Gram
    matrix of all columns that ever mattered.
    """

    def __init__(self, X: Tensor, y: Tensor) -> None:
        self.X, self.y, self.n = X, y, len(y)
        self.energy = float(y @ y) / self.n
        self.at_zero = self.energy / 2 if self.energy > 0 else 1.0  # the objective at b = 0
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

    def solve(
        self, penalty: Penalty, tol: float, max_iter: int, start: Tensor | None
    ) -> tuple[Tensor, float, int]:
        """Look at all columns, solve on those that matter, until the gap is below `tol`."""
        if start is not None:
            self._start_from(penalty, start)
        n_iter, moved = 0, True
        while True:
            gap = self._gap(penalty)
            scores = penalty.scores(self.g)
            scores[self.units] = 0
            wanted = int((scores > penalty.lam).sum())
            if gap <= tol * self.at_zero or n_iter >= max_iter or not (moved or wanted):
                return self.b.clone(), gap / self.at_zero, n_iter
            n_iter += 1
            # At first as many units as hold about FIRST_COLUMNS columns.
            first = max(1, FIRST_COLUMNS * len(scores) // len(self.b))
            room = max(first, int((GROWTH - 1) * len(self.units)))
            self._join(penalty, scores.topk(min(wanted, room)).indices)
            inner_tol = max(tol * self.at_zero / 3, INNER_SHARE * min(gap, self.at_zero))
            restricted = penalty.restrict(self.units)
            small = _SmallProblem(self.G, self.c[self.columns], self.energy, restricted)
            before = self.b[self.columns]
            b = small.solve(before, inner_tol)
            moved = not torch.equal(b, before)
            self._move_to(b)

    def _start_from(self, penalty: Penalty, start: Tensor) -> None:
        """Begin at these coefficients, where that is any better than to begin at zero."""
        support = start.nonzero().squeeze(-1)
        if not 0 < len(support) <= START_AT_MOST * self.n:
            return
        residual = self.y - self.X[:, support] @ start[support]
        if float(residual @ residual) / (2 * self.n) + penalty.value(start) < self.energy / 2:
            self._join(penalty, penalty.scores(start).nonzero().squeeze(-1))
            self._move_to(start[self.columns])

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
        rr = float(self.residual @ self.residual) / self.n
        return _duality_gap(penalty, self.b, self.g, rr, float(self.y @ self.residual) / self.n)


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
class _Point:
    """Coefficients of a small problem, and what is asked of them again and again."""

    b: Tensor
    g: Tensor  # c - G b
    value: float  # of the objective, without the constant energy / 2


@dataclass(frozen=True)
class _SmallProblem:
    """Minimise b'G b / 2 - c'b + penalty(b), where G = X'X / n and c = X'y / n of few columns."""

    G: Tensor
    c: Tensor
    energy: float  # ||y||^2 / n
    penalty: Penalty

    def solve(self, b: Tensor, tol: float) -> Tensor:
        """Alternate proximal gradient and Newton steps until the absolute gap is below `tol`.

        Where nothing can be gained any more but rounding, the result is `b` itself.
        """
        curvature = float(self.G.abs().sum(0).max())  # bounds the largest eigenvalue
        if curvature == 0:  # empty columns explain nothing
            return torch.zeros_like(b)
        point, damping = self.point(b), 0.0
        for _ in range(INNER_ITERATIONS):
            if self.gap(point) <= tol:
                break
            before = point
            point = self.proximal_step(point, curvature)
            point, length = self.newton_step(point, max(damping, LEAST_DAMPING))
            if length == 1:
                damping /= 10
            elif length == 0:  # the model was not to be trusted so far away
                damping = max(10 * damping, FIRST_DAMPING)
            if point is before and damping > MOST_DAMPING:
                break
        return point.b

    def point(self, b: Tensor) -> _Point:
        """Compute what belongs to these coefficients."""
        g = self.c - self.G @ b
        return _Point(b, g, self.penalty.value(b) - float(b @ (self.c + g)) / 2)

    def gap(self, point: _Point) -> float:
        """Duality gap, absolute, of the small problem."""
        yr = self.energy - float(point.b @ self.c)
        return _duality_gap(self.penalty, point.b, point.g, yr - float(point.b @ point.g), yr)

    def is_better(self, one: _Point, other: _Point) -> bool:
        """By the objective; where that differs by rounding alone, by the gap."""
        if abs(one.value - other.value) > ROUNDING * self.energy:
            return one.value < other.value
        return self.gap(one) < self.gap(other)

    def proximal_step(self, point: _Point, curvature: float) -> _Point:
        """One proximal gradient step; it lets units join the support, and leave it."""
        b = self.penalty.prox(point.b + point.g / curvature, 1 / curvature)
        candidate = self.point(b)
        return candidate if self.is_better(candidate, point) else point

    def newton_step(self, point: _Point, damping: float) -> tuple[_Point, float]:
        """Step to the minimum of the quadratic model on the support, or as far as it pays.

        The second result is the length of the step, as a share of the whole; 0 where neither of
        STEP_LENGTHS paid, whether the line search then found a point or not.
        """
        support = point.b.nonzero().squeeze(-1)
        if len(support) == 0:
            return point, 0.0
        H = self.G.index_select(0, support).index_select(1, support)
        self.penalty.add_curvature(H, point.b, support)
        H.diagonal().add_(damping * H.diagonal().mean())
        L, failed = torch.linalg.cholesky_ex(H)
        if failed:
            return point, 0.0
        downhill = point.g[support] - self.penalty.gradient(point.b, support)
        step = torch.cholesky_solve(downhill.unsqueeze(-1), L).squeeze(-1)
        for length in STEP_LENGTHS:
            b = self.penalty.stop_at_zero(point.b.index_add(0, support, length * step), point.b)
            candidate = self.point(b)
            if self.is_better(candidate, point):
                return candidate, length
        everywhere = torch.zeros_like(point.b).index_copy(0, support, step)
        curvature = float(everywhere @ (self.G @ everywhere))
        slope = -float(point.g[support] @ step)
        b = self.penalty.line_search(point.b[support], step, support, slope, curvature)
        candidate = self.point(point.b.index_copy(0, support, b))
        return (candidate if self.is_better(candidate, point) else point), 0.0
