"""The checks a student runs: in a second, is it right, and if not, on which input and why not."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparsecourse.grading.cases import FILE_NAME, decode
from sparsecourse.grading.checks import Failure, Inputs, certified, describe_failure, equal_to

RIGHT, WRONG, OPEN = "✓", "✗", "·"
VERDICT_CHARACTERS = 100  # with the name and the points, it fits into a cell's width


class WrongAnswer(AssertionError):  # noqa: N818  (students read the name)
    """A function gave a wrong result; the message tells on which input, and where to look."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the message alone, none of this package's lines."""
        return str(self).splitlines()


def self_check(function: Callable) -> None:
    """Try a function of an exercise on the cases that lie beside the notebook.

    Parameters
    ----------
    function : callable
        Your function, with the name the exercise gave it.

    Raises
    ------
    WrongAnswer
        If a result differs: shows the input, what came out, what was expected, a hint.
    NotImplementedError
        If the function still raises it.
    FileNotFoundError
        If the cases are not beside the notebook.
    ValueError
        If the argument is no function, or the exercise asks for none of that name.
    """
    if not inspect.isfunction(function):
        raise ValueError(f"pass the function itself, without brackets, not {function!r}")
    functions = _read_cases()["functions"]
    name = function.__name__
    if name not in functions:
        raise ValueError(f"no function {name!r} is asked for here, only: {', '.join(functions)}")
    check = functions[name]
    try:
        wrong = _first_wrong(function, check)
    except NotImplementedError:
        raise NotImplementedError(f"{name} is not written yet") from None
    if wrong is None:
        print(f"{RIGHT} {name}: right on all {len(check['cases'])} cases shown to you.")
        return
    lines = [f"{WRONG} {name}, {wrong.where}: {wrong.failure.what}", ""]
    lines += [f"  {key} = {_printed(value)}" for key, value in wrong.inputs.items()]
    if wrong.failure.got is not None:
        lines.append(f"  your result: {_printed(wrong.failure.got)}")
    if "expected" in wrong.case:
        lines.append(f"  expected:    {_printed(decode(wrong.case['expected']))}")
    lines += ["", f"Look first: {check['hint']}"]
    raise WrongAnswer("\n".join(lines))


def check_my_answers(names: Mapping[str, Any]) -> None:
    """Try all functions of an exercise and print a table: one line a function, with its points.

    Parameters
    ----------
    names : mapping of str to object
        What the notebook has defined: pass ``globals()``.

    Raises
    ------
    ValueError
        If the argument is something else.
    FileNotFoundError
        If the cases are not beside the notebook.
    """
    if not isinstance(names, Mapping):
        raise ValueError(f"write check_my_answers(globals()), not with a {type(names).__name__}")
    exercise = _read_cases()
    functions, manual_points = exercise["functions"], exercise["manual_points"]
    total, maximum = 0, sum(check["points"] for check in functions.values())
    width = max(map(len, functions))
    for name, check in functions.items():
        sign, verdict = _judge(names, name, check)
        points = check["points"] if sign == RIGHT else 0
        total += points
        print(f"{sign} {name:{width}}  {points} of {check['points']}  {verdict}")
    print(
        f"\n{total} of {maximum} points on the cases shown to you; your score is decided on others."
    )
    if manual_points:
        all_points = maximum + manual_points
        print(
            f"The answers in words ({manual_points} of {all_points} points) are read by a person."
        )


def _judge(names: Mapping[str, Any], name: str, check: dict) -> tuple[str, str]:
    """Sign and verdict of one line; what the function itself prints is not shown."""
    if name not in names:
        return OPEN, "not defined: run the cell that defines it"
    function = names[name]
    if not callable(function):
        return WRONG, f"is no function any more, but of type {type(function).__name__}"
    try:
        with (
            open(os.devnull, "w", encoding="utf-8", errors="replace") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            wrong = _first_wrong(function, check)
    except NotImplementedError:
        return OPEN, "not written yet"
    if wrong is None:
        return RIGHT, f"right on all {len(check['cases'])} cases shown"
    verdict = f"{wrong.where}: {wrong.failure.what}"
    return WRONG, textwrap.shorten(verdict, VERDICT_CHARACTERS, placeholder=" ...")


@dataclass(frozen=True)
class _Wrong:
    """The first case on which a function is wrong."""

    where: str
    case: dict
    inputs: Inputs
    failure: Failure


def _first_wrong(function: Callable, check: dict) -> _Wrong | None:
    for number, case in enumerate(check["cases"], start=1):
        inputs = {key: decode(value) for key, value in case["inputs"].items()}
        if "certificate" in check:
            judge = certified(check["certificate"], check["gap"], inputs)
        else:
            judge = equal_to(decode(case["expected"]), check["rtol"], check["atol"])
        failure = describe_failure(function, inputs, judge)
        if failure is not None:
            return _Wrong(f"case {number} of {len(check['cases'])}", case, inputs, failure)
    return None


def _read_cases() -> dict:
    return json.loads(_find_cases(Path.cwd()).read_text(encoding="utf-8"))


def _find_cases(folder: Path) -> Path:
    """Beside the notebook, or, for the instructor's solution, beside the exercise of that name."""
    places = [folder / FILE_NAME, folder.parents[1] / "exercises" / folder.name / FILE_NAME]
    for path in places:
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{FILE_NAME} is not beside this notebook: it came with the exercise, put it back "
        f"(looked in {folder})"
    )


def _printed(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(_printed(part) for part in value) + ")"
    try:
        text = np.array2string(np.asarray(value), precision=4, threshold=40, separator=", ")
    except ValueError:  # rows of different lengths
        text = repr(value)[:200]
    return text.replace("\n", "\n    ")
