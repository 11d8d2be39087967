"""What an instructor's folder says about one exercise: checks, cells, points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from sparsecourse.grading.checks import Check, load_checks


class ExerciseError(Exception):
    """An exercise that cannot be graded: the message says what is missing in solutions/."""


@dataclass(frozen=True)
class Exercise:
    """One exercise, as grading needs it.

    Parameters
    ----------
    topic : str
        Name of its folder, NN_topic.
    checks : list of Check
    grade_ids : dict of str to str
        Name of each function -> nbgrader's id of the cell that checks it.
    manual : dict of str to int
        nbgrader's id of each answer that a person reads -> its points.
    released : NotebookNode
        What students received.
    """

    topic: str
    checks: list[Check]
    grade_ids: dict[str, str]
    manual: dict[str, int]
    released: NotebookNode

    @property
    def maximum(self) -> int:
        """Points of a perfect submission."""
        return sum(check.points for check in self.checks) + sum(self.manual.values())

    @property
    def given_code(self) -> list[str]:
        """Code cells that are neither answers nor checks, such as the imports."""
        return [
            cell.source
            for cell in self.released.cells
            if cell.cell_type == "code"
            and not cell.metadata.get("nbgrader", {}).get("grade")
            and not cell.metadata.get("nbgrader", {}).get("solution")
        ]


def load(root: Path, topic: str) -> Exercise:
    """Read solutions/`topic` and exercises/`topic` below `root`.

    Raises
    ------
    ExerciseError
        If there is no such exercise, or its notebook and its checks do not belong together.
    """
    known = sorted(path.parent.name for path in (root / "solutions").glob("*/checks.py"))
    if topic not in known:
        raise ExerciseError(
            f"there is no solutions/{topic}/checks.py; there are: {', '.join(known) or 'none'}"
        )
    path = root / "exercises" / topic / f"{topic}.ipynb"
    if not path.is_file():
        raise ExerciseError(f"{path} is missing: run python3 -m sparsecourse release {topic}")
    released = nbformat.read(path, as_version=4)
    checks = load_checks(root / "solutions" / topic)
    grade_ids, manual = {}, {}
    for cell in released.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("grade") and about.get("solution"):
            manual[about.grade_id] = about.points
        elif about.get("grade"):
            name = cell.source.strip().removeprefix("self_check(").removesuffix(")")
            grade_ids[name] = about.grade_id
    if set(grade_ids) != {check.name for check in checks}:
        raise ExerciseError(
            f"{path} checks {', '.join(sorted(grade_ids))}, but checks.py declares "
            f"{', '.join(sorted(check.name for check in checks))}"
        )
    return Exercise(topic, checks, grade_ids, manual, released)
