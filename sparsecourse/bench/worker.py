"""A process for each solver: it can be ended when it takes too long, and is alone in there."""

from __future__ import annotations

import multiprocessing
import signal
import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from multiprocessing.pool import Pool

import numpy as np
from threadpoolctl import threadpool_limits

from sparsecourse.bench.problems import Problem, make
from sparsecourse.bench.solvers import SOLVERS, THREADS, Solve

TINY = (100, 200)
SETUP_DEADLINE = 600  # seconds to import, to compile, to draw the data


class Worker:
    """Runs one of SOLVERS in a process of its own, which starts when first asked.

    Parameters
    ----------
    name : str
        Of the solver.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._pool: Pool | None = None

    def first_call(self, task: str) -> float:
        """Solve a tiny problem in a fresh process: importing and compiling is what takes time.

        Parameters
        ----------
        task : str

        Returns
        -------
        seconds : float

        Raises
        ------
        ImportError
            If the solver's library is not here.
        NotImplementedError
            If it has no solver for this task.
        """
        return self._ask(_first_call, Problem(task, TINY, ratio=5), deadline=SETUP_DEADLINE)

    def run(
        self, problem: Problem, tol: float, deadline: float | None = None
    ) -> tuple[float, np.ndarray]:
        """Solve a problem.

        Parameters
        ----------
        problem : Problem
        tol : float
            In the solver's own terms.
        deadline : float, optional
            Seconds after which the process is ended.

        Returns
        -------
        seconds : float
            Of the solver alone: the data lay ready.
        coefs : ndarray, shape (n_lams, p)

        Raises
        ------
        TimeoutError
            After the deadline.
        """
        self._ask(_prepare, problem, deadline=SETUP_DEADLINE)
        return self._ask(_run, problem, tol, deadline=deadline)

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    def _ask(self, function: Callable, *arguments: object, deadline: float | None = None):
        if self._pool is None:
            self._pool = multiprocessing.get_context("spawn").Pool(1, _begin)
        try:
            return self._pool.apply_async(function, (self.name, *arguments)).get(deadline)
        except multiprocessing.TimeoutError:
            self.close()
            raise TimeoutError(f"over {deadline:g} s") from None


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends this one
    warnings.simplefilter("ignore")  # what was not reached is told by the gap


@lru_cache(maxsize=1)
def _prepared(name: str, problem: Problem) -> Solve:
    return SOLVERS[name].build(make(problem))


def _prepare(name: str, problem: Problem) -> None:
    _prepared(name, problem)


def _first_call(name: str, problem: Problem) -> float:
    start = time.perf_counter()
    SOLVERS[name].build(make(problem))(SOLVERS[name].start)
    return time.perf_counter() - start


def _run(name: str, problem: Problem, tol: float) -> tuple[float, np.ndarray]:
    solve = _prepared(name, problem)
    with threadpool_limits(THREADS):
        start = time.perf_counter()
        coefs = solve(tol)
        return time.perf_counter() - start, coefs
