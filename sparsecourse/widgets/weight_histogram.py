"""A histogram of weights as a control: its value is a threshold, which is dragged."""

from __future__ import annotations

from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets


class WeightHistogram(anywidget.AnyWidget, widgets.ValueWidget):
    """Bars of weights, grey up to the threshold, which the pointer or the arrow keys move.

    All of it is drawn in the browser, so that it follows the pointer; Python hears of the value as
    often as it has time to.

    Parameters
    ----------
    value : float, `min` to `max`
        The threshold c: it lies at c and at -c standard deviations.
    min, max : float
        The horizontal axis reaches from -max to max.
    counts : list of int
        Weights in each of equal bins from -max to max.
    beyond : int
        Weights outside of these bins.
    deviation : float
        One standard deviation, in the units of the weights; 0 where layers differ in it.
    """

    _esm = Path(__file__).with_suffix(".js")
    value = traitlets.Float(1.0).tag(sync=True)
    min = traitlets.Float(0.0).tag(sync=True)
    max = traitlets.Float(3.0).tag(sync=True)
    counts = traitlets.List(traitlets.Int()).tag(sync=True)
    beyond = traitlets.Int().tag(sync=True)
    deviation = traitlets.Float().tag(sync=True)

    @traitlets.validate("value")
    def _keep_on_the_axis(self, proposal: traitlets.Bunch) -> float:
        """As the sliders of ipywidgets do."""
        return min(max(proposal["value"], self.min), self.max)
