"""What tensors add: float32, sets tried in several portions, bad input of their own."""

import numpy as np
import pytest
import torch

from sparsecourse.functional import greedy
from sparsecourse.reference import greedy as reference

METHODS = [greedy.best_subset, greedy.omp, greedy.iht]


def sparse_problem(dtype, n=80, p=14):
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(n, p, generator=generator, dtype=dtype)
    b = torch.zeros(p, dtype=dtype)
    b[[1, 3, 5]] = torch.tensor([3.0, -2.0, 1.5], dtype=dtype)
    return X, X @ b + 0.1 * torch.randn(n, generator=generator, dtype=dtype), b


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_true_columns_are_found_and_the_dtype_is_kept(method, dtype):
    X, y, b = sparse_problem(dtype)
    found = method(X, y, 3)
    assert found.dtype == dtype
    assert torch.equal(found != 0, b != 0)
    torch.testing.assert_close(found, b, atol=0.1, rtol=0)


def test_omp_stops_at_the_rounding_of_its_dtype():
    X, _, b = sparse_problem(torch.float32)
    assert torch.count_nonzero(greedy.omp(X, X @ b, 10)) == 3
    assert not greedy.omp(X, torch.zeros(80), 5).any()


def test_the_best_set_is_found_in_whichever_portion_it_lies(monkeypatch):
    X, y, _ = sparse_problem(torch.float64, n=20, p=6)
    for portion in (1, 4, 100):
        monkeypatch.setattr(greedy, "SUBSETS_AT_ONCE", portion)
        for k in range(7):
            expected = reference.best_subset(X.numpy(), y.numpy(), k)
            np.testing.assert_allclose(greedy.best_subset(X, y, k).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_columns_of_zeros_are_never_chosen(method):
    X, y, _ = sparse_problem(torch.float64, p=14)
    X[:, [0, 4]] = 0
    b = method(X, y, 4)
    assert torch.isfinite(b).all()
    assert not b[[0, 4]].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: greedy.omp(torch.ones(2, 4, 3), torch.ones(2, 4), 1),
            r"X must be 2-D and y 1-D, got shapes \(2, 4, 3\) and \(2, 4\)",
        ),
        (lambda: greedy.iht(torch.ones(4, 3), torch.ones(4, 2), 1), "X must be 2-D and y 1-D"),
        (lambda: greedy.omp(torch.ones(4, 3), torch.ones(4), 4), "at most the number of features"),
        (lambda: greedy.best_subset(torch.ones(2, 60), torch.ones(2), 20), "more than can be"),
        (lambda: greedy.keep_largest(torch.ones(2, 2), 1), "w must be 1-D"),
        (lambda: greedy.iht(torch.ones(1, 1), torch.ones(1), 1, n_iter=-1), "n_iter must be"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
