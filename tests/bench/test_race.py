"""The race in one process: those who are here take part, and each is held to the same gap."""

from sparsecourse.bench.measure import race
from sparsecourse.bench.problems import Problem
from sparsecourse.bench.solvers import GAP, Solver, ours, scikit_learn


def absent(instance):
    raise ImportError


def lazy(instance):
    import numpy as np

    return lambda tol: np.zeros((1, instance.X.shape[1]))


def test_only_those_who_reach_the_gap_have_times():
    solvers = {
        "ours": Solver(ours, start=GAP, loosest=GAP),
        "scikit-learn": Solver(scikit_learn, start=1e-6),
        "absent": Solver(absent, start=1e-6),
        "lazy": Solver(lazy, start=1e-6),
    }
    found = race(Problem("lasso", (50, 100), ratio=5), solvers, seconds=0.2)
    assert list(found) == ["ours", "scikit-learn", "lazy"]
    for name in ("ours", "scikit-learn"):
        assert found[name].gap <= GAP
        assert 1 <= len(found[name].seconds) <= 5
    assert found["lazy"].failure.startswith("not reached")
    assert not found["lazy"].seconds


def test_who_has_no_such_solver_is_left_out():
    solvers = {"scikit-learn": Solver(scikit_learn, start=1e-6)}
    assert race(Problem("group lasso", (50, 100), ratio=5), solvers, seconds=0.1) == {}
