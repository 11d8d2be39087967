"""The speed-up explorer: what it says and draws, and a measurement with times made up here."""

import asyncio
import base64
import html
import importlib
import io
import itertools
import json
import math
import re
import subprocess
import sys
import threading
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from sparsecourse import widgets
from sparsecourse.cli.requirements import ROOT
from sparsecourse.timing import curves
from sparsecourse.timing.curves import measured_now
from sparsecourse.timing.formats import FORMATS
from sparsecourse.timing.measuring import Measurement
from sparsecourse.timing.sparse import LAYERS, Layer, Timed, UnequalProductError, table
from sparsecourse.widgets.explorer import STYLE
from sparsecourse.widgets.speedup_curves import (
    LOOKS,
    View,
    draw_speedups,
    finding,
    percent,
    spaced,
)

# The package has a function of this name.
module = importlib.import_module("sparsecourse.widgets.speedup_explorer")

LENET = LAYERS["LeNet-5 conv2"]
ALEXNET = LAYERS["AlexNet conv2, one of 2 groups"]


def taking(*seconds, device="CPU of a test"):
    return Measurement(seconds, calls=len(seconds), threads=1, device=device, is_settled=True)


def point(name, sparsity, speedup, spread=0.0, device="CPU of a test"):
    """A product `speedup` times as fast as dense, its quartiles `spread` of it away."""
    times = (speedup - spread * speedup, speedup, speedup + spread * speedup)
    dense = taking(*times, device=device)
    return Timed(name, sparsity, dense, taking(1.0, device=device), 4000, 1000)


def curve_of(*points, layer=ALEXNET):
    return measured_now(layer, points)


@pytest.fixture(autouse=True)
def no_loop_of_others():
    """A browser test before these, in the same process, leaves a loop that never runs again."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSECOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(curves, "FOLDER", tmp_path / "recorded")
    monkeypatch.setattr(module, "busy", lambda: 0.02)
    return tmp_path / "cache" / "speedups.json"


@pytest.fixture
def swept(monkeypatch):
    """Times made up; what was asked for, and a gate that holds each product but the first."""

    class Sweep:
        def __init__(self):
            self.asked = []
            self.gate = threading.Event()
            self.gate.set()
            self.begun = threading.Event()
            self.error = None

        def __call__(self, layer, names, sparsities, **settings):
            self.asked.append((layer, list(names), list(sparsities), settings))
            yield point(names[0], 0.0, 0.5)
            self.begun.set()
            assert self.gate.wait(60)
            if self.error:
                raise self.error
            for sparsity in sparsities[1:]:
                yield point(names[0], sparsity, 0.2 / (1 - sparsity))

    sweep = Sweep()
    monkeypatch.setattr(module, "sweep", sweep)
    return sweep


def measure(explorer):
    explorer.measure.click()
    explorer.thread.join()


def tick(explorer, *names):
    for name, box in explorer.formats.items():
        box.value = name in names


def text_of(widget):
    return re.sub(r"<[^>]+>", "", widget.value)


def saved_table(explorer):
    data = re.search(r"href='data:text/csv;charset=utf-8;base64,([^']+)'", explorer.export.value)
    return pd.read_csv(io.BytesIO(base64.b64decode(data[1])))


def test_sparsities_leave_equal_ratios():
    s = np.array(spaced(0.0, 0.99, 8, 0.999))
    assert (s[0], s[-1], len(s)) == (0, 0.99, 8)
    np.testing.assert_allclose(np.diff(np.log(1 - s)), math.log(0.01) / 7, rtol=1e-9)
    s = spaced(0.5, 1.0, 8, 0.999)
    assert (s[0], *s[-2:], len(s)) == (0.5, 0.999, 1.0, 8)
    ratios = (1 - np.array(s[1:-1])) / (1 - np.array(s[:-2]))
    np.testing.assert_allclose(ratios, 0.002 ** (1 / 6), rtol=1e-9)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1, 1, (1.0,)), (0, 0, (0.0,)), (0.5, 0.5, (0.5,)), (0.999, 1, (0.999, 1.0))],
)
def test_a_range_of_one_sparsity_is_that_one(low, high, expected):
    assert spaced(low, high, 8, 0.999) == expected


@pytest.mark.parametrize(("low", "high"), [(0.9, 0.5), (-0.1, 0.5), (0, 1.1), (0, math.nan)])
def test_a_range_that_is_none_is_refused(low, high):
    with pytest.raises(ValueError, match=r"low|high"):
        spaced(low, high, 8, 0.999)


def test_percent_keeps_what_is_left_readable():
    shares = [0, 0.5, 0.9, 0.968, 0.99, 0.9951, 0.999, 0.99951, 1]
    assert [percent(share).removesuffix(" %") for share in shares] == (
        ["0", "50", "90", "96.8", "99", "99.51", "99.9", "99.951", "100"]
    )


def test_findings_say_from_where_on_it_is_faster():
    points = [point("torch CSR", s, x) for s, x in ((0, 0.2), (0.5, 0.8), (0.9, 2.5), (0.99, 20))]
    assert finding(points) == (
        "torch CSR: faster than dense from 90 % zeros on, of the sparsities measured; 20.0x at 99 % zeros, "
        "20 % of the 100x in theory."
    )
    assert "faster than dense at all sparsities measured; " in finding(points[2:])
    assert "nothing gained at any sparsity measured; 0.800x at 50 % zeros" in finding(points[:2])


def test_findings_say_where_the_band_holds_one():
    low, high = point("bitmask", 0.5, 0.5), point("bitmask", 0.9, 1.1, spread=0.4)
    band = high.speedup
    assert band.lower < 1 < band.upper
    assert f"of the sparsities measured (its quartiles there, {band.lower:.3f}" in finding(
        [low, high]
    )
    sure = point("bitmask", 0.9, 3.0, spread=0.1)
    assert "quartiles" not in finding([low, sure])


def test_findings_do_not_call_it_faster_where_it_falls_back():
    points = [point("bitmask", s, x) for s, x in ((0.5, 1.5), (0.9, 0.5))]
    assert finding(points).startswith(
        "bitmask: faster than dense at 50 % zeros, but not beyond; 0.500x"
    )


def test_a_single_point_has_no_crossover():
    assert finding([point("int8", 0.0, 1.8)]) == "int8: 1.80x at 0 % zeros."
    text = finding([point("2:4", 0.5, 1.5)])
    assert text == "2:4: 1.50x at 50 % zeros, 75 % of the 2.00x in theory."
    assert "quartiles" not in finding([point("int8", 0.0, 0.3, spread=0.1)])


def test_every_format_has_a_look_of_its_own():
    assert LOOKS.keys() == FORMATS.keys()
    assert len(set(LOOKS.values())) == len(LOOKS)


def many(n=8):
    sparsities = spaced(0, 0.999, n, 0.9999)
    return [
        point(name, s, (i + 1) * 0.1 / (1 - s), spread=0.2)
        for s in sparsities
        for i, name in enumerate(FORMATS)
    ]


PICTURES = {
    "nothing": None,
    "one point": [point("int8", 0.0, 1.8, spread=0.3)],
    "sparsity 0 alone": [point("torch CSR", 0.0, 0.2), point("bitmask", 0.0, 0.7)],
    "a hundredfold": [point("smaller GEMM", s, 1 / (1 - s)) for s in (0, 0.9, 0.99)],
    "above the theory": [point("smaller GEMM", s, 3 / (1 - s)) for s in (0, 0.9, 0.99)],
    "all below one": [point("masked dense", s, 0.02) for s in (0, 0.5, 0.99)],
    "all formats": many(),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("is_compared", [False, True])
def test_picture_shows_all_that_was_measured(name, is_compared):
    points = PICTURES[name]
    other = curve_of(point("torch CSR", 0.9, 5.0, device="GPU of a test"))
    curve = curve_of(*points) if points else None
    points = curve.points if curve else []
    view = View("a layer", (0.0, 0.5, 1.0), curve)
    if is_compared:
        view = replace(view, device="GPU of a test with a long name", beside=other)
    with plt.style.context(STYLE):
        figure = Figure(figsize=(7.6, 4.2))
        said = draw_speedups(figure, view)
        figure.draw_without_rendering()
    (axes,) = figure.axes
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    drawn = {line.get_label(): line for line in axes.get_lines()}
    for shown in dict.fromkeys(p.format for p in points):
        mine = [p for p in points if p.format == shown]
        np.testing.assert_allclose(drawn[shown].get_xdata(), [1 / (1 - p.sparsity) for p in mine])
        np.testing.assert_allclose(drawn[shown].get_ydata(), [p.speedup.ratio for p in mine])
        assert f"\n{shown}: " in said
    heights = [path.vertices[:, 1] for c in axes.collections for path in c.get_paths()]
    for p in points:
        assert x0 < p.theory < x1
        for edge in (p.speedup.lower, p.speedup.upper):
            assert np.isclose(np.concatenate(heights), edge).any(), "no band"
        assert y0 < p.speedup.lower <= p.speedup.upper < y1
    assert y0 < 1 < y1
    assert ("GPU of a test" in said) == is_compared

    # Nothing sticks out of the picture, and the legend's lines do not meet.
    whole = figure.bbox
    texts = [axes._left_title, axes.xaxis.label, *axes.get_legend().get_texts()]
    for text in texts:
        box = text.get_window_extent()
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1, text.get_text()
        assert whole.y0 <= box.y0
        assert box.y1 <= whole.y1
    labels = [t.get_window_extent() for t in axes.get_legend().get_texts()]
    assert all(above.y0 >= below.y1 - 1 for above, below in itertools.pairwise(labels))


def test_title_says_the_best_and_its_theory():
    figure = Figure()
    points = [point("smaller GEMM", 0.9, 8.0), point("torch CSR", 0.9, 0.4)]
    draw_speedups(figure, View("a layer", (), curve_of(*points)))
    assert figure.axes[0].get_title() == (
        f"{ALEXNET}\nfastest: 8.00x (smaller GEMM, 90 % zeros), 10.0x in theory"
    )
    figure = Figure()
    draw_speedups(figure, View("a layer", (), curve_of(points[1])))
    assert "no format was faster than dense" in figure.axes[0].get_title()


def test_measuring_asks_for_what_was_chosen(swept):
    explorer = widgets.speedup_explorer()
    explorer.layer.value = LENET.name
    explorer.span.value = (0.5, 0.9)
    tick(explorer, "torch CSR", "bitmask")
    measure(explorer)
    ((layer, names, sparsities, settings),) = swept.asked
    assert (layer, names) == (LENET, ["torch CSR", "bitmask"])
    assert sparsities == list(spaced(0.5, 0.9, 8, 0.999))
    assert settings["device"] == "cpu"
    assert settings["threads"] >= 1
    assert "Done: 8 products" in explorer.status.value
    assert "role='status'" in explorer.status.value
    assert explorer.bar.value == explorer.bar.max == 16
    assert explorer.alt.startswith(
        f"{LENET}, times as fast as dense. Measured: CPU of a test, 1 th"
    )
    assert "torch CSR: faster than dense from " in text_of(explorer.sentence)
    assert bytes(explorer.picture.value).startswith(b"\x89PNG")
    assert not explorer.measure.disabled
    assert explorer.stop.disabled


def test_a_page_without_a_kernel_gets_the_picture_and_its_words(swept):
    explorer = widgets.speedup_explorer()
    measure(explorer)
    data, metadata = explorer._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == explorer.picture.value
    assert data["text/plain"] == metadata["image/png"]["alt"] == explorer.alt


def test_while_measuring_only_stop_can_be_pressed(swept):
    swept.gate.clear()
    explorer = widgets.speedup_explorer()
    explorer.measure.click()
    assert swept.begun.wait(60)
    locked = [explorer.layer, explorer.span, explorer.measure, *explorer.formats.values()]
    assert all(control.disabled for control in locked)
    assert not explorer.stop.disabled
    assert "1 of 32 products measured, about " in explorer.status.value
    assert explorer.bar.value == 1
    first = explorer.thread
    explorer.measure.click()
    assert explorer.thread is first
    assert len(swept.asked) == 1
    explorer.stop.click()
    assert "Stopping after the product that is being timed" in explorer.status.value
    swept.gate.set()
    explorer.thread.join()
    assert "Stopped: 2 of 32 products are measured, and kept." in explorer.status.value
    assert len(explorer.state.curve.points) == 2
    assert not explorer.layer.disabled
    assert explorer.formats["2:4"].disabled == (module.why_not("2:4", "cpu") is not None)
    measure(explorer)
    assert "Done: 8 products" in explorer.status.value


def test_a_second_explorer_ends_the_measurement_of_the_first(swept):
    swept.gate.clear()
    first, second = widgets.speedup_explorer(), widgets.speedup_explorer()
    first.measure.click()
    assert swept.begun.wait(60)
    second.measure.click()
    assert len(swept.asked) == 1, "it waits until the clock is free"
    swept.gate.set()
    first.thread.join()
    second.thread.join()
    assert "Stopped: 2 of 32" in first.status.value
    assert "Done: 8 products" in second.status.value


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UnequalProductError("torch CSR is 1e-2 away"), "32 products: torch CSR is 1e-2 away."),
        (MemoryError("it needs 9 GB"), "32 products: it needs 9 GB."),
        (RuntimeError("<out of luck>"), "32 products: RuntimeError: &lt;out of luck&gt;."),
    ],
)
def test_errors_are_said_and_what_was_measured_is_kept(swept, error, said, cache):
    explorer = widgets.speedup_explorer()
    swept.error = error
    measure(explorer)
    assert f"Measuring ended after 1 of {said}" in explorer.status.value
    assert len(explorer.state.curve.points) == 1
    assert len(curves.load(cache)[0].points) == 1
    swept.error = None
    measure(explorer)
    assert "Done: 8 products" in explorer.status.value


def test_nothing_is_left_at_sparsity_one(swept):
    explorer = widgets.speedup_explorer()
    explorer.span.value = (0.0, 1.0)
    measure(explorer)
    assert max(swept.asked[0][2]) == 0.999
    assert "At 100 % zeros nothing is left, and no product is timed." in explorer.status.value


def test_sparsity_one_alone_times_nothing():
    explorer = widgets.speedup_explorer()
    explorer.span.value = (1.0, 1.0)
    measure(explorer)
    assert "Done: 0 products" in explorer.status.value
    assert "nothing is left" in explorer.status.value
    assert explorer.state.curve is None


def test_no_format_is_answered_with_a_sentence(swept):
    explorer = widgets.speedup_explorer()
    tick(explorer)
    explorer.measure.click()
    assert "choose at least one format" in explorer.status.value
    assert swept.asked == []


@pytest.mark.parametrize("side", ["rows", "columns", "places"])
def test_a_shape_that_is_none_is_answered_with_a_sentence(swept, side):
    explorer = widgets.speedup_explorer()
    explorer.layer.value = module.OWN
    for text in ("", "0", "-3", "2.5", "1e9", "many", "9" * 5000):
        explorer.own[side].value = text
        explorer.measure.click()
        said = f"{side} must be a whole number of at least 1, got '{text[:20]}'"
        assert said in html.unescape(explorer.status.value)
    assert swept.asked == []


@pytest.mark.parametrize("digits", [9, 400])
def test_a_shape_too_large_for_memory_is_answered_with_a_sentence(digits):
    explorer = widgets.speedup_explorer()
    explorer.layer.value = module.OWN
    explorer.own["rows"].value = explorer.own["columns"].value = "1" + digits * "0"
    measure(explorer)
    assert "Measuring ended after 0 of 32 products" in explorer.status.value
    assert explorer.state.curve is None
    assert not explorer.measure.disabled


def test_fields_of_a_shape_are_there_for_an_own_one_alone(swept):
    explorer = widgets.speedup_explorer()
    fields = explorer.children[1]
    assert fields.layout.display == "none"
    explorer.layer.value = module.OWN
    assert fields.layout.display != "none"
    for side, value in (("rows", " 7 "), ("columns", "5"), ("places", "3")):
        explorer.own[side].value = value
    measure(explorer)
    assert swept.asked[0][0] == Layer(module.OWN, 7, 5, 3)


def test_a_real_measurement_of_a_small_layer():
    explorer = widgets.speedup_explorer()
    explorer.layer.value = module.OWN
    for side in explorer.own.values():
        side.value = "64"
    explorer.span.value = (0.5, 0.5)
    tick(explorer, "smaller GEMM", "bitmask")
    measure(explorer)
    assert "Done: 2 products" in explorer.status.value
    assert explorer.state.curve.formats == ["bitmask", "smaller GEMM"]


def test_formats_that_cannot_be_held_are_disabled_with_the_reason():
    explorer = widgets.speedup_explorer()
    for name, box in explorer.formats.items():
        reason = module.why_not(name, "cpu")
        assert box.disabled == (reason is not None)
        assert text_of(explorer.ideas[name]) == box.tooltip == (reason or FORMATS[name].idea)
        assert not (box.disabled and box.value)
    assert "needs a GPU with sparse tensor cores" in explorer.ideas["2:4"].value
    assert not explorer.formats["masked dense"].disabled


def test_the_last_result_is_back_in_a_new_explorer(swept):
    explorer = widgets.speedup_explorer()
    explorer.layer.value = LENET.name
    tick(explorer, "bitmask")
    measure(explorer)
    again = widgets.speedup_explorer()
    assert again.state == explorer.state
    assert again.alt == explorer.alt
    assert again.export.value == explorer.export.value
    assert f"measured on {explorer.state.curve.origin['date'][:10]}" in again.status.value
    assert [name for name, box in again.formats.items() if box.value] == ["bitmask"]

    again.layer.value = ALEXNET.name
    assert again.state.curve is None
    measure(again)
    third = widgets.speedup_explorer()
    assert third.layer.value == ALEXNET.name
    third.layer.value = LENET.name
    assert third.state.curve == explorer.state.curve


def stored(path, **changes):
    """A file of one curve, with one thing changed in its only point."""
    curves.store([curve_of(point("bitmask", 0.5, 2.0))], path)
    content = json.loads(path.read_text())
    content["curves"][0]["points"][0] |= changes
    return json.dumps(content)


BROKEN = {
    "empty": lambda _: "",
    "cut": lambda path: stored(path)[:200],
    "a list": lambda _: "[]",
    "no layer": lambda _: '{"curves": [{}]}',
    "another format": lambda path: stored(path, format="no such format"),
    "nothing left": lambda path: stored(path, sparsity=1.0),
    "sparsity in words": lambda path: stored(path, sparsity="half"),
    "no measurement": lambda path: stored(path, sparse=None),
    "no times": lambda path: stored(path).replace("[1.0]", "[]"),
    "no time": lambda path: stored(path).replace("[1.0]", "[0.0]"),
    "no points": lambda path: re.sub(
        r'(?s)"points": .*"origin"', '"points": [], "origin"', stored(path)
    ),
    "no versions": lambda path: stored(path).replace('"versions"', '"editions"'),
    "another layer": lambda path: stored(path).replace(ALEXNET.name, "no such layer"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_broken_memory_is_refused(cache, name):
    cache.parent.mkdir()
    cache.write_text(BROKEN[name](cache))
    with pytest.raises(ValueError, match="holds no measured curves"):
        module.remembered()


def test_a_broken_memory_is_ignored_with_a_sentence(swept, cache):
    cache.parent.mkdir()
    cache.write_text("<script>")
    explorer = widgets.speedup_explorer()
    assert explorer.state.curve is None
    assert "Earlier results are ignored: " in explorer.status.value
    assert "<script>" not in explorer.status.value
    measure(explorer)
    assert "Done: 8 products" in explorer.status.value
    assert len(widgets.speedup_explorer().state.curve.points) == 8


def test_a_cache_that_cannot_be_written_is_said(swept, cache):
    cache.parent.write_text("a file, no folder")
    explorer = widgets.speedup_explorer()
    measure(explorer)
    assert "Done: 8 products" in explorer.status.value
    assert "It could not be stored for later: " in explorer.status.value


def record(*of_devices):
    for i, (device, layer) in enumerate(of_devices):
        curve = curve_of(point("torch CSR", 0.9, 5.0, device=device), layer=layer)
        curves.store([curve], curves.FOLDER / f"{i}.json")


def test_recorded_curves_are_shown_where_nothing_was_measured(swept):
    record(("CPU of the course", ALEXNET), ("GPU of the course", ALEXNET))
    explorer = widgets.speedup_explorer()
    assert "Recorded with the course: CPU of the course, 1 thread" in explorer.alt
    assert "speedups.csv" in explorer.export.value
    explorer.layer.value = LENET.name
    assert explorer.state.curve is None
    assert "nothing is measured yet" in explorer.alt
    explorer.layer.value = ALEXNET.name
    measure(explorer)
    assert "Measured: CPU of a test" in explorer.alt
    assert "of the course" not in explorer.alt


def test_a_recorded_device_can_be_compared_with(swept):
    assert len(widgets.speedup_explorer().beside.options) == 1
    record(("GPU of the course", ALEXNET))
    explorer = widgets.speedup_explorer()
    assert explorer.beside in explorer.children[0].children
    assert [device for _, device in explorer.beside.options] == [None, "GPU of the course"]
    before = explorer.picture.value
    explorer.beside.value = "GPU of the course"
    assert (
        "Dotted, to compare, recorded with the course: GPU of the course, 1 thread" in explorer.alt
    )
    assert explorer.picture.value != before
    explorer.layer.value = LENET.name
    assert "Dotted" not in explorer.alt
    assert [device for _, device in explorer.beside.options] == [None]
    assert explorer.beside.layout.display == "none"


def test_what_is_shown_is_not_compared_with_itself(swept):
    record(("CPU of the course", ALEXNET))
    explorer = widgets.speedup_explorer()
    assert explorer.beside.layout.display == "none"  # it is what is shown
    measure(explorer)
    assert [device for _, device in explorer.beside.options] == [None, "CPU of the course"]
    assert explorer.beside.layout.display == "flex"


def test_formats_that_are_not_chosen_are_not_shown(swept):
    both = curve_of(point("torch CSR", 0.9, 5.0), point("int8", 0.0, 2.0))
    gpu = "GPU of the course"
    other = curve_of(
        *(point(name, 0.5, 2.0, device=gpu) for name in ("torch CSR", "int8", "2:4")),
    )
    curves.store([both], curves.FOLDER / "cpu.json")
    curves.store([other], curves.FOLDER / "gpu.json")
    explorer = widgets.speedup_explorer()
    explorer.beside.value = gpu
    assert explorer.state.curve.formats == ["torch CSR"]
    # A format that this device lacks cannot be chosen, and is what one compares for.
    assert explorer.state.beside.formats == ["torch CSR"] + ["2:4"] * bool(
        module.why_not("2:4", "cpu")
    )
    tick(explorer, "int8")
    assert explorer.state.curve.formats == ["int8"]
    tick(explorer, "bitmask")
    assert explorer.state.curve is None
    assert "nothing is measured yet in the formats chosen" in explorer.alt
    assert len(saved_table(explorer)) == 2, "what is saved is all that was measured"


def test_times_of_a_busy_machine_are_doubted(swept, monkeypatch):
    explorer = widgets.speedup_explorer()
    measure(explorer)
    assert "Do not believe" not in explorer.status.value
    monkeypatch.setattr(module, "busy", lambda: 0.43)
    measure(explorer)
    assert "Do not believe the times: the processor was 43 % busy" in explorer.status.value


def test_controls_that_offer_no_choice_are_hidden():
    shown = widgets.speedup_explorer().children[0].children
    assert shown[0].options[0][0] == str(next(iter(LAYERS.values())))
    assert all(len(c.options) > 1 for c in shown if c.layout.display != "none")


def test_the_table_that_is_saved_holds_every_figure_and_where_it_is_from(swept):
    explorer = widgets.speedup_explorer()
    measure(explorer)
    saved = saved_table(explorer)
    points = explorer.state.curve.points
    expected = table(points)
    pd.testing.assert_frame_equal(saved[list(expected)], expected)
    assert set(saved["layer"]) == {ALEXNET.name}
    assert set(saved["torch"]) == {explorer.state.curve.origin["versions"]["torch"]}
    assert (saved[["rows", "columns", "places"]] == [128, 1200, 729]).all(axis=None)
    assert explorer.export.value.count("<tr") == 1 + len(points)


async def loop_is_idle():
    """What was handed to it runs in its next turn."""
    await asyncio.sleep(0)


def test_pictures_are_drawn_between_products_where_cells_run(monkeypatch):
    """With an event loop, as in a notebook: another thread never draws."""
    timing, drawn = threading.Event(), []

    def sweep(layer, names, sparsities, **settings):
        for sparsity in sparsities:
            timing.set()
            timed = point(names[0], sparsity, 2.0)
            timing.clear()
            yield timed

    class Watched(module.SpeedupExplorer):
        def redraw(self, change=None):
            drawn.append((threading.current_thread(), timing.is_set()))
            super().redraw(change)

    async def measure():
        explorer = Watched()
        drawn.clear()
        explorer.measure.click()
        await asyncio.to_thread(explorer.thread.join)
        await loop_is_idle()
        return explorer

    monkeypatch.setattr(module, "sweep", sweep)
    monkeypatch.setattr(module, "BETWEEN_DRAWINGS", 0)
    monkeypatch.setattr(module, "PATIENCE", 60)
    explorer = asyncio.run(measure())
    assert len(explorer.state.curve.points) == 8
    assert "speedups.csv" in explorer.export.value
    assert drawn == 9 * [(threading.main_thread(), False)]


def test_a_cell_that_runs_does_not_hold_up_the_measurement(swept, monkeypatch):
    """The loop is busy until all is measured; the last picture is drawn afterwards."""

    drawn = []

    class Watched(module.SpeedupExplorer):
        def redraw(self, change=None):
            drawn.append(change)
            super().redraw(change)

    async def measure():
        explorer = Watched()
        drawn.clear()
        explorer.measure.click()
        explorer.thread.join()
        assert "Done: 8 products" in explorer.status.value
        assert "Measured: " not in explorer.alt
        await loop_is_idle()
        assert "Measured: " in explorer.alt
        assert len(drawn) == 1, "those that came too late are given up"

    monkeypatch.setattr(module, "BETWEEN_DRAWINGS", 0)
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    asyncio.run(measure())


def test_python_ends_when_the_product_that_is_timed_has_ended():
    """It would abort where its end meets a thread inside of torch."""
    code = """
import atexit, importlib, threading
atexit.register(lambda: print(explorer.status.value))  # before the module's: called after it
module = importlib.import_module("sparsecourse.widgets.speedup_explorer")
begun, measured_now = threading.Event(), module.curves.measured_now

def watched(*arguments):
    begun.set()
    return measured_now(*arguments)

module.curves.measured_now = watched
explorer = module.speedup_explorer()
explorer.measure.click()
assert begun.wait(60)
assert explorer.is_measuring
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    assert "Stopped: " in ended.stdout
