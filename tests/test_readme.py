"""The README tells the truth: links, lectures, minutes, run times, commands."""

import re

import nbformat
import pytest

from sparsecourse.cli import COMMANDS
from sparsecourse.cli.requirements import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
LECTURES = sorted(ROOT.glob("lectures/*.ipynb"))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "INSTRUCTORS.md"])
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("https://"):
            assert (ROOT / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_lecture_is_listed_with_its_minutes(path):
    first = nbformat.read(path, as_version=4).cells[0].source
    minutes = re.search(r"Time: (\d+) minutes", first)[1]
    row = rf"^\| {path.stem[:2]} \| \[.+\]\(lectures/{path.name}\) \| {minutes} \|"
    assert re.search(row, README, re.MULTILINE)


def test_all_lectures_of_the_course_are_listed_and_none_promised_that_is_here():
    rows = re.findall(r"^\| (\d\d) \| (.+?) \| (.+?) \|", README, re.MULTILINE)
    assert [number for number, _, _ in rows] == [f"{i:02d}" for i in range(23)]
    here = [number for number, _, minutes in rows if "to come" not in minutes]
    assert here == [path.stem[:2] for path in LECTURES]


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_run_time_is_about_the_one_measured(path):
    measured = nbformat.read(path, as_version=4).metadata.sparsecourse.seconds
    stated = int(re.search(rf"^\| {path.stem[:2]} \| (\d+) \|$", README, re.MULTILINE)[1])
    assert measured / 2 <= stated <= measured * 2


def test_commands_named_exist():
    named = set(re.findall(r"python3 -m sparsecourse (\w+)", README))
    assert {"lab", "test", "doctor"} <= named <= set(COMMANDS)
