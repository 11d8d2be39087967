"""Formats: their products against float64, what they store against a decoder and a count."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsecourse.timing.formats import FORMATS, CannotHoldError, dense
from sparsecourse.timing.patterns import PATTERNS

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
ON_CPU = [name for name in FORMATS if name != "2:4"]
OF_ANY_ZEROS = [name for name in ON_CPU if name != "regular blocks"]
SPARSITIES = st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1)


@st.composite
def products(draw):
    """W and X of any shape: of one row, column or place too, and no multiple of a block."""
    rows, columns, places = (draw(st.integers(1, most)) for most in (40, 40, 9))
    return operands(rows, columns, places, seed=draw(st.integers(0, 99)))


def operands(rows, columns, places, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(shape, generator=generator) for shape in ((rows, columns), (columns, places))
    )


def pruned(name, W, sparsity):
    """W with the zeros that a format is made for."""
    return W * PATTERNS[FORMATS[name].pattern](W, sparsity)


def check_product(name, W, X):
    """Entry by entry against float64, within the rounding of its summands."""
    held = FORMATS[name].hold(W, X)
    found = held.full(held.product())
    W, X = W.double().cpu().numpy(), X.double().cpu().numpy()
    bound = 1e-5 * (abs(W) @ abs(X))
    if name == "int8":  # W to the nearest of 255 steps, X to one of 128, its zero too
        step_of_w = abs(W).max() / 127
        step_of_x = (X.max(initial=0) - X.min(initial=0)) / 127
        bound += step_of_w / 2 * abs(X).sum(axis=0) + step_of_x * abs(W).sum(axis=1)[:, None]
        bound += len(X) * step_of_w * step_of_x
    assert found.shape == (W.shape[0], X.shape[1])
    assert (abs(found.double().cpu().numpy() - W @ X) <= bound + 1e-30).all()


# The product


@pytest.mark.parametrize("name", ON_CPU)
@settings(deadline=None, max_examples=50)
@given(drawn=products(), sparsity=SPARSITIES)
def test_product_of_weights_with_zeros_of_its_own_pattern_is_the_dense_one(name, drawn, sparsity):
    W, X = drawn
    check_product(name, pruned(name, W, sparsity), X)


@pytest.mark.parametrize("name", OF_ANY_ZEROS)
@settings(deadline=None, max_examples=30)
@given(drawn=products(), pattern=st.sampled_from(sorted(PATTERNS)), sparsity=SPARSITIES)
def test_product_of_weights_with_other_zeros_is_the_dense_one_too(name, drawn, pattern, sparsity):
    W, X = drawn
    check_product(name, W * PATTERNS[pattern](W, sparsity), X)


@pytest.mark.parametrize("name", ON_CPU)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 17, 1), (33, 1, 2), (5, 3, 1), (1, 1, 7)])
def test_product_of_one_row_column_or_place_is_the_dense_one(name, shape):
    W, X = operands(*shape)
    check_product(name, W, X)


@pytest.mark.parametrize("name", ON_CPU)
def test_nothing_is_warned_of(name):
    W, X = operands(32, 48, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held = FORMATS[name].hold(pruned(name, W, 0.5), X)
        held.full(held.product())


@pytest.mark.parametrize("name", [name for name in ON_CPU if name != "int8"])
def test_what_is_stored_is_what_is_multiplied(name):
    W, X = operands(32, 48, 5)
    held = FORMATS[name].hold(pruned(name, W, 0.5), X)
    before = held.product().clone()
    held.stored[0].mul_(2)
    torch.testing.assert_close(held.product(), 2 * before)


@pytest.mark.parametrize("name", ["masked dense", "bitmask"])
def test_the_mask_takes_part_in_each_product(name):
    W, X = operands(6, 8, 2)
    held = FORMATS[name].hold(W, X)
    held.stored[1][0] = False
    if name == "bitmask":  # it asks for one value for each bit
        with pytest.raises(ValueError, match="one for each 1 of mask"):
            held.product()
    else:
        assert not held.product()[0].any()


@pytest.mark.parametrize(
    ("name", "is_read"), [("gathered GEMM", True), ("int8", True), ("smaller GEMM", False)]
)
def test_x_is_read_at_each_call_where_the_format_says_so(name, is_read):
    W, X = operands(32, 48, 5)
    held = FORMATS[name].hold(pruned(name, W, 0.5), X)
    before = held.product().clone()
    X.mul_(2)
    torch.testing.assert_close(held.product(), (1 + is_read) * before)


def test_smaller_gemm_multiplies_what_is_left_and_nothing_more():
    W, X = operands(10, 20, 3)
    W = W * PATTERNS["rows and columns"](W, 0.75)
    held = FORMATS["smaller GEMM"].hold(W, X)
    assert held.product().shape == (5, 3)
    assert not held.full(held.product())[~W.any(dim=1)].any()


# What is stored


def rows_from(starts, count):
    """The row of each of `count` entries."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts)), int(starts[-1]) == count


def from_csr(stored, shape, size=1):
    """Entry by entry, or block by block."""
    values, columns, starts = stored
    W = np.zeros(tuple(size * math.ceil(length / size) for length in shape))
    rows, is_whole = rows_from(starts, len(values))
    assert is_whole
    for value, i, j in zip(values, rows, columns, strict=True):
        W[i * size : (i + 1) * size, j * size : (j + 1) * size] = value
    return W[: shape[0], : shape[1]]


def from_distances(stored, shape):
    values, distances = stored
    W, at = np.zeros(shape).reshape(-1), -1
    for value, distance in zip(values, distances, strict=True):
        at += int(distance) + 1  # a byte says 0 for a distance of 1
        W[at] = value
    return W.reshape(shape)


def from_bitmask(stored, shape):
    values, mask = stored
    W = np.zeros(shape)
    W[mask] = values
    return W


def from_regular_blocks(stored, shape):
    """There may be several sizes for as many blocks: W as any of them."""
    values, offsets = stored
    found = []
    for size in range(1, shape[1] + 1):
        if math.ceil(shape[1] / size) == offsets.shape[1] and offsets.max() < size:
            W = np.zeros((shape[0], size * offsets.shape[1]))
            starts = np.arange(0, W.shape[1], size)
            np.put_along_axis(W, starts + offsets.astype(int), values, axis=1)
            found.append(W[:, : shape[1]])
    return found


def from_rows_and_columns(stored, shape):
    small, rows, columns = stored
    W = np.zeros(shape)
    W[np.ix_(rows, columns)] = small
    return W


DECODED = {
    "masked dense": lambda stored, shape: stored[0] * stored[1],
    "torch CSR": from_csr,
    "scipy CSR": from_csr,
    "course CSR": from_csr,
    "relative index": from_distances,
    "bitmask": from_bitmask,
    "BSR 4x4": lambda stored, shape: from_csr(stored, shape, 4),
    "BSR 16x16": lambda stored, shape: from_csr(stored, shape, 16),
    "regular blocks": from_regular_blocks,
    "gathered GEMM": from_rows_and_columns,
}


@pytest.mark.parametrize("name", DECODED)
@settings(deadline=None, max_examples=50)
@given(drawn=products(), sparsity=SPARSITIES)
def test_what_is_stored_is_enough_to_write_the_weights_down_again(name, drawn, sparsity):
    W, X = drawn
    W = pruned(name, W, sparsity)
    stored = [part.numpy() for part in FORMATS[name].hold(W, X).stored]
    decoded = DECODED[name](stored, tuple(W.shape))
    candidates = decoded if isinstance(decoded, list) else [decoded]
    assert any(np.array_equal(candidate, W.numpy()) for candidate in candidates)


@settings(deadline=None)
@given(products())
def test_int8_stores_the_nearest_of_255_steps_and_their_size(drawn):
    W, X = drawn
    steps, size = FORMATS["int8"].hold(W, X).stored
    assert steps.dtype == torch.int8
    assert int(steps.abs().max()) == 127
    assert ((size * steps - W).abs() <= size * 0.50001).all()


def blocks_left(W, size):
    rows, columns = W.shape
    starts = [(i, j) for i in range(0, rows, size) for j in range(0, columns, size)]
    return sum(W[i : i + size, j : j + size].any() for i, j in starts)


def bytes_of_bsr(W, size):
    """A float for each weight of a block, 8 bytes for its column and for where a row begins."""
    return blocks_left(W, size) * (4 * size**2 + 8) + 8 * (math.ceil(len(W) / size) + 1)


def bytes_of_distances(W):
    """A float and a byte for each entry, and for the zeros between them that a byte needs."""
    entries, gap = 0, 0
    for weight in W.reshape(-1):
        gap += 1
        if weight:
            entries += math.ceil(gap / 256)
            gap = 0
    return 5 * entries


def bytes_of_regular_blocks(W):
    """A float and a byte for each block; as many blocks as the fullest row has entries."""
    return 5 * len(W) * max((W != 0).sum(axis=1).max(), 1)


def left(W):
    """Rows and columns that are not zero throughout."""
    return W.any(axis=1).sum(), W.any(axis=0).sum()


BYTES = {
    "masked dense": lambda W: W.size * (4 + 1),
    "torch CSR": lambda W: np.count_nonzero(W) * (4 + 8) + 8 * (len(W) + 1),
    "scipy CSR": lambda W: np.count_nonzero(W) * (4 + 4) + 4 * (len(W) + 1),
    "course CSR": lambda W: np.count_nonzero(W) * (4 + 8) + 8 * (len(W) + 1),
    "relative index": bytes_of_distances,
    "bitmask": lambda W: 4 * np.count_nonzero(W) + W.size,
    "BSR 4x4": lambda W: bytes_of_bsr(W, 4),
    "BSR 16x16": lambda W: bytes_of_bsr(W, 16),
    "regular blocks": bytes_of_regular_blocks,
    "int8": lambda W: W.size + 4,
    "smaller GEMM": lambda W: 4 * math.prod(left(W)),
    "gathered GEMM": lambda W: 4 * math.prod(left(W)) + 8 * sum(left(W)),
}


@pytest.mark.parametrize("name", ON_CPU)
@settings(deadline=None, max_examples=50)
@given(drawn=products(), sparsity=SPARSITIES)
def test_bytes_are_those_of_values_and_indices(name, drawn, sparsity):
    W, X = drawn
    W = pruned(name, W, sparsity)
    assert FORMATS[name].hold(W, X).stored_bytes == BYTES[name](W.numpy())


def test_bytes_of_a_small_matrix_are_those_counted_by_hand():
    W = torch.tensor([[0.0, 3, 0, 0], [0, 0, 0, 5]])
    X = torch.eye(4)
    assert dense(W, X).stored_bytes == 8 * 4
    expected = {
        "torch CSR": 2 * (4 + 8) + 3 * 8,
        "bitmask": 2 * 4 + 8,
        "relative index": 2 * (4 + 1),
        "BSR 4x4": 16 * 4 + 8 + 2 * 8,  # one block, of which half is there
        "regular blocks": 2 * (4 + 1),
        "smaller GEMM": 4 * 4,
        "gathered GEMM": 4 * 4 + 4 * 8,
    }
    assert {name: FORMATS[name].hold(W, X).stored_bytes for name in expected} == expected


@pytest.mark.parametrize(("size", "bytes_of_an_offset"), [(256, 1), (257, 4)])
def test_offsets_within_a_block_take_a_byte_where_that_is_enough(size, bytes_of_an_offset):
    W, X = torch.zeros(3, size), torch.randn(size, 2)
    W[:, -1] = torch.tensor([1.0, 2.0, 3.0])
    check_product("regular blocks", W, X)
    held = FORMATS["regular blocks"].hold(W, X)
    assert held.stored_bytes == 3 * (4 + bytes_of_an_offset)


# What cannot be held


def test_two_of_four_needs_a_gpu():
    with pytest.raises(CannotHoldError, match=r"needs a GPU with sparse tensor cores .* is cpu"):
        FORMATS["2:4"].hold(*(part.half() for part in operands(64, 64, 8)))


@pytest.mark.parametrize("name", ["scipy CSR", "int8"])
def test_what_computes_on_the_cpu_alone_says_so(name):
    elsewhere = [part.to("meta") for part in operands(8, 8, 2)]
    with pytest.raises(CannotHoldError, match="meta"):
        FORMATS[name].hold(*elsewhere)


def test_entries_that_are_not_regular_are_named():
    W = torch.tensor([[1.0, 2, 0, 0], [1, 0, 0, 2]])
    with pytest.raises(CannotHoldError, match="up to 2 entries in a row, but not one in each"):
        FORMATS["regular blocks"].hold(W, torch.eye(4))


def test_what_cannot_be_held_is_bad_input():
    assert issubclass(CannotHoldError, ValueError)


def test_every_format_has_a_pattern_and_says_how_it_works():
    assert set(BYTES) == set(ON_CPU)
    for chosen in FORMATS.values():
        assert chosen.pattern in PATTERNS
        assert chosen.idea
        assert 0 < chosen.tolerance < 0.1


# On a GPU


@NEEDS_CUDA
@pytest.mark.parametrize("name", ["torch CSR", "BSR 4x4", "BSR 16x16", "course CSR"])
@pytest.mark.parametrize("shape", [(64, 128, 32), (33, 50, 7), (1, 17, 1)])
def test_on_cuda_product_is_the_dense_one(name, shape):
    W, X = operands(*shape)
    check_product(name, pruned(name, W, 0.5).cuda(), X.cuda())


@NEEDS_CUDA
@pytest.mark.parametrize("shape", [(256, 512, 64), (100, 150, 64)])
def test_on_cuda_two_of_four_is_the_dense_product_and_stores_two_bits_a_weight(shape):
    W, X = (part.half().cuda() for part in operands(*shape))
    W = W * PATTERNS["2:4"](W.float(), 0.5)
    try:
        held = FORMATS["2:4"].hold(W, X)
    except CannotHoldError as error:
        pytest.skip(str(error))
    found, exact = held.full(held.product()).double(), W.double() @ X.double()
    assert found.shape == exact.shape
    assert float((found - exact).norm() / exact.norm()) < FORMATS["2:4"].tolerance
    filled = math.prod(64 * math.ceil(side / 64) for side in shape[:2])
    # Half the weights of 16 bits, and two bits for each of them; a library may round up.
    assert 9 / 8 * filled <= held.stored_bytes < 1.5 * filled
