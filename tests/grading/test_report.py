"""What an instructor reads of a class: counts, a picture with words, and what was hard."""

import base64
from xml.etree import ElementTree

import pytest

from sparsecourse.grading import report
from sparsecourse.grading.grade import GRADED, MANUAL, Grades, Row
from sparsecourse.grading.report import histogram
from sparsecourse.grading.results import Mark, Result
from tests.grading.pages import RIGHT, Seen, assert_self_contained, exercise

RAISED = Mark(0, 2, "Not right on 3 of 12 ordinary inputs: ...", "it raised ValueError")
ALSO = Mark(0, 2, "Not right on 12 of 12 ordinary inputs: ...", "it raised ValueError")
MISSING = Mark(0, 2, "It is not defined: no cell ...", "it is not defined")


def graded(student, triple, proof, seconds=1.0):
    """One who has `double` right; `proof` is None while it waits."""
    points = {"double": 2.0, "triple": float(triple.points)}
    points |= {} if proof is None else {"proof": proof}
    status = MANUAL if proof is None else GRADED
    row = Row(student, status, sum(points.values()), points, 0.0, seconds)
    return row, Result(student, "", "run", marks={"double": RIGHT, "triple": triple})


def refused(student, why):
    row = Row(student, f"ungradable: {why}", None, {}, 0.0, 0.0)
    return row, Result(student, "", "run", ungradable=why)


CLASS = [
    graded("anna", RIGHT, 3.0),
    graded("bert", RAISED, 1.5, seconds=30.0),
    graded("carl", ALSO, None),
    graded("dora", MISSING, 0.0),
    refused("emil", "two notebooks: <b>a</b>, b"),
]


@pytest.fixture
def page_of(tmp_path):
    """Write the report on a class; give its source."""

    def page_of(pairs=CLASS):
        results = {row.student: result for row, result in pairs}
        grades = Grades(exercise(), [row for row, _ in pairs], results, len(pairs), 0)
        report.write(grades, tmp_path / "new" / "grades.html")
        return (tmp_path / "new" / "grades.html").read_text(encoding="utf-8")

    return page_of


def test_the_class_is_counted(page_of):
    text = Seen(page_of()).text
    assert "graded 3 waiting 1 ungradable 1 mean so far 3.6 median so far 2.75" in text


def test_nothing_is_so_far_when_nothing_waits(page_of):
    page = page_of(CLASS[:2])
    assert "waiting 0 ungradable 0 mean 5.2 median 5.25" in Seen(page).text
    assert "so far" not in Seen(page).text


def test_each_function_tells_its_mean_its_full_marks_and_its_most_common_failure(page_of):
    page = page_of()
    text = Seen(page).text
    assert "1. Twice double 2.0 of 2 100%" in text
    triple = "2. Three times triple Most often: it raised ValueError (2 students). 0.5 of 2 25%"
    assert triple in text
    assert Seen(page).attributes("style") == ["width: 100%", "width: 25%", "width: 33%"]


def test_an_answer_counts_those_that_were_read(page_of):
    text = Seen(page_of()).text
    assert "3. Prove it proof Known of 3 of 4 students. 1.5 of 3 33%" in text
    assert "3. Prove it proof none read yet" in Seen(page_of([CLASS[2]])).text


def test_points_of_a_person_go_before_the_mark(page_of):
    row, result = graded("anna", RAISED, 3.0)
    row.points["triple"] = 2.0
    assert "triple Most often: it raised ValueError (1 student). 2.0 of 2 100%" in (
        Seen(page_of([(row, result)])).text
    )


def test_those_to_look_after_are_named(page_of):
    page = page_of()
    text = Seen(page).text
    assert "emil : two notebooks: <b>a</b>, b" in text
    assert "&lt;b&gt;a&lt;/b&gt;" in page
    assert "Wait for a person carl Read their answers" in text
    assert "Slowest to grade bert 30.0 s, anna 1.0 s" in text


def test_the_page_is_self_contained_and_its_picture_is_described(page_of):
    page = page_of()
    assert_self_contained(page)
    [picture] = Seen(page).attributes("src")
    kind, _, data = picture.partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg")
    words = "Students by score. 2 points: 2, 3.5 points: 1, 7 points: 1"
    assert Seen(page).attributes("alt") == [words]


def rows_of(scores, status=GRADED):
    return [Row(str(i), status, score, {}, 0.0, 0.0) for i, score in enumerate(scores)]


@pytest.mark.parametrize("maximum", [1, 7, 14, 31, 100])
@pytest.mark.parametrize("beyond", [0, 2.5])
def test_every_student_stands_in_one_bar(maximum, beyond):
    scores = [-beyond, 0, maximum / 2, maximum, maximum + beyond]
    figure = histogram(rows_of(scores) + rows_of(scores[:2], MANUAL), maximum)
    [axes] = figure.axes
    final, so_far = axes.containers
    assert sum(bar.get_height() for bar in final) == 5
    assert sum(bar.get_height() for bar in so_far) == 2
    assert len(final) <= report.MOST_BARS
    left, right = axes.get_xlim()
    assert left < min(scores)
    assert right > max(scores)
    assert axes.get_xlabel().endswith(f", out of {maximum} points")
    assert axes.get_ylabel() == "students"


def test_a_bar_stands_above_its_score():
    [axes] = histogram(rows_of([3, 3]), 14).axes
    assert axes.get_xlabel() == "score, out of 14 points"
    [bar] = [bar for bar in axes.containers[0] if bar.get_height()]
    assert bar.get_x() + bar.get_width() / 2 == pytest.approx(3)
    assert bar.get_height() == 2


def test_a_half_point_is_rounded_up_and_the_picture_says_so():
    [axes] = histogram(rows_of([2.5]), 14).axes
    [bar] = [bar for bar in axes.containers[0] if bar.get_height()]
    assert bar.get_x() + bar.get_width() / 2 == pytest.approx(3)
    assert axes.get_xlabel() == "score, rounded, out of 14 points"


def test_the_picture_keeps_its_light_ground():
    """On a dark page, black letters on nothing could not be read."""
    picture = base64.b64decode(report._data_uri(histogram(rows_of([3]), 14)).partition(",")[2])
    assert picture.count(b"fill: #fcfcfc") == 2  # of the figure, and within the axes


def test_a_class_that_could_not_be_graded_has_no_picture(page_of):
    page = page_of([CLASS[4]])
    assert "None of the submissions could be graded." in page
    assert Seen(page).attributes("src") == []
    assert "mean" not in Seen(page).text.partition("Could not")[0]
