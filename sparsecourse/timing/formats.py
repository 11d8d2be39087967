"""How a matrix is held and multiplied: dense, in sparse formats, in fewer bits, or smaller.

A format takes W, with its zeros, and X, and prepares all that is known before a product is asked
for. What is left is one call, ``Y = W X`` in whatever way; only that is timed. X has one row for
each column of W, and one column for each place at which the layer is applied.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import scipy.sparse
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from sparsecourse.functional.pruning import decode, encode
from sparsecourse.functional.sparse_matrix import (
    bitmask_matmul,
    csr_matmul,
    rows_and_columns,
    rows_and_columns_matmul,
    to_bitmask,
    to_csr,
)
from sparsecourse.timing.patterns import whole_blocks

FLOAT32_ERROR = 1e-5  # relative, of a sum of some thousand products
HALF_ERROR = 5e-3
INT8_ERROR = 0.05
INDEX_BITS = 8  # of a relative index: what torch can hold
INT8_LARGEST = 127
TILE = 64  # sparse tensor cores take matrices whose sides are multiples of it


class CannotHoldError(ValueError):
    """This device or this library has no such format, or W does not fit it."""


@dataclass(frozen=True)
class Held:
    """A matrix in some format, with what it is to be multiplied with.

    Attributes
    ----------
    product : callable
        Without arguments: multiplies, and returns what the format calls its result.
    stored : tuple of Tensor
        All that stands for W: values, and the indices that say where they belong.
    full : callable
        Takes a result of `product`; gives Y, of shape (n_rows, n_places). It is not timed.
    """

    product: Callable[[], Tensor]
    stored: tuple[Tensor, ...]
    full: Callable[[Tensor], Tensor] = lambda result: result

    @property
    def stored_bytes(self) -> int:
        """What W takes in memory as it is held, its indices among it."""
        return sum(part.numel() * part.element_size() for part in self.stored)


@dataclass(frozen=True)
class Format:
    """A way to hold and multiply a matrix.

    Attributes
    ----------
    hold : callable
        ``hold(W, X)`` gives what is `Held`.
    pattern : str
        The pattern of zeros that the format is made for, a name in `patterns.PATTERNS`.
    idea : str
        How it works, in a line for readers.
    tolerance : float
        How far a product may be from the exact one in the Euclidean norm: relative to that of the
        exact one or, where its summands cancel, to that of all summands.
    dtype : torch.dtype
        Of W and X, and of the dense product that it is compared with.
    """

    hold: Callable[[Tensor, Tensor], Held]
    pattern: str
    idea: str
    tolerance: float = FLOAT32_ERROR
    dtype: torch.dtype = torch.float32


def dense(W: Tensor, X: Tensor) -> Held:
    """The product that all others are compared with: one GEMM.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    X : Tensor, shape (n_columns, n_places)

    Returns
    -------
    held : Held
    """
    return Held(lambda: W @ X, (W,))


def masked_dense(W: Tensor, X: Tensor) -> Held:
    """Dense weights times a mask, and then the GEMM: what pruning libraries run while training.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    X : Tensor, shape (n_columns, n_places)

    Returns
    -------
    held : Held
    """
    mask = W != 0
    return Held(lambda: (W * mask) @ X, (W, mask))


def torch_csr(W: Tensor, X: Tensor) -> Held:
    """Compressed sparse rows of PyTorch: MKL on a CPU, cuSPARSE on a GPU.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    X : Tensor, shape (n_columns, n_places)

    Returns
    -------
    held : Held
    """
    with quiet():
        rows = W.to_sparse_csr()
        return Held(lambda: rows @ X, (rows.values(), rows.col_indices(), rows.crow_indices()))


def scipy_csr(W: Tensor, X: Tensor) -> Held:
    """Compressed sparse rows of SciPy: one thread, whatever is asked for.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
        On the CPU.
    X : Tensor, shape (n_columns, n_places)

    Returns
    -------
    held : Held

    Raises
    ------
    CannotHoldError
        If W is not on the CPU.
    """
    if W.device.type != "cpu":
        raise CannotHoldError(f"SciPy computes on the CPU alone, W is on {W.device}")
    rows, operand = scipy.sparse.csr_matrix(W.numpy()), X.numpy()
    stored = map(torch.from_numpy, (rows.data, rows.indices, rows.indptr))
    return Held(lambda: torch.from_numpy(rows @ operand), tuple(stored))


def course_csr(W: Tensor, X: Tensor) -> Held:
    """Compressed sparse rows of `sparsecourse.functional`.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    X : Tensor, shape (n_columns, n_places)

    Returns
    -------
    held : Held
    """
    stored = to_csr(W)
    return Held(lambda: csr_matmul(*stored, X), stored)


def relative_index(W: Tensor, X: Tensor) -> Held:
    """Distances to the next entry, in a byte: undone before each product, which is then dense.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    X : Tensor, shape (n_columns, n_places)

    Returns
    -------
    held : Held
    """
    values, distances = encode(W, INDEX_BITS)
    octets = (distances - 1).to(torch.uint8)
    return Held(lambda: decode(values, octets.long() + 1, tuple(W.shape)) @ X, (values, octets))


def bitmask(W: Tensor, X: Tensor) -> Held:
    """A bit for each entry (a byte, in PyTorch): undone before each product, which is then dense.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    X : Tensor, shape (n_columns, n_places)

    Returns
    -------
    held : Held
    """
    stored = to_bitmask(W)
    return Held(lambda: bitmask_matmul(*stored, X), stored)


def torch_bsr(W: Tensor, X: Tensor, *, size: int) -> Held:
    """Block compressed sparse rows of PyTorch; the edges are filled up with zeros.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    X : Tensor, shape (n_columns, n_places)
    size : int
        Height and width of a block.

    Returns
    -------
    held : Held
    """
    filled, operand = whole_blocks(W, size), pad(X, (0, 0, 0, -len(X) % size))
    with quiet():
        rows = filled.to_sparse_bsr((size, size))
        stored = rows.values(), rows.col_indices(), rows.crow_indices()
    return Held(lambda: rows @ operand, stored, lambda result: result[: len(W)])


def regular_blocks(W: Tensor, X: Tensor) -> Held:
    """One entry in each block of a row: its offset within the block is all the index there is.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
        With one entry at most in each of the equal blocks that its rows fall into.
    X : Tensor, shape (n_columns, n_places)

    Returns
    -------
    held : Held

    Raises
    ------
    CannotHoldError
        If entries are not so regular.
    """
    size = _regular_size(W)
    starts = torch.arange(0, W.shape[1], size, device=W.device)
    blocks = pad(W, (0, -W.shape[1] % size)).reshape(len(W), -1, size)
    offsets = (blocks != 0).to(torch.uint8).argmax(dim=2)
    values = blocks.gather(2, offsets[:, :, None]).squeeze(2).contiguous()
    offsets = offsets.to(torch.uint8 if size <= 2**8 else torch.int32)

    def product() -> Tensor:
        return embedding_bag(starts + offsets, X, per_sample_weights=values, mode="sum")

    return Held(product, (values, offsets))


def two_of_four(W: Tensor, X: Tensor) -> Held:
    """Two of four weights and two bits for each: sparse tensor cores multiply it in half the steps.

    Parameters
    ----------
    W : Tensor of float16, shape (n_rows, n_columns)
        On CUDA, with two zeros in each four weights of a row.
    X : Tensor of float16, shape (n_columns, n_places)

    Returns
    -------
    held : Held

    Raises
    ------
    CannotHoldError
        If the device has no such cores, or if W does not suit them.
    """
    if W.device.type != "cuda" or torch.cuda.get_device_capability(W.device) < (8, 0):
        raise CannotHoldError(
            "2:4 needs a GPU with sparse tensor cores (compute capability 8.0 or more), this is "
            f"{W.device.type}"
        )
    try:
        with quiet():
            pairs = torch.sparse.to_sparse_semi_structured(whole_blocks(W, TILE))
    except (RuntimeError, ValueError) as error:
        raise CannotHoldError(f"2:4 does not take W of shape {tuple(W.shape)}: {error}") from error
    operand = pad(X, (0, 0, 0, -len(X) % TILE))
    stored = tuple(part for part in (pairs.packed, pairs.meta) if part is not None)
    return Held(lambda: pairs @ operand, stored, lambda result: result[: len(W)])


def int8(W: Tensor, X: Tensor) -> Held:
    """All weights, in eight bits each; X is rounded at each call, as its range is not known before.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
        On the CPU.
    X : Tensor, shape (n_columns, n_places)

    Returns
    -------
    held : Held

    Raises
    ------
    CannotHoldError
        If W is not on the CPU, or torch was built without these kernels.
    """
    engines = torch.backends.quantized.supported_engines
    if W.device.type != "cpu" or not {"x86", "fbgemm", "onednn", "qnnpack"} & set(engines):
        raise CannotHoldError(f"torch has no int8 product for this device, {W.device}")
    scale = (float(W.abs().max()) or 1.0) / INT8_LARGEST
    with quiet():
        rounded = torch.quantize_per_tensor(W, scale, 0, torch.qint8)
        packed = torch.ops.quantized.linear_prepack(rounded, None)
    multiply = torch.ops.quantized.linear_dynamic
    stored = rounded.int_repr(), W.new_tensor(scale)
    # reduce_range spares older processors an overflow, at a bit of precision.
    return Held(lambda: multiply(X.T, packed, reduce_range=True).T, stored)


def smaller_gemm(W: Tensor, X: Tensor) -> Held:
    """A smaller dense matrix: X comes without the rows that no column asks for.

    So it is in a pruned network: channels that are gone are not computed, and im2col leaves the
    other columns out.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    X : Tensor, shape (n_columns, n_places)

    Returns
    -------
    held : Held
    """
    small, rows, columns = rows_and_columns(W)
    small, operand = small.contiguous(), X[columns]

    def full(result: Tensor) -> Tensor:
        return X.new_zeros(len(W), X.shape[1]).index_copy(0, rows, result)

    return Held(lambda: small @ operand, (small,), full)


def gathered_gemm(W: Tensor, X: Tensor) -> Held:
    """The smaller dense matrix, where X comes whole: its rows are gathered, those of Y scattered.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
    X : Tensor, shape (n_columns, n_places)

    Returns
    -------
    held : Held
    """
    small, rows, columns = rows_and_columns(W)
    small = small.contiguous()
    return Held(
        lambda: rows_and_columns_matmul(small, rows, columns, len(W), X), (small, rows, columns)
    )


FORMATS: dict[str, Format] = {
    "masked dense": Format(
        masked_dense, "scattered", "multiply by the mask, then the dense product"
    ),
    "torch CSR": Format(torch_csr, "scattered", "a column number for each entry (MKL, cuSPARSE)"),
    "scipy CSR": Format(scipy_csr, "scattered", "CSR of SciPy, on one thread"),
    "course CSR": Format(course_csr, "scattered", "CSR as a weighted sum of rows of X"),
    "relative index": Format(relative_index, "scattered", "a byte for each distance, then dense"),
    "bitmask": Format(bitmask, "scattered", "a bit for each weight, then dense"),
    "BSR 4x4": Format(partial(torch_bsr, size=4), "4x4 blocks", "a column number for 16 weights"),
    "BSR 16x16": Format(
        partial(torch_bsr, size=16), "16x16 blocks", "a column number for 256 weights"
    ),
    "regular blocks": Format(regular_blocks, "regular blocks", "one entry a block, its offset"),
    "2:4": Format(two_of_four, "2:4", "sparse tensor cores", HALF_ERROR, torch.float16),
    "int8": Format(int8, "none", "nothing is zero, but eight bits for 32", INT8_ERROR),
    "smaller GEMM": Format(smaller_gemm, "rows and columns", "the dense product of what is left"),
    "gathered GEMM": Format(
        gathered_gemm, "rows and columns", "the smaller GEMM, rows of X picked at each call"
    ),
}


def quiet() -> warnings.catch_warnings:
    """Silence PyTorch's notes that sparse formats are new and quantised tensors are old.

    Returns
    -------
    silence : context manager
    """
    return warnings.catch_warnings(action="ignore", category=UserWarning)


def _regular_size(W: Tensor) -> int:
    """The largest size of blocks that hold one entry at most, with as many blocks as needed."""
    n_columns = W.shape[1]
    most = max(int((W != 0).sum(dim=1).max()), 1)
    largest = math.ceil(n_columns / (most - 1)) - 1 if most > 1 else n_columns
    for size in range(largest, math.ceil(n_columns / most) - 1, -1):
        filled = pad(W != 0, (0, -n_columns % size))
        if int(filled.reshape(len(W), -1, size).sum(dim=2).max()) <= 1:
            return size
    raise CannotHoldError(
        f"W has up to {most} entries in a row, but not one in each of as many equal blocks"
    )
