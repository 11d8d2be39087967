"""Cross-validation: every sample judged once, by fits that have not seen it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LassoCV
from sklearn.model_selection import PredefinedSplit

from sparsecourse.reference import cross_validation, lasso, ridge


def problem(n=30, p=5):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) + 3
    return X, 10 + X @ np.array([2.0, 0, 0, -1, 0]) + rng.normal(size=n)


def lasso_path(X, y, lams):
    return [solution.coef for solution in lasso.path(X, y, lams, tol=1e-10, max_iter=10**4)]


@given(n=st.integers(2, 40), data=st.data())
def test_folds_deal_every_sample_out_once_and_evenly(n, data):
    k = data.draw(st.integers(2, n))
    parts = cross_validation.folds(n, k, seed=3)
    assert len(parts) == k
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_folds_are_shuffled_by_the_seed():
    one, same, other = (np.concatenate(cross_validation.folds(20, 4, s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, np.arange(20))


def test_errors_are_those_of_scikit_learn():
    X, y = problem()
    lams = np.array([1.0, 0.3, 0.1, 0.01])
    errors = cross_validation.path_errors(X, y, lams, lasso_path, n_folds=5, seed=2)
    fold_of = np.empty(30, dtype=int)
    for i, part in enumerate(cross_validation.folds(30, 5, seed=2)):
        fold_of[part] = i
    theirs = LassoCV(alphas=lams, cv=PredefinedSplit(fold_of), tol=1e-10, max_iter=10**5).fit(X, y)
    np.testing.assert_allclose(errors, theirs.mse_path_.T, rtol=1e-5)


def test_the_held_out_samples_are_not_looked_at():
    X, y = problem()
    seen = []

    def record(X, y, lams):
        seen.append(len(y))
        assert abs(y.mean()) < 1e-9
        np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-12)
        return ridge.path(X, y, lams)

    y[cross_validation.folds(30, 3, seed=0)[0]] = 1e6
    errors = cross_validation.path_errors(X, y, [1.0], record, n_folds=3)
    assert seen == [20, 20, 20]
    assert errors[0, 0] == pytest.approx(1e12, rel=1e-3)


def test_one_standard_error_takes_the_first_within_reach_of_the_best():
    errors = np.array([[9.0, 4.0, 3.2, 2.0], [9.0, 4.0, 3.0, 4.0]])
    # The best mean is 3.0 (last), its standard error 1: the mean 4.0 is just within reach.
    assert cross_validation.one_standard_error(errors) == 1
    assert cross_validation.one_standard_error(errors + np.array([0, 0.1, 0, 0])) == 2
    assert cross_validation.one_standard_error(np.ones((2, 3))) == 0


def test_bad_input_is_named():
    X, y = problem()
    with pytest.raises(ValueError, match="n_folds must be from 2 to the 30 samples, got 31"):
        cross_validation.folds(30, 31)
    with pytest.raises(ValueError, match=r"coefficients of \(2, 5\), got \(5,\)"):
        cross_validation.path_errors(X, y, [1, 2], lambda X, y, lams: np.zeros(5))
    with pytest.raises(ValueError, match="2 or more folds"):
        cross_validation.one_standard_error(np.ones((1, 3)))
