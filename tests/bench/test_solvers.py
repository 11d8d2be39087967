"""Each solver, in a process of its own, minimises what the gap judges."""

from contextlib import closing

import pytest
from threadpoolctl import threadpool_info

from sparsecourse.bench import compare, worker
from sparsecourse.bench.measure import largest_gap
from sparsecourse.bench.problems import Problem, make
from sparsecourse.bench.solvers import GAP, SOLVERS, Solver
from sparsecourse.bench.worker import Worker

TASKS = ["lasso", "path", "group lasso"]


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("task", TASKS)
def test_a_solver_reaches_the_gap_at_a_tight_tolerance(name, task):
    instance = make(Problem(task, (100, 200), ratio=20))
    try:
        solve = SOLVERS[name].build(instance)
    except NotImplementedError:
        assert (name, task) == ("scikit-learn", "group lasso")
        return
    coefs = solve(1e-9)
    assert coefs.shape == (len(instance.lams), 200)
    assert largest_gap(instance, coefs) <= GAP


def test_a_worker_returns_seconds_and_coefficients_and_ends_what_takes_too_long():
    problem = Problem("lasso", (100, 200), ratio=5)
    with closing(Worker("scikit-learn")) as runner:
        assert runner.first_call("lasso") > 0
        seconds, coefs = runner.run(problem, 1e-7, deadline=60)
        assert 0 < seconds < 60
        assert largest_gap(make(problem), coefs) <= GAP
        with pytest.raises(NotImplementedError, match="no group lasso"):
            runner.first_call("group lasso")
        endless = Problem("path", (300, 3000), ratio=100)  # seconds, at the least
        with pytest.raises(TimeoutError, match=r"over 0\.001 s"):
            runner.run(endless, 1e-12, deadline=0.001)
        _, again = runner.run(problem, 1e-7, deadline=60)
        assert (again == coefs).all()


def test_libraries_run_on_one_thread_while_they_are_timed(monkeypatch):
    seen = []

    def build(instance):
        return lambda tol: seen.extend(pool["num_threads"] for pool in threadpool_info())

    monkeypatch.setitem(SOLVERS, "spy", Solver(build, start=1e-6))
    worker._run("spy", Problem("lasso", (30, 60), ratio=5), 1e-6)
    assert set(seen) == {1}


class Stand:
    """In the place of a worker: a solver in this process, or one that fails."""

    def __init__(self, error=None):
        self.error = error

    def first_call(self, task):
        return 0.5

    def run(self, problem, tol, deadline):
        if self.error:
            raise self.error
        return 0.01, SOLVERS["scikit-learn"].build(make(problem))(1e-8)


def test_one_solver_failing_does_not_stop_the_others(monkeypatch, capsys):
    workers = {
        "sparsecourse": Stand(),
        "celer": Stand(ModuleNotFoundError("No module named 'celer'")),
        "skglm": Stand(NotImplementedError("no such task")),
    }
    problem = Problem("lasso", (100, 200), ratio=5)
    found = compare.measure(problem, workers, compare.QUICK, is_first=True)
    assert found["sparsecourse"].seconds == [0.01] * 3
    assert found["sparsecourse"].first_call == 0.5
    assert found["celer"].failure == "ModuleNotFoundError"
    assert "No module named 'celer'" in capsys.readouterr().err
    assert found["skglm"].failure == "no such task"
    again = compare.measure(problem, workers, compare.QUICK, is_first=False)
    assert again["sparsecourse"].first_call is None
