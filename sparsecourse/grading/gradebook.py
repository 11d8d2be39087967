"""nbgrader's gradebook of a grading folder: the only writer to its database.

Scores that the machine gives, scores and comments that a person gives in formgrader, and nbgrader's
export and feedback meet there. What a person gave is never overwritten.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader import api, utils
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from sparsecourse.grading import assignment, autograded, formgrader, harmless
from sparsecourse.grading.exercise import Exercise
from sparsecourse.grading.results import Result


class GradebookError(Exception):
    """The gradebook cannot be used; the message says why, and what to do."""


@dataclass(frozen=True)
class Entry:
    """What the gradebook holds of one submission.

    Parameters
    ----------
    points : dict of str to float
        By function, or by nbgrader's id of an answer that a person reads. What a person gave goes
        before what the machine gave; extra credit is included.
    waiting : list of str
        Those of them that a person has yet to look at.
    comments : dict of str to str
        What a person wrote about them, or that there is no answer to read.
    penalty : float
        Points taken for handing in late.
    """

    points: dict[str, float]
    waiting: list[str]
    comments: dict[str, str]
    penalty: float


class Gradebook:
    """The gradebook of a grading folder, open as long as its `with` block runs.

    Parameters
    ----------
    folder : Path
        Made if there is none. Plain nbgrader commands work in it.
    url : str, optional
        The database, in SQLAlchemy's words. Default: the one that the folder has used before, or
        gradebook.db in it.
    read_only : bool
        Then others may have it open, too.

    Raises
    ------
    GradebookError
        If another process writes to it, there is none to read, or the database is out of reach.
    """

    def __init__(self, folder: Path, url: str | None = None, *, read_only: bool = False) -> None:
        self.folder = folder.resolve()
        self._url = url
        self._read_only = read_only

    def __enter__(self) -> Gradebook:
        with ExitStack() as opened:
            if self._read_only:
                if not (self.folder / formgrader.SETTINGS).is_file():
                    raise GradebookError(f"{self.folder} holds no gradebook: grade first")
            else:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                opened.enter_context(self._lock())
            try:
                url = formgrader.database(self.folder, self._url)
                self._nbgrader = opened.enter_context(_opened(url))
            except (SQLAlchemyError, ImportError) as error:  # no such server, or no driver for it
                raise GradebookError(f"cannot open the gradebook: {error}") from None
            if not self._read_only:
                formgrader.write_settings(self.folder, url)  # not before: it must be a good one
            self._config = formgrader.read_settings(self.folder)
            self._late = self._late_penalties()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def prepare(self, root: Path, exercise: Exercise) -> None:
        """Make nbgrader know an exercise as solutions/ has it now: its cells and their points.

        Parameters
        ----------
        root : Path
            The clone: holds solutions/.
        exercise : Exercise

        Raises
        ------
        GradebookError
            If nbgrader refuses the notebook, or a cell is gone for which a person gave points.
        """
        topic = exercise.topic
        original = (root / "solutions" / topic / f"{topic}.ipynb").read_bytes()
        source = self.folder / "source" / topic / f"{topic}.ipynb"
        release = self.folder / "release" / topic
        made = release.is_dir() and source.is_file() and source.read_bytes() == original
        try:
            with self._transaction() as db:
                if made and assignment.is_known(db, exercise):
                    return
                assignment.fit_cells(db, exercise)
            shutil.rmtree(release, ignore_errors=True)
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_bytes(original)
            assignment.generate(self._config, topic)
        except assignment.AssignmentError as error:
            raise GradebookError(f"solutions/{topic}: {error}") from None
        with self._transaction() as db:
            if not assignment.is_known(db, exercise):
                raise GradebookError(
                    f"exercises/{topic} is not what solutions/{topic} gives: run "
                    f"python3 -m sparsecourse release {topic}"
                )

    def record(self, exercise: Exercise, result: Result) -> None:
        """Write what a submission earned, and the notebook that a person grades.

        A submission that could not be graded changes nothing: what was recorded before stays.
        Points and comments that a person gave stay, too; they are flagged for review if this is
        another submission than the one they were given for.

        Parameters
        ----------
        exercise : Exercise
            One that was prepared.
        result : Result
        """
        if result.ungradable is not None:
            return
        topic = exercise.topic
        notebook = self.folder / "autograded" / result.student / topic / f"{topic}.ipynb"
        seen = autograded.digest(notebook) == result.digest
        auto_scores = _auto_scores(exercise, result)
        auto_comments = _auto_comments(exercise, result)
        with self._transaction() as db:
            submitted = self._submitted(db, topic, result)
            for name, grade in _rows(db, submitted, api.GradeCell, api.Grade):
                grade.auto_score = auto_scores[name]
                if grade.manual_score is None:
                    grade.needs_manual_grade = grade.auto_score is None
                elif not seen:
                    grade.needs_manual_grade = True
            for name, comment in _rows(db, submitted, api.SolutionCell, api.Comment):
                comment.auto_comment = auto_comments.get(name)
            db.flush()
            submitted.late_submission_penalty = self._penalty(submitted, result.student)
        self._note_submitted(topic, result)
        # Last: the digest in it says that the gradebook knows this submission.
        autograded.write(notebook, autograded.build(exercise, result))

    def entry(self, exercise: Exercise, student: str) -> Entry | None:
        """What the gradebook holds of a submission now; None if nothing.

        Parameters
        ----------
        exercise : Exercise
        student : str

        Returns
        -------
        entry : Entry or None
        """
        with self._transaction() as db:
            submitted = db.execute(
                select(api.SubmittedNotebook.id, api.SubmittedNotebook.late_submission_penalty)
                .join(api.SubmittedAssignment)
                .join(api.Assignment)
                .where(api.Assignment.name == exercise.topic)
                .where(api.SubmittedAssignment.student_id == student)
            ).one_or_none()
            if submitted is None:
                return None
            grades = {
                row.name: row
                for row in db.execute(
                    select(api.BaseCell.name, api.Grade.score, api.Grade.needs_manual_grade)
                    .join(api.Grade, api.Grade.cell_id == api.BaseCell.id)
                    .where(api.Grade.notebook_id == submitted.id)
                )
            }
            comments = {
                # An answer in words that is missing has only ours; on functions `Mark` says more.
                row.name: row.manual_comment or (row.name in exercise.manual and row.auto_comment)
                for row in db.execute(
                    select(api.BaseCell.name, api.Comment.manual_comment, api.Comment.auto_comment)
                    .join(api.Comment, api.Comment.cell_id == api.BaseCell.id)
                    .where(api.Comment.notebook_id == submitted.id)
                )
            }
        cells = exercise.grade_ids | {answer: answer for answer in exercise.manual}
        # A cell that is not there is new, and this submission has not been graded since.
        graded = {name: grades[cell] for name, cell in cells.items() if cell in grades}
        answers = _answer_cells(exercise)
        return Entry(
            points={name: grade.score for name, grade in graded.items()},
            waiting=[name for name, grade in graded.items() if grade.needs_manual_grade],
            comments={name: text for name in graded if (text := comments.get(answers[name]))},
            penalty=submitted.late_submission_penalty or 0.0,
        )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other processes from writing to this folder; the system unlocks it if this ends."""
        with (self.folder / ".lock").open("w") as file:
            try:
                # Not flock: a worker forked from this process would hold that after its end.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise GradebookError(
                    f"another process is writing to {self.folder}: wait until it has ended"
                ) from None
            yield

    def _late_penalties(self) -> AssignLatePenalties:
        """nbgrader's, as configured; a plugin may lie in the folder, where nbgrader looks, too."""
        sys.path.insert(0, str(self.folder))
        try:
            penalties = AssignLatePenalties(config=self._config)
            penalties.init_plugin()
        finally:
            sys.path.remove(str(self.folder))
        return penalties

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        """All of what is written in the block, or nothing; nothing that is read is from before."""
        db = self._nbgrader.db()
        try:
            yield db
            db.commit()
        except SQLAlchemyError as error:
            raise GradebookError(f"cannot use the gradebook: {error}") from None
        finally:
            db.rollback()

    def _submitted(self, db: Session, topic: str, result: Result) -> api.SubmittedNotebook:
        """The submission of a student, made if this is the first."""
        notebook = self._nbgrader.find_notebook(topic, topic)
        submitted = db.scalars(
            select(api.SubmittedNotebook)
            .join(api.SubmittedAssignment)
            .where(api.SubmittedNotebook.notebook_id == notebook.id)
            .where(api.SubmittedAssignment.student_id == result.student)
        ).one_or_none()
        if submitted is None:
            if db.get(api.Student, result.student) is None:
                db.add(api.Student(id=result.student))
                db.flush()
            submission = api.SubmittedAssignment(
                assignment_id=notebook.assignment_id, student_id=result.student
            )
            db.add(submission)
            db.flush()
            submitted = api.SubmittedNotebook(notebook_id=notebook.id, assignment_id=submission.id)
            db.add(submitted)
            db.flush()
        submitted.assignment.timestamp = utils.parse_utc(result.timestamp)
        return submitted

    def _penalty(self, submitted: api.SubmittedNotebook, student: str) -> float | None:
        late = submitted.assignment.total_seconds_late
        if late == 0:
            return None
        penalty = self._late.plugin_inst.late_submission_penalty(student, submitted.score, late)
        return None if penalty is None else min(max(penalty, 0.0), submitted.score)

    def _note_submitted(self, topic: str, result: Result) -> None:
        """Tell formgrader that this submission is graded: it compares times.

        The notebook itself is not put there, so that its button "Autograde", which would run a
        student's code unprotected, finds nothing to run.
        """
        folder = self.folder / "submitted" / result.student / topic
        folder.mkdir(parents=True, exist_ok=True)
        if result.timestamp is None:
            (folder / "timestamp.txt").unlink(missing_ok=True)
        else:
            (folder / "timestamp.txt").write_text(result.timestamp, encoding="utf-8")


def _opened(url: str) -> api.Gradebook:
    with assignment.scripts_on_path():
        return api.Gradebook(url, formgrader.COURSE)


def _rows(
    db: Session, submitted: api.SubmittedNotebook, cell_class: type, row_class: type
) -> list[tuple[str, Any]]:
    """Name of each cell of a role, and what a submission has for it; made if it has nothing."""
    rows = {
        row.cell_id: row
        for row in db.scalars(select(row_class).where(row_class.notebook_id == submitted.id))
    }
    named = []
    for cell in db.execute(
        select(cell_class.name, cell_class.id).where(
            cell_class.notebook_id == submitted.notebook_id
        )
    ):
        if cell.id not in rows:
            rows[cell.id] = row_class(cell_id=cell.id, notebook_id=submitted.id)
            db.add(rows[cell.id])
        named.append((cell.name, rows[cell.id]))
    return named


def _auto_scores(exercise: Exercise, result: Result) -> dict[str, float | None]:
    """By nbgrader's id; None where a person has to read an answer."""
    scores: dict[str, float | None] = {
        grade_id: result.marks[name].points for name, grade_id in exercise.grade_ids.items()
    }
    for grade_id in exercise.manual:
        scores[grade_id] = 0 if _is_unchanged(exercise, result, grade_id) else None
    return scores


def _auto_comments(exercise: Exercise, result: Result) -> dict[str, str]:
    """By nbgrader's id of the cell that a student filled in: what formgrader shows below it."""
    comments: dict[str, list[str]] = {}
    for name, grade_id in _answer_cells(exercise).items():
        if name in exercise.manual:
            if _is_unchanged(exercise, result, grade_id):
                comments[grade_id] = ["No response."]
        elif (failure := result.marks[name].failure) is not None:
            said = harmless.markdown(f"{name}: {failure}", {})
            comments.setdefault(grade_id, []).append(said)
    return {grade_id: "\n\n".join(said) for grade_id, said in comments.items()}


def _answer_cells(exercise: Exercise) -> dict[str, str]:
    """Name of each function or manual answer -> nbgrader's id of the cell that a student fills in.

    A function's is the last one above the cell that checks it.
    """
    functions = {grade_id: name for name, grade_id in exercise.grade_ids.items()}
    cells = {name: name for name in exercise.manual}
    last = None
    for cell in exercise.released.cells:
        if utils.is_solution(cell):
            last = cell.metadata.nbgrader.grade_id
        elif utils.is_grade(cell):
            cells[functions[cell.metadata.nbgrader.grade_id]] = last
    return cells


def _is_unchanged(exercise: Exercise, result: Result, grade_id: str) -> bool:
    """Whether an answer is what was handed out: then nobody need read it."""
    released = next(
        cell.source
        for cell in exercise.released.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id
    )
    parts = autograded.answer(result, grade_id)
    return bool(parts) and all(part.source == released for part in parts)
