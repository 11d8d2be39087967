"""What goes into a sandbox comes back the same; what comes out of one is refused unless it is sound."""

from __future__ import annotations

import base64
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sparsecourse.cli.requirements import ROOT
from sparsecourse.grading import wire
from sparsecourse.grading.checks import load_checks

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # busy machines
KINDS = (
    hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.floating_dtypes(sizes=(16, 32, 64))
)
NUMBERS = st.integers(-(2**63), 2**63) | st.floats() | st.none()
ARRAYS = hnp.arrays(KINDS, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
VALUES = st.recursive(
    NUMBERS | ARRAYS,
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple),
    max_leaves=10,
).filter(lambda value: depth(value) <= wire.MAX_DEPTH)


def depth(value) -> int:
    return 1 + max(map(depth, value), default=0) if isinstance(value, tuple | list) else 0


def there_and_back(value):
    return wire.decode(json.loads(json.dumps(wire.encode(value))))


def assert_same(got, expected):
    assert type(got) is type(expected)
    if isinstance(expected, tuple | list):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype.newbyteorder("<")
        np.testing.assert_array_equal(got, expected, strict=False)
        assert got.shape == expected.shape
        assert got.flags.writeable
    else:
        assert got == expected or (got != got and expected != expected)


@relaxed
@given(VALUES)
def test_numbers_arrays_lists_and_tuples_come_back_as_they_were(value):
    assert_same(there_and_back(value), value)


@relaxed
@given(ARRAYS, st.sampled_from("FA"))
def test_the_order_of_memory_does_not_matter(array, order):
    np.testing.assert_array_equal(there_and_back(np.array(array, order=order)), array)
    np.testing.assert_array_equal(there_and_back(array.T), array.T)


@relaxed
@given(st.from_type(np.float64) | st.from_type(np.float32) | st.from_type(np.int16))
def test_scalars_of_numpy_come_back_as_those_of_python(scalar):
    assert_same(there_and_back(scalar), scalar.item())


class Masked(np.ma.MaskedArray):
    pass


class Raises:
    def __array__(self, *arguments, **options):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "bool"),
        (np.bool_(True), "bool"),
        (np.array([True]), "bool"),
        (1j, "complex"),
        (np.array([1j]), "complex"),
        ("1", "str"),
        (np.array(["1"]), "str"),
        (b"1", "bytes"),
        ({1: 2}, "dict"),
        ({1}, "set"),
        (lambda x: x, "function"),
        ((x for x in [1]), "generator"),
        (np.ma.array([1.0]), "MaskedArray"),
        (Masked([1.0]), "MaskedArray"),
        (np.array([1.0], dtype=object), "object"),
        (np.array(["2026"], dtype="M8[D]"), "object"),
        (np.zeros(1, dtype=[("a", "f8")]), "object"),
        (Raises(), "object"),
        (10**400, "object"),
        (np.zeros(wire.MAX_BYTES // 8 + 1), "object"),
        ([0.0] * (wire.MAX_PARTS + 1), "object"),
    ],
)
def test_what_no_right_answer_is_comes_back_as_its_kind(value, kind):
    assert there_and_back(value) == wire.Other(kind)


def test_lists_that_are_too_deep_or_hold_themselves_are_cut():
    itself = []
    itself.append(itself)
    expected = wire.Other("object")
    for _ in range(wire.MAX_DEPTH):
        expected = [expected]
    assert there_and_back(itself) == expected


def test_the_parts_of_all_lists_together_are_bounded():
    value = [[0.0] * 200] * 200
    parts = there_and_back(value)
    assert parts[0] == [0.0] * 200
    assert parts[-1] == wire.Other("object")


def test_a_subclass_comes_back_as_a_plain_array():
    class Matrix(np.ndarray):
        def tobytes(self):
            return b""

    got = there_and_back(np.arange(3.0).view(Matrix))
    assert type(got) is np.ndarray
    assert got.tolist() == [0.0, 1.0, 2.0]


def test_other_precisions_and_byte_orders_come_back_as_numbers():
    assert there_and_back(np.array([1.5], dtype=np.longdouble)).dtype == np.float64
    assert there_and_back(np.array([1, 2], dtype=">i4")).tolist() == [1, 2]


ONE = {"array": "AAAAAAAA8D8=", "dtype": "<f8", "shape": [1]}
TOO_LARGE = base64.b64encode(bytes(wire.MAX_BYTES + 8)).decode()
MALFORMED = [
    True,
    "text",
    [],
    [1.0],
    {},
    10**30,
    {"other": "FloodingError"},
    {"other": []},
    {"other": {}},
    {"list": "abc"},
    {"list": {"a": 1}},
    {"tuple": 3},
    {"list": [], "tuple": []},
    {"list": [{"list": [{"list": [{"list": [{"list": []}]}]}]}]},
    {"list": [None] * (wire.MAX_PARTS + 1)},
    {"array": ONE["array"]},
    ONE | {"more": 1},
    ONE | {"array": None},
    ONE | {"array": [1]},
    ONE | {"array": "AAAAAAAA8D8"},
    ONE | {"array": "é" * 12},
    ONE | {"array": "****"},
    ONE | {"array": ""},
    ONE | {"array": "A" * 4 * wire.MAX_BYTES, "shape": [0]},
    ONE | {"array": TOO_LARGE, "shape": [wire.MAX_BYTES // 8 + 1]},
    ONE | {"dtype": "<f4"},
    ONE | {"dtype": ">f8"},
    ONE | {"dtype": "|O"},
    ONE | {"dtype": "object"},
    ONE | {"dtype": "<U2"},
    ONE | {"dtype": ["<f8"]},
    ONE | {"shape": 1},
    ONE | {"shape": [2]},
    ONE | {"shape": [-1]},
    ONE | {"shape": [1.0]},
    ONE | {"shape": [True]},
    ONE | {"shape": ["1"]},
    ONE | {"shape": [1] * 33},
    ONE | {"shape": [10**9, 10**9]},
    ONE | {"array": "", "shape": [0] + [2**20] * 4},
    ONE | {"array": "", "shape": [2**20] * 32},
]


@pytest.mark.parametrize("message", MALFORMED, ids=lambda message: repr(message)[:40])
def test_a_malformed_message_is_refused_and_takes_no_memory(message):
    tracemalloc.start()
    with pytest.raises(ValueError):  # noqa: PT011 (whatever it says)
        wire.decode(message)
    assert tracemalloc.get_traced_memory()[1] < 8 * wire.MAX_BYTES
    tracemalloc.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["other", "list", "tuple", "x"]), inner, max_size=2)
        | st.fixed_dictionaries({"array": inner, "dtype": inner, "shape": inner})
        | st.fixed_dictionaries(
            {
                "array": st.sampled_from(["", "AAAAAAAA8D8=", "AAAA"]),
                "dtype": st.sampled_from(sorted(wire.NUMBERS)) | inner,
                "shape": st.lists(st.integers(-1, 2**21), max_size=5) | inner,
            }
        )
    ),
    max_leaves=20,
)


@relaxed
@given(JSON)
def test_any_json_is_decoded_or_refused_as_a_value_error(message):
    try:
        value = wire.decode(message)
    except ValueError:
        return
    if not holds_other(value):
        assert_same(there_and_back(value), value)


def holds_other(value) -> bool:
    if isinstance(value, tuple | list):
        return any(map(holds_other, value))
    return isinstance(value, wire.Other)


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("solutions/*/checks.py")), ids=lambda p: p.parent.name
)
def test_the_inputs_and_right_answers_of_every_exercise_come_back(path):
    for check in load_checks(path.parent):
        for inputs in check.hidden_inputs(3):
            for value in (*inputs.values(), check.function(**inputs)):
                back = there_and_back(value)
                assert not holds_other(back), f"{check.name}: {value}"
                np.testing.assert_equal(back, value)
