"""The problems are what they claim to be, and the same for everyone."""

import numpy as np
import pytest

from sparsecourse.bench.problems import CORRELATION, REAL, Problem, ar1, choose, make, standardised
from sparsecourse.data import available
from sparsecourse.reference import lasso


def test_neighbouring_columns_are_correlated_as_stated():
    X = ar1(20000, 6, seed=3)
    distance = np.abs(np.subtract.outer(range(6), range(6)))
    np.testing.assert_allclose(X.T @ X / len(X), CORRELATION**distance, atol=0.04)


@pytest.mark.parametrize("task", ["lasso", "path"])
def test_a_problem_is_the_same_by_its_seed(task):
    first = make(Problem(task, (30, 60), ratio=5, seed=1))
    ar1.cache_clear()
    again, other = (make(Problem(task, (30, 60), ratio=5, seed=seed)) for seed in (1, 2))
    for name in ("X", "y", "lams"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert not np.allclose(getattr(first, name), getattr(other, name))


def test_a_lasso_has_the_lam_of_its_ratio_and_a_path_goes_down_to_it():
    one = make(Problem("lasso", (30, 60), ratio=20))
    many = make(Problem("path", (30, 60), ratio=20))
    assert one.lams == pytest.approx([lasso.lambda_max(one.X, one.y) / 20])
    assert many.lams[[0, -1]] == pytest.approx([20 * one.lams[0], one.lams[0]])
    assert (np.diff(many.lams) < 0).all()
    assert one.X.flags.f_contiguous


def test_a_group_lasso_has_groups_of_ten_neighbours():
    instance = make(Problem("group lasso", (100, 60), ratio=5))
    assert instance.groups == [list(range(j, j + 10)) for j in range(0, 60, 10)]


def test_the_quick_choice_is_part_of_the_full_one():
    quick, full = (choose(only, REAL, seed=7) for only in (True, False))
    assert set(quick) < set(full)
    assert len(set(full)) == len(full) == 3 * 7 + 2 * 4
    assert {problem.task for problem in quick} == {"lasso", "path", "group lasso"}
    assert not [problem for problem in quick if problem.data == (2000, 50000)]
    assert not [problem for problem in choose(False, [], seed=7) if problem.data in REAL]


@pytest.mark.parametrize("name", REAL)
def test_real_data_are_standardised(name):
    if available()[name] is None:
        pytest.skip(f"{name} is not here")
    X, y = standardised(name)
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(X.std(axis=0), 1)
    assert (y.mean(), y.std()) == pytest.approx((0, 1))
