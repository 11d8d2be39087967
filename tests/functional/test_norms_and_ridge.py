"""What tensors add: batches, float32, bad input of their own."""

import pytest
import torch

from sparsecourse.functional import norms, ridge


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("solve", [ridge.closed_form, ridge.svd_form])
@pytest.mark.parametrize("targets", [(), (3,)])
def test_a_batch_is_the_same_as_one_at_a_time(solve, targets, generator):
    X = torch.randn(5, 8, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(5, 8, *targets, generator=generator, dtype=torch.float64)
    together = solve(X, y, 0.3)
    for i in range(5):
        torch.testing.assert_close(together[i], solve(X[i], y[i], 0.3))


def test_a_path_over_a_batch_has_the_strengths_in_front(generator):
    X = torch.randn(5, 8, 3, generator=generator)
    y = torch.randn(5, 8, generator=generator)
    b = ridge.path(X, y, torch.tensor([0.1, 1.0]))
    assert b.shape == (2, 5, 3)
    assert b.dtype == torch.float32
    torch.testing.assert_close(b[1, 4], ridge.closed_form(X[4], y[4], 1.0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        ridge.degrees_of_freedom(X, 1.0)[4], ridge.degrees_of_freedom(X[4], 1.0)
    )


@pytest.mark.parametrize(
    "threshold", [norms.soft_threshold, norms.hard_threshold, norms.half_threshold]
)
def test_thresholds_keep_the_dtype_and_leave_no_nan(threshold):
    w = torch.tensor([0.0, -3.0, 0.2, 1e-30, 1e30])
    x = threshold(w, 0.5)
    assert x.dtype == torch.float32
    assert torch.isfinite(x).all()
    assert (x == 0).tolist() == [True, False, True, True, False]


def test_groups_of_length_zero_leave_no_nan():
    assert not norms.group_soft_threshold(torch.zeros(3, 4), 0.0).isnan().any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: norms.soft_threshold([1.0], 1),
            "w must be a tensor of float32 or float64, got list",
        ),
        (lambda: norms.soft_threshold(torch.ones(1), -1.0), "lam must be >= 0, got -1"),
        (lambda: norms.lp_norm(torch.ones(1), 0), "p must be > 0"),
        (lambda: norms.group_soft_threshold(torch.tensor(1.0), 1), "w must be at least 1-D"),
        (lambda: ridge.closed_form(torch.ones(1, 2), torch.ones(1), 0), "singular for lam = 0"),
        (lambda: ridge.path(torch.ones(1, 1), torch.ones(1), torch.ones(1, 1)), "lams must be 1-D"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
