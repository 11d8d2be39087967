"""Let nbgrader make an assignment, and keep what its database knows of it in step."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader import api, utils
from nbgrader.apps import NbGraderAPI
from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session
from traitlets.config import Config

from sparsecourse.grading.exercise import Exercise

Key = tuple[str, type]  # nbgrader's id of a cell, and one of the roles that it has there


class AssignmentError(Exception):
    """nbgrader could not make it, or points would get lost; the message says why."""


def generate(config: Config, topic: str) -> None:
    """Run nbgrader's generate_assignment for source/`topic` of a course folder.

    Parameters
    ----------
    config : Config
        Names the course folder (`CourseDirectory.root`).
    topic : str

    Raises
    ------
    AssignmentError
        If nbgrader refuses the notebook.
    """
    with scripts_on_path():
        result = NbGraderAPI(config=config).generate_assignment(topic)
    if not result["success"]:  # it does not raise
        said = (result.get("log"), result.get("error"))
        raise AssignmentError("nbgrader refused it:\n" + "\n".join(filter(None, said)))


@contextlib.contextmanager
def scripts_on_path() -> Iterator[None]:
    """nbgrader starts `alembic` by name, which an environment not activated has not on its PATH."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def is_known(db: Session, exercise: Exercise) -> bool:
    """Whether the database has the cells of an exercise, with these points, and no others.

    Parameters
    ----------
    db : Session
    exercise : Exercise

    Returns
    -------
    is_known : bool
    """
    present, wanted = _present(db, exercise.topic), _wanted(exercise)
    return present.keys() == wanted.keys() and all(
        present[name, role].max_score == cell.metadata.nbgrader.points
        for (name, role), cell in wanted.items()
        if role is api.GradeCell
    )


def fit_cells(db: Session, exercise: Exercise) -> None:
    """Add and remove cells where there are submissions already, which nbgrader refuses to do.

    Parameters
    ----------
    db : Session
    exercise : Exercise

    Raises
    ------
    AssignmentError
        If a cell is gone for which a person gave points.
    """
    topic = exercise.topic
    notebook = db.scalars(
        select(api.Notebook).join(api.Assignment).where(api.Assignment.name == topic)
    ).one_or_none()
    if notebook is None:
        return
    present, wanted = _present(db, topic), _wanted(exercise)
    for name, role in present.keys() - wanted.keys():
        _remove(db, topic, present[name, role])
    db.flush()
    for name, role in wanted.keys() - present.keys():
        _add(db, notebook, name, role, wanted[name, role])


def _wanted(exercise: Exercise) -> dict[Key, NotebookNode]:
    roles = {
        api.GradeCell: utils.is_grade,
        api.SolutionCell: utils.is_solution,
        api.SourceCell: lambda cell: (
            utils.is_grade(cell) or utils.is_solution(cell) or utils.is_locked(cell)
        ),
    }
    return {
        (cell.metadata.nbgrader.grade_id, role): cell
        for cell in exercise.released.cells
        for role, has_it in roles.items()
        if has_it(cell)
    }


def _present(db: Session, topic: str) -> dict[Key, Any]:
    return {
        (cell.name, type(cell)): cell
        for kind in (api.BaseCell, api.SourceCell)
        for cell in db.scalars(
            select(kind)
            .join(api.Notebook, api.Notebook.id == kind.notebook_id)
            .join(api.Assignment)
            .where(api.Assignment.name == topic)
        )
    }


def _remove(db: Session, topic: str, cell: Any) -> None:
    """Take a cell away, with what the machine said of it."""
    given = or_(api.Grade.manual_score.is_not(None), api.Grade.extra_credit.is_not(None))
    if db.scalars(select(api.Grade).where(api.Grade.cell_id == cell.id, given)).first():
        raise AssignmentError(
            f"the cell {cell.name} is gone, for which a person gave points: put it back, or grade "
            "into another folder"
        )
    db.execute(delete(api.Grade).where(api.Grade.cell_id == cell.id))
    db.execute(delete(api.Comment).where(api.Comment.cell_id == cell.id))
    db.delete(cell)


def _add(db: Session, notebook: api.Notebook, name: str, role: type, cell: NotebookNode) -> None:
    """As nbgrader would on a first run, with a row for each submission that is there already."""
    about: dict[str, Any] = {}
    if role is api.GradeCell:
        about = {"max_score": cell.metadata.nbgrader.points, "cell_type": cell.cell_type}
    elif role is api.SourceCell:
        about = {"cell_type": cell.cell_type}
    added = role(id=api.new_uuid(), name=name, notebook_id=notebook.id, **about)
    db.add(added)
    row = {api.GradeCell: api.Grade, api.SolutionCell: api.Comment}.get(role)
    for submitted in notebook.submissions if row else []:
        db.add(row(cell_id=added.id, notebook_id=submitted.id))
