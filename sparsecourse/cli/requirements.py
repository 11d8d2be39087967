"""What pyproject.toml asks for, and what of it is installed. Standard library only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class SetupError(Exception):
    """The environment cannot be made; the message says why, and what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}\nWhat to do: {remedy}")


def require_folder(name: str, root: Path = ROOT) -> None:
    """Stop a command that works on what a student bundle leaves out, before it installs anything.

    Raises
    ------
    SetupError
        If `root` has no folder of that name.
    """
    if not (root / name).is_dir():
        raise SetupError(
            f"There is no {name}/ in {root}: this is a student bundle.",
            "run this command in a clone of the course, as instructors have it.",
        )


@dataclass(frozen=True)
class Requirement:
    """One line of pyproject.toml's dependencies: a name and bounds made of ``>=`` and ``<``."""

    name: str
    bounds: str
    extra: str | None

    def accepts(self, version: str) -> bool:
        found = _numbers(version)
        for bound in filter(None, self.bounds.split(",")):
            operator, limit = re.fullmatch(r"\s*(>=|<)\s*(\S+)\s*", bound).groups()
            if (found >= _numbers(limit)) != (operator == ">="):
                return False
        return True

    def __str__(self) -> str:
        return self.name + self.bounds


def _numbers(version: str) -> tuple[int, ...]:
    """Leading numbers of a version, trailing zeros dropped so that 2.0 equals 2."""
    numbers = [int(part) for part in re.match(r"\d+(\.\d+)*", version).group().split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def read_requirements(extras: Iterable[str], root: Path = ROOT) -> list[Requirement]:
    """The project's dependencies and those of `extras`, as pyproject.toml lists them."""
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except tomllib.TOMLDecodeError as error:
        raise SetupError(
            f"{root / 'pyproject.toml'} cannot be read: {error}.",
            "undo the last change to it (git checkout pyproject.toml).",
        ) from None
    except FileNotFoundError:
        raise SetupError(
            f"There is no pyproject.toml in {root}: this copy of sparsecourse is not a clone.",
            "run the command from the folder that you cloned the course into.",
        ) from None
    optional = project["optional-dependencies"]
    found: dict[str, Requirement] = {}

    def add(lines: list[str], extra: str | None) -> None:
        for line in lines:
            parts = re.fullmatch(
                r"([\w.-]+)(?:\[([\w,]+)\])?((?:\s*,?\s*(?:>=|<)\s*[\d.]+)*)", line
            )
            if parts is None:
                raise SetupError(
                    f"pyproject.toml asks for {line!r}, which this command cannot read.",
                    "write it as a name and bounds made of >= and <.",
                )
            name, inner, bounds = parts.groups()
            if name == project["name"]:
                for other in inner.split(","):
                    add(optional[other], other)
            else:
                found.setdefault(name, Requirement(name, bounds, extra))

    add(project["dependencies"], None)
    for extra in extras:
        if extra not in optional:
            raise SetupError(
                f"There is no extra named {extra!r}.",
                f"choose among {', '.join(sorted(optional))}.",
            )
        add(optional[extra], extra)
    return list(found.values())


def installed_version(name: str, path: list[str] | None = None) -> str | None:
    """Version of the distribution `name` on `path` (default: this interpreter's), or None."""
    search = {} if path is None else {"path": path}
    for distribution in metadata.Distribution.discover(name=name, **search):
        # An uninstall cut short leaves a folder without metadata behind. Not `.metadata`: where
        # another library has put importlib_metadata in the place of importlib's, that raises.
        if distribution.read_text("METADATA") or distribution.read_text("PKG-INFO"):
            return distribution.version
    return None


def missing(extras: Iterable[str], path: list[str] | None = None, root: Path = ROOT) -> list[str]:
    """What of the project's dependencies is absent or of a wrong version, in words."""
    lines = []
    for requirement in read_requirements(extras, root):
        version = installed_version(requirement.name, path)
        if version is None:
            lines.append(f"{requirement} (not installed)")
        elif not requirement.accepts(version):
            lines.append(f"{requirement} (found {version})")
    return lines
