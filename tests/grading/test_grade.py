"""A class, from submissions to a CSV: deserved points, interruptions, a cluster, exit codes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import nbformat
import numpy as np
import pytest
from dask.distributed import LocalCluster

from sparsecourse import executors
from sparsecourse.bench import classroom
from sparsecourse.cli.requirements import ROOT
from sparsecourse.grading import exercise, results, wire
from sparsecourse.grading.checks import copied
from sparsecourse.grading.grade import ResumeError, grade
from sparsecourse.grading.marking import Key
from sparsecourse.grading.scoring import Answers, Returned
from sparsecourse.grading.work import Task, work

TOPIC = "04_ridge_and_lasso"
TOPICS = sorted(path.parent.name for path in ROOT.glob("solutions/*/checks.py"))
SIZE = 20
SLOW = "import time\ntime.sleep(0.7)\n"  # so that a kill falls into the run
SEED = 5


@pytest.fixture(autouse=True)
def _sandbox(skip_or_fail):
    if shutil.which("bwrap") is None:
        skip_or_fail("no bubblewrap: install it (apt install bubblewrap) to run the grading tests")


def write(folder, notebooks):
    for student, notebook in notebooks.items():
        path = folder / student / TOPIC / f"{TOPIC}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(notebook, encoding="utf-8")
    return folder


def command(submissions, folder, *options):
    return [
        *(sys.executable, "-m", "sparsecourse", "grade", TOPIC, str(submissions)),
        *("--out", str(folder / "grades.csv"), "--grading-dir", str(folder / "grading")),
        *options,
    ]


def rows_of(folder):
    """The CSV without what differs between two runs: the seconds."""
    with (folder / "grades.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row.pop("seconds")) >= 0
    return rows


def stored(folder):
    """When each result was written: one that is graded twice is written twice."""
    found = folder.glob(f"grading/{TOPIC}/results/*.json")
    return {path.name: path.stat().st_mtime_ns for path in found}


@pytest.fixture(scope="module")
def made():
    return classroom.make(ROOT, TOPIC, SIZE, SEED)


@pytest.fixture(scope="module")
def slow_class(made, tmp_path_factory):
    """The same class, but each submission takes a while."""
    notebooks = {}
    for one in made:
        notebook = nbformat.reads(one.notebook, as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(SLOW))
        notebooks[one.student] = nbformat.writes(notebook)
    return write(tmp_path_factory.mktemp("slow"), notebooks)


@pytest.fixture(scope="module")
def undisturbed(slow_class, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    ended = subprocess.run(
        command(slow_class, folder, "--workers", "2"), cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return rows_of(folder)


def test_everyone_gets_what_they_deserve(made, undisturbed):
    assert {one.kind for one in made} == set(classroom.KINDS)
    assert [row["student"] for row in undisturbed] == [one.student for one in made]
    for one, row in zip(made, undisturbed, strict=True):
        assert {name: float(row[name]) for name in one.points} == one.points, one.kind
        assert row["maximum"] == "14"
        assert float(row["score"]) == sum(one.points.values())
        # The derivation of the released exercise is unanswered; all others wait for a person.
        expected = "graded" if one.kind == "unsolved" else "needs manual grading"
        assert row["status"] == expected


@pytest.mark.parametrize("topic", TOPICS)
def test_the_solution_gets_full_marks_and_the_unsolved_exercise_none(topic):
    asked = exercise.load(ROOT, topic)
    keys = {check.name: Key.draw(check, SEED) for check in asked.checks}
    for folder, share in (("solutions", 1), ("exercises", 0)):
        task = Task(
            student="x",
            content=(ROOT / folder / topic / f"{topic}.ipynb").read_bytes(),
            timestamp=None,
            given_code=asked.given_code,
            cases={name: key.cases for name, key in keys.items()},
            seconds=10.0,
            protected=True,
            hidden=(),
        )
        found = work(task)
        assert found.notes == []
        for name, key in keys.items():
            mark = key.mark(found.answers, 10.0)
            assert mark.points == share * key.check.points, (name, mark.failure)
            assert share == 1 or mark.failure == "It is not written yet."


@pytest.mark.parametrize("topic", TOPICS)
def test_each_named_mistake_loses_its_points(topic):
    def called(function, key):
        answers = Answers(ends={key.check.name: "done"})
        for number, inputs in enumerate(key.inputs):
            try:
                with np.errstate(all="ignore"):
                    result = Returned(wire.decode(wire.encode(function(**copied(inputs)))))
            except Exception as error:
                result = Returned(raised=type(error).__name__)
            answers.returned.setdefault(key.check.name, {})[number] = result
        return key.mark(answers, 10.0)

    for check in exercise.load(ROOT, topic).checks:
        key = Key.draw(check, SEED)
        assert called(check.function, key).points == check.points
        for name, function in check.wrong.items():
            mark = called(function, key)
            assert mark.points == 0, name
            assert check.hint in mark.failure


def test_a_grader_that_is_killed_goes_on_and_grades_nothing_twice(
    slow_class, undisturbed, tmp_path
):
    process = subprocess.Popen(
        command(slow_class, tmp_path, "--workers", "2"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(stored(tmp_path)) < SIZE // 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = stored(tmp_path)
    assert len(before) < SIZE
    assert not (tmp_path / "grades.csv").exists()
    ended = subprocess.run(
        command(slow_class, tmp_path, "--workers", "2", "--resume"),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert rows_of(tmp_path) == undisturbed
    after = stored(tmp_path)
    assert {name: after[name] for name in before} == before
    assert f"{SIZE - len(before)} scored now, {len(before)} before." in ended.stdout


def children(process):
    """Processes that `process` started, by what the system says."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process:
            found.append(int(status.parent.name))
    return found


def test_a_worker_that_is_killed_takes_nothing_with_it(slow_class, undisturbed, tmp_path):
    process = subprocess.Popen(
        command(slow_class, tmp_path, "--workers", "2"), cwd=ROOT, stdout=subprocess.DEVNULL
    )
    while len(stored(tmp_path)) < SIZE // 4:
        assert process.poll() is None
        time.sleep(0.02)
    workers = [child for child in children(process.pid) if children(child)]  # those in a sandbox
    os.kill(workers[0], signal.SIGKILL)
    assert process.wait() == 0
    assert rows_of(tmp_path) == undisturbed


def test_a_dask_cluster_grades_the_same_and_survives_a_killed_worker(
    slow_class, undisturbed, tmp_path
):
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        process = subprocess.Popen(
            command(slow_class, tmp_path, "--scheduler", cluster.scheduler_address),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        while len(stored(tmp_path)) < SIZE // 4:
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        assert process.wait() == 0
    assert rows_of(tmp_path) == undisturbed


def test_what_cannot_be_graded_is_said_and_never_a_silent_zero(made, tmp_path):
    right = next(one for one in made if one.kind == "right")
    submissions = write(
        tmp_path / "submitted",
        {"anna": right.notebook, "ben": "{", "cleo": "", "dora": right.notebook},
    )
    notebook = submissions / "dora" / TOPIC / f"{TOPIC}.ipynb"
    notebook.rename(notebook.with_name("something_else.ipynb"))
    ended = subprocess.run(command(submissions, tmp_path), cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 3, ended.stderr
    rows = {row["student"]: row for row in rows_of(tmp_path)}
    assert list(rows) == ["anna", "ben", "cleo", "dora"]
    assert rows["anna"]["score"] == "11"
    for student in ("ben", "cleo", "dora"):
        assert rows[student]["status"].startswith("ungradable: ")
        assert rows[student]["score"] == rows[student]["price_of_budget"] == ""
        assert f"{student}: ungradable: " in ended.stdout
    page = (tmp_path / "grades.html").read_text()
    assert "ben" in page


def test_where_bubblewrap_is_refused_nothing_is_graded(made, tmp_path):
    submissions = write(tmp_path / "submitted", {"anna": made[0].notebook})
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    variables = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run(
        command(submissions, tmp_path), cwd=ROOT, capture_output=True, text=True, env=variables
    )
    assert ended.returncode == 1
    assert "No permissions to create a namespace" in ended.stderr
    assert "What to do" in ended.stderr
    assert "--unsafe-no-sandbox" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "grades.csv").exists()
    assert stored(tmp_path) == {}


def test_without_a_sandbox_only_when_asked_for(made, tmp_path):
    submissions = write(tmp_path / "submitted", {one.student: one.notebook for one in made[:3]})
    ended = subprocess.run(
        command(submissions, tmp_path, "--unsafe-no-sandbox"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": ""},
    )
    assert ended.returncode == 0, ended.stderr
    assert "WARNING: without a sandbox" in ended.stderr
    for one, row in zip(made, rows_of(tmp_path), strict=False):
        assert {name: float(row[name]) for name in one.points} == one.points


def course_with(tmp_path, made):
    """A copy of the topic that a test may change, and one submission."""
    for name in ("solutions", "exercises"):
        shutil.copytree(ROOT / name / TOPIC, tmp_path / name / TOPIC)
    submissions = write(tmp_path / "submitted", {"anna": made[0].notebook})
    opened = partial(executors.local, 1)
    return partial(grade, tmp_path, TOPIC, submissions, tmp_path / "grading", opened, in_flight=2)


def test_a_run_is_resumed_only_as_it_was_begun(made, tmp_path):
    graded = course_with(tmp_path, made)
    with pytest.raises(ResumeError, match="nothing was begun"):
        graded(resume=True)
    assert graded().scored == 1
    assert graded(resume=True).scored == 0
    checks = tmp_path / "solutions" / TOPIC / "checks.py"
    checks.write_text(checks.read_text() + "\n")
    with pytest.raises(ResumeError, match="had other checks"):
        graded(resume=True)
    assert graded().scored == 1


def test_a_submission_that_changed_is_graded_again_and_hidden_inputs_are_fresh(made, tmp_path):
    graded = course_with(tmp_path, made)
    graded()
    run = tmp_path / "grading" / TOPIC / "run.json"
    first = json.loads(run.read_text())
    notebook = tmp_path / "submitted" / "anna" / TOPIC / f"{TOPIC}.ipynb"
    notebook.write_text(made[0].notebook + "\n")
    assert graded(resume=True).scored == 1
    assert json.loads(run.read_text()) == first
    assert graded().scored == 1
    assert json.loads(run.read_text())["seed"] != first["seed"]
    stored_result = results.stored(tmp_path / "grading" / TOPIC / "results", "anna")
    assert stored_result.run == json.loads(run.read_text())["id"]


def test_cells_that_nobody_gave_a_role_are_given_to_all(made, tmp_path):
    graded = course_with(tmp_path, made)
    for name in ("solutions", "exercises"):
        path = tmp_path / name / TOPIC / f"{TOPIC}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells[:2]:
            del cell.metadata["nbgrader"]
        assert "import numpy" in notebook.cells[1].source
        path.write_text(nbformat.writes(notebook))
    notebook = nbformat.reads(made[0].notebook, as_version=4)
    del notebook.cells[1]  # the imports
    path = tmp_path / "submitted" / "anna" / TOPIC / f"{TOPIC}.ipynb"
    path.write_text(nbformat.writes(notebook))
    [row] = graded().rows
    assert {name: row.points[name] for name in made[0].points} == made[0].points
    assert made[0].kind in {"right", "half right"}
