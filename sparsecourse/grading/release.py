"""Make exercises/ from solutions/: nbgrader cuts the solutions out, the visible cases are added."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from traitlets.config import Config

from sparsecourse.grading import assignment, cases
from sparsecourse.grading.checks import load_checks


class ReleaseError(Exception):
    """nbgrader could not make an exercise; the message holds what it said."""


def release(root: Path, topics: Sequence[str] = ()) -> list[Path]:
    """Write the exercises of `topics` (default: all) below `root`/exercises.

    Parameters
    ----------
    root : Path
        The clone: holds solutions/ and exercises/.
    topics : sequence of str
        Names of folders in solutions/.

    Returns
    -------
    written : list of Path

    Raises
    ------
    ReleaseError
        If a topic does not exist, or nbgrader refuses its notebook.
    """
    written = []
    for path, content in generate(root, topics).items():
        target = root / "exercises" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        partial.write_text(content, encoding="utf-8")
        partial.replace(target)
        written.append(target)
    return written


def differences(root: Path, topics: Sequence[str] = ()) -> list[str]:
    """Where exercises/ is not what solutions/ gives, a line each; empty if nowhere.

    Parameters
    ----------
    root, topics
        As for `release`.

    Returns
    -------
    lines : list of str

    Raises
    ------
    ReleaseError
        As `release`.
    """
    expected = generate(root, topics)
    folder = root / "exercises"
    lines = []
    for path, content in expected.items():
        if not (folder / path).is_file():
            lines.append(f"exercises/{path}: missing")
        elif (folder / path).read_text(encoding="utf-8") != content:
            lines.append(f"exercises/{path}: differs")
    if not topics:
        present = {
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and ".ipynb_checkpoints" not in path.parts
        }
        lines += [f"exercises/{path}: no solution gives it" for path in present - set(expected)]
    return sorted(lines)


def known_topics(root: Path) -> list[str]:
    """Names of the folders in solutions/ that declare checks."""
    return sorted(path.parent.name for path in (root / "solutions").glob("*/checks.py"))


def generate(root: Path, topics: Sequence[str] = ()) -> dict[str, str]:
    """Path below exercises/ -> text, of every file that students receive."""
    known = known_topics(root)
    unknown = set(topics) - set(known)
    if unknown:
        raise ReleaseError(
            f"there is no solutions/{unknown.pop()}/checks.py; there are: {', '.join(known)}"
        )
    files = {}
    for topic in topics or known:
        source = root / "solutions" / topic
        released = _without_solutions(source / f"{topic}.ipynb")
        files[f"{topic}/{topic}.ipynb"] = nbformat.writes(released) + "\n"
        files[f"{topic}/{cases.FILE_NAME}"] = cases.dumps(
            load_checks(source), _manual_points(released)
        )
    return files


def _manual_points(released: NotebookNode) -> int:
    """Points of the answers in words: cells that students write and a person reads."""
    about = [cell.metadata.get("nbgrader", {}) for cell in released.cells]
    return sum(cell.points for cell in about if cell.get("grade") and cell.get("solution"))


def _without_solutions(notebook: Path) -> NotebookNode:
    """The notebook as nbgrader releases it, made in a folder that is thrown away afterwards."""
    topic = notebook.stem
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder)
        copy = course / "source" / topic / notebook.name
        copy.parent.mkdir(parents=True)
        copy.write_bytes(notebook.read_bytes())
        config = Config()
        config.CourseDirectory.root = str(course)
        config.NbGrader.logfile = ""
        try:
            assignment.generate(config, topic)
        except assignment.AssignmentError as error:
            raise ReleaseError(f"{notebook}: {error}") from None
        released = nbformat.read(course / "release" / topic / notebook.name, as_version=4)
    released.metadata.pop("sparsecourse", None)  # the run time of the solution
    return released
