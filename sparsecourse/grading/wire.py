"""Values on their way into the sandbox and back: JSON, with arrays as base64.

What comes back is written by a student's process, so `decode` trusts nothing: it allocates no more
than it was sent, and knows arrays of real numbers only. No pickles, no files, no links.
"""

from __future__ import annotations

import builtins
import math
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

from numpy import asarray, float64, frombuffer, generic, ndarray
from numpy.ma import MaskedArray

# Inside the sandbox a student's code may replace builtins; functions defined here keep their own.
__builtins__ = dict(vars(builtins))

MAX_BYTES = 2**20  # of one array
MAX_PARTS = 10_000  # entries of nested lists, in all
MAX_DEPTH = 4
NUMBERS = {"<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8"}
KINDS = {
    "bool", "bytes", "complex", "dict", "function", "generator", "MaskedArray", "object", "set",
    "str",
}  # fmt: skip


@dataclass(frozen=True)
class Other:
    """Something that no right answer is: all that is told of it is its kind, one of `KINDS`."""

    kind: str


def encode(value: Any) -> Any:
    """`value` as JSON can hold it.

    Numbers, None, arrays of real numbers, lists and tuples of these come back from `decode` as
    they were; what an array can be made of comes back as an array; all else as an `Other`.
    """
    return _encode(value, MAX_DEPTH, [MAX_PARTS])


def _encode(value: Any, depth: int, left: list[int]) -> Any:
    kind = type(value)
    if value is None or kind is float:
        return value
    if kind is int:
        return value if abs(value) < 2**64 else {"other": "object"}
    if isinstance(value, (tuple, list)):
        parts = tuple(value)
        if depth == 0 or len(parts) > left[0]:
            return {"other": "object"}
        left[0] -= len(parts)
        name = "tuple" if isinstance(value, tuple) else "list"
        return {name: [_encode(part, depth - 1, left) for part in parts]}
    if isinstance(value, MaskedArray) or kind.__name__ in KINDS:
        return {"other": kind.__name__ if kind.__name__ in KINDS else "MaskedArray"}
    try:
        array = asarray(value)
    except Exception:
        return {"other": "object"}
    return _encode_array(array, scalar=isinstance(value, generic))


def _encode_array(array: ndarray, scalar: bool) -> Any:
    if array.dtype.kind not in "iuf":
        name = {"b": "bool", "c": "complex", "U": "str", "S": "bytes"}.get(array.dtype.kind)
        return {"other": name or "object"}
    if array.nbytes > MAX_BYTES:
        return {"other": "object"}
    if scalar:
        return array.item() if array.dtype.itemsize <= 8 else float(array)
    if array.dtype.itemsize > 8:  # long double
        array = array.astype(float64)
    array = array.astype(array.dtype.newbyteorder("<"))
    data = b64encode(array.tobytes()).decode("ascii")
    return {"array": data, "dtype": array.dtype.str, "shape": list(array.shape)}


def decode(value: Any) -> Any:
    """The inverse of `encode`.

    Raises
    ------
    ValueError
        If `value` is nothing that `encode` returns.
    """
    return _decode(value, MAX_DEPTH, [MAX_PARTS])


def _decode(value: Any, depth: int, left: list[int]) -> Any:
    if value is None or type(value) is float or (type(value) is int and abs(value) < 2**64):
        return value
    if isinstance(value, dict):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key == "other" and isinstance(inner, str) and inner in KINDS:
                return Other(inner)
            if key in ("tuple", "list") and isinstance(inner, list) and depth > 0:
                left[0] -= len(inner)
                if left[0] < 0:
                    raise ValueError("too many parts")
                parts = [_decode(part, depth - 1, left) for part in inner]
                return tuple(parts) if key == "tuple" else parts
        if value.keys() == {"array", "dtype", "shape"}:
            return _decode_array(**value)
    raise ValueError("no value")


def _decode_array(array: Any, dtype: Any, shape: Any) -> ndarray:
    sound = isinstance(array, str) and isinstance(dtype, str) and dtype in NUMBERS
    if not sound or not isinstance(shape, list) or len(shape) > 32:
        raise ValueError("no array")
    if not all(type(length) is int and 0 <= length <= MAX_BYTES for length in shape):
        raise ValueError("no shape")
    size = math.prod(shape) * int(dtype[2:])
    if size > MAX_BYTES:
        raise ValueError("too large")
    data = b64decode(array, validate=True)
    if len(data) != size:
        raise ValueError("shape and data do not belong together")
    return frombuffer(data, dtype=dtype).reshape(shape).copy()
