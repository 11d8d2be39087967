"""Our grading of a class against nbgrader's autograde, on the same notebooks in the same run."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from sparsecourse.bench.classroom import Made

CONFIG = "c = get_config()\nc.CourseDirectory.course_id = 'bench'\n"
PAUSE = 0.05  # seconds between two looks at the memory


@dataclass(frozen=True)
class Rate:
    """How fast a class was graded.

    Parameters
    ----------
    submissions : int
    seconds : float
        Wall time, the start of the program included.
    failed : int
        How many got other points than they deserve, or none.
    memory : list of float
        Resident megabytes of the program that leads, at each quarter of the time.
    """

    submissions: int
    seconds: float
    failed: int
    memory: list[float]

    @property
    def a_minute(self) -> float:
        """Submissions a minute."""
        return 60 * self.submissions / self.seconds


def ours(made: list[Made], topic: str, folder: Path, workers: int) -> Rate:
    """Time `sparsecourse grade`.

    Parameters
    ----------
    made : list of Made
    topic : str
    folder : Path
        To work in; empty.
    workers : int

    Returns
    -------
    rate : Rate
    """
    submitted, out = folder / "submitted", folder / "grades.csv"
    _write(made, topic, submitted)
    command = [sys.executable, "-m", "sparsecourse", "grade", topic, str(submitted)]
    command += ["--out", str(out), "--workers", str(workers)]
    command += ["--grading-dir", str(folder / "grading")]
    seconds, memory = _timed([command])
    with out.open(newline="", encoding="utf-8") as file:
        scores = {row["student"]: row for row in csv.DictReader(file)}
    failed = sum(
        any(scores[one.student][name] != f"{points:g}" for name, points in one.points.items())
        for one in made
    )
    return Rate(len(made), seconds, failed, memory)


def nbgraders(made: list[Made], root: Path, topic: str, folder: Path, workers: int) -> Rate:
    """Time `nbgrader autograde`, one process a worker, each with its share of the class.

    Parameters
    ----------
    made : list of Made
    root : Path
        The clone.
    topic : str
    folder : Path
        To work in; empty.
    workers : int

    Returns
    -------
    rate : Rate
    """
    courses, commands = [], []
    for worker in range(workers):
        course = folder / f"course{worker}"
        shutil.copytree(root / "solutions" / topic, course / "source" / topic)
        (course / "nbgrader_config.py").write_text(CONFIG)
        _nbgrader(course, ["generate_assignment", topic]).check_returncode()
        for one in made[worker::workers]:
            _write([one], topic, course / "submitted")
            # The visible checks read their cases from there.
            cases = root / "exercises" / topic / "cases.json"
            shutil.copy(cases, course / "submitted" / one.student / topic)
        courses.append(course)
        commands.append([sys.executable, "-m", "nbgrader", "autograde", topic])
    seconds, memory = _timed(commands, courses)
    failed = 0
    for worker, course in enumerate(courses):
        _nbgrader(course, ["export", "--to", "grades.csv"]).check_returncode()
        with (course / "grades.csv").open(newline="", encoding="utf-8") as file:
            scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
        for one in made[worker::workers]:
            failed += scores.get(one.student) != sum(one.points.values())
    return Rate(len(made), seconds, failed, memory)


def store(file: Path, conditions: dict, rates: dict[str, Rate]) -> None:
    """Write all figures, whole or not at all.

    Parameters
    ----------
    file : Path
    conditions : dict
    rates : dict of str to Rate
    """
    partial = file.with_name(file.name + ".partial")
    found = {name: asdict(rate) for name, rate in rates.items()}
    partial.write_text(json.dumps(conditions | found, indent=1), encoding="utf-8")
    partial.replace(file)


def _write(made: list[Made], topic: str, submitted: Path) -> None:
    for one in made:
        folder = submitted / one.student / topic
        folder.mkdir(parents=True)
        (folder / f"{topic}.ipynb").write_text(one.notebook, encoding="utf-8")


def _environment() -> dict[str, str]:
    """nbgrader starts other programs of this environment by their names."""
    scripts = str(Path(sys.executable).parent)
    return os.environ | {"PATH": os.pathsep.join([scripts, os.environ["PATH"]])}


def _nbgrader(course: Path, arguments: list[str]) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "nbgrader", *arguments]
    return subprocess.run(command, cwd=course, env=_environment(), capture_output=True)


def _timed(
    commands: list[list[str]], folders: list[Path] | None = None
) -> tuple[float, list[float]]:
    """Run commands at once: wall time, and the memory of the first at each quarter of it."""
    start = time.perf_counter()
    processes = [
        subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command, folder in zip(commands, folders or [None] * len(commands), strict=True)
    ]
    looks = []
    while any(process.poll() is None for process in processes):
        looks.append(_megabytes(processes[0].pid))
        time.sleep(PAUSE)
    seconds = time.perf_counter() - start
    looks = [look for look in looks if look] or [float("nan")]
    return seconds, [looks[(len(looks) - 1) * quarter // 4] for quarter in range(1, 5)]


def _megabytes(process: int) -> float | None:
    """Resident memory; None once it has ended, or where the system does not tell."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0].split()[1]) / 1024 if lines else None
