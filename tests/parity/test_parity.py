"""Every function of functional/ gives what its namesake in reference/ gives, on each device."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsecourse import functional
from sparsecourse.reference.convergence import Solution
from tests.parity.cases import CASES, GAP


def public_names(package) -> set[str]:
    """module.function, of all modules of a package but those that only check arguments."""
    names = set()
    for module_info in pkgutil.iter_modules(package.__path__):
        if module_info.name == "validation":
            continue
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        names |= {
            f"{module_info.name}.{name}"
            for name, value in vars(module).items()
            if inspect.isfunction(value)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        }
    return names


def function_of(package: str, name: str):
    module, _, function = name.partition(".")
    return getattr(importlib.import_module(f"sparsecourse.{package}.{module}"), function)


def to_tensors(argument, device: str):
    """Arrays become tensors, also those in tuples and lists."""
    if isinstance(argument, tuple | list):
        return type(argument)(to_tensors(value, device) for value in argument)
    return torch.tensor(argument, device=device) if isinstance(argument, np.ndarray) else argument


def arrays_of(result):
    """What a function gives, as arrays: of a solution its coefficients, certified before."""
    if isinstance(result, list):
        parts = [arrays_of(part) for part in result]
        return torch.stack(parts) if isinstance(parts[0], torch.Tensor) else np.stack(parts)
    if isinstance(result, Solution):
        assert result.gap <= GAP
        return result.coef
    return result


DTYPES = {"f": torch.float64, "i": torch.int64, "b": torch.bool}
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)]


def test_every_functional_name_has_a_case_or_a_reason():
    names = public_names(functional)
    assert names == set(CASES) | set(functional.WITHOUT_REFERENCE)
    assert not set(CASES) & set(functional.WITHOUT_REFERENCE)


@pytest.mark.parametrize("name", sorted(CASES))
def test_namesakes_take_the_same_arguments(name):
    parameters = [
        [
            (p.name, p.default)
            for p in inspect.signature(function_of(package, name)).parameters.values()
        ]
        for package in ("reference", "functional")
    ]
    assert parameters[0] == parameters[1]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", sorted(CASES))
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_functional_gives_what_reference_gives(name, device, data):
    case = CASES[name]
    arguments = data.draw(case.arguments)
    expected = arrays_of(function_of("reference", name)(*arguments))
    got = arrays_of(function_of("functional", name)(*to_tensors(arguments, device)))
    several = isinstance(expected, tuple)
    for one, other in zip(expected, got, strict=True) if several else [(expected, got)]:
        assert other.dtype == DTYPES[np.asarray(one).dtype.kind]
        assert other.device.type == device
        one = np.asarray(case.observe(one, arguments), dtype=np.float64)
        other = np.asarray(case.observe(other.cpu().numpy(), arguments), dtype=np.float64)
        assert other.shape == one.shape
        finite = np.isfinite(one)
        np.testing.assert_array_equal(other[~finite], one[~finite])
        size = np.abs(one[finite]).max(initial=0)
        assert np.abs(other[finite] - one[finite]).max(initial=0) <= case.rtol * size
