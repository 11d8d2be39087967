"""The base of all explorers: controls, one picture that follows them, one sentence that says it."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from sparsecourse.notebook import png

# Automatic layout would double the time of a redraw, so each `draw` calls subplots_adjust.
STYLE = ["sparsecourse.house", {"figure.constrained_layout.use": False}]


class Explorer(widgets.VBox):
    """Controls above a picture which is drawn anew, into one reused figure, when one moves.

    Parameters
    ----------
    compute : callable
        A pure function of the controls' values, by keyword; its result is kept in `state`.
    draw : callable
        ``draw(figure, state)`` draws on the emptied figure and returns one to three sentences
        that say what the picture shows: they stand below it, also for those who cannot see it.
    controls : dict of str to ipywidgets value widget
        One to three of them (the keys are `compute`'s arguments).
    size : (float, float)
        Width and height in inches, at 100 dots per inch.
    still : callable, optional
        ``still(figure, state)`` draws the picture for pages without a kernel, where it must also
        show what a control shows elsewhere. Default: the same picture.

    Raises
    ------
    ValueError
        If there is no control.
    """

    def __init__(
        self,
        compute: Callable[..., Any],
        draw: Callable[[Figure, Any], str],
        controls: dict[str, widgets.ValueWidget],
        size: tuple[float, float] = (7.6, 3.6),
        still: Callable[[Figure, Any], object] | None = None,
    ) -> None:
        if not controls:
            raise ValueError("controls must hold at least one widget, got none")
        self.compute, self.draw, self.controls, self.still = compute, draw, controls, still
        with plt.style.context(STYLE):
            self.figure = Figure(figsize=size)  # not pyplot's: nothing else may show or close it
        width = f"{100 * size[0]:.0f}px"  # as drawn: stretched, it would be blurred
        self.picture = widgets.Image(format="png", layout={"width": width, "max_width": "100%"})
        self.sentence = widgets.HTML()
        super().__init__([*controls.values(), self.picture, self.sentence])
        self.add_class("sparsecourse-explorer")
        for control in controls.values():
            if control.has_trait("style"):
                control.style.description_width = "initial"
            control.observe(self.redraw, names="value")
        self.redraw()

    def redraw(self, _change: object = None) -> None:
        """Bring picture and sentence in line with the controls; errors are shown, and raised."""
        values = {name: control.value for name, control in self.controls.items()}
        try:
            with plt.style.context(STYLE):
                self.state = self.compute(**values)
                self.figure.clear()
                self.alt = self.draw(self.figure, self.state)
                self.picture.value = png(self.figure)
        except Exception as error:
            # The kernel puts a callback's traceback in the log, where no student looks.
            message = html.escape(f"{type(error).__name__}: {error}")
            self.sentence.value = f"<b>This picture could not be drawn.</b> {message}"
            raise
        self.sentence.value = f"<p role='status'>{html.escape(self.alt)}</p>"

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        """Add a still picture and its description, for pages without a kernel."""
        data = super()._repr_mimebundle_(**kwargs)
        data["image/png"] = base64.b64encode(self._still_picture()).decode()
        data["text/plain"] = self.alt
        return data, {"image/png": {"alt": self.alt}}

    def _still_picture(self) -> bytes:
        if self.still is None:
            return self.picture.value
        with plt.style.context(STYLE):
            figure = Figure(figsize=self.figure.get_size_inches())
            self.still(figure, self.state)
            return png(figure)
