"""What parity with the reference does not cover: dtypes, gradients, memory layouts, errors."""

import math

import pytest
import torch

from sparsecourse.functional import pruning


def test_weights_that_are_trained_can_be_ranked_and_encoded():
    w = torch.nn.Parameter(torch.tensor([[1.0, 0.0, -3.0]]))
    for result in (
        pruning.magnitude_mask(w, 0.5),
        pruning.threshold_mask(w, 1),
        *pruning.encode(w, 3),
        pruning.relative_index_bytes(w, 3),
    ):
        assert not result.requires_grad


def test_values_keep_their_dtype_to_the_bit():
    w = torch.randn(50).float() * (torch.rand(50) < 0.3)
    values, distances = pruning.encode(w, 2)
    assert (values.dtype, distances.dtype) == (torch.float32, torch.int64)
    assert torch.equal(pruning.decode(values, distances, (5, 10)), w.reshape(5, 10))


def test_encoding_reads_rows_whatever_the_memory_layout():
    w = torch.randn(3, 4, 5, 5).relu()
    values, distances = pruning.encode(w.to(memory_format=torch.channels_last), 4)
    assert torch.equal(values, pruning.encode(w, 4)[0])
    assert torch.equal(distances, pruning.encode(w, 4)[1])


def test_rounding_to_float32_makes_ties_and_the_count_is_exact():
    w = torch.full((1000,), 0.1) + 1e-10 * torch.arange(1000)
    assert w.unique().numel() < 1000
    for keep in (0.0, 0.001, 0.5, 1.0):
        assert pruning.magnitude_mask(w, keep).sum() == round(keep * 1000)


def test_a_schedule_takes_a_plain_step_number():
    assert float(pruning.cubic_sparsity(10, 0.0, 0.9, 0, 5, 2)) == 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: pruning.magnitude_mask(w.int(), 0.5), "w must be a tensor of float32"),
        (lambda w: pruning.magnitude_mask(w * math.nan, 0.5), "w must be finite, got nan"),
        (lambda w: pruning.magnitude_mask(w[:0], 0.5), "w must not be empty"),
        (lambda w: pruning.magnitude_mask(w, -0.1), "keep must be between 0 and 1, got -0.1"),
        (lambda w: pruning.global_magnitude_masks([], 0.5), "one or more tensors"),
        (lambda w: pruning.global_magnitude_masks([w, w / 0], 0.5), r"weights\[1\] must be finite"),
        (lambda w: pruning.threshold_mask(w, -1), "c must be a number >= 0, got -1"),
        (lambda w: pruning.cubic_sparsity(0, 0.9, 0.5, 0, 1, 1), "final must be at least initial"),
        (lambda w: pruning.cubic_sparsity(0, 0.0, 0.5, 0, 1, 0), "updates and every must be >= 1"),
        (lambda w: pruning.dropout_ratio(0.5, 0, 0), "connections must be > 0, got 0"),
        (lambda w: pruning.dropout_ratio(0.5, 10, 11), "left must be between 0 and connections"),
        (lambda w: pruning.compression_rate([]), "one or more tensors"),
        (lambda w: pruning.encode(w, 33), "index_bits must be between 1 and 32, got 33"),
        (lambda w: pruning.encode(w, 2.0), "index_bits must be a whole number"),
        (lambda w: pruning.decode(w, w[:1].long(), (3,)), "of equal length"),
        (lambda w: pruning.decode(w, w, (9,)), "distances must be whole numbers >= 1"),
        (lambda w: pruning.decode(w, w.long() * 0, (9,)), "distances must be whole numbers >= 1"),
        (lambda w: pruning.decode(w, w.long(), (2,)), "lead to entry 3, .* has 2"),
        (lambda w: pruning.csr_bytes(w.expand(1, 40000, 3), 16), "can number 32768 columns"),
        (lambda w: pruning.csr_bytes(w[None], 24), "index_bits must be 16 or 32, got 24"),
        (lambda w: pruning.csr_bytes(w), "w must be at least 2-D"),
        (lambda w: pruning.bitmask_bytes(w, 0), "value_bits must be between 1 and 64, got 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(3))
