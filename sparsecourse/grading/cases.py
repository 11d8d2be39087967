"""The cases that students see, as a JSON file beside the exercise: inputs, and expected outputs
or the certificate to apply; and the points."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from sparsecourse.grading.checks import Check, copied

FILE_NAME = "cases.json"


def encode(value: Any) -> Any:
    """Arrays and tuples as marked objects, numbers as they are."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, tuple):
        return {"tuple": [encode(part) for part in value]}
    if isinstance(value, np.generic):
        return value.item()
    return value


def decode(value: Any) -> Any:
    """The inverse of `encode`."""
    if isinstance(value, dict) and "array" in value:
        return np.array(value["array"], dtype=value["dtype"])
    if isinstance(value, dict):
        return tuple(decode(part) for part in value["tuple"])
    return value


def dumps(checks: list[Check], manual_points: int) -> str:
    """The text of the file: every check, its visible cases one a line.

    `manual_points` are those of the answers that a person reads.
    """
    blocks = []
    for check in checks:
        inputs_of_all = [rounded(inputs) for inputs in check.visible_inputs()]
        cases = [
            {"inputs": {name: encode(value) for name, value in inputs.items()}}
            for inputs in inputs_of_all
        ]
        about: dict[str, Any] = {"points": check.points, "hint": check.hint}
        if check.certificate is not None:
            about |= {"certificate": check.certificate, "gap": check.gap}
        else:
            about |= {"rtol": check.rtol, "atol": check.atol}
            for case, inputs in zip(cases, inputs_of_all, strict=True):
                case["expected"] = encode(rounded(check.function(**copied(inputs))))
        lines = ",\n".join(json.dumps(case) for case in cases)
        head = json.dumps(about)[:-1]
        blocks.append(f'"{check.name}": {head}, "cases": [\n{lines}\n]}}')
    functions = "{\n" + ",\n".join(blocks) + "\n}"
    return f'{{"manual_points": {manual_points}, "functions": {functions}}}\n'


def rounded(value: Any) -> Any:
    """Floats to ten digits: processors differ in the last, and the file must not."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(rounded(part) for part in value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.array([float(f"{x:.10g}") for x in value.flat]).reshape(value.shape)
    if isinstance(value, float):
        return float(f"{value:.10g}")
    return value
