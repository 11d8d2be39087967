"""The group lasso on tensors: the twins of `sparsecourse.reference.group_lasso`, and `solve`.

The objective is ||y - X b||^2 / (2n) + lam ((1 - l1_ratio) sum_g w_g ||b_g|| + l1_ratio ||b||_1).
The duality gap is computed in float64 whatever the dtype of the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparsecourse.functional.validation import (
    coefficients,
    finite_tensor,
    one_design_and_target,
    strength,
    strengths,
)
from sparsecourse.functional.working_set import solve_path
from sparsecourse.reference.convergence import Solution
from sparsecourse.reference.validation import Groups, column_groups, count, fraction, positive

BISECTIONS = 30


def lambda_max(
    X: Tensor,
    y: Tensor,
    groups: Groups,
    weights: Tensor | None = None,
    l1_ratio: float = 0.0,
) -> Tensor:
    """The smallest lam for which the solution is zero.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    groups : sequence of sequences of int
        The columns of each group; every column in exactly one.
    weights : Tensor, shape (n_groups,), > 0, optional
        w_g. Default: one for each group.
    l1_ratio : float, 0 to 1

    Returns
    -------
    lam : Tensor, shape ()

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
    X, y = one_design_and_target(X, y)
    return _penalty(X, groups, 0.0, weights, l1_ratio).scores(X.mT @ y / len(y)).max()


def objective(
    X: Tensor,
    y: Tensor,
    b: Tensor,
    groups: Groups,
    lam: float,
    weights: Tensor | None = None,
    l1_ratio: float = 0.0,
) -> Tensor:
    """Value of ||y - X b||^2 / (2n) + lam ((1 - l1_ratio) sum_g w_g ||b_g|| + l1_ratio ||b||_1).

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    b : Tensor, shape (n_features,)
    groups : sequence of sequences of int
    lam : float, >= 0
    weights : Tensor, shape (n_groups,), > 0, optional
    l1_ratio : float, 0 to 1

    Returns
    -------
    value : Tensor, shape ()

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Simon et al., A sparse-group lasso, JCGS 2013, eq. (3).
    """
    X, y = one_design_and_target(X, y)
    b = coefficients("b", b, X, is_vector=True).squeeze(-1)
    size = _penalty(X, groups, lam, weights, l1_ratio).value(b)
    return (y - X @ b).square().sum() / (2 * len(y)) + size


def duality_gap(
    X: Tensor,
    y: Tensor,
    b: Tensor,
    groups: Groups,
    lam: float,
    weights: Tensor | None = None,
    l1_ratio: float = 0.0,
) -> Tensor:
    """How far the objective at `b` can be from the minimum, relative to its value at zero.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    b : Tensor, shape (n_features,)
    groups : sequence of sequences of int
    lam : float, >= 0
        For lam = 0 there is no useful bound of this kind: the gap stays the objective itself.
    weights : Tensor, shape (n_groups,), > 0, optional
    l1_ratio : float, 0 to 1

    Returns
    -------
    gap : Tensor of float64, shape ()
        Relative to ||y||^2 / (2n); absolute where y = 0.

    Raises
    ------
    ValueError
        On bad input.

    References
    ----------
    Ndiaye et al., Gap safe screening rules for sparse-group lasso, NeurIPS 2016, section 2.
    """
    X, y = one_design_and_target(X, y)
    b = coefficients("b", b, X, is_vector=True).squeeze(-1).double()
    X, y = X.double(), y.double()
    return _duality_gap(X, y, b, _penalty(X, groups, lam, weights, l1_ratio))


def coordinate_descent(
    X: Tensor,
    y: Tensor,
    groups: Groups,
    lam: float,
    weights: Tensor | None = None,
    l1_ratio: float = 0.0,
    tol: float = 1e-6,
    max_iter: int = 1000,
    b0: Tensor | None = None,
) -> Solution[Tensor]:
    """Move one group at a time, in turn, until the duality gap is below `tol`.

    One group is a few small kernels, so this pays only for large groups.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    groups : sequence of sequences of int
        The columns of each group; every column in exactly one.
    lam : float, >= 0
    weights : Tensor, shape (n_groups,), > 0, optional
        w_g. Default: one for each group.
    l1_ratio : float, 0 to 1
        Share of the l1 norm in the penalty: 0 is the group lasso, 1 the lasso.
    tol : float, > 0
        Bound on the relative duality gap.
    max_iter : int, >= 0
        Sweeps over all groups.
    b0 : Tensor, shape (n_features,), optional
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
    X, y = one_design_and_target(X, y)
    tol, max_iter = positive("tol", tol), count("max_iter", max_iter)
    X, y = X.detach(), y.detach()
    whole = _penalty(X, groups, lam, weights, l1_ratio)
    blocks, members = [], []
    for unit in torch.arange(len(whole.sizes), device=X.device).unsqueeze(-1):
        blocks.append(whole.restrict(unit))
        members.append(whole.columns(unit))
    curvature = [float(torch.linalg.matrix_norm(X[:, g], 2)) ** 2 / len(y) for g in members]
    b = torch.zeros_like(X[0])
    if b0 is not None:
        b = coefficients("b0", b0, X, is_vector=True).squeeze(-1).detach().clone()
    residual = y - X @ b
    exact = X.double(), y.double()
    certificate = replace(whole, weights=whole.weights.double())
    gap, sweeps = float(_duality_gap(*exact, b.double(), certificate)), 0
    while gap > tol and sweeps < max_iter:
        for g, block, L in zip(members, blocks, curvature, strict=True):
            if L == 0:  # empty columns explain nothing
                b[g] = 0
                continue
            new = block.prox(b[g] + X[:, g].mT @ residual / (len(y) * L), 1 / L)
            residual -= X[:, g] @ (new - b[g])
            b[g] = new
        sweeps += 1
        gap = float(_duality_gap(*exact, b.double(), certificate))
    return Solution(b, gap, sweeps).warn_unless(tol)


def solve(
    X: Tensor,
    y: Tensor,
    groups: Groups,
    lam: float,
    weights: Tensor | None = None,
    *,
    l1_ratio: float = 0.0,
    tol: float = 1e-6,
    max_iter: int = 1000,
    b0: Tensor | None = None,
) -> Solution[Tensor]:
    """Minimise by Newton's method on a growing set of groups: the fast way.

    The work is done in float64, on one thread, and the result brought back to the dtype of `X`.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
        Fastest where columns are contiguous in memory.
    y : Tensor, shape (n_samples,)
    groups : sequence of sequences of int
        The columns of each group; every column in exactly one.
    lam : float, >= 0
    weights : Tensor, shape (n_groups,), > 0, optional
        w_g. Default: one for each group.
    l1_ratio : float, 0 to 1
        Share of the l1 norm in the penalty: 0 is the group lasso, 1 the lasso.
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
        As `coordinate_descent`.

    References
    ----------
    Massias, Gramfort, Salmon, Celer: a fast solver for the lasso with dual extrapolation, ICML
    2018; Lee, Sun, Saunders, Proximal Newton-type methods, SIOPT 2014.
    """
    X, y = one_design_and_target(X, y)
    return _path(X, y, groups, [strength(lam)], weights, l1_ratio, tol, max_iter, b0)[0]


def path(
    X: Tensor,
    y: Tensor,
    groups: Groups,
    lams: Tensor,
    weights: Tensor | None = None,
    l1_ratio: float = 0.0,
    tol: float = 1e-6,
    max_iter: int = 1000,
) -> list[Solution[Tensor]]:
    """Solutions for many lam as by `solve`, each started from the one before.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)
    groups : sequence of sequences of int
    lams : Tensor, shape (n_lams,), >= 0
        Best from large to small: the path then starts at zero and grows.
    weights : Tensor, shape (n_groups,), > 0, optional
    l1_ratio : float, 0 to 1
    tol : float, > 0
    max_iter : int, >= 0
        Looks at all columns, for each lam.

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
    X, y = one_design_and_target(X, y)
    return _path(X, y, groups, strengths(lams), weights, l1_ratio, tol, max_iter, None)


@dataclass(frozen=True)
class _GroupPenalty:
    """The penalty of all groups, as the working-set engine asks for it."""

    lam: float
    weights: Tensor  # w_g, shape (n_groups,)
    l1_ratio: float
    columns_by_group: Tensor  # one group after the other
    sizes: Tensor  # how many belong to each group
    labels: Tensor  # the group of each column

    def value(self, b: Tensor) -> float:
        mixture = (1 - self.l1_ratio) * (self.weights @ self._lengths(b))
        return self.lam * float(mixture + self.l1_ratio * b.abs().sum())

    def scores(self, g: Tensor) -> Tensor:
        if self.l1_ratio == 0:
            return self._lengths(g) / self.weights
        return self._least_lams(g.abs())

    def prox(self, w: Tensor, step: float) -> Tensor:
        t = step * self.lam
        w = w.sign() * (w.abs() - t * self.l1_ratio).clamp(min=0)
        lengths, limits = self._lengths(w), t * (1 - self.l1_ratio) * self.weights
        factors = torch.where(lengths > limits, 1 - limits / lengths, 0)
        return factors[self.labels] * w

    def gradient(self, b: Tensor, support: Tensor) -> Tensor:
        pull = self._pulls(b)[self.labels[support]]
        return pull * b[support] + self.lam * self.l1_ratio * b[support].sign()

    def add_curvature(self, H: Tensor, b: Tensor, support: Tensor) -> None:
        labels, lengths = self.labels[support], self._lengths(b)
        pull, u = self._pulls(b)[labels], b[support] / lengths[labels]
        H.diagonal().add_(pull)
        # Only columns of one group are coupled, and those lie next to each other.
        counts = torch.bincount(labels, minlength=len(lengths))
        j, i = _count_up((counts.cumsum(0) - counts)[labels], counts[labels])
        H.index_put_((i, j), -pull[i] * u[i] * u[j], accumulate=True)

    def stop_at_zero(self, x: Tensor, b: Tensor) -> Tensor:
        if self.l1_ratio > 0:
            x = torch.where(x * b.sign() > 0, x, 0)
        along = torch.zeros_like(self.weights).index_add_(0, self.labels, x * b)
        return torch.where(along[self.labels] > 0, x, 0)

    def line_search(
        self, b: Tensor, d: Tensor, support: Tensor, slope: float, curvature: float
    ) -> Tensor:
        labels = self.labels[support]
        on_support = replace(self, labels=labels)

        def rises(t: float) -> bool:
            x = b + t * d
            pull = on_support.gradient(x, torch.arange(len(x), device=x.device))
            return slope + curvature * t + float(pull @ d) > 0

        low, high = 0.0, 1.0
        if rises(high):
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                low, high = (low, middle) if rises(middle) else (middle, high)
        return b + high * d

    def columns(self, units: Tensor) -> Tensor:
        starts = self.sizes.cumsum(0) - self.sizes
        return self.columns_by_group[_count_up(starts[units], self.sizes[units])[0]]

    def restrict(self, units: Tensor) -> _GroupPenalty:
        sizes = self.sizes[units]
        labels = torch.arange(len(units), device=units.device).repeat_interleave(sizes)
        columns = torch.arange(len(labels), device=units.device)
        return replace(
            self, weights=self.weights[units], columns_by_group=columns, sizes=sizes, labels=labels
        )

    def _least_lams(self, v: Tensor) -> Tensor:
        """For each group the lam that just holds it at zero against the correlations `v` >= 0.

        As in reference/, a quadratic equation for each number k of entries above lam l1_ratio;
        here for all groups and all k at once, groups padded with zeros.
        """
        order = self.labels.argsort(stable=True)
        starts = self.sizes.cumsum(0) - self.sizes
        place = torch.arange(len(v), device=v.device) - starts[self.labels[order]]
        V = v.new_zeros(len(self.sizes), int(self.sizes.max()))
        V[self.labels[order], place] = v[order]
        V = V.sort(dim=1, descending=True).values
        k = torch.arange(1, V.shape[1] + 1, device=v.device, dtype=v.dtype)
        a = k * self.l1_ratio**2 - ((1 - self.l1_ratio) * self.weights.unsqueeze(-1)).square()
        half_b, c = self.l1_ratio * V.cumsum(1), V.square().cumsum(1)
        below = half_b + (half_b.square() - a * c).clamp(min=0).sqrt()
        lams = torch.where(below > 0, c / below, 0)
        following = torch.cat([V[:, 1:], V.new_zeros(len(V), 1)], dim=1)
        first = (lams * self.l1_ratio >= following).int().argmax(1, keepdim=True)
        return lams.gather(1, first).squeeze(1)

    def _lengths(self, v: Tensor) -> Tensor:
        return torch.zeros_like(self.weights).index_add_(0, self.labels, v.square()).sqrt()

    def _pulls(self, b: Tensor) -> Tensor:
        """Strength over length of each group: how strongly it is drawn towards zero."""
        lengths = self._lengths(b)
        strength = self.lam * (1 - self.l1_ratio) * self.weights
        return torch.where(lengths > 0, strength / lengths, 0)


def _count_up(starts: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """From each start as many numbers upwards as its size says; and whose number each is."""
    owner = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
    within = torch.arange(len(owner), device=sizes.device) - (sizes.cumsum(0) - sizes)[owner]
    return starts[owner] + within, owner


def _penalty(
    X: Tensor, groups: Groups, lam: float, weights: Tensor | None, l1_ratio: float
) -> _GroupPenalty:
    members = column_groups(groups, X.shape[1])
    sizes = torch.tensor([len(group) for group in members], device=X.device)
    columns = torch.cat([torch.from_numpy(group) for group in members]).to(X.device)
    labels = torch.empty_like(columns)
    labels[columns] = torch.arange(len(sizes), device=X.device).repeat_interleave(sizes)
    w = X.new_ones(len(sizes)) if weights is None else finite_tensor("weights", weights, 1).to(X)
    if w.shape != sizes.shape or (w <= 0).any():
        raise ValueError(f"weights must be {len(sizes)} numbers > 0, one a group, got {w}")
    l1_ratio = fraction("l1_ratio", l1_ratio)
    return _GroupPenalty(strength(lam), w.detach(), l1_ratio, columns, sizes, labels)


def _duality_gap(X: Tensor, y: Tensor, b: Tensor, penalty: _GroupPenalty) -> Tensor:
    n = len(y)
    residual = y - X @ b
    steepest = penalty.scores(X.mT @ residual / n).max()
    # In this order, so that what is no number does not count as small enough.
    shrink = torch.where(steepest <= penalty.lam, 1, penalty.lam / steepest)
    energy = y.square().sum()
    below = (energy - (y - shrink * residual).square().sum()) / (2 * n)
    value = residual.square().sum() / (2 * n) + penalty.value(b)
    return (value - below) / torch.where(energy > 0, energy / (2 * n), 1)


def _path(
    X: Tensor,
    y: Tensor,
    groups: Groups,
    lams: list[float],
    weights: Tensor | None,
    l1_ratio: float,
    tol: float,
    max_iter: int,
    b0: Tensor | None,
) -> list[Solution[Tensor]]:
    def gap_of(b: Tensor, lam: float) -> Tensor:
        return duality_gap(X, y, b, groups, lam, weights, l1_ratio)

    whole = _penalty(X.double(), groups, 0.0, weights, l1_ratio)
    penalties = [replace(whole, lam=lam) for lam in lams]
    return solve_path(X, y, penalties, tol, max_iter, b0, gap_of)
