"""The check a student runs: in a second, is it right, and if not, on which input and why not."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sparsecourse.grading.cases import FILE_NAME, decode
from sparsecourse.grading.checks import certified, describe_failure, equal_to


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
    exercise = json.loads(_find_cases(Path.cwd()).read_text(encoding="utf-8"))
    name = function.__name__
    if name not in exercise:
        raise ValueError(f"no function {name!r} is asked for here, only: {', '.join(exercise)}")
    check = exercise[name]
    for number, case in enumerate(check["cases"], start=1):
        inputs = {key: decode(value) for key, value in case["inputs"].items()}
        if "certificate" in check:
            judge = certified(check["certificate"], check["gap"], inputs)
        else:
            judge = equal_to(decode(case["expected"]), check["rtol"], check["atol"])
        try:
            failure = describe_failure(function, inputs, judge)
        except NotImplementedError:
            raise NotImplementedError(f"{name} is not written yet") from None
        if failure is not None:
            lines = [f"✗ {name}, case {number} of {len(check['cases'])}: {failure.what}", ""]
            lines += [f"  {key} = {_printed(value)}" for key, value in inputs.items()]
            if failure.got is not None:
                lines.append(f"  your result: {_printed(failure.got)}")
            if "expected" in case:
                lines.append(f"  expected:    {_printed(decode(case['expected']))}")
            lines += ["", f"Look first: {check['hint']}"]
            raise WrongAnswer("\n".join(lines))
    print(f"✓ {name}: right on all {len(check['cases'])} cases shown to you.")


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
