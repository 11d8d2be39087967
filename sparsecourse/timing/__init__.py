"""Honest measurement: how long something takes, and how long it would have to take.

- `measuring`: the time of one call, with its spread, threads and device
- `roofline`: how fast this machine multiplies and how fast it moves bytes, measured
- `patterns`, `formats`: where the zeros of a matrix are, and how it is held and multiplied
- `sparse`: the time of a layer's product in each format against the dense one
- `curves`: what was measured, stored with where it came from
- `alexnet`: the published table of AlexNet's layers, measured again
"""

from __future__ import annotations

from sparsecourse.timing.measuring import Measurement, Speedup, busy, measure, measure_in_turn

# From here on, timing.roofline is the function.
from sparsecourse.timing.roofline import Roofline, roofline

__all__ = [
    "Measurement",
    "Roofline",
    "Speedup",
    "busy",
    "measure",
    "measure_in_turn",
    "roofline",
]
