"""Lecture 09: measure what sparsity gains in time, on this machine, layer by layer.

Products are timed in a thread of their own, so that other cells and the Stop button work. Nothing
is drawn while one is timed.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import html
import math
import threading
from concurrent.futures import Future
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import perf_counter

import ipywidgets as widgets
import torch

from sparsecourse.data.catalogue import cache_folder
from sparsecourse.timing import curves
from sparsecourse.timing.curves import Curve
from sparsecourse.timing.formats import FORMATS, CannotHoldError, quiet
from sparsecourse.timing.measuring import busy
from sparsecourse.timing.patterns import PATTERNS
from sparsecourse.timing.sparse import (
    LAYERS,
    Layer,
    Timed,
    UnequalProductError,
    n_products,
    sweep,
    table,
)
from sparsecourse.widgets.explorer import Explorer
from sparsecourse.widgets.speedup_curves import View, draw_speedups, percent, spaced

FIRST_LAYER = "AlexNet conv2, one of 2 groups"
FIRST_FORMATS = ("masked dense", "torch CSR", "BSR 16x16", "smaller GEMM")
SPARSITIES = (0.0, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)
FIRST_SPAN = (0.0, 0.99)
N_SPARSITIES = 8
SECONDS = 0.2  # of timed calls a product: the first measurement takes half a minute at most
BETWEEN_DRAWINGS = 0.5  # seconds, at least
SECONDS_TO_EXIT = 3.0  # less than a server grants its kernels
PATIENCE = 0.5  # seconds to wait for a drawing while another cell runs
OWN = "own shape"
NOTHING = ("nothing", None)  # to compare with
SIDES = ("rows", "columns", "places")
PROBED = 64  # rows and columns: sparse tensor cores take no fewer
TOO_BUSY = 0.1  # what other programs may use of the processor

# Two measurements at once would measure each other.
_clock = threading.Lock()


def remembered() -> dict[str, Curve]:
    """What was measured here before.

    Returns
    -------
    remembered : dict of str to Curve
        Name of the layer -> its last curve; the latest one comes last. Empty where there is none.

    Raises
    ------
    ValueError
        If the file is not what `remember` writes.
    """
    path = _memory()
    if not path.is_file():
        return {}
    try:
        found = {curve.layer.name: curve for curve in curves.load(path)}
        if not all(map(_can_be_shown, found.values())):
            raise ValueError("a point has no format of the course, no sparsity or no times")
    except Exception as error:  # whatever is wrong with it
        raise ValueError(f"{path} holds no measured curves: {error}") from error
    return found


def remember(curve: Curve) -> None:
    """Keep what was measured, for the next explorer; other layers' curves stay.

    Parameters
    ----------
    curve : Curve

    Raises
    ------
    OSError
        If it cannot be written.
    """
    try:
        known = remembered()
    except ValueError:
        known = {}
    known.pop(curve.layer.name, None)
    curves.store([*known.values(), curve], _memory())


@cache
def why_not(name: str, device: str) -> str | None:
    """Why a format cannot be measured on a device: tried out on a small matrix.

    Parameters
    ----------
    name : str
        Of a format.
    device : str

    Returns
    -------
    reason : str or None
        None where it can.
    """
    chosen = FORMATS[name]
    W = torch.randn(PROBED, PROBED, generator=torch.Generator().manual_seed(0))
    W = (W * PATTERNS[chosen.pattern](W, 0.5)).to(device, chosen.dtype)
    try:
        with quiet():
            held = chosen.hold(W, torch.ones_like(W))
            held.full(held.product())
    except (CannotHoldError, RuntimeError) as error:  # torch raises the latter, built without
        return str(error).partition("\n")[0].removeprefix(f"{name} ")
    return None


def own_layer(rows: str, columns: str, places: str) -> Layer:
    """The layer that a student typed.

    Parameters
    ----------
    rows, columns, places : str

    Returns
    -------
    layer : Layer

    Raises
    ------
    ValueError
        If one of them is no whole number of at least 1.
    """
    sides = {}
    for name, text in zip(SIDES, (rows, columns, places), strict=True):
        try:
            sides[name] = int(text)
        except ValueError:
            sides[name] = 0
        if sides[name] < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {text[:20]!r}")
    return Layer(OWN, **sides)


class SpeedupExplorer(Explorer):
    """Choose a layer, formats and sparsities; press Measure; curves grow beside the theory.

    Attributes
    ----------
    layer, span, beside, device : ipywidgets selections
        The layer, the range of sparsities, a recorded device to compare with, and cpu or cuda.
    own : dict of str to Text
        The sides of a shape of one's own.
    formats, ideas : dict of str to Checkbox, dict of str to HTML
        How each format works, or why it cannot be measured, stands beside its box.
    known : dict of str to Curve
        Name of a layer -> what was measured last.
    is_measuring : bool
        Whether products are being timed, or wait for another explorer's to end.
    thread : Thread or None
        The last one that measured.
    """

    at_work: SpeedupExplorer | None = None  # the one whose thread measures

    def __init__(self) -> None:
        problem = ""
        try:
            self.known = remembered()
        except ValueError as error:
            self.known, problem = {}, f"Earlier results are ignored: {error}"
        self.recorded = curves.recorded()
        self.is_measuring = False
        self.thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._drawing = threading.Lock()
        try:
            self._loop = asyncio.get_running_loop()  # a notebook's: cells run there
        except RuntimeError:
            self._loop = None

        last = next(reversed(self.known.values()), None)
        self.layer = widgets.Dropdown(
            options=[*((str(layer), name) for name, layer in LAYERS.items()), (OWN, OWN)],
            value=last.layer.name if last else FIRST_LAYER,
            description="layer",
            layout={"width": "28em"},
        )
        shape = self.known[OWN].layer if OWN in self.known else LAYERS[FIRST_LAYER]
        self.own = {
            side: widgets.Text(
                str(getattr(shape, side)), description=side, layout={"width": "16em"}
            )
            for side in SIDES
        }
        self.device = widgets.Dropdown(
            options=["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"], description="device"
        )
        ticked = last.formats if last else FIRST_FORMATS
        self.formats = {
            name: widgets.Checkbox(
                name in ticked, description=name, indent=False, layout={"flex": "0 0 11em"}
            )
            for name in FORMATS
        }
        self.ideas = {name: widgets.HTML() for name in FORMATS}
        self._offer_formats()
        self.span = widgets.SelectionRangeSlider(
            options=[(percent(s), s) for s in SPARSITIES],
            value=FIRST_SPAN,
            description="zeros",
            layout={"width": "36em"},
        )
        self.beside = widgets.Dropdown(options=[NOTHING], description="compare with")
        self.measure = widgets.Button(description="Measure", button_style="primary")
        self.stop = widgets.Button(description="Stop", disabled=True)
        self.bar = widgets.IntProgress(0, 0, 1, layout={"width": "16em", "visibility": "hidden"})
        self.status = widgets.HTML()
        self.export = widgets.HTML()
        super().__init__(
            self._look,
            draw_speedups,
            {"layer": self.layer, "span": self.span, "beside": self.beside},
            size=(7.6, 4.2),
        )
        self._sides = widgets.HBox([*self.own.values()])
        self.children = [
            widgets.HBox(
                [self.layer] + [self.device] * (len(self.device.options) > 1) + [self.beside],
                layout={"flex_flow": "row wrap"},
            ),
            self._sides,
            widgets.GridBox(
                [widgets.HBox([box, self.ideas[name]]) for name, box in self.formats.items()],
                layout={"grid_template_columns": "repeat(auto-fit, minmax(26em, 1fr))"},
            ),
            self.span,
            widgets.HBox([self.measure, self.stop, self.bar]),
            self.status,
            self.picture,
            self.sentence,
            self.export,
        ]
        self.layer.observe(self._show_layer, names="value")
        self.device.observe(self._offer_recorded, names="value")
        self.device.observe(self._offer_formats, names="value")
        for control in (self.device, *self.formats.values()):
            control.observe(self.redraw, names="value")
        self.measure.on_click(self._start)
        self.stop.on_click(self.end)
        self._show_layer()
        if problem:
            self._say(problem)
        elif last:
            self._say(f"Your last result is shown, measured on {last.origin['date'][:10]}.")

    def redraw(self, change: object = None) -> None:
        """Bring picture, sentences and table in line with the controls."""
        # Cells, controls and measurements may each have a thread. What is read out is the status.
        with self._drawing, self.sentence.hold_sync():
            super().redraw(change)
            first, *findings = map(html.escape, self.alt.split("\n"))
            listed = "".join(f"<li>{line}</li>" for line in findings)
            self.sentence.value = f"<p>{first}</p><ul>{listed}</ul>"
            curve = None if self.is_measuring else self._curve(self.layer.value)
            self.export.value = _export(curve) if curve else ""

    def end(self, _button: object = None) -> None:
        """Stop measuring after the product that is being timed."""
        self._stopped.set()
        self._say("Stopping after the product that is being timed.")

    def _look(self, layer: str, span: tuple[float, float], beside: str | None) -> View:
        """What is known of a layer: of the formats chosen, and of those that this device lacks."""
        chosen = {name for name, box in self.formats.items() if box.value}
        lacking = {name for name in FORMATS if why_not(name, self.device.value)}
        other = None if beside is None else self._recorded(beside, layer)
        return View(
            layer=str(LAYERS.get(layer, layer)),
            planned=spaced(*span, N_SPARSITIES, densest=SPARSITIES[-2]),
            curve=_part(self._curve(layer), chosen),
            is_recorded=layer not in self.known,
            device=beside,
            beside=_part(other, chosen | lacking),
        )

    def _offer_recorded(self, _change: object = None) -> None:
        """Offer the devices that have the layer recorded, and are not what is shown anyway."""
        layer = self.layer.value
        shown, chosen = self._curve(layer), self.beside.value
        others = [d for d in self.recorded if self._recorded(d, layer) not in (None, shown)]
        options = (NOTHING, *((f"recorded: {device}", device) for device in others))
        if options != self.beside.options:
            self.beside.options = options
            self.beside.value = chosen if chosen in others else None
        self.beside.layout.display = "flex" if others else "none"

    def _curve(self, layer: str) -> Curve | None:
        """What was measured here, or else what was recorded on such a device."""
        kind = "CPU" if self.device.value == "cpu" else torch.cuda.get_device_name()
        like = [device for device in self.recorded if device.startswith(kind)]
        recorded = [self._recorded(device, layer) for device in like]
        return self.known.get(layer) or next(filter(None, recorded), None)

    def _recorded(self, device: str, layer: str) -> Curve | None:
        found = (curve for curve in self.recorded[device] if curve.layer.name == layer)
        return next(found, None)

    def _show_layer(self, _change: object = None) -> None:
        self._sides.layout.display = "flex" if self.layer.value == OWN else "none"
        self._offer_recorded()
        self._say("")

    def _offer_formats(self, _change: object = None) -> None:
        for name, box in self.formats.items():
            reason = why_not(name, self.device.value)
            box.tooltip = reason or FORMATS[name].idea
            idea = html.escape(box.tooltip)
            # Beside the box, and not as its label: that would be cut where it needs two lines.
            self.ideas[name].value = f"<p style='line-height: 1.2; margin: 0.3em'>{idea}</p>"
            box.disabled = reason is not None
            box.value = box.value and not box.disabled

    def _start(self, _button: object) -> None:
        if self.is_measuring:
            return
        try:
            own = self.layer.value == OWN
            layer = own_layer(*(side.value for side in self.own.values())) if own else None
            names = [name for name, box in self.formats.items() if box.value]
            if not names:
                raise ValueError("choose at least one format")
        except ValueError as error:
            self._say(f"Nothing was measured: {error}.")
            return
        other, SpeedupExplorer.at_work = SpeedupExplorer.at_work, self
        if other is not None and other.is_measuring:
            other.end()  # its cell may have been run again: no one could stop it
        if self.thread is not None:
            self.thread.join()  # it has measured, and enables the controls
        self.is_measuring = True
        self._stopped.clear()
        self._enable(False)
        self.thread = threading.Thread(
            target=self._measure,
            args=(layer or LAYERS[self.layer.value], names, self.state.planned),
            # Threads of torch are counted here: a new thread of Python may have another number.
            kwargs={"device": self.device.value, "threads": torch.get_num_threads()},
            daemon=True,
        )
        self.thread.start()

    def _measure(
        self, layer: Layer, names: list[str], planned: tuple[float, ...], **where: object
    ) -> None:
        """Time product after product; all that goes wrong is said."""
        points: list[Timed] = []
        sparsities = [sparsity for sparsity in planned if sparsity < 1]
        total = n_products(names, sparsities)
        self.bar.max, self.bar.value = max(total, 1), 0
        self.bar.layout.visibility = "visible"
        self._say(f"Measuring {total} products of {layer}.")
        start, doubt = perf_counter(), ""
        try:
            with _clock:
                share = busy()
                if share > TOO_BUSY:
                    doubt = (
                        f" Do not believe the times: the processor was {100 * share:.0f} % busy "
                        "with something else."
                    )
                products = sweep(layer, names, sparsities, at_most=SECONDS, **where)
                drawn = start = perf_counter()
                while not self._stopped.is_set() and (timed := next(products, None)):
                    points.append(timed)
                    self.known[layer.name] = curves.measured_now(layer, points)
                    self._progress(len(points), total, perf_counter() - start)
                    if perf_counter() - drawn > BETWEEN_DRAWINGS:
                        self._draw(PATIENCE)
                        drawn = perf_counter()
            if self._stopped.is_set():
                end = f"Stopped: {len(points)} of {total} products are measured, and kept."
            else:
                self.bar.value = self.bar.max
                end = f"Done: {len(points)} products in {perf_counter() - start:.0f} s."
        except (CannotHoldError, UnequalProductError, MemoryError, ValueError) as error:
            end = f"Measuring ended after {len(points)} of {total} products: {error}."
        except Exception as error:
            kind = type(error).__name__
            end = f"Measuring ended after {len(points)} of {total} products: {kind}: {error}."
        if len(sparsities) < len(planned):
            end += " At 100 % zeros nothing is left, and no product is timed."
        if points:
            end += doubt
            try:
                remember(self.known[layer.name])
            except OSError as error:
                end += f" It could not be stored for later: {error}."
        self.is_measuring = False
        self._offer_recorded()
        try:
            self._draw(None)
        finally:
            self._say(end)
            self._enable(True)

    def _progress(self, done: int, total: int, seconds: float) -> None:
        self.bar.value = done
        left = seconds / done * (total - done)
        self._say(f"{done} of {total} products measured, about {left:.0f} s left.")

    def _draw(self, patience: float | None) -> None:
        """Draw where cells run: matplotlib has one style for all threads, and a cell may draw.

        While a cell runs there, this one drawing is given up after `patience` in seconds, so that
        it does not come while the next product is timed. With None it comes whenever it can.
        """
        if self._loop is None:
            self.redraw()
            return
        if self._loop.is_closed():
            return

        drawn: Future[None] = Future()

        def redraw() -> None:
            if drawn.set_running_or_notify_cancel():  # not given up
                try:
                    drawn.set_result(self.redraw())
                except Exception as error:
                    drawn.set_exception(error)

        self._loop.call_soon_threadsafe(redraw)
        if patience is None:
            return
        try:
            drawn.result(patience)
        except TimeoutError:
            drawn.cancel()

    def _enable(self, idle: bool) -> None:
        for control in (self.layer, self.span, self.beside, self.device, *self.own.values()):
            control.disabled = not idle
        for name, box in self.formats.items():
            box.disabled = not idle or why_not(name, self.device.value) is not None
        self.measure.disabled, self.stop.disabled = not idle, idle

    def _say(self, text: str) -> None:
        self.status.value = f"<p role='status'>{html.escape(text)}</p>"


def speedup_explorer() -> SpeedupExplorer:
    """Explorer: layer, formats and sparsities, against the speed-up measured on this machine.

    Returns
    -------
    explorer : SpeedupExplorer
    """
    return SpeedupExplorer()


@atexit.register
def _end_at_exit() -> None:
    """A thread that Python's end meets inside of torch would abort the process."""
    if (measuring := SpeedupExplorer.at_work) is not None and measuring.is_measuring:
        measuring.end()
        measuring.thread.join(SECONDS_TO_EXIT)


def _part(curve: Curve | None, names: set[str]) -> Curve | None:
    """The points of some formats; None where there are none."""
    points = tuple(point for point in curve.points if point.format in names) if curve else ()
    return replace(curve, points=points) if points else None


def _memory() -> Path:
    return cache_folder() / "speedups.json"


def _can_be_shown(curve: Curve) -> bool:
    """Whether a stored curve is of this course, and its figures are figures."""
    return (
        curve.layer.name in {*LAYERS, OWN}
        and bool(curve.where)
        and len(table(curve.points)) > 0
        and all(
            point.format in FORMATS
            and 0 <= point.sparsity < 1
            and 0 < point.speedup.lower <= point.speedup.upper < math.inf
            for point in curve.points
        )
    )


def _export(curve: Curve) -> str:
    """The table, folded, and a link that saves it: nothing is asked of a server."""
    layer, origin = curve.layer, curve.origin
    frame = table(curve.points)
    shown = frame.to_html(index=False, border=0, float_format="{:.3g}".format)
    whole = frame.assign(
        layer=layer.name,
        rows=layer.rows,
        columns=layer.columns,
        places=layer.places,
        torch=origin["versions"]["torch"],
        date=origin["date"],
    )
    data = base64.b64encode(whole.to_csv(index=False).encode()).decode()
    return (
        "<details><summary>All that was measured, as a table</summary>"
        "<div style='max-height: 24em; overflow: auto; white-space: nowrap; line-height: 1.2'>"
        f"{shown}</div></details>"
        "<a download='speedups.csv' style='text-decoration: underline' "
        f"href='data:text/csv;charset=utf-8;base64,{data}'>"
        "Save the table as speedups.csv</a>"
    )
