"""Who takes part: for each solver, how it is run at a given tolerance.

Each builder takes an `Instance` and returns a function from a tolerance to coefficients, of shape
(n_lams, p); what it does before is not timed. It raises ImportError where its library is not here,
and NotImplementedError where that has no such solver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from sparsecourse.bench.problems import GROUP_SIZE, Instance

THREADS = 1
GAP = 1e-6
# A solver stops for its tolerance, or is stopped for its time, never for its iterations.
ENDLESS = 100_000

Solve = Callable[[float], np.ndarray]


@dataclass(frozen=True)
class Solver:
    """How to run one solver.

    Attributes
    ----------
    build : function of an Instance
    start : float
        The tolerance to try first.
    loosest : float
        No looser tolerance is tried.
    """

    build: Callable[[Instance], Solve]
    start: float
    loosest: float = 0.1


def ours(instance: Instance) -> Solve:
    """What this course runs. `tol` bounds the gap as it is measured here."""
    import torch

    from sparsecourse.functional import lasso

    torch.set_num_threads(THREADS)
    X, y = torch.from_numpy(instance.X), torch.from_numpy(instance.y)
    lam = float(instance.lams[-1])
    if instance.groups is not None:
        from sparsecourse.functional import group_lasso

        groups = instance.groups
        return lambda tol: group_lasso.solve(X, y, groups, lam, tol=tol).coef.numpy()[None]
    if len(instance.lams) > 1:
        lams = torch.from_numpy(instance.lams)
        return lambda tol: np.stack([s.coef.numpy() for s in lasso.path(X, y, lams, tol=tol)])
    return lambda tol: lasso.solve(X, y, lam, tol=tol).coef.numpy()[None]


def scikit_learn(instance: Instance) -> Solve:
    """Coordinate descent with gap-safe screening. `tol` bounds the gap over ||y||^2 / n."""
    from sklearn.linear_model import Lasso, lasso_path

    X, y, lams = instance.X, instance.y, instance.lams
    if instance.groups is not None:
        raise NotImplementedError("no group lasso")
    if len(lams) > 1:
        return lambda tol: (
            lasso_path(X, y, alphas=lams, tol=tol, max_iter=ENDLESS, copy_X=False)[1].T
        )
    fresh = partial(Lasso, alpha=lams[0], fit_intercept=False, max_iter=ENDLESS)
    return lambda tol: fresh(tol=tol).fit(X, y).coef_[None]


def celer(instance: Instance) -> Solve:
    """Working sets with dual extrapolation. `tol` bounds the gap of its own dual point."""
    from celer import GroupLasso, Lasso, celer_path

    X, y, lams = instance.X, instance.y, instance.lams
    limits = {"max_iter": ENDLESS, "max_epochs": ENDLESS}
    if len(lams) > 1:
        return lambda tol: (
            celer_path(X, y, "lasso", alphas=lams, tol=tol, prune=True, **limits)[1].T
        )
    if instance.groups is None:
        fresh = partial(Lasso, alpha=lams[0], fit_intercept=False, **limits)
    else:
        fresh = partial(GroupLasso, GROUP_SIZE, alpha=lams[0], fit_intercept=False, **limits)
    return lambda tol: fresh(tol=tol).fit(X, y).coef_[None]


def skglm(instance: Instance) -> Solve:
    """Working sets with Anderson acceleration. `tol` bounds the optimality conditions over lam."""
    from skglm import GroupLasso, Lasso

    X, y, lams = instance.X, instance.y, instance.lams
    limits = {"max_iter": ENDLESS, "max_epochs": ENDLESS}
    if instance.groups is not None:
        fresh = partial(GroupLasso, GROUP_SIZE, alpha=lams[0], fit_intercept=False, **limits)
        return lambda tol: fresh(tol=tol * lams[0]).fit(X, y).coef_[None]

    def solve(tol: float) -> np.ndarray:
        lasso = Lasso(fit_intercept=False, warm_start=True, **limits)
        fits = (lasso.set_params(alpha=lam, tol=tol * lam).fit(X, y) for lam in lams)
        return np.stack([fit.coef_.copy() for fit in fits])

    return solve


SOLVERS = {
    "sparsecourse": Solver(ours, start=GAP, loosest=GAP),
    "scikit-learn": Solver(scikit_learn, start=1e-6),
    "celer": Solver(celer, start=1e-6),
    "skglm": Solver(skglm, start=1e-4),
}
