"""What experiments have found: one JSON file each, a seed at a time, with where it came from."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent / "records"
PACKAGES = ["numpy", "torch"]


@dataclass(frozen=True)
class Record:
    """The results of one experiment.

    Parameters
    ----------
    name : str
    seeds : dict of int to dict
        For each seed its ``rows`` (row -> figure -> value), and where they came from: ``date``,
        ``device``, ``commit``, ``versions``, ``seconds``.
    """

    name: str
    seeds: dict[int, dict[str, Any]]

    def values(self, row: str, figure: str) -> list[float]:
        """One value a seed.

        Raises
        ------
        ValueError
            If no seed has recorded it.
        """
        found = [
            seed["rows"][row][figure]
            for seed in self.seeds.values()
            if figure in seed["rows"].get(row, {})
        ]
        if not found:
            raise ValueError(f"{self.name} has recorded no {figure!r} of {row!r}")
        return found

    def mean(self, row: str, figure: str) -> float:
        """Mean over seeds."""
        return statistics.mean(self.values(row, figure))

    def deviation(self, row: str, figure: str) -> float:
        """Standard deviation over seeds (n - 1); NaN for a single one."""
        values = self.values(row, figure)
        return statistics.stdev(values) if len(values) > 1 else float("nan")

    @property
    def rows(self) -> list[str]:
        """Names of all rows, in the order of the first seed."""
        return list(dict.fromkeys(row for seed in self.seeds.values() for row in seed["rows"]))

    @property
    def origin(self) -> str:
        """Where it came from, in a line for readers."""
        devices = sorted({seed["device"] for seed in self.seeds.values()})
        dates = sorted(seed["date"][:10] for seed in self.seeds.values())
        versions = sorted({seed["versions"]["torch"] for seed in self.seeds.values()})
        when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
        return (
            f"{len(self.seeds)} seed{'s' * (len(self.seeds) != 1)}, {when}, "
            f"{' and '.join(devices)}, torch {' and '.join(versions)}"
        )


def load(name: str, folder: Path = FOLDER) -> Record:
    """Read a record.

    Parameters
    ----------
    name : str
        Of the experiment.
    folder : Path

    Returns
    -------
    record : Record

    Raises
    ------
    ValueError
        If nothing is recorded under that name.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.json"))) or "none"
        raise ValueError(f"nothing is recorded of {name!r}; there are: {known}")
    stored = json.loads(path.read_text(encoding="utf-8"))
    return Record(name, {int(seed): about for seed, about in stored["seeds"].items()})


def store(record: Record, folder: Path = FOLDER) -> Path:
    """Write a record, whole or not at all.

    Parameters
    ----------
    record : Record
    folder : Path

    Returns
    -------
    path : Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record.name}.json"
    seeds = {str(seed): record.seeds[seed] for seed in sorted(record.seeds)}
    partial = path.with_name(path.name + ".partial")
    text = json.dumps({"experiment": record.name, "seeds": seeds}, indent=1)
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def origin(device: torch.device) -> dict[str, Any]:
    """Where and with what something is run now.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    origin : dict
        Keys ``date``, ``device``, ``commit``, ``versions``.
    """
    versions = {"python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in PACKAGES}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": _name_of(device),
        "commit": _commit(),
        "versions": versions,
    }


def _name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def _commit() -> str:
    """The commit of this clone; with "+" where files that git knows were changed since."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        # Records of other seeds and experiments change nothing of what is run.
        elsewhere = f":(exclude){FOLDER.name}"
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", elsewhere)
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
