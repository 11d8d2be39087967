"""The state of a run in a file, from which it continues as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch


class Stateful(Protocol):
    """Has a state: a model, an optimizer, a schedule, a history."""

    def state_dict(self) -> Mapping[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any], /) -> object: ...


class Checkpoint:
    """A file with the states of all parts of a run. Without a path, nothing is written or read.

    Parameters
    ----------
    path : str or Path, or None
    parts : sequence of Stateful
        All that changes in the course of the run.
    **settings : number, str or None
        What the run was asked to do: a file of a run with other settings is refused.
    """

    def __init__(
        self,
        path: str | Path | None,
        parts: Sequence[Stateful],
        **settings: float | str | None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.parts = parts
        self.settings = settings

    def save(self) -> None:
        """Write the file. If that is interrupted, the file that was there before is intact."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.partial")
        states = [part.state_dict() for part in self.parts]
        torch.save({"settings": self.settings, "states": states}, partial)
        partial.replace(self.path)

    def resume(self) -> None:
        """Bring the parts to the states in the file; write it first if it is not there.

        Writing at once finds out now, not after hours, that the run cannot be saved or read back.

        Raises
        ------
        ValueError
            If the file is no checkpoint, or one of another run.
        """
        if self.path is None:
            return
        if not self.path.exists():
            self.save()
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            settings, states = content["settings"], content["states"]
        except Exception as error:  # torch.load has many
            raise ValueError(
                f"{self.path} cannot be read as a checkpoint: remove it, or name another. If it "
                "was not there before, a setting may be a NumPy number: make it one of Python's"
            ) from error
        differences = [
            f"{name}: {_unlike(settings.get(name), value)} there, "
            f"{_unlike(value, settings.get(name))} here"
            for name, value in self.settings.items()
            if value != settings.get(name)
        ]
        if differences:
            raise ValueError(
                f"{self.path} is of another run ({'; '.join(differences)}): remove it, or name "
                "another"
            )
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def _unlike(value: object, other: object) -> str:
    """The lines of a value that are not in the other: an optimizer's description has many."""
    others = str(other).splitlines()
    return " ".join(line.strip() for line in str(value).splitlines() if line not in others)
