"""What grading found out about one submission, and its file: the truth that a resumed run reads."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One cell of a submission, as far as it is trusted: text, and who it says it is.

    `images` are pictures that a student pasted into a text: name -> {MIME type: base64}.
    """

    kind: str  # "code" or "markdown"
    source: str
    grade_id: str | None = None
    images: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Mark:
    """What one function earned, and why it is not all.

    `failure` says it in words for the student, `kind` in the few that others share.
    """

    points: int
    maximum: int
    failure: str | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Result:
    """One graded submission, or the reason why it could not be graded.

    Parameters
    ----------
    student : str
    digest : str
        SHA-256 of the notebook: what this result is about.
    run : str
        Which run of grading found it out; a resumed run is the same run.
    ungradable : str, optional
        Why it could not be graded; then there are no marks.
    fault : bool
        Whether that lies with the grading machine. Then the reason is not for students: it may
        name the machine's folders.
    marks : dict of str to Mark
        By name of the function.
    notes : list of str
        What happened while the cells ran, a sentence each, for the student.
    cells : list of Cell
    seconds : float
        Wall time of grading it.
    timestamp : str, optional
        When it was handed in, ISO 8601.
    """

    student: str
    digest: str
    run: str
    ungradable: str | None = None
    fault: bool = False
    marks: dict[str, Mark] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    cells: list[Cell] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    timestamp: str | None = None


def store(folder: Path, result: Result) -> None:
    """Write `folder`/STUDENT.json, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.student}.json"
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(result), file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def stored(folder: Path, student: str) -> Result | None:
    """What `store` wrote; None if nothing."""
    path = folder / f"{student}.json"
    if not path.is_file():
        return None
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    known["marks"] = {name: Mark(**mark) for name, mark in known["marks"].items()}
    known["cells"] = [Cell(**cell) for cell in known["cells"]]
    return Result(**known)
