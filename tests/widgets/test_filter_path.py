"""Filters that die along a recorded path: the picture against the files, read by hand."""

import json
import statistics

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from sparsecourse.experiments import record, wen2016_path
from sparsecourse.widgets.filter_path import HERE, RETRAINED, WITH_PRICE, draw_path, filter_path

STORED = json.loads((record.FOLDER / "wen2016_filter_path.json").read_text())["seeds"]
DRAWN = json.loads(wen2016_path.FILTERS.read_text())
LAMS = sorted(STORED["0"]["rows"], key=float)


def mean(lam, figure):
    return statistics.mean(seed["rows"][lam][figure] for seed in STORED.values())


@pytest.fixture
def explorer():
    return filter_path()


def set_to(explorer, lam):
    explorer.controls["lam"].value = float(lam)
    return explorer.state


def test_the_slider_has_the_prices_of_the_record_and_begins_without_one(explorer):
    slider = explorer.controls["lam"]
    assert [value for _, value in slider.options] == [float(lam) for lam in LAMS]
    assert slider.value == 0
    assert len(LAMS) >= 8


@pytest.mark.parametrize("lam", LAMS)
def test_the_sentence_tells_the_means_of_the_record(explorer, lam):
    set_to(explorer, lam)
    alt = explorer.alt
    assert alt.startswith(f"lam = {float(lam):g}: ")
    assert f"Mean of {len(STORED)} seed" in alt
    assert f"{mean(lam, 'conv1_filters'):.1f} of 20 filters in conv1" in alt
    assert f"{mean(lam, 'conv2_filters'):.1f} of 50 in conv2" in alt
    assert f"{mean(lam, 'multiply_adds_percent'):.0f} % of the multiply-adds" in alt
    assert f"error {mean(lam, 'error_percent'):.1f} % with the price" in alt
    assert f"{mean(lam, 'retrained_error_percent'):.1f} % after" in alt


@pytest.mark.parametrize("lam", LAMS)
def test_each_filter_is_drawn_at_its_place_and_a_dead_one_leaves_it_empty(explorer, lam):
    figure = Figure()
    draw_path(figure, set_to(explorer, lam))
    left = figure.axes[0]
    (image,) = left.images
    picture = np.ma.filled(image.get_array(), np.nan)
    living = 0
    for place, weights in enumerate(DRAWN["filters"][lam]):
        row, column = divmod(place, 5)
        tile = picture[6 * row : 6 * row + 5, 6 * column : 6 * column + 5]
        if np.any(weights):
            living += 1
            np.testing.assert_array_equal(tile, weights)
        else:
            assert np.isnan(tile).all()
    assert np.isfinite(picture).sum() == 25 * living
    assert left.get_title() == f"{living} of 20 filters of conv1"
    assert f"the network drawn, {living} of 20" in explorer.alt
    every = np.array(list(DRAWN["filters"].values()))
    assert image.get_clim() == (-np.abs(every).max(), np.abs(every).max())


@pytest.mark.parametrize("lam", [LAMS[0], LAMS[4], LAMS[-1]])
def test_the_curves_are_those_of_all_prices_and_the_markers_are_at_this_one(explorer, lam):
    figure = Figure()
    draw_path(figure, set_to(explorer, lam))
    lines = figure.axes[1].lines
    for color, name in ((WITH_PRICE, "error_percent"), (RETRAINED, "retrained_error_percent")):
        (curve,) = (line for line in lines if to_hex(line.get_color()) == color.lower())
        expected = [[mean(at, "multiply_adds_percent"), mean(at, name)] for at in LAMS]
        np.testing.assert_allclose(curve.get_xydata(), expected)
    markers = [line.get_xydata()[0] for line in lines if to_hex(line.get_color()) == HERE.lower()]
    at = mean(lam, "multiply_adds_percent")
    expected = [[at, mean(lam, "error_percent")], [at, mean(lam, "retrained_error_percent")]]
    np.testing.assert_allclose(markers, expected)
    left, right = figure.axes[1].get_xlim()
    assert left > 100
    assert right == 0


def test_the_filters_drawn_are_of_a_recorded_seed():
    rows = STORED[str(DRAWN["seed"])]["rows"]
    assert list(DRAWN["filters"]) == list(rows)
    for lam, filters in DRAWN["filters"].items():
        living = np.any(np.array(filters), axis=(1, 2)).sum()
        assert living == rows[lam]["conv1_filters"]
