"""Where the zeros are: as many as promised, in the structure promised, the largest weights kept."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsecourse.timing import patterns
from sparsecourse.timing.patterns import PATTERNS

SPARSITIES = st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1)
SIZES = st.integers(1, 20)


@st.composite
def matrices(draw):
    """Weights of any shape, of one row or column too; none is zero, and none ties."""
    shape = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    return torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def parts(W, height, width):
    """The blocks of a matrix, row by row, as arrays; those at the edges are smaller."""
    W = W.numpy()
    return [
        W[i : i + height, j : j + width]
        for i in range(0, W.shape[0], height)
        for j in range(0, W.shape[1], width)
    ]


def largest(norms, kept):
    """Whether what is kept is as large as all that is not."""
    norms, kept = np.asarray(norms), np.asarray(kept, dtype=bool)
    return norms[~kept].max(initial=0) <= norms[kept].min(initial=np.inf) + 1e-9


@settings(deadline=None)
@given(matrices(), SPARSITIES)
def test_random_zeros_are_the_smallest_weights_and_as_many_as_asked_for(W, sparsity):
    mask = patterns.scattered_mask(W, sparsity)
    assert int(mask.sum()) == round((1 - sparsity) * W.numel())
    assert largest(W.abs().numpy(), mask.numpy())


@settings(deadline=None)
@given(matrices(), SPARSITIES, SIZES)
def test_blocks_go_or_stay_whole_those_at_the_edges_too(W, sparsity, size):
    mask = patterns.block_mask(W, sparsity, size)
    assert mask.shape == W.shape
    blocks = parts(mask, size, size)
    assert all(block.all() == block.any() for block in blocks)
    kept = [block.all() for block in blocks]
    assert sum(kept) == round((1 - sparsity) * len(blocks))
    assert largest([np.linalg.norm(block) for block in parts(W.double(), size, size)], kept)


@pytest.mark.parametrize("size", [4, 16])
def test_block_patterns_have_blocks_of_their_size(size):
    mask = PATTERNS[f"{size}x{size} blocks"](normal(96, 64), 0.75)
    for length in (4, 8, 16, 32):
        is_whole = all(block.all() == block.any() for block in parts(mask, length, length))
        assert is_whole == (length <= size)
    assert mask.float().mean() == 0.25


@settings(deadline=None)
@given(matrices(), SIZES)
def test_a_matrix_is_filled_up_to_whole_blocks_and_no_further(W, size):
    filled = patterns.whole_blocks(W, size)
    assert filled.shape == tuple(size * math.ceil(length / size) for length in W.shape)
    assert torch.equal(filled[: W.shape[0], : W.shape[1]], W)
    assert int(torch.count_nonzero(filled)) == W.numel()


@settings(deadline=None)
@given(matrices(), SPARSITIES)
def test_regular_blocks_keep_one_weight_each_the_largest(W, sparsity):
    mask = patterns.regular_block_mask(W, sparsity)
    n_columns = W.shape[1]
    size = n_columns if sparsity == 1 else min(round(1 / (1 - sparsity)), n_columns)
    for weights, kept in zip(parts(W.abs(), 1, size), parts(mask, 1, size), strict=True):
        assert kept.sum() == 1
        assert weights[kept] == weights.max()


@pytest.mark.parametrize("sparsity", [0, 1 / 2, 2 / 3, 3 / 4, 9 / 10, 59 / 60])
def test_regular_blocks_have_the_sparsity_where_their_size_divides_the_row(sparsity):
    mask = patterns.regular_block_mask(normal(7, 60), sparsity)
    assert mask.double().mean() == pytest.approx(1 - sparsity)


@settings(deadline=None)
@given(matrices(), SPARSITIES)
def test_two_of_four_stay_the_largest_whatever_is_asked_for(W, sparsity):
    mask = patterns.two_of_four_mask(W, sparsity)
    assert mask.shape == W.shape
    for row, kept in zip(W.abs(), mask, strict=True):
        for weights, stays in zip(row.split(4), kept.split(4), strict=True):
            assert int(stays.sum()) == min(2, len(weights))
            assert largest(weights.numpy(), stays.numpy())


@settings(deadline=None)
@given(matrices(), SPARSITIES, SPARSITIES)
def test_rows_and_columns_go_whole_those_of_smallest_norm(W, row_sparsity, column_sparsity):
    mask = patterns.row_and_column_mask(W, row_sparsity, column_sparsity)
    n_rows, n_columns = (
        round((1 - sparsity) * length)
        for sparsity, length in zip((row_sparsity, column_sparsity), W.shape, strict=True)
    )
    assert int(mask.sum()) == n_rows * n_columns
    if mask.any():
        rows, columns = mask.any(dim=1), mask.any(dim=0)
        assert torch.equal(mask, torch.outer(rows, columns))
        assert (int(rows.sum()), int(columns.sum())) == (n_rows, n_columns)
        assert largest(W.double().norm(dim=1).numpy(), rows.numpy())
        assert largest(W.double().norm(dim=0).numpy(), columns.numpy())


def test_row_and_column_sparsities_are_not_mistaken_for_each_other():
    mask = patterns.row_and_column_mask(normal(10, 20), 0.2, 0.75)
    assert (int(mask.any(dim=1).sum()), int(mask.any(dim=0).sum())) == (8, 5)


@settings(deadline=None)
@given(matrices(), SPARSITIES)
def test_equal_shares_of_rows_and_columns_make_the_sparsity_together(W, sparsity):
    mask = patterns.equal_row_and_column_mask(W, sparsity)
    n_rows, n_columns = (round(math.sqrt(1 - sparsity) * length) for length in W.shape)
    assert int(mask.sum()) == n_rows * n_columns


def test_equal_shares_of_rows_and_columns_leave_the_square_of_what_stays_of_each():
    mask = patterns.equal_row_and_column_mask(normal(40, 60), 0.75)
    assert (int(mask.any(dim=1).sum()), int(mask.any(dim=0).sum())) == (20, 30)
    assert mask.double().mean() == 0.25


@settings(deadline=None)
@given(matrices(), SPARSITIES)
def test_nothing_may_be_pruned(W, sparsity):
    assert patterns.nothing_pruned(W, sparsity).all()


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_reaches_both_ends(name):
    W = normal(33, 50)
    all_of_it, nothing = (PATTERNS[name](W, sparsity) for sparsity in (0.0, 1.0))
    for mask in (all_of_it, nothing):
        assert mask.dtype == torch.bool
        assert mask.shape == W.shape
    own = {"2:4": 33 * 26, "none": W.numel()}  # of 50 weights, twelve fours and two more
    assert int(all_of_it.sum()) == own.get(name, W.numel())
    # Regular blocks cannot be larger than a row.
    assert int(nothing.sum()) == (own | {"regular blocks": 33}).get(name, 0)


@pytest.mark.parametrize("sparsity", [-0.1, 1.1, math.nan, "half", None])
@pytest.mark.parametrize("name", [name for name in PATTERNS if name != "none"])
def test_bad_sparsity_is_named(name, sparsity):
    with pytest.raises(ValueError, match=f"sparsity must be between 0 and 1, got {sparsity!r}"):
        PATTERNS[name](normal(8, 8), sparsity)


@pytest.mark.parametrize("which", ["row_sparsity", "column_sparsity"])
def test_bad_sparsity_of_rows_or_columns_is_named(which):
    given = {"row_sparsity": 0.5, "column_sparsity": 0.5} | {which: 1.5}
    with pytest.raises(ValueError, match=f"{which} must be between 0 and 1, got 1.5"):
        patterns.row_and_column_mask(normal(8, 8), **given)
