"""The search for a tolerance and the turns, with solvers made up for it."""

import numpy as np
import pytest

from sparsecourse.bench.measure import (
    STEP,
    Measurement,
    find_tolerance,
    largest_gap,
    take_turns,
)
from sparsecourse.bench.problems import Problem, make
from sparsecourse.bench.solvers import GAP
from sparsecourse.reference import lasso


class Fake:
    """Reaches a gap of `factor` times its tolerance, in a time that grows as that shrinks."""

    def __init__(self, factor, slower_than=0.0):
        self.factor, self.slower_than, self.asked = factor, slower_than, []

    def __call__(self, tol):
        self.asked.append(tol)
        if tol < self.slower_than:
            raise TimeoutError("over 60 s")
        return 1 / tol, self.factor * tol


@pytest.mark.parametrize("factor", [1e-3, 0.3, 1, 30, 1e5])
def test_the_loosest_tolerance_that_meets_the_gap_is_found(factor):
    run = Fake(factor)
    found = find_tolerance(run, start=1e-6, loosest=1, limit=np.inf)
    assert factor * found.tol <= GAP < factor * found.tol * STEP * 1.001
    assert found.gap == factor * found.tol
    assert not found.failure
    assert len(run.asked) == len(set(run.asked)), "nothing is run twice"


def test_no_tolerance_looser_than_the_loosest_is_tried():
    run = Fake(1e-9)
    assert find_tolerance(run, start=1e-6, loosest=1e-6, limit=np.inf).tol == 1e-6
    assert run.asked == [1e-6]


def test_a_solver_that_never_reaches_the_gap_is_marked_with_how_near_it_came():
    found = find_tolerance(lambda tol: (1.0, 3e-5 + tol), start=1e-6, loosest=1, limit=np.inf)
    assert found.tol is None
    assert found.failure == "not reached (gap 3e-05)"


def test_a_solver_that_takes_too_long_is_marked_with_how_near_it_came():
    found = find_tolerance(Fake(10, slower_than=2e-7), start=1e-6, loosest=1, limit=np.inf)
    assert found.failure == "over 60 s (gap 3e-06)"
    assert find_tolerance(Fake(1, slower_than=1), 1e-6, 0.1, np.inf).failure == "over 60 s"


def test_a_search_ends_after_its_limit_and_keeps_what_it_found():
    def run(tol):
        return 1.0, 1e-4 if tol < 1e-6 else tol

    assert find_tolerance(run, 1e-4, 1, limit=1).failure == "not reached (gap 1e-04)"
    assert find_tolerance(Fake(1e-3), 1e-6, 1, limit=1).tol == 1e-6


def test_a_timeout_on_the_way_up_spoils_nothing():
    def run(tol):
        if tol > 1e-5:
            raise TimeoutError("over 60 s")
        return 1.0, 1e-7

    found = find_tolerance(run, start=1e-6, loosest=1, limit=np.inf)
    assert not found.failure
    assert 1e-6 < found.tol <= 1e-5


def turns(seconds, rounds, budget=np.inf):
    """Names in the order in which they ran, and what was measured."""
    order = []

    def run_of(name):
        def run(tol):
            order.append(name)
            return seconds[name], tol

        return run

    found = {name: Measurement(tol=GAP / 2, gap=GAP / 2) for name in seconds}
    take_turns({name: run_of(name) for name in seconds}, found, rounds, budget)
    return order, found


def test_solvers_take_turns_and_each_begins_once():
    order, found = turns({"a": 1.0, "b": 2.0, "c": 3.0}, rounds=3)
    assert "".join(order) == "abcbcacab"
    assert {name: of.seconds for name, of in found.items()} == {
        "a": [1.0] * 3,
        "b": [2.0] * 3,
        "c": [3.0] * 3,
    }


def test_a_slow_solver_misses_rounds_but_not_the_first():
    order, found = turns({"fast": 0.1, "slow": 9.0}, rounds=4, budget=8)
    assert order.count("fast") == 4
    assert found["slow"].seconds == [9.0]


def test_a_solver_that_failed_is_not_timed():
    found = {"a": Measurement(failure="not reached")}
    take_turns({}, found, rounds=3, budget=1)
    assert found["a"].seconds == []


def test_a_solver_that_fails_in_a_round_has_no_time():
    gaps = iter([GAP, 5 * GAP, GAP])
    found = {"random": Measurement(tol=1e-6, gap=GAP), "late": Measurement(tol=1e-9, gap=GAP)}
    runs = {"random": lambda tol: (1.0, next(gaps)), "late": Fake(1, slower_than=1)}
    take_turns(runs, found, rounds=3, budget=np.inf)
    assert found["random"].failure == "not reached each time (gap 5e-06)"
    assert found["late"].failure.startswith("over 60 s")
    assert found["random"].seconds == found["late"].seconds == []


def test_the_gap_of_a_path_is_that_of_its_worst_solution():
    instance = make(Problem("path", (30, 60), ratio=5))
    coefs = np.zeros((len(instance.lams), 60))
    gaps = [lasso.duality_gap(instance.X, instance.y, coefs[0], lam) for lam in instance.lams]
    assert largest_gap(instance, coefs) == max(gaps) > min(gaps)


def test_the_gap_of_group_coefficients_is_the_group_lassos():
    instance = make(Problem("group lasso", (100, 60), ratio=1))
    assert largest_gap(instance, np.zeros((1, 60))) == pytest.approx(0, abs=1e-12)
    instance = make(Problem("group lasso", (100, 60), ratio=5))
    assert largest_gap(instance, np.zeros((1, 60))) > 0.1


def test_the_largest_gap_of_all_rounds_is_kept():
    gaps = iter([GAP, GAP / 8])
    found = {"a": Measurement(tol=1e-6, gap=GAP / 2)}
    take_turns({"a": lambda tol: (1.0, next(gaps))}, found, rounds=2, budget=9)
    assert found["a"].gap == GAP


def test_a_solver_that_breaks_stops_nobody_else():
    def breaks(tol):
        raise RuntimeError("no")

    found = {"a": Measurement(tol=1e-6, gap=GAP), "b": Measurement(tol=1e-6, gap=GAP)}
    take_turns({"a": breaks, "b": lambda tol: (1.0, GAP)}, found, rounds=2, budget=9)
    assert found["a"].failure.startswith("RuntimeError")
    assert found["b"].seconds == [1.0, 1.0]
