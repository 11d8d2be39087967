"""Masks by their pattern and by what they keep; the published difference by its arithmetic."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sparsecourse import papers
from sparsecourse.reference import pruning, structured_masks

# Whole numbers, so that there are ties and zeros.
INTEGERS = st.integers(-4, 4).map(float)
MATRICES = arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=INTEGERS)


@st.composite
def divided(draw, most_rows=3):
    """A matrix, and a block that divides it."""
    block = draw(st.integers(1, most_rows)), draw(st.integers(1, 4))
    shape = tuple(side * draw(st.integers(1, 5)) for side in block)
    return draw(arrays(float, shape, elements=INTEGERS)), block


def parts_of(W, block):
    """The blocks of a matrix, row by row, each as a row."""
    grid = W.shape[0] // block[0], block[0], W.shape[1] // block[1], block[1]
    return W.reshape(grid).swapaxes(1, 2).reshape(-1, block[0] * block[1])


def test_density_is_counted_by_row_and_by_column():
    density = structured_masks.density([[1, 0, 0, 0], [0, 0, 0, 0], [-2, 0, 3, 0]])
    assert density.entries == 0.25
    np.testing.assert_array_equal(density.rows, [1 / 4, 0, 2 / 4])
    np.testing.assert_array_equal(density.columns, [2 / 3, 0, 1 / 3, 0])
    assert density.zero_rows == 1 / 3
    assert density.zero_columns == 1 / 2


@settings(deadline=None)
@given(divided(), st.floats(0, 1))
def test_whole_blocks_stay_exactly_the_share_and_the_largest(drawn, keep):
    W, block = drawn
    mask = structured_masks.block_mask(W, keep, block)
    parts, kept = parts_of(W, block), parts_of(mask, block)
    np.testing.assert_array_equal(kept.all(axis=1), kept.any(axis=1))
    kept = kept.all(axis=1)
    assert kept.sum() == round(keep * len(parts))
    energy = (parts**2).sum(axis=1)
    assert energy[~kept].max(initial=0) <= energy[kept].min(initial=np.inf)


@settings(deadline=None)
@given(MATRICES, st.floats(0, 1))
def test_blocks_of_one_weight_are_magnitude_pruning(W, keep):
    np.testing.assert_array_equal(
        structured_masks.block_mask(W, keep, (1, 1)), pruning.magnitude_mask(W, keep)
    )


def test_blocks_can_be_rows_or_columns():
    W = np.array([[0.0, 3.0], [4.0, 0.0], [1.0, 1.0]])
    np.testing.assert_array_equal(
        structured_masks.block_mask(W, 1 / 3, (1, 2)), [[0, 0], [1, 1], [0, 0]]
    )
    np.testing.assert_array_equal(
        structured_masks.block_mask(W, 1 / 2, (3, 1)), [[1, 0], [1, 0], [1, 0]]
    )


def test_blocks_rank_by_the_euclidean_norm():
    few_large, many_small = [3.0, 0.0, 0.0], [1.5, 1.5, 1.5]  # norms 3 and 2.6, sums 3 and 4.5
    mask = structured_masks.block_mask([many_small + few_large], 0.5, (1, 3))
    np.testing.assert_array_equal(mask, [[0, 0, 0, 1, 1, 1]])


def test_the_earlier_of_two_blocks_that_tie_stays():
    mask = structured_masks.block_mask(np.ones((2, 4)), 0.5, (1, 2))
    np.testing.assert_array_equal(mask, [[1, 1, 1, 1], [0, 0, 0, 0]])


@settings(deadline=None)
@given(divided(most_rows=1), st.data())
def test_n_of_m_keeps_the_most_that_n_of_each_m_can(drawn, data):
    W, (_, m) = drawn
    n = data.draw(st.integers(0, m))
    mask = structured_masks.n_of_m_mask(W, n, m)
    for sizes, kept in zip(parts_of(np.abs(W), (1, m)), parts_of(mask, (1, m)), strict=True):
        assert kept.sum() == n
        assert sizes[kept].sum() == max(sum(chosen) for chosen in combinations(sizes, n))


def test_two_of_four_stay_unless_said_otherwise_and_the_earlier_where_two_tie():
    mask = structured_masks.n_of_m_mask([[1, -3, 2, 0, 5, 5, 5, 5]])
    np.testing.assert_array_equal(mask, [[0, 1, 1, 0, 1, 1, 0, 0]])


@pytest.mark.parametrize(
    ("left", "size"),
    [(16, 1), (12, 1), (11, 2), (8, 2), (6, 2), (5, 4), (4, 4), (3, 4), (2, 8), (1, 16), (0, 16)],
)
def test_the_block_size_is_the_power_of_two_next_to_one_over_density(left, size):
    W = np.full((2, 16), 0.5)  # the second row is there to be pruned, where it can
    W[0] = np.where(np.arange(16) < left, 9.0, 0.1)
    sizes = structured_masks.regular_block_sizes(W, left / 32)
    np.testing.assert_array_equal(sizes, [size, 16])


@settings(deadline=None)
@given(MATRICES, st.floats(0, 1))
def test_block_sizes_are_within_sqrt_2_of_one_over_density(W, keep):
    left = pruning.magnitude_mask(W, keep).sum(axis=1)
    sizes = structured_masks.regular_block_sizes(W, keep)
    assert set(sizes.tolist()) <= {1, 2, 4, 8, 16}
    ratio = sizes * left / W.shape[1]
    assert (np.abs(np.log2(ratio[left > 0])) <= 0.5 + 1e-12).all()
    assert (sizes[left == 0] >= W.shape[1]).all()
    assert (sizes[left == 0] < 2 * W.shape[1]).all()


@settings(deadline=None)
@given(MATRICES, st.data())
def test_each_block_keeps_one_weight_and_no_larger_one_is_in_it(W, data):
    sizes = data.draw(arrays(np.int64, len(W), elements=st.integers(1, 15)))
    mask = structured_masks.regular_block_mask(W, sizes)
    for row, kept, size in zip(np.abs(W), mask, sizes, strict=True):
        for start in range(0, len(row), size):
            block = slice(start, start + size)
            assert kept[block].sum() == 1
            assert row[block][kept[block]] == row[block].max()


def test_the_last_block_takes_what_is_left_over_and_the_earlier_of_two_that_tie_stays():
    mask = structured_masks.regular_block_mask([[1, 2, 2, 0, 1], [0, 0, 0, 0, 0]], 3)
    np.testing.assert_array_equal(mask, [[0, 1, 0, 0, 1], [1, 0, 0, 1, 0]])


@settings(deadline=None)
@given(divided(most_rows=1))
def test_block_max_masking_is_one_of_m(drawn):
    W, (_, m) = drawn
    np.testing.assert_array_equal(
        structured_masks.regular_block_mask(W, m), structured_masks.n_of_m_mask(W, 1, m)
    )


def test_sizes_that_follow_density_lose_less_where_rows_differ():
    rng = np.random.default_rng(0)
    W = rng.normal(size=(64, 256)) * np.geomspace(1, 0.2, 64)[:, None]
    sizes = structured_masks.regular_block_sizes(W, 1 / 8)
    assert len(set(sizes.tolist())) > 3
    adaptive = structured_masks.regular_block_mask(W, sizes)
    same_for_all = structured_masks.regular_block_mask(W, 8)
    # Rounding to powers of two keeps about as many, not exactly as many.
    assert adaptive.sum() == pytest.approx(same_for_all.sum(), rel=0.1)
    lost = [
        structured_masks.retained_weight_difference(W, mask) for mask in (adaptive, same_for_all)
    ]
    assert lost[0] < 0.5 * lost[1]


@settings(deadline=None)
@given(MATRICES, st.floats(0.1, 1))
def test_nothing_is_lost_by_keeping_the_largest(W, keep):
    mask = pruning.magnitude_mask(W, keep)
    mask.flat[np.argmax(np.abs(W))] = True
    assert structured_masks.retained_weight_difference(W, mask) == 0


def test_the_difference_is_of_mean_sizes_and_has_no_unit():
    W = np.array([[4.0, -3.0, 2.0, 1.0]])
    mask = np.array([[True, False, False, True]])
    for scale in (1, 1e-6):
        difference = structured_masks.retained_weight_difference(scale * W, mask)
        assert difference == pytest.approx((3.5 - 2.5) / 3.5, rel=1e-14)


def published(layer, column):
    return papers.table("darb_retained_weights").frame.set_index("layer").loc[layer, column]


@pytest.mark.parametrize(
    ("draw", "layers"),
    [
        (lambda rng, shape: rng.uniform(-1, 1, size=shape), ["LSTM1", "LSTM2"]),
        (lambda rng, shape: rng.normal(size=shape), ["Embedding", "Decoder"]),
    ],
    ids=["uniform", "normal"],
)
def test_the_published_differences_are_about_those_of_random_weights(draw, layers):
    W = draw(np.random.default_rng(0), (1000, 1000))
    # A tenth of the weights stays, as in the paper's figure 3.
    regular = structured_masks.regular_block_mask(W, 10)
    blocks = structured_masks.block_mask(W, 0.1, (4, 4))
    for layer in layers:
        assert 100 * structured_masks.retained_weight_difference(W, regular) == pytest.approx(
            published(layer, "bmwm_to_irregular_percent"), abs=0.2
        )
        # Blocks fared 3 points better in the paper than on random weights.
        assert 100 * structured_masks.retained_weight_difference(W, blocks) == pytest.approx(
            published(layer, "block_4x4_to_irregular_percent"), abs=4
        )


def test_of_uniform_weights_the_difference_is_known_in_closed_form():
    W = np.random.default_rng(0).uniform(-1, 1, size=(1000, 1000))
    largest, of_block = (
        1 - 0.1 / 2,
        10 / 11,
    )  # means of the largest tenth, and of the largest of ten
    assert structured_masks.retained_weight_difference(
        W, structured_masks.regular_block_mask(W, 10)
    ) == pytest.approx((largest - of_block) / largest, abs=5e-4)


ONES = np.ones((4, 6))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: structured_masks.density([1.0]), "W must be 2-D"),
        (lambda: structured_masks.block_mask(ONES, 0.5, (4, 4)), r"\(4, 4\) must divide the matr"),
        (lambda: structured_masks.block_mask(ONES, 0.5, (3, 2)), r"\(3, 2\) must divide the matr"),
        (lambda: structured_masks.block_mask(ONES, 0.5, (1, 0)), r">= 1, got \(1, 0\)"),
        (lambda: structured_masks.block_mask(ONES, 1.5, (1, 1)), "keep must be between 0 and 1"),
        (lambda: structured_masks.block_mask(ONES * np.nan, 1, (1, 1)), "W must be finite"),
        (lambda: structured_masks.n_of_m_mask(ONES), "m must divide the columns of W, of shape"),
        (lambda: structured_masks.n_of_m_mask(ONES, 1, 0), "m must divide the columns of W"),
        (lambda: structured_masks.n_of_m_mask(ONES, 4, 3), "n must be at most m, 3, got 4"),
        (lambda: structured_masks.n_of_m_mask(ONES, -1, 3), "n must be a whole number >= 0"),
        (lambda: structured_masks.regular_block_sizes(ONES, 2), "keep must be between 0 and 1"),
        (lambda: structured_masks.regular_block_mask(ONES, 0), "sizes must be a whole number >= 1"),
        (lambda: structured_masks.regular_block_mask(ONES, 2.0), "sizes must be a whole number"),
        (lambda: structured_masks.regular_block_mask(ONES, [2, 2]), "one for each of 4 rows, got"),
        (
            lambda: structured_masks.retained_weight_difference(ONES, ONES[:1] > 0),
            r"of shape \(4, 6\), and keep a weight, got bool of shape \(1, 6\)",
        ),
        (lambda: structured_masks.retained_weight_difference(ONES, ONES), "mask must be of bool"),
        (
            lambda: structured_masks.retained_weight_difference(ONES, ONES < 0),
            "keep a weight, got bool of shape .* that keeps 0",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
