"""What a right answer is: one `Check` a function, declared in `solutions/NN_topic/checks.py`."""

from __future__ import annotations

import importlib.util
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sparsecourse.grading.certificates import CERTIFICATES

Inputs = dict[str, Any]
Judge = Callable[[Any], "Failure | None"]  # None for a right answer
VISIBLE_SEED = 0
VISIBLE_CASES = 6
HIDDEN_CASES = 12


@dataclass(frozen=True)
class Failure:
    """What is wrong with an answer.

    `what` says it in full, with values; `kind` says no more than what sort of mistake it is, for
    those who may not know the inputs; `got` is what came out, where anything did.
    """

    kind: str
    what: str
    got: Any = None


@dataclass(frozen=True)
class Check:
    """How one function of an exercise is checked.

    Parameters
    ----------
    function : callable
        A right answer; its name is the name students are asked for.
    points : int, >= 1
    draw : callable
        Takes a numpy Generator, returns the arguments by keyword: arrays and scalars.
    hint : str
        The first thing to look at when an answer is wrong.
    wrong : mapping of str to callable
        Two or more mistakes that students make, by name; a test proves that each loses points.
    edges : tuple of callable
        Like `draw`, for the score only: edge shapes, ties, zeros, large values.
    rtol, atol : float
        An entry is right when ``|got - expected| <= atol + rtol |expected|``.
    certificate : str, optional
        A name in `CERTIFICATES`. Then an answer is not compared: it is right when its duality gap
        is at most `gap`.
    gap : float
    """

    function: Callable
    points: int
    draw: Callable[[np.random.Generator], Inputs]
    hint: str
    wrong: Mapping[str, Callable]
    edges: tuple[Callable[[np.random.Generator], Inputs], ...] = ()
    rtol: float = 1e-6
    atol: float = 1e-8
    certificate: str | None = None
    gap: float = 1e-6
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.function.__name__)
        if self.certificate not in {None, *CERTIFICATES}:
            known = ", ".join(CERTIFICATES)
            raise ValueError(f"certificate must be one of {known}, got {self.certificate!r}")

    def visible_inputs(self) -> list[Inputs]:
        """Arguments of the cases that students see."""
        rng = np.random.default_rng(VISIBLE_SEED)
        return [self.draw(rng) for _ in range(VISIBLE_CASES)]

    def hidden_inputs(self, seed: int) -> list[Inputs]:
        """Arguments of the cases that decide the score, the edge cases among them."""
        rng = np.random.default_rng(seed)
        return [self.draw(rng) for _ in range(HIDDEN_CASES)] + [edge(rng) for edge in self.edges]

    def judge(self, inputs: Inputs) -> Judge:
        """What decides on an answer to these arguments."""
        if self.certificate is not None:
            return certified(self.certificate, self.gap, inputs)
        return equal_to(self.function(**copied(inputs)), self.rtol, self.atol)

    def first_failure(self, function: Callable, cases: list[Inputs]) -> Failure | None:
        """What is wrong with `function` on the first case where it is; else None."""
        for inputs in cases:
            failure = describe_failure(function, inputs, self.judge(inputs))
            if failure is not None:
                return failure
        return None


def load_checks(folder: Path) -> list[Check]:
    """The list CHECKS of `folder`/checks.py.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    path = folder / "checks.py"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: an exercise declares its checks there")
    spec = importlib.util.spec_from_file_location(f"checks_{folder.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CHECKS


def copied(inputs: Inputs) -> Inputs:
    """The same arguments in memory of their own, for functions that write into theirs."""
    return {name: np.copy(v) if isinstance(v, np.ndarray) else v for name, v in inputs.items()}


def equal_to(expected: Any, rtol: float, atol: float) -> Judge:
    """Right is what equals `expected` within the tolerances."""
    return lambda got: compare(got, expected, rtol, atol)


def certified(certificate: str, gap: float, inputs: Inputs) -> Judge:
    """Right is what has a duality gap of at most `gap`."""

    def judge(got: Any) -> Failure | None:
        # Any numbers of the right shape will do: the tolerance is infinite.
        malformed = compare(got, np.zeros(inputs["X"].shape[1]), rtol=0, atol=np.inf)
        if malformed is not None:
            return malformed
        with np.errstate(all="ignore"):
            reached = CERTIFICATES[certificate](np.asarray(got, dtype=np.float64), **inputs)
        if reached <= gap:
            return None
        return Failure(
            f"returned a result that is not optimal (a duality gap above {gap:.0e})",
            f"the duality gap of your result is {reached:.1e}; optimal means below {gap:.0e}",
        )

    return judge


def describe_failure(function: Callable, inputs: Inputs, judge: Judge) -> Failure | None:
    """Call `function` on one case; None if it is right, else what is wrong.

    Raises
    ------
    NotImplementedError
        If the function does: it is not wrong, it is not there yet.
    """
    given = copied(inputs)
    try:
        with np.errstate(all="ignore"):
            got = function(**given)
    except NotImplementedError:
        raise
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        renamed = isinstance(error, TypeError) and "argument" in str(error)
        advice = " (keep the names of the arguments)" if renamed else ""
        return Failure(f"raised {kind}", f"it raised {kind}: {error}{advice}")
    for name, value in inputs.items():
        if not np.array_equal(given[name], value, equal_nan=True):
            return Failure(
                f"changed its argument {name}", f"it changed its argument {name}: work on a copy"
            )
    wrong = judge(got)
    return None if wrong is None else replace(wrong, got=got)


def compare(
    got: Any, expected: Any, rtol: float, atol: float, what: str = "the result"
) -> Failure | None:
    """None if `got` is `expected` within the tolerances, else the first difference."""
    if got is None:
        return Failure("returned None", f"{what} is None: is a return missing?")
    if isinstance(expected, tuple):
        if not isinstance(got, tuple | list) or len(got) != len(expected):
            kind = type(got).__name__
            size = f"a {kind} of {len(got)}" if isinstance(got, tuple | list) else kind
            must = f"a tuple of {len(expected)}"
            return Failure(
                f"returned something else than {must}", f"{what} must be {must}, got {size}"
            )
        parts = (
            compare(g, e, rtol, atol, f"part {i} of {what}")
            for i, (g, e) in enumerate(zip(got, expected, strict=True))
        )
        return next(filter(None, parts), None)
    if isinstance(expected, int) and not isinstance(got, numbers.Integral):
        return Failure(
            "returned no int where one is asked for",
            f"{what} must be an int, got {type(got).__name__}",
        )
    not_real = "returned something that is not made of real numbers"
    try:
        array = np.asarray(got)
    except Exception:  # rows of different lengths, tensors that track gradients, ...
        return Failure(
            not_real, f"{what} must be an array, got a {type(got).__name__} that is none"
        )
    # float() would also take text and truth values, and drop imaginary parts and masks.
    if array.dtype.kind not in "iuf" or np.ma.isMaskedArray(got):
        given = f"{type(got).__name__} of {array.dtype}"
        return Failure(not_real, f"{what} must be made of real numbers, got {given}")
    expected = np.asarray(expected, dtype=np.float64)
    if not np.isfinite(expected).all():
        raise ValueError(f"a check must expect finite numbers, not {expected}")
    if array.shape != expected.shape:
        return Failure(
            "returned the wrong shape",
            f"{what} must have shape {expected.shape}, got {array.shape}",
        )
    if not np.isfinite(array).all():
        return Failure("returned NaN or infinity", f"{what} holds {array[~np.isfinite(array)][0]}")
    wrong = np.abs(array - expected) > atol + rtol * np.abs(expected)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = f"entry {list(at)} of {what}" if at else what
        return Failure(
            "returned a wrong value", f"{where} is {array[at]:.6g}, expected {expected[at]:.6g}"
        )
    return None
