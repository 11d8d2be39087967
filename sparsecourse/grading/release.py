"""Make exercises/ from solutions/: nbgrader cuts the solutions out, the visible cases are added."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

from sparsecourse.grading import cases
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


def generate(root: Path, topics: Sequence[str] = ()) -> dict[str, str]:
    """Path below exercises/ -> text, of every file that students receive."""
    known = sorted(path.parent.name for path in (root / "solutions").glob("*/checks.py"))
    unknown = set(topics) - set(known)
    if unknown:
        raise ReleaseError(
            f"there is no solutions/{unknown.pop()}/checks.py; there are: {', '.join(known)}"
        )
    files = {}
    for topic in topics or known:
        source = root / "solutions" / topic
        files[f"{topic}/{topic}.ipynb"] = _without_solutions(source / f"{topic}.ipynb")
        files[f"{topic}/{cases.FILE_NAME}"] = cases.dumps(load_checks(source))
    return files


@contextlib.contextmanager
def _scripts_on_path() -> Iterator[None]:
    """nbgrader starts `alembic` by name, which an environment not activated has not on its PATH."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _without_solutions(notebook: Path) -> str:
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
        with _scripts_on_path():
            result = NbGraderAPI(config=config).generate_assignment(topic)
        if not result["success"]:
            said = "\n".join(filter(None, (result.get("log"), result.get("error"))))
            raise ReleaseError(f"{notebook}: nbgrader refused it:\n{said}")
        released = nbformat.read(course / "release" / topic / notebook.name, as_version=4)
    released.metadata.pop("sparsecourse", None)  # the run time of the solution
    return nbformat.writes(released) + "\n"
