"""All solvers on all problems, one problem after the other."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from tqdm.auto import tqdm

from sparsecourse.bench.measure import Measurement, Run, find_tolerance, largest_gap, take_turns
from sparsecourse.bench.problems import Instance, Problem, make
from sparsecourse.bench.solvers import SOLVERS
from sparsecourse.bench.worker import Worker


@dataclass(frozen=True)
class Patience:
    """How long to measure.

    Attributes
    ----------
    rounds : int
    deadline : float
        Seconds after which a run is ended; the search for a tolerance has three times as many.
    budget : float
        Seconds of timed runs after which a solver misses the rounds that are left.
    """

    rounds: int
    deadline: float
    budget: float


QUICK = Patience(rounds=3, deadline=5, budget=2)
FULL = Patience(rounds=7, deadline=60, budget=15)


def compare(
    problems: Sequence[Problem], patience: Patience
) -> Iterator[tuple[Problem, dict[str, Measurement]]]:
    """Measure all solvers on each problem; a bar on stderr shows how far it is.

    Parameters
    ----------
    problems : sequence of Problem
    patience : Patience

    Yields
    ------
    problem : Problem
    found : dict of Measurement
        By name of the solver.
    """
    tasks_begun = set()
    with ExitStack() as stack:
        workers = {name: stack.enter_context(closing(Worker(name))) for name in SOLVERS}
        bar = stack.enter_context(tqdm(problems, unit="problem", leave=False))
        for problem in bar:
            bar.set_description(str(problem))
            yield problem, measure(problem, workers, patience, problem.task not in tasks_begun)
            tasks_begun.add(problem.task)


def measure(
    problem: Problem, workers: Mapping[str, Worker], patience: Patience, is_first: bool
) -> dict[str, Measurement]:
    """Measure all solvers on one problem.

    Parameters
    ----------
    problem : Problem
    workers : mapping of Worker
        By name of the solver.
    patience : Patience
    is_first : bool
        Is it the first problem of its task? Then, the first calls are timed, too.

    Returns
    -------
    found : dict of Measurement
        By name of the solver.
    """
    instance = make(problem)
    runs = {name: _judged(worker, problem, instance, patience) for name, worker in workers.items()}
    found = {}
    for name, worker in workers.items():
        try:
            first_call = worker.first_call(problem.task) if is_first else None
            found[name] = find_tolerance(
                runs[name], SOLVERS[name].start, SOLVERS[name].loosest, 3 * patience.deadline
            )
            found[name].first_call = first_call
        except NotImplementedError as error:
            found[name] = Measurement(failure=str(error))
        except Exception as error:  # whatever a library does, the others go on
            found[name] = Measurement(failure=type(error).__name__)
            tqdm.write(f"{name}, {problem}: {error}", file=sys.stderr)
    take_turns(runs, found, patience.rounds, patience.budget)
    return found


def _judged(worker: Worker, problem: Problem, instance: Instance, patience: Patience) -> Run:
    def run(tol: float) -> tuple[float, float]:
        seconds, coefs = worker.run(problem, tol, patience.deadline)
        return seconds, largest_gap(instance, coefs)

    return run
