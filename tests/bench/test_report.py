"""The printed tables, and the file."""

import json

import numpy as np
import pytest

from sparsecourse.bench import report
from sparsecourse.bench.measure import Measurement
from sparsecourse.bench.problems import Problem


def measured(*seconds):
    return Measurement(tol=1e-6, gap=5e-7, seconds=list(seconds), first_call=2.0)


@pytest.fixture
def results():
    not_reached = Measurement()
    not_reached.gap = 3e-5
    not_reached.fail("not reached")
    return {
        Problem("lasso", (500, 1000), 5): {
            "sparsecourse": measured(0.001, 0.002, 0.009),
            "scikit-learn": measured(0.008, 0.008, 0.008),
            "celer": measured(0.001),
            "skglm": not_reached,
        },
        Problem("group lasso", "riboflavin", 20): {
            "sparsecourse": measured(1.0),
            "scikit-learn": Measurement(failure="no group lasso"),
            "celer": measured(8.0),
            "skglm": Measurement(failure="over 60 s"),
        },
    }


def test_a_time_is_a_median_with_quartiles_and_what_failed_is_marked(results):
    first, second = (report.times(problem, found) for problem, found in results.items())
    assert first.startswith("lasso 500x1000 /5 ")
    assert "2.0 [1.5, 5.5]" in first
    assert first.endswith("not reached (gap 3e-05)")
    assert second.startswith("group lasso riboflavin /20 ")
    assert "1000 [1000, 1000]" in second
    assert "no group lasso" in second


def test_ratios_are_of_medians_and_their_mean_is_geometric(results):
    assert report.summary(results, "scikit-learn") == {
        "problems": 1,
        "geometric_mean": pytest.approx(4),
        "smallest": pytest.approx(4),
    }
    assert report.summary(results, "celer") == {
        "problems": 2,
        "geometric_mean": pytest.approx(2),
        "smallest": pytest.approx(0.5),
    }
    assert report.summary(results, "skglm") == {
        "problems": 0,
        "geometric_mean": None,
        "smallest": None,
    }
    text = report.ratios(results)
    assert [line.split()[-3:] for line in text.splitlines() if line.startswith("geom")] == [
        ["4.00", "2.00", "-"]
    ]
    assert "over 60 s" in text
    assert "1 of 2" in text


def test_nothing_is_compared_with_ours_where_that_failed(results):
    for found in results.values():
        found["sparsecourse"] = Measurement(failure="ModuleNotFoundError")
    assert report.summary(results, "celer")["problems"] == 0
    assert "geometric mean" in report.ratios(results)


def test_the_file_is_whole_json_with_all_that_a_time_depends_on(tmp_path, results):
    path = tmp_path / "speed.json"
    path.write_text("what was there before")
    report.store(path, report.conditions(seed=4) | {"quick": True}, results)
    stored = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert stored["seed"] == 4
    assert stored["threads"] == 1
    assert stored["versions"]["numpy"] == np.__version__
    assert stored["device"]
    assert stored["ratios"]["scikit-learn"]["geometric_mean"] == pytest.approx(4)
    assert len(stored["measurements"]) == 8
    assert stored["measurements"][0]["seconds"] == [0.001, 0.002, 0.009]
    assert stored["measurements"][3]["failure"] == "not reached (gap 3e-05)"
    assert list(tmp_path.iterdir()) == [path]


def test_the_heading_names_processor_threads_and_versions():
    conditions = report.conditions(seed=0)
    heading = report.heading(conditions)
    assert conditions["device"] in heading
    assert "1 thread" in heading
    assert f"numpy {np.__version__}" in heading
