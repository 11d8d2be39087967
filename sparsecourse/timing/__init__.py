"""Honest measurement: how long something takes, and how long it would have to take.

- `measuring`: the time of one call, with its spread, threads and device
- `roofline`: how fast this machine multiplies and how fast it moves bytes, measured
"""

from __future__ import annotations

from sparsecourse.timing.measuring import Measurement, Speedup, measure

# From here on, timing.roofline is the function.
from sparsecourse.timing.roofline import Roofline, roofline

__all__ = ["Measurement", "Roofline", "Speedup", "measure", "roofline"]
