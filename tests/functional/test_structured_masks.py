"""What parity with the reference does not cover: dtypes, layouts, other implementations, errors."""

import math

import pytest
import torch
from torch.ao.pruning import WeightNormSparsifier

from sparsecourse.functional import structured_masks


def random_weights(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


MASKS = {
    "block": lambda W: structured_masks.block_mask(W, 0.3, (2, 5)),
    "n_of_m": lambda W: structured_masks.n_of_m_mask(W, 2, 4),
    "regular": lambda W: structured_masks.regular_block_mask(
        W, structured_masks.regular_block_sizes(W, 0.2)
    ),
}


@pytest.mark.parametrize("name", MASKS)
def test_weights_that_are_trained_can_be_masked_whatever_their_layout(name):
    W = torch.nn.Parameter(random_weights(12, 20))
    mask = MASKS[name](W)
    assert mask.dtype == torch.bool
    assert torch.equal(mask, MASKS[name](W.double()))
    assert torch.equal(mask, MASKS[name](W.T.contiguous().T))


def test_statistics_are_float64_and_cut_from_the_graph():
    W = torch.nn.Parameter(random_weights(4, 8).relu())
    statistics = [*structured_masks.density(W)]
    statistics.append(structured_masks.retained_weight_difference(W, MASKS["n_of_m"](W)))
    for value in statistics:
        assert value.dtype == torch.float64
        assert not value.requires_grad


def test_blocks_are_ranked_where_squares_are_below_float32():
    mask = structured_masks.block_mask(torch.tensor([[1e-30, 2e-30]]), 0.5, (1, 1))
    assert mask.tolist() == [[False, True]]


def masked_by_pytorch(W, **settings):
    layer = torch.nn.Linear(W.shape[1], W.shape[0], bias=False)
    layer.weight.data.copy_(W)
    model = torch.nn.Sequential(layer)
    sparsifier = WeightNormSparsifier(**settings)
    sparsifier.prepare(model, [{"tensor_fqn": "0.weight"}])
    sparsifier.step()
    return layer.parametrizations.weight[0].mask.bool()


def test_n_of_m_is_what_pytorch_masks():
    W = random_weights(24, 32)
    for n, m in [(2, 4), (1, 8)]:
        theirs = masked_by_pytorch(
            W, sparsity_level=1.0, sparse_block_shape=(1, m), zeros_per_block=m - n
        )
        assert torch.equal(structured_masks.n_of_m_mask(W, n, m), theirs)


@pytest.mark.parametrize("block", [(4, 4), (1, 32), (24, 1)])
def test_blocks_are_what_pytorch_masks(block):
    W = random_weights(24, 32)
    theirs = masked_by_pytorch(
        W, sparsity_level=0.75, sparse_block_shape=block, zeros_per_block=block[0] * block[1]
    )
    assert torch.equal(structured_masks.block_mask(W, 0.25, block), theirs)


ONES = torch.ones(4, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: structured_masks.density(ONES[0]), "W must be at least 2-D"),
        (lambda: structured_masks.density(ONES[None]), r"W must be 2-D, got shape \(1, 4, 6\)"),
        (lambda: structured_masks.block_mask(ONES, 0.5, (4, 4)), r"\(4, 4\) must divide the matr"),
        (lambda: structured_masks.block_mask(ONES, 1.5, (1, 1)), "keep must be between 0 and 1"),
        (lambda: structured_masks.block_mask(ONES * math.nan, 1, (1, 1)), "W must be finite"),
        (lambda: structured_masks.n_of_m_mask(ONES), r"columns of W, of shape \(4, 6\), got 4"),
        (lambda: structured_masks.n_of_m_mask(ONES, 1, 0), "m must divide the columns of W"),
        (lambda: structured_masks.n_of_m_mask(ONES, 4, 3), "n must be at most m, 3, got 4"),
        (lambda: structured_masks.regular_block_sizes(ONES, 2), "keep must be between 0 and 1"),
        (lambda: structured_masks.regular_block_mask(ONES, 0), "sizes must be a whole number >= 1"),
        (
            lambda: structured_masks.regular_block_mask(ONES, ONES[0]),
            "sizes must be a whole number",
        ),
        (
            lambda: structured_masks.regular_block_mask(ONES, torch.tensor([2, 2])),
            "one for each of 4 rows, got",
        ),
        (
            lambda: structured_masks.retained_weight_difference(ONES, ONES[:1] > 0),
            r"of shape \(4, 6\), and keep a weight, got torch.bool of shape \(1, 6\)",
        ),
        (
            lambda: structured_masks.retained_weight_difference(ONES, ONES < 0),
            "keep a weight, got torch.bool of shape .* that keeps 0",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
