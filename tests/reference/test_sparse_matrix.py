"""What is stored against SciPy and by hand, and every product against the dense one, exactly."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparsecourse.reference import pruning, sparse_matrix

# Whole numbers, so that sums are exact in any order.
INTEGERS = st.integers(-9, 9).map(float)
BLOCKS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def matrices(draw, dense=False):
    """Mostly zeros, or few; whole rows and columns of zeros, and no entry at all, among them."""
    block = draw(BLOCKS)
    shape = tuple(side * draw(st.integers(1, 4)) for side in block)
    W = draw(arrays(float, shape, elements=INTEGERS, fill=None if dense else st.just(0.0)))
    W[draw(arrays(bool, shape[0]))] = 0
    W[:, draw(arrays(bool, shape[1]))] = 0
    return W, block


def operands(W):
    return arrays(float, (W.shape[1], 2), elements=INTEGERS)


PRODUCTS = {
    "csr": lambda W, block, X: sparse_matrix.csr_matmul(*sparse_matrix.to_csr(W), X),
    "bsr": lambda W, block, X: sparse_matrix.bsr_matmul(*sparse_matrix.to_bsr(W, block), X),
    "bitmask": lambda W, block, X: sparse_matrix.bitmask_matmul(*sparse_matrix.to_bitmask(W), X),
    "rows_and_columns": lambda W, block, X: sparse_matrix.rows_and_columns_matmul(
        *sparse_matrix.rows_and_columns(W), len(W), X
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
@settings(max_examples=150, deadline=None)
@given(st.booleans().flatmap(lambda dense: matrices(dense=dense)), st.data())
def test_every_product_is_the_dense_product(name, drawn, data):
    W, block = drawn
    X = data.draw(operands(W))
    product = PRODUCTS[name]
    np.testing.assert_array_equal(product(W, block, X), W @ X)
    np.testing.assert_array_equal(product(W, block, X[:, 0]), W @ X[:, 0])


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("at", [None, (0, 0), (2, 1), (3, 5)])
def test_products_hold_with_one_entry_and_with_none(name, at):
    W = np.zeros((4, 6))
    if at is not None:
        W[at] = -2.0
    X = np.arange(18.0).reshape(6, 3) + 1
    np.testing.assert_array_equal(PRODUCTS[name](W, (2, 3), X), W @ X)


def test_rows_are_compressed_as_by_hand():
    values, columns, row_starts = sparse_matrix.to_csr([[0, 5, 0, 7], [0, 0, 0, 0], [1, 0, 0, 2]])
    np.testing.assert_array_equal(values, [5, 7, 1, 2])
    np.testing.assert_array_equal(columns, [1, 3, 0, 3])
    np.testing.assert_array_equal(row_starts, [0, 2, 2, 4])


@settings(max_examples=50, deadline=None)
@given(matrices())
def test_compressed_rows_are_those_of_scipy(drawn):
    W, block = drawn
    csr, bsr = scipy.sparse.csr_array(W), scipy.sparse.bsr_array(W, blocksize=block)
    bsr.sort_indices()  # SciPy leaves the blocks of a row in any order
    for stored, theirs in [
        (sparse_matrix.to_csr(W), csr),
        (sparse_matrix.to_bsr(W, block), bsr),
    ]:
        for part, other in zip(stored, (theirs.data, theirs.indices, theirs.indptr), strict=True):
            np.testing.assert_array_equal(part, other)
            assert part.shape == other.shape


def test_a_block_is_stored_with_its_zeros():
    W = np.zeros((4, 6))
    W[3, 2] = 8.0
    values, columns, row_starts = sparse_matrix.to_bsr(W, (2, 3))
    np.testing.assert_array_equal(values, [[[0, 0, 0], [0, 0, 8]]])
    np.testing.assert_array_equal(columns, [0])
    np.testing.assert_array_equal(row_starts, [0, 0, 1])


@settings(max_examples=50, deadline=None)
@given(matrices())
def test_blocks_of_one_entry_are_compressed_rows(drawn):
    W, _ = drawn
    for part, other in zip(sparse_matrix.to_bsr(W, (1, 1)), sparse_matrix.to_csr(W), strict=True):
        np.testing.assert_array_equal(part.ravel(), other)


@settings(max_examples=50, deadline=None)
@given(matrices())
def test_what_is_stored_takes_the_bytes_that_are_counted(drawn):
    W, _ = drawn
    values, columns, row_starts = sparse_matrix.to_csr(W)
    parts = values.astype(np.float32), columns.astype(np.int32), row_starts.astype(np.int32)
    assert pruning.csr_bytes(W) == sum(part.nbytes for part in parts)
    values, mask = sparse_matrix.to_bitmask(W)
    stored = values.astype(np.float32).nbytes + np.packbits(mask).nbytes
    assert pruning.bitmask_bytes(W) == stored


@settings(max_examples=100, deadline=None)
@given(matrices())
def test_only_rows_and_columns_of_zeros_are_taken_away(drawn):
    W, _ = drawn
    small, rows, columns = sparse_matrix.rows_and_columns(W)
    assert small.any(axis=0).all()
    assert small.any(axis=1).all()
    again = np.zeros_like(W)
    again[np.ix_(rows, columns)] = small
    np.testing.assert_array_equal(again, W)


def conv2_1(zero_rows, zero_columns, element_sparsity):
    """128 filters of 64 channels of 3x3, with so many rows and columns of zeros, and zeros besides.

    Each row and column left holds an entry on the (repeated) diagonal, so that none is lost.
    """
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(128)[zero_rows:])
    columns = np.sort(rng.permutation(576)[zero_columns:])
    left = np.zeros((len(rows), len(columns)))
    diagonal = np.arange(max(left.shape))
    left[diagonal % len(rows), diagonal % len(columns)] = 1
    others = rng.permutation(np.flatnonzero(left == 0))
    n_entries = round((1 - element_sparsity) * 128 * 576)
    left.flat[others[: n_entries - np.count_nonzero(left)]] = 1
    W = np.zeros((128, 576))
    W[np.ix_(rows, columns)] = left
    return W


@pytest.mark.parametrize(
    ("zero_rows", "zero_columns", "percent", "speed_up"),
    [
        (25, 50, {"columns": 8.7, "rows": 19.5, "elements": 94.6}, 1.36),
        (28, 433, {"columns": 75.2, "rows": 21.9, "elements": 91.5}, 5.16),
    ],
    ids=["random", "structured"],
)
def test_conv2_1_gains_what_its_rows_and_columns_say_and_not_its_elements(
    zero_rows, zero_columns, percent, speed_up
):
    W = conv2_1(zero_rows, zero_columns, percent["elements"] / 100)
    counted = {
        "columns": np.mean(~W.any(axis=0)),
        "rows": np.mean(~W.any(axis=1)),
        "elements": np.mean(W == 0),
    }
    assert {name: round(100 * share, 1) for name, share in counted.items()} == percent

    small, _, _ = sparse_matrix.rows_and_columns(W)
    multiply_adds = W.size / small.size
    assert round(multiply_adds, 2) == speed_up
    from_the_slide = 1 / ((1 - percent["columns"] / 100) * (1 - percent["rows"] / 100))
    assert round(from_the_slide, 2) == speed_up
    X = np.random.default_rng(1).integers(-9, 10, size=(576, 5)).astype(float)
    np.testing.assert_array_equal(PRODUCTS["rows_and_columns"](W, None, X), W @ X)


VALUES, COLUMNS, STARTS, X = [3.0, 4.0], [0, 2], [0, 1, 2], np.ones((3, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sparse_matrix.to_csr([1.0, 2.0]), "W must be 2-D, got shape"),
        (lambda: sparse_matrix.to_csr([[np.nan]]), "W must be finite, got nan"),
        (lambda: sparse_matrix.to_bitmask(np.ones((0, 2))), "W must not be empty"),
        (lambda: sparse_matrix.rows_and_columns([[np.inf]]), "W must be finite, got inf"),
        (
            lambda: sparse_matrix.to_bsr(np.ones((4, 6)), (2, 4)),
            r"blocks of shape \(2, 4\) must divide the matrix, got shape \(4, 6\)",
        ),
        (
            lambda: sparse_matrix.to_bsr(np.ones((4, 6)), (3, 2)),
            r"blocks of shape \(3, 2\) must divide",
        ),
        (lambda: sparse_matrix.to_bsr(np.ones((4, 6)), (0, 2)), r"both >= 1, got \(0, 2\)"),
        (lambda: sparse_matrix.to_bsr(np.ones((4, 6)), (2,)), r"both >= 1, got \(2,\)"),
        (lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS, STARTS, X[:2]), "between 0 and 1, got"),
        (lambda: sparse_matrix.csr_matmul(VALUES, [0, -1], STARTS, X), "columns must be between"),
        (lambda: sparse_matrix.csr_matmul(VALUES, [0.0, 1.0], STARTS, X), "of whole numbers"),
        (lambda: sparse_matrix.csr_matmul(VALUES, [0], STARTS, X), "one entry for each of 1"),
        (lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS, [0, 1], X), "must rise from 0 to 2"),
        (lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS, [1, 2], X), "must rise from 0 to 2"),
        (lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS, [0, 2, 1, 2], X), "must rise from 0"),
        (lambda: sparse_matrix.csr_matmul([], [], [0], X), "must rise from 0 to 0, got"),
        (lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS, STARTS, X[None]), "X must be 1-D or"),
        (
            lambda: sparse_matrix.bsr_matmul(np.ones((2, 1, 2)), COLUMNS, STARTS, X),
            r"blocks of shape \(1, 2\) must divide",
        ),
        (
            lambda: sparse_matrix.bsr_matmul(np.ones((2, 1, 3)), [0, 1], STARTS, X),
            "columns must be between 0 and 0, got",
        ),
        (lambda: sparse_matrix.bsr_matmul(VALUES, COLUMNS, STARTS, X), "a height and a width"),
        (lambda: sparse_matrix.bitmask_matmul([1.0], [[True, False]], X), "have 3 columns, one"),
        (lambda: sparse_matrix.bitmask_matmul([1.0], [[1, 0, 0]], X), "mask must be of bool"),
        (
            lambda: sparse_matrix.bitmask_matmul([1.0], [[True, True, False]], X),
            r"values must have shape \(2,\), one for each 1 of mask, got \(1,\)",
        ),
        (
            lambda: sparse_matrix.rows_and_columns_matmul([[1.0]], [2], [0], 2, X),
            "rows must be between 0 and 1",
        ),
        (
            lambda: sparse_matrix.rows_and_columns_matmul([[1.0]], [0], [3], 2, X),
            "columns must be between 0 and 2",
        ),
        (
            lambda: sparse_matrix.rows_and_columns_matmul([[1.0], [2.0]], [1, 1], [0], 2, X),
            "rows must increase",
        ),
        (
            lambda: sparse_matrix.rows_and_columns_matmul([[1.0]], [0, 1], [0], 2, X),
            "a row for each of 2 rows",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
