"""The two ways a data set can fail to come, each saying what to do. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class DataNotFoundError(FileNotFoundError):
    """A data set is neither on this machine nor, as far as it was tried, to be downloaded."""


class DamagedDataError(ValueError):
    """A file was found, but its content is not the published one.

    Attributes
    ----------
    paths : list of Path
        The damaged file; several where only their content together can be verified.
    why : str
    """

    def __init__(self, paths: Sequence[Path], why: str) -> None:
        super().__init__(paths, why)
        self.paths = list(paths)
        self.why = why

    def __str__(self) -> str:
        if len(self.paths) == 1:
            damaged = f"{self.paths[0]} is damaged"
        else:
            damaged = f"One of {', '.join(map(str, self.paths))} is damaged"
        return (
            f"{damaged}: {self.why}. It was not used. Put a sound copy in its place, or remove it "
            "so that another copy is looked for (the next folder of SPARSECOURSE_DATA, the cache, "
            "a download), and load again."
        )
