"""What tensors add: float32, a real path, bad input of their own."""

import numpy as np
import pytest
import torch

from sparsecourse.functional import cross_validation, lasso
from sparsecourse.reference import cross_validation as reference


def problem(dtype=torch.float64, n=40, p=6):
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(n, p, generator=generator, dtype=dtype) + 2
    return X, 5 + 2 * X[:, 0] - X[:, 3] + 0.5 * torch.randn(n, generator=generator, dtype=dtype)


def fit_path(X, y, lams):
    return torch.stack([solution.coef for solution in lasso.path(X, y, lams, tol=1e-10)])


def test_a_lasso_path_is_judged_as_by_the_reference():
    X, y = problem()
    lams = torch.tensor([1.0, 0.3, 0.1], dtype=torch.float64)

    def on_arrays(X, y, lams):
        return fit_path(*map(torch.tensor, (X, y, lams))).numpy()

    errors = cross_validation.path_errors(X, y, lams, fit_path, n_folds=4, seed=1)
    expected = reference.path_errors(X.numpy(), y.numpy(), lams.numpy(), on_arrays, 4, 1)
    np.testing.assert_allclose(errors.numpy(), expected, rtol=1e-10)


def test_float32_stays_float32():
    X, y = problem(torch.float32)
    lams = torch.tensor([0.5, 0.1])
    errors = cross_validation.path_errors(
        X, y, lams, lambda X, y, lams: X.new_zeros(2, X.shape[1]), n_folds=3
    )
    assert errors.dtype == torch.float32
    assert errors.shape == (3, 2)
    index = cross_validation.one_standard_error(errors)
    assert index.dtype == torch.int64
    assert index == 0


def test_the_first_within_one_standard_error_is_taken():
    errors = torch.tensor([[9.0, 4.0, 3.2, 2.0], [9.0, 4.0, 3.0, 4.0]])
    assert cross_validation.one_standard_error(errors) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda X, y, lams: cross_validation.path_errors(X, y[:, None], lams, fit_path),
            r"y 1-D, got shapes \(40, 6\) and \(40, 1\)",
        ),
        (
            lambda X, y, lams: cross_validation.path_errors(X, y, lams[None], fit_path),
            r"lams must be 1-D, got shape \(1, 2\)",
        ),
        (
            lambda X, y, lams: cross_validation.path_errors(X, y, lams, lambda X, y, lams: lams),
            r"coefficients of \(2, 6\), got \(2,\)",
        ),
        (
            lambda X, y, lams: cross_validation.path_errors(X, y, lams, fit_path, n_folds=41),
            "n_folds must be from 2 to the 40 samples, got 41",
        ),
        (
            lambda X, y, lams: cross_validation.one_standard_error(X[None]),
            r"errors must be 2-D, got shape \(1, 40, 6\)",
        ),
        (
            lambda X, y, lams: cross_validation.one_standard_error(X[:1]),
            r"2 or more folds, got \(1, 6\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(*problem(), torch.tensor([0.5, 0.1], dtype=torch.float64))
