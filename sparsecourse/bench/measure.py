"""How it is measured: one certificate for all, the loosest tolerance that meets it, and turns.

Speed is compared within one run only. The solvers take turns, so that a busy machine is busy for
all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from sparsecourse.bench.problems import Instance, Problem, make
from sparsecourse.bench.solvers import GAP, SOLVERS, THREADS, Solve, Solver
from sparsecourse.reference import group_lasso, lasso

STEP = 10**0.5
TIGHTEST = 1e-13

# Runs a solver at a tolerance: the seconds it took, the gap of what it returned. TimeoutError
# where it took too long.
Run = Callable[[float], tuple[float, float]]


@dataclass
class Measurement:
    """What one solver did on one problem.

    Attributes
    ----------
    tol : float or None
        The loosest tolerance that met the gap.
    gap : float
        The largest of the timed runs; without any, the smallest that was seen.
    seconds : list of float
        One for each round.
    failure : str
        Why there are none, or nothing.
    first_call : float or None
        Seconds of the first run of all, which imports and compiles; None on later problems.
    """

    tol: float | None = None
    gap: float = np.inf
    seconds: list[float] = field(default_factory=list)
    failure: str = ""
    first_call: float | None = None

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> list[float]:
        """The first and the third."""
        return np.quantile(self.seconds, [0.25, 0.75]).tolist()

    def fail(self, why: str) -> None:
        """Give up, saying how near it came."""
        self.seconds = []
        self.failure = f"{why} (gap {self.gap:.0e})" if np.isfinite(self.gap) else why


def largest_gap(instance: Instance, coefs: np.ndarray) -> float:
    """Judge the coefficients that a solver returned: the same certificate for all, in float64.

    Parameters
    ----------
    instance : Instance
    coefs : ndarray, shape (n_lams, p)

    Returns
    -------
    gap : float
        Relative to ||y||^2 / (2n); of a path, the largest.
    """
    X, y, groups = instance.X, instance.y, instance.groups
    return max(
        lasso.duality_gap(X, y, b, lam)
        if groups is None
        else group_lasso.duality_gap(X, y, b, groups, lam)
        for b, lam in zip(coefs, instance.lams, strict=True)
    )


def find_tolerance(run: Run, start: float, loosest: float, limit: float) -> Measurement:
    """Look for the loosest tolerance that meets the gap, which is the fastest way there.

    Where the first one meets it, looser ones are tried until one does not; else tighter ones until
    one does.

    Parameters
    ----------
    run : Run
    start : float
        The first tolerance.
    loosest : float
        The last, on the way up.
    limit : float
        Seconds in all runs, after which no other is begun.

    Returns
    -------
    found : Measurement
        Without seconds. Where nothing met the gap in time, its `failure` says so.
    """
    found = Measurement()
    tol, tightened, spent = start, False, 0.0
    try:
        while TIGHTEST <= tol <= loosest and spent < limit:
            seconds, gap = run(tol)
            spent += seconds
            met = gap <= GAP
            if met:
                found.tol, found.gap = tol, gap
            elif found.tol is None:
                found.gap = min(found.gap, gap)
                tightened = True
            if met == tightened:
                break
            tol = tol * STEP if met else tol / STEP
    except TimeoutError as error:
        if found.tol is None:
            found.fail(str(error))
    if found.tol is None and not found.failure:
        found.fail("not reached")
    return found


def take_turns(
    runs: Mapping[str, Run], found: Mapping[str, Measurement], rounds: int, budget: float
) -> None:
    """Time every solver once a round, beginning with another one each round.

    Parameters
    ----------
    runs : mapping of Run
    found : mapping of Measurement
        Of the same names. Gets the seconds; those with a failure stay as they are.
    rounds : int
    budget : float
        A solver that has used up that many seconds misses the rounds that are left.
    """
    names = list(found)
    for turn in range(rounds):
        first = turn % max(1, len(names))
        for name in names[first:] + names[:first]:
            measurement = found[name]
            if measurement.failure or sum(measurement.seconds) >= budget:
                continue
            try:
                seconds, gap = runs[name](measurement.tol)
            except TimeoutError as error:
                measurement.fail(str(error))
                continue
            except Exception as error:  # whatever a library does, the others go on
                measurement.fail(type(error).__name__)
                continue
            measurement.seconds.append(seconds)
            measurement.gap = max(measurement.gap, gap)
            if gap > GAP:
                measurement.fail("not reached each time")


def race(
    problem: Problem, solvers: Mapping[str, Solver] = SOLVERS, seconds: float = 1.0
) -> dict[str, Measurement]:
    """Measure solvers in this process, on a problem small enough that all of them arrive.

    Parameters
    ----------
    problem : Problem
    solvers : mapping of Solver, optional
        By name. One whose library is not here, or has no such solver, is left out.
    seconds : float
        Of timed runs, for each solver.

    Returns
    -------
    found : dict of Measurement
        By name of the solver.
    """
    instance, runs, found = make(problem), {}, {}
    with threadpool_limits(THREADS):
        for name, solver in solvers.items():
            try:
                run = _timed(solver.build(instance), instance)
                run(solver.start)  # the first call imports and compiles
            except (ImportError, NotImplementedError):
                continue
            runs[name] = run
            found[name] = find_tolerance(run, solver.start, solver.loosest, seconds)
        take_turns(runs, found, rounds=5, budget=seconds)
    return found


def _timed(solve: Solve, instance: Instance) -> Run:
    def run(tol: float) -> tuple[float, float]:
        start = perf_counter()
        coefs = solve(tol)
        return perf_counter() - start, largest_gap(instance, coefs)

    return run
