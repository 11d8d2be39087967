"""exercises/ is what solutions/ gives; a difference is found and named."""

import json
import shutil

import nbformat
import pytest

from sparsecourse.cli.requirements import ROOT
from sparsecourse.grading import release

TOPIC = "02_linear_regression"


@pytest.fixture
def course(tmp_path):
    """A copy of one topic, as an instructor would edit it."""
    for name in ("solutions", "exercises"):
        shutil.copytree(ROOT / name / TOPIC, tmp_path / name / TOPIC)
    return tmp_path


def test_exercises_are_in_step_with_solutions():
    assert release.differences(ROOT) == []


def test_an_edited_exercise_is_found_and_a_release_mends_it(course):
    notebook = course / "exercises" / TOPIC / f"{TOPIC}.ipynb"
    notebook.write_text(notebook.read_text().replace("14 points", "15 points"))
    (course / "exercises" / TOPIC / "cases.json").unlink()
    (course / "exercises" / TOPIC / "left_over.txt").write_text("")
    (course / "exercises" / "stray.ipynb").write_text("")
    assert release.differences(course) == [
        f"exercises/{TOPIC}/{TOPIC}.ipynb: differs",
        f"exercises/{TOPIC}/cases.json: missing",
        f"exercises/{TOPIC}/left_over.txt: no solution gives it",
        "exercises/stray.ipynb: no solution gives it",
    ]
    (course / "exercises" / TOPIC / "left_over.txt").unlink()
    release.release(course)
    assert release.differences(course, [TOPIC]) == []


def test_released_cases_state_the_points_of_the_notebook(course):
    path = release.release(course)[0]
    cells = [cell.metadata.nbgrader for cell in nbformat.read(path, as_version=4).cells]
    cases = json.loads((path.parent / "cases.json").read_text())
    of_functions = [check["points"] for check in cases["functions"].values()]
    by_a_program = [cell.points for cell in cells if cell.grade and not cell.solution]
    by_a_person = [cell.points for cell in cells if cell.grade and cell.solution]
    assert of_functions == by_a_program == [2, 3, 3, 3]
    assert [cases["manual_points"]] == by_a_person == [3]


def test_an_unknown_topic_is_answered_with_the_known(course):
    with pytest.raises(release.ReleaseError, match=f"99_nothing.*there are: {TOPIC}"):
        release.release(course, ["99_nothing"])


def test_a_broken_solution_is_refused_with_what_nbgrader_says(course):
    notebook = course / "solutions" / TOPIC / f"{TOPIC}.ipynb"
    notebook.write_text(notebook.read_text().replace("### END SOLUTION", "### THE END"))
    before = (course / "exercises" / TOPIC / f"{TOPIC}.ipynb").read_bytes()
    with pytest.raises(release.ReleaseError, match="nbgrader refused it"):
        release.release(course)
    assert (course / "exercises" / TOPIC / f"{TOPIC}.ipynb").read_bytes() == before
