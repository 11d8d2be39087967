"""Certificates: zero at the solution, never below the true distance, refusing what is not allowed."""

import numpy as np
import pytest

from sparsecourse.grading.certificates import group_lasso, lasso, nonnegative_lasso
from sparsecourse.grading.checks import certified
from sparsecourse.reference import group_lasso as reference_group
from sparsecourse.reference import lasso as reference

LABELS = np.array([0, 1, 0, 1, 2])


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 5))
    return X, X @ [1.0, 0, -2, 0, 0] + 0.3 * rng.normal(size=20)


def test_gaps_are_those_of_the_reference(problem):
    X, y = problem
    b = np.array([0.5, 0, -1, 0.1, 0])
    assert lasso(b, X, y, 0.2) == pytest.approx(reference.duality_gap(X, y, b, 0.2))
    groups = [np.flatnonzero(np.equal(LABELS, g)) for g in range(3)]
    w = np.array([1.0, 2.0, 0.5])
    expected = reference_group.duality_gap(X, y, b, groups, 0.2, w)
    assert group_lasso(b, X, y, LABELS, 0.2, w) == pytest.approx(expected)
    unweighted = reference_group.duality_gap(X, y, b, groups, 0.2)
    assert group_lasso(b, X, y, LABELS, 0.2) == pytest.approx(unweighted)


def test_weights_are_those_of_a_rescaled_problem(problem):
    X, y = problem
    w = np.array([1.0, 2.0, 0.5, 1.0, 3.0])
    best = reference.coordinate_descent(X / w, y, 0.2, tol=1e-12).coef / w
    assert abs(lasso(best, X, y, 0.2, w)) < 1e-11
    assert lasso(best, X, y, 0.2) > 1e-3


def test_a_nonnegative_solution_is_certified_and_a_negative_entry_refused(problem):
    X, y = problem
    best = np.zeros(5)
    for _ in range(200):
        for j in range(5):
            z = X[:, j] @ (y - X @ best) / 20 + best[j] * np.mean(X[:, j] ** 2)
            best[j] = max(z - 0.2, 0) / np.mean(X[:, j] ** 2)
    assert abs(nonnegative_lasso(best, X, y, 0.2)) < 1e-12
    assert nonnegative_lasso(best + 0.1 * np.eye(5)[3], X, y, 0.2) > 1e-4
    assert nonnegative_lasso(np.array([0, 0, -1.0, 0, 0]), X, y, 0.2) == np.inf
    assert nonnegative_lasso(np.array([-1e-12, 0, 0, 0, 0]), X, y, 0.2) == np.inf
    assert lasso(np.zeros(5), X, 0 * y, 0.2) == 0
    assert nonnegative_lasso(np.zeros(5), -np.abs(X), np.abs(y), 0.2) == 0.0


def test_a_judge_says_the_gap_and_looks_at_the_shape_first(problem):
    X, y = problem
    judge = certified("lasso", 1e-6, {"X": X, "y": y, "lam": 0.2})
    assert judge(reference.coordinate_descent(X, y, 0.2, tol=1e-7).coef) is None
    assert "optimal means below 1e-06" in judge(np.zeros(5)).what
    assert "the duality gap of your result is" in judge(np.ones(5)).what
    assert "shape (5,), got (4,)" in judge(np.zeros(4)).what
    assert "holds nan" in judge(np.full(5, np.nan)).what
    assert "is a return missing" in judge(None).what
