"""Hostile submissions: no points that are not earned, no earned point lost, and no harm done."""

from __future__ import annotations

import hashlib
import json
import site
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sparsecourse.cli.requirements import ROOT
from sparsecourse.grading import sandbox, scoring, submissions
from sparsecourse.grading.answers import Ungradable
from sparsecourse.grading.checks import Check
from sparsecourse.grading.marking import Key
from sparsecourse.grading.work import Scored, Task, work
from tests.grading import sandboxed
from tests.grading.hostile import DOUBLE, POINTS, SUBMISSIONS, TOTAL, Hostile

SECONDS = 1.5
# Each of their processes keeps within its own limits.
BOUNDED_TOGETHER = (
    "takes 30 GB in 30 processes",
    "takes 30 GB of System V shared memory",
    "takes 30 GB of files without a name",
)
CANARY = "left-by-a-hostile-submission"
SECRET = "a-secret-of-the-instructor"
GIVEN = ["import numpy as np\nfrom sparsecourse.grading import self_check"]


def double(x):
    return 2 * x


def total(x):
    return x.sum()


def keys() -> dict[str, Key]:
    edges = (lambda rng: {"x": 1e6 * np.ones(1)}, lambda rng: {"x": np.zeros((2, 2))})
    return {
        function.__name__: Key.draw(
            Check(
                function,
                points=POINTS[function.__name__],
                draw=lambda rng: {"x": rng.normal(size=3)},
                hint="the hint",
                wrong={},
                edges=edges,
            ),
            seed=5,
        )
        for function in (double, total)
    }


KEYS = keys()


def notebook(cells: list, **metadata) -> bytes:
    """A notebook of these cells; a string is a cell of code."""
    cells = [
        {"cell_type": "code", "source": cell, "metadata": {}, "outputs": []}
        if isinstance(cell, str)
        else cell
        for cell in cells
    ]
    return json.dumps(
        {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    ).encode()


def scored(content: bytes) -> Scored:
    cases = {name: key.cases for name, key in KEYS.items()}
    return work(Task("ada", content, None, GIVEN, cases, SECONDS, True, ()))


def points(found: Scored) -> dict[str, int]:
    return {name: key.mark(found.answers, SECONDS).points for name, key in KEYS.items()}


@pytest.fixture(scope="module")
def machine(skip_or_fail, tmp_path_factory):
    """A folder that is not theirs, and sockets that listen; all is untouched in the end."""
    if reason := sandboxed.why_no_sandbox():
        skip_or_fail(reason)
    outside = tmp_path_factory.mktemp("outside")
    (outside / "canary").write_text(SECRET)
    package = Path(sandbox.__file__).parents[1]
    places = [
        "/", "/tmp", "/dev/shm", "/var/tmp", str(Path.home()), str(package), str(package.parent),
        str(ROOT / "solutions"), str(outside), site.getsitepackages()[0], sandbox.INSIDE,
    ]  # fmt: skip
    files = [outside / "canary", package / "__init__.py", ROOT / "tests" / "conftest.py"]

    def state() -> list[str]:
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]

    before, shared = state(), Path("/proc/sysvipc/shm").read_text()
    with sandboxed.listening(outside) as (addresses, heard):
        yield {
            "<outside>": str(outside),
            "<home>": str(Path.home()),
            "<solutions>": str(ROOT / "solutions"),
            # Inside, /tmp and /dev/shm are others.
            "<places>": repr([place for place in places if place not in ("/tmp", "/dev/shm")]),
            "<libraries>": site.getsitepackages()[0],
            "<shown>": repr(shown(places)),
            "<sockets>": repr(addresses),
            "<canary>": CANARY,
            "<secret>": SECRET,
        }
    assert heard == []
    assert state() == before
    assert [str(left) for place in places for left in Path(place).glob(f"*{CANARY}*")] == []
    assert Path("/proc/sysvipc/shm").read_text() == shared
    sandboxed.assert_gone(sandboxed.sandboxed_processes(), sandboxed.sandboxed_processes)
    sandboxed.assert_gone(sandboxed.groups(), sandboxed.groups)


def shown(places: list[str]) -> list[str]:
    """Names of folders that lead to the libraries or to the runner, and so are seen in `places`."""
    command = sandbox.command()
    paths = [Path(word) for word in command if word.startswith("/")]
    return sorted({part for path in paths for part in path.parts} - {"solutions", "canary"})


@pytest.fixture(scope="module")
def runs(machine, request):
    """Those submissions that are asked for, two at a time."""
    asked = [
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and "runs" in item.fixturenames
    ]
    if not sandboxed.has_groups():
        asked = [name for name in asked if not name.endswith(BOUNDED_TOGETHER)]
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(scored, content(SUBMISSIONS[name], machine)) for name in asked}
        pool.shutdown(cancel_futures=True)


def content(submission: Hostile, machine: dict[str, str]) -> bytes:
    cells = []
    for cell in submission.cells:
        for name, value in machine.items():
            cell = cell.replace(name, value)
        cells.append(cell)
    return notebook(cells)


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_a_hostile_submission_earns_what_it_deserves(name, runs):
    if name not in runs:
        pytest.skip("no control group is to be had here to bound what it takes")
    submission, found = SUBMISSIONS[name], runs[name].result()
    assert found.ungradable is None
    marks = {name: key.mark(found.answers, SECONDS) for name, key in KEYS.items()}
    told = {name: mark.failure for name, mark in marks.items()}
    earned = {name for name, mark in marks.items() if mark.points}
    if submission.earns is not None:
        assert earned == submission.earns, told
    if "double" not in earned:
        assert submission.failure in told["double"]
    assert all(mark.points in (0, mark.maximum) for mark in marks.values())
    if submission.notes is not None:
        assert len(found.notes) == len(submission.notes), found.notes
        for part, note in zip(submission.notes, found.notes, strict=True):
            assert part in note
    for text in [*found.notes, *filter(None, told.values())]:
        assert len(text) < 400
        assert SECRET not in text
        assert not any(str(case["x"].flat[0]) in text for case in KEYS["double"].inputs[:12])


TEST = {
    "cell_type": "code",
    "source": "self_check(double)",
    "metadata": {"nbgrader": {"grade_id": "test", "grade": True, "points": 2, "locked": True}},
    "outputs": [],
}
SOLUTION = TEST | {
    "source": DOUBLE,
    "metadata": {"nbgrader": {"grade_id": "double", "solution": True}},
}


@pytest.mark.parametrize(
    ("cells", "earned"),
    [
        ([DOUBLE, TOTAL, TEST], 5),
        ([DOUBLE, TOTAL], 5),
        ([TEST, TEST, DOUBLE, TOTAL, TEST], 5),
        ([SOLUTION, SOLUTION | {"source": TOTAL}, TEST], 5),
        ([TEST | {"source": TOTAL}, SOLUTION | {"source": "self_check(total)"}], 3),
        ([TEST | {"source": "self_check = lambda f: print('✓')\nself_check(0)"}, TOTAL], 3),
        ([TEST | {"metadata": {"nbgrader": {"grade_id": "test", "points": 1000}}}, TOTAL], 3),
        ([TEST | {"metadata": {"nbgrader": [{}], "grade": "all"}}, DOUBLE], 2),
        ([TEST | {"metadata": []}, SOLUTION | {"metadata": None}], 2),
        ([TEST | {"outputs": [{"data": {"text/plain": "✓ double: right"}}]}, TOTAL], 3),
        ([{"cell_type": "markdown", "source": DOUBLE, "metadata": {}}, TOTAL], 3),
        ([{"cell_type": "raw", "source": DOUBLE, "metadata": {}}, TOTAL], 3),
        ([{"cell_type": "code"}, {"source": 5}, None, [], "", TOTAL], 3),
        ([DOUBLE + "\n" + TOTAL, "def double(x", "%%", "!", "\0", "?", "\ud800", "def total("], 5),
        (["del np, self_check", DOUBLE, TOTAL], 5),
    ],
)
@pytest.mark.usefixtures("machine")
def test_cells_and_metadata_earn_nothing_by_themselves(cells, earned):
    found = scored(notebook(cells))
    assert found.ungradable is None
    assert sum(points(found).values()) == earned


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"cells": [{"cell_type": "code", "sou', "it is not a notebook"),
        (b"", "empty file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "it is not a notebook"),
        (b"PK\x03\x04 a zip", "it is not a notebook"),
        (b"[" * 10**6, "it is not a notebook"),
        (b"[]", "it is not a notebook"),
        (notebook([]), "it has no cells"),
        (notebook(["def third(x):\n    return x"]), "is it another exercise?"),
        (notebook([DOUBLE], kernelspec={"name": "ir", "language": "R"}), "its kernel is 'ir'"),
        (notebook([DOUBLE, "#" * 3_000_000]), "million characters"),
        (notebook([DOUBLE] * 3000), "3000 cells"),
    ],
)
def test_what_cannot_be_graded_says_why(content, why):
    found = scored(content)
    assert why in found.ungradable
    assert found.answers is None


def test_a_notebook_of_200_mb_is_not_even_read(tmp_path):
    with (tmp_path / "ada.ipynb").open("wb") as file:
        file.truncate(200_000_000)
    (found,) = submissions.find(tmp_path, "02_linear_regression")
    with pytest.raises(Ungradable, match="too large"):
        found.read()


@pytest.mark.parametrize("cell", ["while True: pass", "import time\ntime.sleep(0.1)"])
@pytest.mark.usefixtures("machine")
def test_the_whole_submission_is_bounded_in_time(cell, monkeypatch):
    monkeypatch.setattr(scoring, "START_SECONDS", 2)
    content = notebook([*[cell] * 500, DOUBLE, TOTAL])
    cases = {name: key.cases for name, key in KEYS.items()}
    found = work(Task("ada", content, None, GIVEN, cases, 0.2, True, ()))
    assert found.seconds < 10
    for key in KEYS.values():
        assert "notebook as a whole took too long" in key.mark(found.answers, 0.2).failure
