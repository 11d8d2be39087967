"""The bytes of a pruned network: its weights with relative indices, everything else dense.

Each tensor becomes a record of its own, from which alone it can be read back:

- one byte: the bits b of a distance; 0 for dense float32, 255 for dense int64
- one byte: the number of dimensions
- four bytes for each dimension, and four for the number of entries
- the values of the entries, four bytes each (eight for int64)
- their distances minus 1, b bits each, filled up to a whole byte; none if dense

Names are not stored: who reads a network knows its definition, sparse or dense.
"""

from __future__ import annotations

import copy
import math
import struct
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from sparsecourse.functional.pruning import decode, encode
from sparsecourse.functional.validation import finite_tensor
from sparsecourse.pruning.masks import per_layer, remove, weight_layers

DENSE = {torch.float32: 0, torch.int64: 255}
FORMATS = {DENSE[torch.int64]: np.dtype("<i8")}  # of values; float32 in all other records
FLOAT32 = np.dtype("<f4")


def pack(model: nn.Module, index_bits: int | Mapping[str, int]) -> dict[str, bytes]:
    """Write the weights that are not zero, with their relative indices, and all else dense.

    Parameters
    ----------
    model : nn.Module
        In float32, with masks or without. It stays as it is.
    index_bits : int, 1 to 32, or mapping of layer name to int
        Of one distance. Layers that a mapping does not name are stored dense.

    Returns
    -------
    records : dict of str to bytes
        Under the names of the state_dict without masks; a module used twice is there once.

    Raises
    ------
    ValueError
        If a tensor is neither of float32 nor of int64, if a weight is not finite, if a name is no
        layer's, or if a number of bits is out of range.
    """
    plain = copy.deepcopy(model)
    remove(plain)
    layers = per_layer("index_bits", index_bits, weight_layers(plain))
    bits_of = {f"{name}.weight".lstrip("."): bits for name, (_, bits) in layers.items()}
    records, places = {}, set()
    for name, tensor in plain.state_dict().items():
        if tensor.dtype not in DENSE:
            raise ValueError(f"{name} must be of float32 (or int64), got {tensor.dtype}")
        if tensor.data_ptr() not in places:
            places.add(tensor.data_ptr())
            records[name] = (
                _sparse_record(finite_tensor(name, tensor.cpu(), least_ndim=1), bits_of[name])
                if name in bits_of
                else _record(DENSE[tensor.dtype], tensor.shape, tensor.cpu().numpy())
            )
    return records


def unpack(records: Mapping[str, bytes]) -> dict[str, Tensor]:
    """Read back what `pack` wrote: a state_dict for the network without masks.

    Parameters
    ----------
    records : mapping of str to bytes

    Returns
    -------
    state : dict of str to Tensor
        Equal to what was packed.

    Raises
    ------
    ValueError
        If a record is too short or too long, or leads out of its tensor.
    """
    return {name: _tensor(name, record) for name, record in records.items()}


def stored_bytes(model: nn.Module, index_bits: int | Mapping[str, int]) -> int:
    """Count the bytes of a pruned network, by packing it.

    Parameters
    ----------
    model : nn.Module
    index_bits : int, 1 to 32, or mapping of layer name to int

    Returns
    -------
    bytes : int

    Raises
    ------
    ValueError
        As `pack`.
    """
    return sum(len(record) for record in pack(model, index_bits).values())


def _sparse_record(weight: Tensor, index_bits: int) -> bytes:
    values, distances = encode(weight, index_bits)
    octets = (distances - 1).numpy().astype("<u4").view(np.uint8).reshape(-1, 4)
    bits = np.unpackbits(octets, axis=1, bitorder="little")[:, :index_bits]
    codes = np.packbits(bits, bitorder="little").tobytes()
    return _record(index_bits, weight.shape, values.numpy()) + codes


def _record(kind: int, shape: torch.Size, values: np.ndarray) -> bytes:
    header = struct.pack(f"<BB{len(shape) + 1}I", kind, len(shape), *shape, values.size)
    return header + values.astype(FORMATS.get(kind, FLOAT32)).tobytes()


def _tensor(name: str, record: bytes) -> Tensor:
    kind, n_dimensions = record[:2].ljust(2, b"\0")
    sizes = struct.Struct(f"<{n_dimensions + 1}I")
    start = 2 + sizes.size
    *shape, n_entries = sizes.unpack(record[2:start].ljust(sizes.size, b"\0"))
    numbers = FORMATS.get(kind, FLOAT32)
    index_bits = 0 if kind in DENSE.values() else kind
    end = start + n_entries * numbers.itemsize
    expected = end + math.ceil(n_entries * index_bits / 8)
    if len(record) != expected:
        raise ValueError(f"{name}: a record of {expected} bytes was begun, got {len(record)}")
    values = torch.from_numpy(np.frombuffer(record[start:end], numbers).copy())
    if not index_bits:
        return values.reshape(shape)
    bits = np.unpackbits(
        np.frombuffer(record[end:], np.uint8), bitorder="little", count=n_entries * index_bits
    ).reshape(n_entries, index_bits)
    octets = np.packbits(np.pad(bits, ((0, 0), (0, 32 - index_bits))), axis=1, bitorder="little")
    distances = torch.from_numpy(octets.view("<u4").reshape(-1).astype(np.int64) + 1)
    try:
        return decode(values, distances, tuple(shape))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
