"""Masks by what they keep, schedules at their ends, storage against what is really stored."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sparsecourse.reference import pruning

# Whole numbers, so that there are ties and zeros.
INTEGERS = arrays(np.float64, array_shapes(max_dims=4, max_side=6), elements=st.integers(-4, 4))
FLOATS = st.floats(-1e3, 1e3).map(lambda x: x + 0.0)  # without -0, whose sign is not stored
SPARSE = arrays(np.float64, st.integers(1, 400), elements=FLOATS, fill=st.just(0.0))


@settings(deadline=None)
@given(INTEGERS, st.floats(0, 1))
def test_magnitude_keeps_exactly_the_share_and_the_largest(w, keep):
    mask = pruning.magnitude_mask(w, keep)
    assert mask.shape == w.shape
    assert mask.sum() == round(keep * w.size)
    assert np.abs(w[~mask]).max(initial=0) <= np.abs(w[mask]).min(initial=np.inf)


def test_the_earlier_of_two_that_tie_stays():
    np.testing.assert_array_equal(
        pruning.magnitude_mask([[1, -2], [2, 2]], 0.5), [[False, True], [True, False]]
    )


@settings(deadline=None)
@given(st.lists(INTEGERS, min_size=1, max_size=4), st.floats(0, 1))
def test_global_masks_rank_all_layers_as_one(weights, keep):
    masks = pruning.global_magnitude_masks(weights, keep)
    assert [mask.shape for mask in masks] == [w.shape for w in weights]
    as_one = pruning.magnitude_mask(np.concatenate([w.ravel() for w in weights]), keep)
    np.testing.assert_array_equal(np.concatenate([mask.ravel() for mask in masks]), as_one)


def test_a_global_threshold_empties_the_layer_of_small_weights_first():
    small, large = pruning.global_magnitude_masks([np.full(6, 0.1), np.full((2, 3), 5.0)], 0.5)
    assert not small.any()
    assert large.all()


def test_threshold_is_c_times_the_deviation():
    w = np.array([-3.0, -1.0, 1.0, 3.0])  # mean 0, variance 20 / 4
    for c, kept in [(0, 4), (0.44, 4), (0.45, 2), (1.34, 2), (1.35, 0)]:
        assert pruning.threshold_mask(w, c).sum() == kept


def test_the_deviation_is_taken_around_the_mean():
    w = np.array([[9.0, 10.0, 11.0]])  # variance 2 / 3
    assert pruning.threshold_mask(w, 12.2).sum() == 2
    assert pruning.threshold_mask(w, 12.3).sum() == 1


def test_of_normal_weights_a_third_lies_beyond_one_deviation():
    w = np.random.default_rng(0).normal(size=(300, 100))
    assert pruning.threshold_mask(w, 1).mean() == pytest.approx(0.3173, abs=0.01)
    np.testing.assert_array_equal(pruning.threshold_mask(7 * w, 1), pruning.threshold_mask(w, 1))


def test_the_cubic_schedule_is_an_eighth_from_its_end_halfway():
    sparsity = pruning.cubic_sparsity([9, 10, 50, 89, 90, 91], 0.2, 0.9, 10, updates=8, every=10)
    expected = [0.2, 0.2, 0.9 - 0.7 / 8, 0.9 - 0.7 / 80**3, 0.9, 0.9]
    np.testing.assert_allclose(sparsity, expected, rtol=1e-14)


def test_the_cubic_schedule_prunes_less_and_less():
    sparsity = pruning.cubic_sparsity(np.arange(0, 101, 10), 0.0, 0.9, 0, updates=10, every=10)
    gains = np.diff(sparsity)
    assert (gains > 0).all()
    assert (np.diff(gains) < 0).all()


def test_dropout_follows_the_number_of_neurons_and_not_of_connections():
    np.testing.assert_allclose(
        pruning.dropout_ratio(0.5, [800.0, 800.0, 800.0], [800.0, 200.0, 0.0]),
        [0.5, 0.25, 0.0],
        rtol=1e-15,
    )


def test_compression_rate_counts_all_layers_together():
    weights = [np.ones((784, 300)), np.ones((300, 100)), np.ones(10)]
    assert pruning.compression_rate(weights) == 1
    weights[0][100:] = 0
    assert pruning.compression_rate(weights) == pytest.approx(265210 / 60010, rel=1e-15)
    assert pruning.compression_rate([np.zeros(3)]) == np.inf


def test_a_gap_of_more_than_eight_needs_a_filler_in_three_bits():
    w = np.zeros(16)
    w[[0, 3, 14]] = 3.4, 0.9, 1.7
    values, distances = pruning.encode(w, index_bits=3)
    np.testing.assert_array_equal(values, [3.4, 0.9, 0, 1.7])
    np.testing.assert_array_equal(distances, [1, 3, 8, 3])


@pytest.mark.parametrize(
    ("gap", "expected"), [(1, [1]), (4, [4]), (5, [4, 1]), (8, [4, 4]), (9, [4, 4, 1])]
)
def test_fillers_come_exactly_where_the_distance_exceeds_the_bits(gap, expected):
    w = np.zeros(12)
    w[gap - 1] = 7.0
    values, distances = pruning.encode(w, index_bits=2)
    np.testing.assert_array_equal(distances, expected)
    np.testing.assert_array_equal(values, [0] * (len(expected) - 1) + [7])


@settings(max_examples=200, deadline=None)
@given(SPARSE, st.integers(1, 9))
def test_decoding_gives_the_array_back_exactly(w, index_bits):
    values, distances = pruning.encode(w, index_bits)
    assert ((distances >= 1) & (distances <= 2**index_bits)).all()
    np.testing.assert_array_equal(pruning.decode(values, distances, w.shape), w)
    assert np.count_nonzero(values) == np.count_nonzero(w)


def test_decoding_gives_the_shape_back_and_zeros_cost_nothing():
    w = np.zeros((2, 3, 4))
    values, distances = pruning.encode(w, 4)
    assert values.size == distances.size == 0
    np.testing.assert_array_equal(pruning.decode(values, distances, w.shape), w)
    w[1, 2, 3] = -1.0
    np.testing.assert_array_equal(pruning.decode(*pruning.encode(w, 2), w.shape), w)


@settings(deadline=None)
@given(SPARSE, st.integers(1, 9), st.integers(1, 64))
def test_relative_index_bytes_are_those_of_values_and_distances(w, index_bits, value_bits):
    n_entries = len(pruning.encode(w, index_bits)[0])
    expected = -(-n_entries * value_bits // 8) - (-n_entries * index_bits // 8)
    assert pruning.relative_index_bytes(w, index_bits, value_bits) == expected


@pytest.mark.parametrize("index_bits", [16, 32])
def test_csr_bytes_are_those_of_scipy(index_bits):
    w = np.random.default_rng(0).normal(size=(30, 5, 4))
    w[np.abs(w) < 1] = 0
    csr = scipy.sparse.csr_array(w.reshape(30, 20).astype(np.float32))
    columns = csr.indices.astype(f"int{index_bits}")
    stored = csr.data.nbytes + columns.nbytes + csr.indptr.astype(np.int32).nbytes
    assert pruning.csr_bytes(w, index_bits) == stored


def test_bitmask_bytes_are_those_of_packed_bits():
    w = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0], [4.0, 0.0, 5.0]])
    assert pruning.bitmask_bytes(w) == 5 * 4 + np.packbits(w != 0).nbytes
    assert pruning.bitmask_bytes(w, value_bits=5) == 4 + 2


def crossing(index_bits, value_bits=32):
    """Where 1 + q + ... + q^(2^b - 1) = 1 + b / V: zeros at random places, with share q."""
    shares = np.linspace(0, 1, 100_001)[:-1]
    reach = (1 - shares**2**index_bits) / (1 - shares)
    return shares[np.argmax(reach > 1 + index_bits / value_bits)]


@pytest.mark.parametrize(
    ("stored_bytes", "expected"),
    [
        (pruning.bitmask_bytes, 1 / 32),
        (lambda w: pruning.csr_bytes(w, 32), 0.5 + 201 / (2 * 200 * 300)),
        (lambda w: pruning.csr_bytes(w, 16), 1 / 3 + 201 * 2 / (3 * 200 * 300)),
        (lambda w: pruning.relative_index_bytes(w, 1), crossing(1)),
        (lambda w: pruning.relative_index_bytes(w, 5), crossing(5)),
        (lambda w: pruning.relative_index_bytes(w, 8), 8 / 40),
    ],
    ids=["bitmask", "csr32", "csr16", "relative1", "relative5", "relative8"],
)
def test_formats_break_even_where_theory_says(stored_bytes, expected):
    w = np.random.default_rng(0).normal(size=(200, 300))
    sparsity = pruning.break_even_sparsity(w, stored_bytes)
    assert sparsity == pytest.approx(expected, abs=2e-3)

    sizes = np.sort(np.abs(w), axis=None)
    cut = round(sparsity * w.size)
    for pruned, is_smaller in [(cut, True), (cut - 1, False)]:
        left = np.where(np.abs(w) >= sizes[pruned], w, 0)
        assert (stored_bytes(left) < w.size * 4) == is_smaller


def test_a_format_that_never_pays_breaks_even_at_infinity():
    assert pruning.break_even_sparsity(np.ones((9, 1)), pruning.csr_bytes) == np.inf
    assert pruning.break_even_sparsity(np.ones((9, 1)), pruning.bitmask_bytes) < 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pruning.magnitude_mask([1.0, np.nan], 0.5), "w must be finite, got nan"),
        (lambda: pruning.magnitude_mask([], 0.5), "w must not be empty"),
        (lambda: pruning.magnitude_mask([1.0], 1.1), "keep must be between 0 and 1, got 1.1"),
        (lambda: pruning.magnitude_mask([1.0], np.nan), "keep must be between 0 and 1, got nan"),
        (lambda: pruning.global_magnitude_masks([], 0.5), "one or more arrays"),
        (lambda: pruning.global_magnitude_masks([[1], [np.inf]], 0.5), r"weights\[1\] must be fin"),
        (lambda: pruning.threshold_mask([1.0], -1), "c must be a number >= 0, got -1"),
        (lambda: pruning.threshold_mask([1.0], np.nan), "c must be a number >= 0, got nan"),
        (lambda: pruning.cubic_sparsity(0, 0.9, 0.5, 0, 1, 1), "final must be at least initial"),
        (lambda: pruning.cubic_sparsity(0, 0.0, 1.5, 0, 1, 1), "final must be between 0 and 1"),
        (lambda: pruning.cubic_sparsity(0, 0.0, 0.5, 0, 0, 1), "updates and every must be >= 1"),
        (lambda: pruning.cubic_sparsity(0, 0.0, 0.5, -1, 1, 1), "start must be a whole number"),
        (lambda: pruning.dropout_ratio(1.5, 10, 1), "ratio must be between 0 and 1"),
        (lambda: pruning.dropout_ratio(0.5, 0, 0), "connections must be > 0"),
        (lambda: pruning.dropout_ratio(0.5, 10, 11), "left must be between 0 and connections"),
        (lambda: pruning.compression_rate([[np.nan]]), r"weights\[0\] must be finite"),
        (lambda: pruning.encode([np.nan], 3), "w must be finite"),
        (lambda: pruning.encode([1.0], 0), "index_bits must be between 1 and 32, got 0"),
        (lambda: pruning.encode([1.0], 33), "index_bits must be between 1 and 32, got 33"),
        (lambda: pruning.decode([1.0], [1, 2], (3,)), "of equal length"),
        (lambda: pruning.decode([1.0], [0], (3,)), "distances must be whole numbers >= 1"),
        (lambda: pruning.decode([1.0], [1.0], (3,)), "distances must be whole numbers >= 1"),
        (lambda: pruning.decode([1.0, 1.0], [2, 2], (3,)), "lead to entry 4, .* has 3"),
        (lambda: pruning.relative_index_bytes([1.0], 5, 65), "value_bits must be between 1 and 64"),
        (lambda: pruning.csr_bytes(np.ones((1, 32769)), 16), "16 can number 32768 columns"),
        (lambda: pruning.csr_bytes(np.ones((2, 2)), 8), "index_bits must be 16 or 32, got 8"),
        (lambda: pruning.csr_bytes(np.ones(2)), "w must be 2-D"),
        (lambda: pruning.bitmask_bytes([]), "w must not be empty"),
        (lambda: pruning.break_even_sparsity([1, 0], pruning.bitmask_bytes), "w must be dense"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
