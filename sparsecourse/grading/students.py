"""Whose a file is, according to its name.

| named by | what it looks like | the id is |
|---|---|---|
| Blackboard | assignment_USER_attempt_TIME_file | USER: the user name |
| Moodle | name_NUMBER_assignsubmission_file, folder or file | NUMBER: in its grading worksheet |
| Brightspace | USER-FOLDER - name - TIME, folder or file | USER: the number of the user |
| Canvas | name[_LATE]_USER_ATTACHMENT_file | USER: ID in its gradebook |
| nbgrader | STUDENT/TOPIC/TOPIC.ipynb | STUDENT |
| hand | STUDENT.ipynb, STUDENT_TOPIC.ipynb, TOPIC-STUDENT.ipynb, STUDENT/x.ipynb | STUDENT |

Students chose most of a name. So a class counts as coming from the one system that named most of
it, a system's form is looked for in the outermost name only, and the leftmost match is taken.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath

from sparsecourse.grading.untrusted import LINK, Entry

MAX_ID = 100

SYSTEMS = [
    re.compile(pattern)
    for pattern in (
        # Blackboard
        r"(?P<sender>.+?_(?P<student>[^_]+))_attempt_(?P<time>\d{4}(?:-\d\d){5})(?:_.+|\.txt)",
        # Moodle
        r".+?_(?P<student>\d+)_assignsubmission_(?:file|onlinetext)(?:_.*)?",
        # Brightspace
        r"(?P<sender>(?P<student>\d+)-\d+) - .+",
        # Canvas; without a name where it grades anonymously
        r"(?:\w+?_(?:LATE_)?(?=\d)|(?:LATE_)?(?=anon_))"
        r"(?P<student>\d+|anon_\w{5})_(?:\d{3,}_.+|(?:text|link)\.html)",
    )
]
BRIGHTSPACE_TIME = re.compile(r" - (\w{3} \d{1,2}, \d{4}) (\d{3,4}) ([AP]M)(?: - |$)")


@dataclass(frozen=True)
class Claim:
    """An entry, and whose it is according to its name.

    Parameters
    ----------
    entry : Entry
    student : str, optional
        Safe as a file name, in a spreadsheet and on a page; None if it cannot be told.
    below : tuple of str
        Where it lies in a folder that was named by hand or by nbgrader.
    sender, time : str, datetime, optional
        What a system that keeps several attempts wrote into the name.
    """

    entry: Entry
    student: str | None
    below: tuple[str, ...] = ()
    sender: str | None = None
    time: datetime | None = None


def claims(found: list[Entry], topic: str) -> Iterator[Claim]:
    """Whose each entry is; those that have no part in a submission of `topic` are left out."""
    system = _system({entry.parts[0] for entry in found})
    elsewhere = _folders_of_other_topics(found, topic)
    for entry in found:
        outermost, *below = entry.parts
        closed = entry.problem == LINK or (entry.is_folder and entry.problem is not None)
        match = system.fullmatch(outermost)
        if match:
            known = match.groupdict()
            time = _time(outermost, known.get("time"))
            yield Claim(entry, safe(match["student"]), (), known.get("sender"), time)
        elif below and entry.parts[:2] in elsewhere:
            continue
        elif entry.is_notebook and not below:
            yield Claim(entry, safe(_by_hand(PurePath(outermost).stem, topic)))
        elif closed or below == [topic] or (below and not entry.is_folder):
            yield Claim(entry, safe(_by_hand(outermost, topic)), tuple(below))


def matched(found: list[Entry], pattern: re.Pattern) -> Iterator[Claim]:
    """Whose each entry is, by a pattern with a group ``student``."""
    for entry in found:
        match = None if entry.is_folder else pattern.search(entry.name)
        if match:
            yield Claim(entry, safe(match["student"] or ""))
        elif entry.is_notebook or entry.problem == LINK:
            yield Claim(entry, None)


def without_top(found: list[Entry], topic: str) -> list[Entry]:
    """Entries without the folder that holds the whole class, if there is one."""
    places = [entry.parts for entry in found]
    if any(parts[0] == "submitted" and parts[2:3] == (topic,) for parts in places):
        return [
            _below(entry) for entry in found if entry.parts[0] == "submitted" and entry.parts[1:]
        ]
    outermost = {parts[0] for parts in places}
    if len(outermost) != 1:
        return found
    (top,) = outermost
    inner = {entry.parts[1] for entry in found if entry.parts[1:]}
    if topic in inner or _is_named_by_a_system({top}):
        return found
    notebooks = sum(entry.is_notebook and len(entry.parts) == 2 for entry in found)
    folders = len({parts[1] for parts in places if len(parts) > 2})
    of_a_class = (
        top == topic
        or _is_named_by_a_system(inner)
        or any(parts[2:3] == (topic,) for parts in places)
        or (notebooks > 1 and not folders)
        or (folders > 1 and not notebooks)
    )
    return [_below(entry) for entry in found if entry.parts[1:]] if of_a_class else found


def safe(given: str) -> str | None:
    """The id, if no file system, spreadsheet or page can misunderstand it; else None."""
    student = unicodedata.normalize("NFC", given.strip(" ")).replace(" ", "_")
    harmless = all(_is_word(character) or character in ".@+-" for character in student)
    if not harmless or not student or not _is_word(student[0]):
        return None
    fits = len(student) <= MAX_ID and len(student.encode()) <= 2 * MAX_ID  # names end at 255 bytes
    return student if fits else None


def stand_in(name: str) -> str:
    """A safe name for a file whose student is not known: always the same, and its alone."""
    readable = "".join(c if c.isascii() and _is_word(c) else "_" for c in name[-40:])
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"unknown_{readable}_{digest[:8]}"


def _system(names: Iterable[str]) -> re.Pattern:
    return max(SYSTEMS, key=lambda system: sum(bool(system.fullmatch(name)) for name in names))


def _is_named_by_a_system(names: set[str]) -> bool:
    return any(system.fullmatch(name) for system in SYSTEMS for name in names)


def _folders_of_other_topics(found: list[Entry], topic: str) -> set[tuple[str, ...]]:
    """Those that nbgrader made; of what it collected, an instructor gives the whole."""
    return {
        entry.parts[:2]
        for entry in found
        if len(entry.parts) == 3
        and entry.parts[1] != topic
        and re.fullmatch(r"\d\d_\w+", entry.parts[1])
        and entry.parts[2] in (f"{entry.parts[1]}.ipynb", "timestamp.txt")
    }


def _below(entry: Entry) -> Entry:
    return Entry(entry.name, entry.parts[1:], entry.is_folder, entry.problem)


def _by_hand(name: str, topic: str) -> str:
    """``alice`` of alice, alice_TOPIC, TOPIC-alice and copies of them; empty of TOPIC alone."""
    name = re.sub(r"(-Copy\d+| ?\(\d+\))+$", "", name)
    between, exercise = "[ _-]+", re.escape(topic)
    return re.sub(f"^{exercise}{between}|(^|{between}){exercise}$", "", name)


def _is_word(character: str) -> bool:
    """Letters of all scripts with their marks, digits, and the underscore."""
    return character == "_" or unicodedata.category(character)[0] in "LMN"


def _time(name: str, attempt: str | None) -> datetime | None:
    with suppress(ValueError):
        if attempt:
            return datetime.strptime(attempt, "%Y-%m-%d-%H-%M-%S")
        match = BRIGHTSPACE_TIME.search(name)
        if match:
            day, clock, half = match.groups()
            return datetime.strptime(f"{day} {clock:0>4} {half}", "%b %d, %Y %I%M %p")
    return None
