"""What parity with the reference does not cover: dtypes, gradients, layouts, warnings, errors."""

import warnings

import pytest
import torch

from sparsecourse.functional import sparse_matrix

PRODUCTS = {
    "csr": lambda W, X: sparse_matrix.csr_matmul(*sparse_matrix.to_csr(W), X),
    "bsr": lambda W, X: sparse_matrix.bsr_matmul(*sparse_matrix.to_bsr(W, (2, 5)), X),
    "bitmask": lambda W, X: sparse_matrix.bitmask_matmul(*sparse_matrix.to_bitmask(W), X),
    "rows_and_columns": lambda W, X: sparse_matrix.rows_and_columns_matmul(
        *sparse_matrix.rows_and_columns(W), len(W), X
    ),
}


@pytest.fixture(name="W")
def sparse_weights():
    """Sparse, with rows and columns of zeros."""
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(40, 60, generator=generator)
    W *= torch.rand(40, 60, generator=generator) < 0.1
    W[3:9] = 0
    W[:, 20:30] = 0
    return W


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_keep_the_dtype_and_warn_of_nothing(name, dtype, W):
    W, X = W.to(dtype), torch.randn(60, 7, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        products = [PRODUCTS[name](W, operand) for operand in (X, X[:, 0], X.T.contiguous().T)]
    for product, dense in zip(products, (W @ X, W @ X[:, 0], W @ X), strict=True):
        assert product.dtype == dtype
        torch.testing.assert_close(product, dense)


@pytest.mark.parametrize(
    "store",
    [
        sparse_matrix.to_csr,
        lambda W: sparse_matrix.to_bsr(W, (4, 3)),
        sparse_matrix.to_bitmask,
        sparse_matrix.rows_and_columns,
    ],
    ids=["csr", "bsr", "bitmask", "rows_and_columns"],
)
def test_values_keep_their_dtype_and_are_cut_from_the_graph(store, W):
    values, *others = store(torch.nn.Parameter(W))
    assert values.dtype == torch.float32
    assert not values.requires_grad
    assert {part.dtype for part in others} <= {torch.int64, torch.bool}
    for part, other in zip(store(W), store(W.T.contiguous().T), strict=True):
        assert torch.equal(part, other)


def test_compressed_rows_are_those_of_pytorch(W):
    with warnings.catch_warnings():  # PyTorch says that its sparse tensors are in beta
        warnings.simplefilter("ignore")
        csr, bsr = W.to_sparse_csr(), W.to_sparse_bsr((4, 3))
    for stored, theirs in [
        (sparse_matrix.to_csr(W), csr),
        (sparse_matrix.to_bsr(W, (4, 3)), bsr),
    ]:
        parts = theirs.values(), theirs.col_indices(), theirs.crow_indices()
        assert all(torch.equal(part, other) for part, other in zip(stored, parts, strict=True))


def test_products_have_gradients_in_the_values_and_in_x(W):
    W = W[:6, 30:40].double()
    X = torch.randn(10, 2, dtype=torch.float64, requires_grad=True)
    for store, multiply in [
        (sparse_matrix.to_csr(W), sparse_matrix.csr_matmul),
        (sparse_matrix.to_bsr(W, (2, 5)), sparse_matrix.bsr_matmul),
        (sparse_matrix.to_bitmask(W), sparse_matrix.bitmask_matmul),
        ((*sparse_matrix.rows_and_columns(W), 6), sparse_matrix.rows_and_columns_matmul),
    ]:
        values, *others = store
        assert torch.autograd.gradcheck(
            lambda v, x, multiply=multiply, others=others: multiply(v, *others, x),
            (values.requires_grad_(), X),
        )


VALUES, COLUMNS, STARTS = torch.tensor([3.0, 4.0]), torch.tensor([0, 2]), torch.tensor([0, 1, 2])
X = torch.ones(3, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sparse_matrix.to_csr(VALUES), "W must be at least 2-D, got shape"),
        (lambda: sparse_matrix.to_csr(X[None]), r"W must be 2-D, got shape \(1, 3, 2\)"),
        (lambda: sparse_matrix.to_bitmask(X / 0), "W must be finite, got inf"),
        (lambda: sparse_matrix.rows_and_columns(X.int()), "W must be a tensor of float32"),
        (lambda: sparse_matrix.to_bsr(X, (2, 2)), r"blocks of shape \(2, 2\) must divide"),
        (lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS, STARTS, X[:2]), "between 0 and 1, got"),
        (lambda: sparse_matrix.csr_matmul(VALUES, -COLUMNS, STARTS, X), "columns must be between"),
        (lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS.int(), STARTS, X), "1-D of int64, got"),
        (lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS[:1], STARTS, X), "one entry for each of"),
        (lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS, STARTS[:2], X), "rise from 0 to 2"),
        (lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS, STARTS[1:], X), "rise from 0 to 2"),
        (
            lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS, STARTS[[0, 2, 1, 2]], X),
            "row_starts must rise from 0 to 2",
        ),
        (lambda: sparse_matrix.csr_matmul(VALUES[:0], COLUMNS[:0], STARTS[:1], X), "rise from 0 "),
        (lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS, STARTS, X[None]), "X must be 1-D or"),
        (
            lambda: sparse_matrix.csr_matmul(VALUES, COLUMNS, STARTS, X.double()),
            "X must be torch.float32 on cpu like what is stored, got torch.float64",
        ),
        (
            lambda: sparse_matrix.bsr_matmul(torch.ones(2, 1, 2), COLUMNS, STARTS, X),
            r"blocks of shape \(1, 2\) must divide",
        ),
        (lambda: sparse_matrix.bsr_matmul(VALUES, COLUMNS, STARTS, X), "a height and a width"),
        (lambda: sparse_matrix.bitmask_matmul(VALUES, X > 0, X), "have 3 columns, one for each"),
        (lambda: sparse_matrix.bitmask_matmul(VALUES, X.T, X), "mask must be of bool"),
        (lambda: sparse_matrix.bitmask_matmul(VALUES, X.T > 0, X), r"shape \(6,\), one for each"),
        (
            lambda: sparse_matrix.rows_and_columns_matmul(X[:1, :1], STARTS[2:], STARTS[:1], 2, X),
            "rows must be between 0 and 1",
        ),
        (
            lambda: sparse_matrix.rows_and_columns_matmul(X[:2], STARTS[[1, 1]], COLUMNS, 2, X),
            "rows must increase",
        ),
        (
            lambda: sparse_matrix.rows_and_columns_matmul(X[:1], STARTS[:2], COLUMNS, 2, X),
            "a row for each of 2 rows",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
