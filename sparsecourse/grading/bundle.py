"""The folder that an instructor hands out: what students need, and nothing else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sparsecourse.grading import cases, release

WHOLE = ["LICENSE", "pyproject.toml", "lectures", "sparsecourse"]
LEFT_BEHIND = shutil.ignore_patterns(".*", "__pycache__", "*.pyc", "*.partial")
NOT_FOR_STUDENTS = ["For instructors", "For contributors"]
TEST_PARAGRAPH = re.compile(r"```\n\S+ -m sparsecourse test\n```\n\n(?:.+\n)+\n")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


class BundleError(Exception):
    """No bundle can be made, or not there; the message says why, and what to do."""


def bundle(root: Path, target: Path, topics: Sequence[str] = ()) -> None:
    """Write what students need into a new folder.

    Parameters
    ----------
    root : Path
        The clone.
    target : Path
        The folder to make; it may exist if it is empty.
    topics : sequence of str
        The exercises to hand out; default: all.

    Raises
    ------
    BundleError
        If exercises/ is not what solutions/ gives, or `target` is no place for a bundle.
    sparsecourse.grading.release.ReleaseError
        If a topic does not exist.
    """
    target = target.resolve()
    _check_place(root.resolve(), target)
    topics = topics or release.known_topics(root)
    differences = release.differences(root, topics)
    if differences:
        raise BundleError(
            "\n".join(differences)
            + "\nA bundle is made of exercises that are in step with their solutions.\n"
            "What to do: python3 -m sparsecourse release"
        )
    with _made_beside(target) as folder:
        for name in WHOLE:
            source = root / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=LEFT_BEHIND)
            else:
                shutil.copy2(source, folder)
        for topic in topics:
            (folder / "exercises" / topic).mkdir(parents=True, exist_ok=True)
            for name in (f"{topic}.ipynb", cases.FILE_NAME):
                shutil.copy2(root / "exercises" / topic / name, folder / "exercises" / topic)
        text = (root / "README.md").read_text(encoding="utf-8")
        (folder / "README.md").write_text(for_students(text, folder), encoding="utf-8")


def for_students(readme: str, folder: Path) -> str:
    """The README without what is for others, and without links to what is not in `folder`.

    Parameters
    ----------
    readme : str
    folder : Path
        Where the README will lie, among the files that it may link to.

    Returns
    -------
    text : str
    """
    first, *sections = re.split(r"^(?=## )", TEST_PARAGRAPH.sub("", readme), flags=re.MULTILINE)
    kept = [part for part in sections if part.splitlines()[0][3:] not in NOT_FOR_STUDENTS]

    def link_or_text(link: re.Match) -> str:
        text, address = link.groups()
        alive = "://" in address or (folder / address.partition("#")[0]).exists()
        return link[0] if alive else text

    return LINK.sub(link_or_text, "".join([first, *kept])).rstrip() + "\n"


def _check_place(root: Path, target: Path) -> None:
    if target.is_relative_to(root):
        raise BundleError(
            f"{target} lies inside the clone.\nWhat to do: name a folder outside of {root}."
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BundleError(
            f"{target} exists and is not an empty folder.\n"
            "What to do: name a new one; nothing is written over."
        )


@contextmanager
def _made_beside(target: Path) -> Iterator[Path]:
    """A folder that gets its name when all went well, and is removed if not."""
    partial = target.with_name(target.name + ".partial")
    try:
        partial.mkdir(parents=True)
    except FileExistsError:
        raise BundleError(
            f"{partial} is left from an interrupted run, or belongs to one that goes on.\n"
            "What to do: delete it, then run the command again."
        ) from None
    try:
        yield partial
        if target.exists():
            target.rmdir()  # it is empty; Windows renames onto nothing
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial)
        raise
