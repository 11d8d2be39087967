"""Who handed in what: the notebooks of a class, as nbgrader collects them or a system exports them.

Where two notebooks could be meant, both are named and none is graded. Every student who can be
told has a row.
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from nbgrader.utils import parse_utc

from sparsecourse.grading.answers import Ungradable
from sparsecourse.grading.students import Claim, claims, matched, stand_in, without_top
from sparsecourse.grading.untrusted import SubmissionsError, content, entries, shown

TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?"
    r"( ?(Z|[+-]\d\d:?\d\d)| [A-Za-z][\w+-]*(/[A-Za-z][\w+-]*)*)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Submission:
    """One student's notebook: where it is, not what is in it.

    Parameters
    ----------
    student : str
        An id that is safe as a file name, in a spreadsheet and on a page.
    source : Path
        The folder or zip.
    name : str
        Of the file, in there.
    timestamp : str, optional
        When it was handed in, ISO 8601 in UTC, where nbgrader wrote it down.
    problem : str, optional
        Why it cannot be graded.
    """

    student: str
    source: Path
    name: str
    timestamp: str | None = None
    problem: str | None = None

    def read(self) -> bytes:
        """Content of the notebook.

        Raises
        ------
        Ungradable
            If there is a problem, or if it is a link, no file, too large or damaged by now.
        """
        if self.problem is not None:
            raise Ungradable(self.problem)
        return content(self.source, self.name)


def find(path: Path, topic: str, pattern: str | None = None) -> list[Submission]:
    """What each student handed in, sorted by student.

    Of two attempts the later counts, where a system wrote the time into the names. A notebook
    whose student cannot be told has a row as well, under a name made from its own. Hidden files
    are passed over. Files that are no notebooks matter only in a student's folder or under a
    system's name: then they make a row for somebody who handed in no notebook.

    Parameters
    ----------
    path : Path
        A folder, or a zip, which is not unpacked.
    topic : str
        Name of the exercise, NN_topic.
    pattern : str, optional
        A regular expression with a group ``student``, looked for in the path of each file below
        `path`. It replaces all rules of `sparsecourse.grading.students`.

    Returns
    -------
    submissions : list of Submission

    Raises
    ------
    SubmissionsError
        If `path` is neither, or broken, or holds no submission; or if `pattern` is no such
        expression.
    """
    if pattern is None:
        claimed = claims(without_top(entries(path), topic), topic)
    else:
        claimed = matched(entries(path), _compiled(pattern))
    by_student = defaultdict(list)
    unknown = {}
    for claim in claimed:
        name = claim.entry.name
        if claim.student is not None:
            # Results are files named after students, and on some disks names have no case.
            by_student[claim.student.casefold()].append(claim)
        elif claim.entry.is_notebook or claim.entry.problem:
            problem = f"no student can be told from the name {shown(name)}: rename it"
            unknown[name] = Submission(stand_in(name), path, name, problem=problem)
    if pattern is not None and unknown and not by_student:
        raise SubmissionsError(
            f"the pattern {pattern!r} finds a student in no name, such as {shown(min(unknown))}"
        )
    found = [_submission(path, topic, of_one) for of_one in by_student.values()]
    found += unknown.values()
    if not found:
        raise SubmissionsError(
            f"{path} holds no submission of {topic}: expected STUDENT/{topic}/{topic}.ipynb, "
            "notebooks named after students, or those that a learning-management system exports"
        )
    return sorted(found, key=lambda submission: submission.student)


def _compiled(pattern: str) -> re.Pattern:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SubmissionsError(f"{pattern!r} is no regular expression: {error}") from None
    if "student" not in compiled.groupindex:
        raise SubmissionsError(
            f"{pattern!r} has no group named student: write (?P<student>...) around the id"
        )
    return compiled


def _submission(path: Path, topic: str, of_one: list[Claim]) -> Submission:
    """The one notebook among all that a student handed in; else a problem."""
    of_one.sort(key=lambda claim: claim.entry.name)
    students = sorted({claim.student for claim in of_one})
    notebooks = [claim for claim in of_one if claim.entry.is_notebook]
    counting, missing, timestamp = notebooks, "no notebook", None
    if any(claim.below[:1] == (topic,) for claim in of_one):  # nbgrader's layout
        counting = [c for c in notebooks if c.below in ((), (topic, f"{topic}.ipynb"))]
        missing = f"no notebook {topic}.ipynb"
        timestamp = _timestamp(path, topic, of_one)
    counting = _latest(counting)
    names = [claim.entry.name for claim in counting]
    problem = None
    if len(students) > 1:
        problem = f"ids that differ only in case: {_listing(students)}"
    elif len(names) > 1:
        problem = f"{'two' if len(names) == 2 else len(names)} notebooks: {_listing(names)}"
    elif not names:
        problem = missing + _instead(notebooks or of_one)
    elif counting[0].entry.problem:
        problem = f"{counting[0].entry.problem}: {shown(names[0])}"
    name = names[0] if names else of_one[0].entry.name
    return Submission(students[0], path, name, timestamp, problem)


def _latest(notebooks: list[Claim]) -> list[Claim]:
    """The last attempt, if all are attempts of one sender and say when."""
    times = [claim.time for claim in notebooks if claim.time]
    if len(times) < len(notebooks) or len({claim.sender for claim in notebooks}) != 1:
        return notebooks
    return [claim for claim in notebooks if claim.time == max(times)]


def _instead(others: list[Claim]) -> str:
    """What there is where a notebook was expected."""
    for claim in others:
        if claim.entry.problem:
            return f", but {claim.entry.problem}: {shown(claim.entry.name)}"
    files = [claim.entry.name for claim in others if not claim.entry.is_folder]
    return f", but {_listing(files)}" if files else ""


def _listing(names: list[str]) -> str:
    *first, last = map(shown, names) if len(names) < 5 else (*map(shown, names[:3]), "others")
    return f"{', '.join(first)} and {last}" if first else last


def _timestamp(path: Path, topic: str, of_one: list[Claim]) -> str | None:
    """What nbgrader wrote beside the notebook when it was handed in."""
    for claim in of_one:
        if claim.below == (topic, "timestamp.txt"):
            with suppress(Ungradable, ValueError, OverflowError):
                text = content(path, claim.entry.name, limit=1000).decode("ascii").strip()
                if TIMESTAMP.fullmatch(text):
                    return parse_utc(text).replace(tzinfo=UTC).isoformat()
    return None
