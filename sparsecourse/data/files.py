"""Reading a file: unpacked whatever it is packed with, verified, or refused by name.

Standard library only.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sparsecourse.data.errors import DamagedDataError

# What decoders raise on bad content. OSError is not among them: a file that cannot be opened is
# not damaged.
_BAD_CONTENT = (
    EOFError,
    IndexError,
    KeyError,
    ValueError,
    gzip.BadGzipFile,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def blame(paths: Sequence[Path]) -> Iterator[None]:
    """Turn what a decoder raises on bad content into a DamagedDataError that names `paths`."""
    try:
        yield
    except DamagedDataError:
        raise
    except _BAD_CONTENT as error:
        why = f"it cannot be decoded ({type(error).__name__}: {error})"
        raise DamagedDataError(paths, why) from error


def unpack(path: Path) -> bytes:
    """Return the content of a file, decompressed where it begins as gzip or xz files do.

    The name is not asked: browsers like to unpack a file and to leave the ``.gz`` in its name.

    Raises
    ------
    DamagedDataError
        If it cannot be decompressed.
    OSError
        If it cannot be read.
    """
    content = path.read_bytes()
    with blame([path]):
        if content.startswith(b"\x1f\x8b"):
            return gzip.decompress(content)
        if content.startswith(b"\xfd7zXZ\x00"):
            import lzma  # only now: some builds of Python lack it, and `doctor` runs on all

            try:
                return lzma.decompress(content)
            except lzma.LZMAError as error:
                raise ValueError(error) from error
    return content


def check_digest(paths: Sequence[Path], content: bytes, expected: str) -> None:
    """Compare the SHA-256 of decoded content with the published one.

    Raises
    ------
    DamagedDataError
        If they differ.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DamagedDataError(
            paths, f"the SHA-256 of its decoded content is {found}, expected {expected}"
        )
