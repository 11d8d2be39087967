"""Curves on disk: what is stored is what is loaded, whole or not at all, and from where."""

import json
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsecourse.timing import Measurement, curves
from sparsecourse.timing.curves import Curve, load, measured_now, store
from sparsecourse.timing.sparse import LAYERS, Layer, Timed

ORIGIN = {
    "date": "2026-01-02T03:04:05+00:00",
    "device": "CPU x",
    "threads": 2,
    "versions": {"python": "3.12.1", "torch": "2.11.0"},
}
SECONDS = st.floats(1e-9, 1e3)


def took(*times, device="CPU x"):
    return Measurement(times, 3 * len(times), 2, device, True)


def point(name, sparsity):
    return Timed(name, sparsity, took(1 / 3, 0.1), took(1e-7 / 3, 2e-7), 100, 50)


def made_up(*points):
    return Curve(Layer("made up", 4, 6, 2), points, ORIGIN)


CURVES = [made_up(point("bitmask", 0.1), point("int8", 0.0)), made_up(point("BSR 4x4", 1 / 3))]


# Curves


def test_points_of_a_format_are_sorted_formats_are_as_measured():
    points = [point(name, s) for name, s in (("b", 0.9), ("a", 0.5), ("b", 0.1), ("a", 0.2))]
    curve = made_up(*points)
    assert curve.formats == ["b", "a"]
    assert curve.of("b") == [points[2], points[0]]
    assert curve.of("a") == [points[3], points[1]]
    assert curve.of("c") == []


def test_where_it_came_from_is_one_readable_line():
    assert made_up().where == "CPU x, 2 threads, torch 2.11.0, 2026-01-02"
    alone = Curve(Layer("made up", 4, 6, 2), (), ORIGIN | {"threads": 1})
    assert alone.where == "CPU x, 1 thread, torch 2.11.0, 2026-01-02"


def test_what_is_measured_now_says_where_when_and_with_what():
    points = [point("bitmask", 0.5), point("bitmask", 0.1)]
    before = datetime.now(UTC).replace(microsecond=0)
    curve = measured_now(LAYERS["LeNet-5 conv1"], points)
    assert before <= datetime.fromisoformat(curve.origin["date"]) <= datetime.now(UTC)
    assert curve.formats == ["bitmask"]
    assert [point.sparsity for point in curve.points] == [0.5, 0.1]
    assert curve.layer == LAYERS["LeNet-5 conv1"]
    assert (curve.origin["device"], curve.origin["threads"]) == ("CPU x", 2)
    assert set(curve.origin["versions"]) == {"python", "numpy", "scipy", "torch"}
    # A build's local label, such as "+cpu", is not always in the metadata.
    release = torch.__version__.split("+")[0]
    assert curve.origin["versions"]["torch"].split("+")[0] == release
    assert curve.where.startswith("CPU x, 2 threads, torch ")


def test_times_are_kept_to_four_digits_and_nothing_else_is_changed():
    before = Timed("bitmask", 1 / 3, took(2 / 3, 123456.0), took(1e-7 / 3, 5e-6), 100, 50)
    (after,) = measured_now(LAYERS["LeNet-5 conv1"], [before]).points
    assert after.dense.times == (0.6667, 123500.0)
    assert after.sparse.times == (3.333e-8, 5e-6)
    with_its_times = replace(
        after,
        dense=replace(after.dense, times=before.dense.times),
        sparse=replace(after.sparse, times=before.sparse.times),
    )
    assert with_its_times == before


def test_nothing_measured_is_no_curve():
    with pytest.raises(ValueError, match="points must hold at least one measured product"):
        measured_now(Layer("made up", 4, 6, 2), [])


# Storing and loading


def test_what_is_loaded_is_what_was_stored(tmp_path):
    path = tmp_path / "a" / "new folder" / "curves.json"
    store(CURVES, path)
    assert load(path) == CURVES
    assert [*path.parent.iterdir()] == [path]


@settings(deadline=None)
@given(
    times=st.lists(SECONDS, min_size=1, max_size=5),
    sparsity=st.floats(0, 1),
    name=st.text(max_size=5),
    threads=st.integers(1, 99),
)
def test_every_number_comes_back_to_the_last_bit(tmp_path_factory, times, sparsity, name, threads):
    measured = Measurement(tuple(times), 12345678901, threads, "GPU é", False)
    timed = Timed(name, sparsity, measured, took(0.1), 2**40, 3)
    path = tmp_path_factory.mktemp("curves") / "one.json"
    store([made_up(timed)], path)
    (curve,) = load(path)
    assert curve == made_up(timed)
    assert curve.points[0].speedup == timed.speedup


def test_what_was_measured_now_comes_back(tmp_path):
    curve = measured_now(LAYERS["LeNet-5 conv1"], [point("bitmask", 0.5)])
    store([curve], tmp_path / "now.json")
    assert load(tmp_path / "now.json") == [curve]


def test_a_table_stands_beside_the_curves(tmp_path):
    frame = pd.DataFrame({"x": [1.5, 2.5]}, index=pd.Index([1, 2], name="row"))
    store(CURVES, tmp_path / "both.json", frame)
    assert load(tmp_path / "both.json") == CURVES
    stored = json.loads((tmp_path / "both.json").read_text(encoding="utf-8"))
    assert stored["table"] == [{"row": 1, "x": 1.5}, {"row": 2, "x": 2.5}]


def test_a_second_file_takes_the_place_of_the_first(tmp_path):
    path = tmp_path / "curves.json"
    store(CURVES, path)
    store(CURVES[:1], path)
    assert load(path) == CURVES[:1]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "curves.json"
    store(CURVES, path)
    write_text = Path.write_text

    def half(path, text, **options):
        write_text(path, text[: len(text) // 2], **options)
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="no space left"):
        store(CURVES[:1], path)
    assert load(path) == CURVES


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "curves.json"
    store(CURVES, path)
    odd = Curve(Layer("made up", 4, 6, 2), (), ORIGIN | {"threads": object()})
    with pytest.raises(TypeError, match="not JSON serializable"):
        store([CURVES[0], odd], path)
    assert load(path) == CURVES
    assert [*tmp_path.iterdir()] == [path]


def changed(change):
    """What `store` writes, but for one change."""
    text = json.dumps({"curves": [asdict(CURVES[0])]})
    stored = json.loads(text)
    change(stored["curves"][0])
    return json.dumps(stored)


BROKEN = {
    "empty": "",
    "cut off": '{"curves": [{"layer": ',
    "no object": "[1, 2]",
    "a number": "3",
    "another file": '{"cells": [], "metadata": {}}',
    "curves are no list": '{"curves": 3}',
    "a curve is a word": '{"curves": ["a"]}',
    "no layer": changed(lambda curve: curve.pop("layer")),
    "no points": changed(lambda curve: curve.pop("points")),
    "no origin": changed(lambda curve: curve.pop("origin")),
    "no date": changed(lambda curve: curve["origin"].pop("date")),
    "no versions": changed(lambda curve: curve["origin"].pop("versions")),
    "the origin is a word": changed(lambda curve: curve.update(origin="here")),
    "the origin is pairs": changed(lambda curve: curve.update(origin=["date", "device"])),
    "a layer of another kind": changed(lambda curve: curve["layer"].update(depth=3)),
    "a layer with less": changed(lambda curve: curve["layer"].pop("places")),
    "a point with more": changed(lambda curve: curve["points"][0].update(energy=1)),
    "a point with less": changed(lambda curve: curve["points"][1].pop("sparsity")),
    "no dense time": changed(lambda curve: curve["points"][0].pop("dense")),
    "no times": changed(lambda curve: curve["points"][0]["sparse"].pop("times")),
    "times are a number": changed(lambda curve: curve["points"][0]["sparse"].update(times=1.0)),
}


@pytest.mark.parametrize("why", BROKEN)
def test_another_file_is_named(tmp_path, why):
    path = tmp_path / "other.json"
    path.write_text(BROKEN[why], encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"expected curves as `store` writes them, got other\.json"
    ):
        load(path)


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path):
    path = tmp_path / "other.json"
    for write in (lambda: None, lambda: path.write_bytes(b"\xff\xfe\x00{"), lambda: None):
        write()
        with pytest.raises(ValueError, match=r"got other\.json: "):
            load(path)
    with pytest.raises(ValueError, match=r"IsADirectoryError|PermissionError"):
        load(tmp_path)


# What comes with the course


def test_recorded_curves_are_read_by_their_device(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "FOLDER", tmp_path)
    assert curves.recorded() == {}
    other = Curve(CURVES[0].layer, CURVES[0].points, ORIGIN | {"device": "GPU y"})
    store([other], tmp_path / "gpu.json")
    store(CURVES, tmp_path / "cpu.json")
    assert curves.recorded() == {"CPU x": CURVES, "GPU y": [other]}


def test_no_folder_is_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "FOLDER", tmp_path / "none")
    assert curves.recorded() == {}


def test_every_packaged_file_is_read_and_says_where_it_came_from():
    packaged = sorted(curves.FOLDER.glob("*.json"))
    found = curves.recorded()
    # Two files of one device would hide each other.
    assert len(found) == len(packaged)
    for device, its_curves in found.items():
        assert its_curves
        for curve in its_curves:
            assert curve.layer in LAYERS.values()
            assert curve.origin["device"] == device
            assert curve.origin["threads"] >= 1
            assert datetime.fromisoformat(curve.origin["date"]) <= datetime.now(UTC)
            assert {"python", "numpy", "scipy", "torch"} <= set(curve.origin["versions"])
            assert all(re.match(r"\d+\.\d+", v) for v in curve.origin["versions"].values())
            assert curve.points
            for timed in curve.points:
                for measured in (timed.dense, timed.sparse):
                    assert (measured.device, measured.threads) == (device, curve.origin["threads"])


def test_of_many_times_those_stay_that_have_the_same_quartiles():
    times = tuple(np.random.default_rng(0).lognormal(size=1001))
    many = Measurement(times, 5005, 1, "CPU x", is_settled=True)
    few = Measurement(times[:20], 20, 1, "CPU x", is_settled=True)
    measured = Timed("bitmask", 0.5, many, few, 100, 60)
    (kept,) = measured_now(Layer("made up", 4, 6, 2), [measured]).points
    assert len(kept.dense.times) == 25
    for name in ("lower", "median", "upper"):
        assert getattr(kept.dense, name) == pytest.approx(getattr(many, name), rel=5e-4)
        assert getattr(kept.sparse, name) == pytest.approx(getattr(few, name), rel=5e-4)
    assert kept.sparse.times == pytest.approx(times[:20], rel=5e-4)
    assert kept.dense.calls == 5005
