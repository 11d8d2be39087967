"""Look into a folder or a zip of files that anybody may have made, and read them with bounds.

No link is followed, no pipe waited for, nothing unpacked to disk, and no name becomes a path.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sparsecourse.grading.answers import Ungradable

MAX_BYTES = 20_000_000
MAX_DEPTH = 10  # folders in folders
MEGABYTE = 1_000_000
LINK = "a link, which is not followed"

# What reading a damaged zip raises.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
)


class SubmissionsError(Exception):
    """What was given for a class's submissions holds none; the message says what was expected."""


@dataclass(frozen=True)
class Entry:
    """Something in a folder or zip.

    Parameters
    ----------
    name : str
        Its path in there.
    parts : tuple of str
        The folders of that path and its last name, without any that lead elsewhere.
    is_folder : bool
    problem : str, optional
        Why its content is not read.
    """

    name: str
    parts: tuple[str, ...]
    is_folder: bool = False
    problem: str | None = None

    @property
    def is_notebook(self) -> bool:
        """Whether it has the name of one."""
        return not self.is_folder and self.parts[-1].lower().endswith(".ipynb")


def entries(path: Path) -> list[Entry]:
    """All in a folder or a zip but what is hidden.

    Raises
    ------
    SubmissionsError
        If `path` is neither, or cannot be read.
    """
    if path.is_dir():
        return list(_in_folder(path))
    if path.is_file():
        return list(_in_zip(path))
    wrong = "is neither a folder nor a zip" if path.exists() else "does not exist"
    raise SubmissionsError(f"{path} {wrong}: expected the submissions of a class")


def content(path: Path, name: str, limit: int = MAX_BYTES) -> bytes:
    """What is in an entry.

    Raises
    ------
    Ungradable
        If it is no plain file, larger than `limit`, or damaged.
    SubmissionsError
        If `path` itself cannot be read any more.
    """
    opened = _in_open_folder if path.is_dir() else _in_open_zip
    try:
        with opened(path, name, limit) as file:
            found = file.read(limit + 1)
    except OSError as error:
        raise Ungradable(f"not readable ({error.strerror}): {shown(name)}") from None
    except (*DAMAGED, KeyError):
        raise Ungradable(f"damaged: {shown(name)}") from None
    if len(found) > limit:
        raise Ungradable(f"too large: {shown(name)}")
    return found


def shown(name: str) -> str:
    """A name that anybody may have chosen, in one line of text."""
    printable = "".join(c if c.isprintable() else "?" for c in name)
    return printable if len(printable) <= 80 else f"...{printable[-77:]}"


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _in_folder(path: Path) -> Iterator[Entry]:
    pending: list[tuple[str, ...]] = [()]
    while pending:
        above = pending.pop()
        try:
            with os.scandir(path.joinpath(*above)) as listing:
                found = [
                    (item.name, item.stat(follow_symlinks=False))
                    for item in listing
                    if not _is_hidden(item.name)
                ]
        except OSError as error:
            if not above:
                raise SubmissionsError(f"{path} cannot be read: {error.strerror}") from None
            yield Entry("/".join(above), above, True, f"not readable ({error.strerror})")
            continue
        for name, status in found:
            parts = (*above, name)
            is_folder = stat.S_ISDIR(status.st_mode)
            problem = None if is_folder else _problem_of(status.st_mode, status.st_size)
            yield Entry("/".join(parts), parts, is_folder, problem)
            if is_folder and len(parts) < MAX_DEPTH:
                pending.append(parts)


@contextmanager
def _in_open_folder(path: Path, name: str, limit: int) -> Iterator[IO[bytes]]:
    """Go down to `name` from folder to folder, so that none on the way can be a link."""
    *folders, last = name.split("/")
    place = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        # A pipe is opened without waiting for one who writes into it.
        opened = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Ungradable(f"{LINK}: {shown(name)}") from None
        raise
    finally:
        os.close(place)
    with os.fdopen(opened, "rb") as file:
        status = os.fstat(opened)
        _refuse(_problem_of(status.st_mode, status.st_size, limit), name)
        yield file


def _in_zip(path: Path) -> Iterator[Entry]:
    for info in _zip(path).infolist():
        parts = tuple(part for part in info.filename.split("/") if part not in ("", ".", ".."))
        if parts and not any(map(_is_hidden, parts)):
            problem = None if info.is_dir() else _problem_in_zip(info)
            yield Entry(info.filename, parts, info.is_dir(), problem)


@contextmanager
def _in_open_zip(path: Path, name: str, limit: int) -> Iterator[IO[bytes]]:
    archive = _zip(path)
    info = archive.getinfo(name)
    _refuse(_problem_in_zip(info, limit), name)
    with archive.open(info) as file:
        yield file


def _zip(path: Path) -> zipfile.ZipFile:
    try:
        return _opened_zip(path, path.stat().st_mtime_ns)
    except DAMAGED as error:
        raise SubmissionsError(
            f"{path} is no zip that can be read ({error}): download it again, or give a folder"
        ) from None


@functools.lru_cache(maxsize=1)
def _opened_zip(path: Path, changed: int) -> zipfile.ZipFile:
    """Kept open, because opening takes as long as there are files in it."""
    return zipfile.ZipFile(path)


def _problem_of(mode: int, size: int, limit: int = MAX_BYTES) -> str | None:
    if stat.S_ISLNK(mode):
        return LINK
    if not stat.S_ISREG(mode):
        return "not an ordinary file"
    if size > limit:
        return f"too large, {-(-size // MEGABYTE)} MB of at most {limit // MEGABYTE} MB"
    return None


def _problem_in_zip(info: zipfile.ZipInfo, limit: int = MAX_BYTES) -> str | None:
    mode = info.external_attr >> 16
    problem = _problem_of(mode if stat.S_IFMT(mode) else stat.S_IFREG, info.file_size, limit)
    if problem is None and info.flag_bits & 1:
        return "encrypted"
    # With other methods Python unpacks more than was asked for.
    if problem is None and info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "packed in an unusual way"
    return problem


def _refuse(problem: str | None, name: str) -> None:
    if problem is not None:
        raise Ungradable(f"{problem}: {shown(name)}")
