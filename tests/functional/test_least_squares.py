"""What tensors add to the reference: batches, dtypes, and their own bad input."""

import pytest
import torch

from sparsecourse.functional import least_squares as ls

SOLVERS = [ls.solve_normal_equations, ls.solve_qr, ls.solve_minimum_norm]


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def draw(generator, *shape, dtype=torch.float64):
    return torch.randn(shape, generator=generator, dtype=dtype)


@pytest.mark.parametrize("solve", [*SOLVERS, lambda X, y: ls.gradient_descent(X, y, 5)[-1]])
@pytest.mark.parametrize("targets", [(), (3,)])
def test_a_batch_is_the_same_as_one_at_a_time(solve, targets, generator):
    X, y = draw(generator, 2, 4, 9, 3), draw(generator, 2, 4, 9, *targets)
    together = solve(X, y)
    assert together.shape == (2, 4, 3, *targets)
    for i in range(2):
        for j in range(4):
            torch.testing.assert_close(together[i, j], solve(X[i, j], y[i, j]))


@pytest.mark.parametrize("solve", SOLVERS)
def test_float32_stays_float32(solve, generator):
    X, y = draw(generator, 9, 3, dtype=torch.float32), draw(generator, 9, dtype=torch.float32)
    b = solve(X, y)
    assert b.dtype == torch.float32
    torch.testing.assert_close(b.double(), solve(X.double(), y.double()), rtol=1e-4, atol=1e-5)


def test_float32_has_its_own_working_precision():
    X = torch.diag(torch.tensor([1.0, 1e-8]))
    torch.testing.assert_close(ls.solve_minimum_norm(X, torch.ones(2)), torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="2 columns of which only 1"):
        ls.solve_qr(X, torch.ones(2))
    assert ls.condition_number(X) == torch.inf


def test_zeros_stay_zeros():
    X, y = torch.zeros(3, 2), torch.ones(3)
    assert not ls.gradient_descent(X, y, 4).any()
    assert not ls.solve_minimum_norm(X, y).any()
    assert ls.condition_number(X) == torch.inf


@pytest.mark.parametrize("solve", SOLVERS[:2])
def test_one_singular_matrix_in_a_batch_is_refused(solve, generator):
    X = draw(generator, 3, 9, 4)
    X[1, :, 3] = X[1, :, 0]
    with pytest.raises(ValueError, match="4 columns of which only 3"):
        solve(X, draw(generator, 3, 9))


def test_condition_number_and_features_take_batches(generator):
    X = draw(generator, 5, 6, 3)
    torch.testing.assert_close(ls.condition_number(X)[2], ls.condition_number(X[2]))
    x = draw(generator, 5, 6)
    torch.testing.assert_close(ls.polynomial_features(x, 3)[4], ls.polynomial_features(x[4], 3))


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[1.0]], torch.ones(1), "X must be a tensor of float32 or float64, got list"),
        (torch.ones(2, 1, dtype=torch.int64), torch.ones(2), "got torch.int64"),
        (torch.ones(2), torch.ones(2), r"X must be at least 2-D, got shape \(2,\)"),
        (
            torch.tensor([[1.0], [torch.nan]]),
            torch.ones(2),
            r"X must be finite, got nan at index \(1, 0\)",
        ),
        (
            torch.ones(2, 1),
            torch.ones(3),
            r"y must have shape \(2,\) or \(2, 'n_targets'\).*got \(3,\)",
        ),
        (torch.ones(2, 1), torch.ones(2).double(), "y must be torch.float32 on cpu like X"),
        (torch.ones(0, 1), torch.ones(0), "X must not be empty"),
        (torch.ones(5, 2, 1), torch.ones(2), r"y must have shape \(5, 2\)"),
    ],
)
@pytest.mark.parametrize("solve", SOLVERS)
def test_bad_input_is_named(solve, X, y, message):
    with pytest.raises(ValueError, match=message):
        solve(X, y)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ls.solve_minimum_norm(torch.ones(1, 1), torch.ones(1), rcond=-1.0), "rcond"),
        (
            lambda: ls.gradient_descent(torch.ones(1, 1), torch.ones(1), -1),
            "n_iter must be a whole number >= 0",
        ),
        (lambda: ls.gradient_descent(torch.ones(1, 1), torch.ones(1), 1, -0.1), "step must be > 0"),
        (lambda: ls.polynomial_features(torch.ones(1), -1), "degree must be a whole number >= 0"),
        (lambda: ls.polynomial_features(torch.ones(1), 2.5), "degree must be a whole number"),
        (lambda: ls.local_sensitivity(torch.sum, torch.ones(2), 0), "step must not be zero"),
        (lambda: ls.local_sensitivity(torch.sum, torch.ones(2), torch.ones(3)), "of shape"),
        (lambda: ls.local_sensitivity(torch.sum, torch.ones(2, 2), 1), "x must be 1-D"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
