"""Lecture 09: a trained matrix in finer and coarser patterns of zeros: what is lost and saved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from sparsecourse.data import load
from sparsecourse.functional.pruning import bitmask_bytes, csr_bytes, relative_index_bytes
from sparsecourse.functional.sparse_matrix import rows_and_columns, to_bsr
from sparsecourse.functional.structured_masks import retained_weight_difference
from sparsecourse.timing.patterns import PATTERNS
from sparsecourse.training import fit
from sparsecourse.widgets.explorer import Explorer

CHOICES = tuple(pattern for pattern in PATTERNS if pattern != "none")
SHAPE = (64, 128)
MOST = 0.98  # sparsity at which the coarsest pattern still keeps a block
VALUE_BITS = 32
NUMBER_BITS = 16  # of a row, a column, or a column of blocks
POINTER_BITS = 32  # where a row of blocks begins
DISTANCE_BITS = 5  # of a relative index, as Han et al. choose for linear layers
WEIGHTS, INDEX, ZERO = "#0072B2", "#D55E00", (0.9, 0.9, 0.9)
PIXELS = 3  # of the picture, for the side of a weight


@dataclass(frozen=True)
class Granularity:
    """A matrix pruned in a pattern, and what it takes in the formats that can hold it.

    Attributes
    ----------
    pattern : str
    mask : ndarray of bool, shape (64, 128)
        True where a weight stays.
    kept_sizes : dict of str to float, 0 to 1
        For each pattern at this sparsity, the mean size of the weights that stay, relative to that
        of the largest ones, as many.
    stored_bytes : dict of str to int
        Of each format, with its indices. All take CSR, relative indices and a bitmask; the last
        one is the pattern's own, if it has one.
    """

    pattern: str
    mask: NDArray[np.bool_]
    kept_sizes: dict[str, float]
    stored_bytes: dict[str, int]

    @property
    def kept(self) -> int:
        """Number of weights that stay."""
        return int(self.mask.sum())

    @property
    def value_bytes(self) -> int:
        """Of the weights that stay, without anything that says where they belong."""
        return self.kept * VALUE_BITS // 8

    @property
    def dense_bytes(self) -> int:
        """Of the whole matrix, zeros included."""
        return self.mask.size * VALUE_BITS // 8

    def index_bits(self, name: str) -> float:
        """What a format adds to each weight that stays, fillers of relative indices included."""
        return 8 * (self.stored_bytes[name] - self.value_bytes) / self.kept

    @property
    def smallest(self) -> tuple[str, ...]:
        """The smallest format, or those that tie; none if all take as much as dense, or more."""
        least = min(self.stored_bytes.values())
        if least >= self.dense_bytes:
            return ()
        return tuple(name for name, size in self.stored_bytes.items() if size == least)


@cache
def trained_weights() -> Tensor:
    """Second layer of a perceptron 64-128-64-10, trained on the 8x8 digits.

    Returns
    -------
    W : Tensor, shape (64, 128)
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        second = nn.Linear(SHAPE[1], SHAPE[0])
        first, last = nn.Linear(64, SHAPE[1]), nn.Linear(SHAPE[0], 10)
    model = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), last)
    fit(model, load("digits").train, epochs=40, batch_size=64, device="cpu", progress=False)
    return second.weight.detach()


def own_format(W: Tensor, pattern: str, sparsity: float) -> dict[str, int]:
    """Count the bytes of the format that is made for a pattern, its indices included.

    Values take 32 bits each, and numbers of rows, columns and columns of blocks 16. No header is
    counted: the shape and the size of a block are known.

    Parameters
    ----------
    W : Tensor, shape (n_rows, n_columns)
        Pruned in the pattern.
    pattern : str
        A key of `PATTERNS`.
    sparsity : float, 0 to 1
        What the pattern was asked for.

    Returns
    -------
    bytes : dict of str to int
        By the name of the format; empty for "scattered" and "none", which have none of their own.

    References
    ----------
    Blocks: Gray, Radford, Kingma, GPU kernels for block-sparse weights, 2017. Regular blocks: Ren
    et al., DARB: a density-adaptive regular-block pruning for deep neural networks, AAAI 2020.
    2:4: Mishra et al., Accelerating sparse deep neural networks, 2021.
    """
    n_rows, n_columns = W.shape
    match pattern:
        case "4x4 blocks" | "16x16 blocks":
            side = int(pattern.partition("x")[0])
            values, columns, row_starts = to_bsr(W, (side, side))
            index = columns.numel() * NUMBER_BITS + row_starts.numel() * POINTER_BITS
            return {f"BSR {side}x{side}": _bytes(values.numel(), index)}
        case "regular blocks":
            size = min(round(1 / max(1 - sparsity, 1 / n_columns)), n_columns)
            n_entries = n_rows * math.ceil(n_columns / size)
            # An offset is a number from 0 to size - 1.
            return {"offsets": _bytes(n_entries, n_entries * (size - 1).bit_length())}
        case "2:4":
            n_entries = n_rows * math.ceil(n_columns / 4) * 2
            return {"2:4": _bytes(n_entries, 2 * n_entries)}
        case "rows and columns":
            small, rows, columns = rows_and_columns(W)
            index = (rows.numel() + columns.numel()) * NUMBER_BITS
            return {"smaller dense": _bytes(small.numel(), index)}
    return {}


def look_at(pattern: str, sparsity: float) -> Granularity:
    """Prune the trained matrix in a pattern, and count what every format takes for it.

    Parameters
    ----------
    pattern : str
        One of CHOICES.
    sparsity : float, 0 to 0.98
        The pattern comes as near to it as it can; 2:4 ignores it.

    Returns
    -------
    state : Granularity

    Raises
    ------
    ValueError
        If there is no such pattern, or if `sparsity` is out of range.

    References
    ----------
    Mean size of the weights that stay: Ren et al., DARB: a density-adaptive regular-block pruning
    for deep neural networks, AAAI 2020, table 2.
    """
    if pattern not in CHOICES:
        raise ValueError(f"pattern must be one of {list(CHOICES)}, got {pattern!r}")
    if not 0 <= sparsity <= MOST:
        raise ValueError(f"sparsity must be between 0 and {MOST}, got {sparsity}")
    W = trained_weights()
    masks = {name: PATTERNS[name](W, sparsity) for name in CHOICES}
    pruned = W * masks[pattern]
    return Granularity(
        pattern=pattern,
        mask=masks[pattern].numpy(),
        kept_sizes={
            name: 1 - float(retained_weight_difference(W, mask)) for name, mask in masks.items()
        },
        stored_bytes={
            "CSR": int(csr_bytes(pruned, NUMBER_BITS, VALUE_BITS)),
            "relative index": int(relative_index_bytes(pruned, DISTANCE_BITS, VALUE_BITS)),
            "bitmask": int(bitmask_bytes(pruned, VALUE_BITS)),
            **own_format(pruned, pattern, sparsity),
        },
    )


def draw_granularity(figure: Figure, state: Granularity) -> str:
    """Above, the mask and the mean size of what stays; below, the bytes of each format."""
    # A whole number of pixels for each weight: else, some look thicker than others.
    inches = figure.get_size_inches()[::-1]
    height, width = PIXELS * np.array(state.mask.shape) / figure.dpi / inches
    mask = figure.add_axes((0.02, 0.93 - height, width, height))
    mean = figure.add_axes((0.74, 0.93 - height, 0.17, height))
    stored = figure.add_axes((0.16, 0.11, 0.5, 0.26))

    mask.imshow(np.where(state.mask[..., None], to_rgb(WEIGHTS), ZERO), interpolation="nearest")
    mask.set_title(f"{state.kept:,} of {state.mask.size:,} weights stay")
    mask.set_axis_off()

    colours = [WEIGHTS if name == state.pattern else "#999999" for name in state.kept_sizes]
    # Said, as the others keep as many as the slider asks for, which costs them more.
    names = {name: "2:4 (half stay)" if name == "2:4" else name for name in state.kept_sizes}
    _bars(mean, {names[name]: size for name, size in state.kept_sizes.items()}, colours)
    for i, (name, size) in enumerate(state.kept_sizes.items()):
        _number(mean, 1.32, i, f"{size:.2f}", name == state.pattern)
    mean.set(xlim=(0, 1), xticks=[], xlabel="1: without a pattern")
    mean.set_title("Mean size of what stays", x=1.32, ha="right")

    kilobytes = {name: size / 1e3 for name, size in state.stored_bytes.items()}
    _bars(stored, kilobytes, INDEX, label="index")
    weights = dict.fromkeys(kilobytes, state.value_bytes / 1e3)
    _bars(stored, weights, WEIGHTS, label="weights")
    stored.axvline(state.dense_bytes / 1e3, color="black", ls="--", lw=1.2, label="dense")
    for i, (name, size) in enumerate(state.stored_bytes.items()):
        _number(stored, 1.26, i, f"{size:,}", name in state.smallest)
        _number(stored, 1.6, i, f"{state.index_bits(name):.2f}", name in state.smallest)
    _number(stored, 1.26, -1, "bytes")
    _number(stored, 1.6, -1, "bits of index\na weight")
    stored.set(xlim=(0, 50), xticks=[0, 20, 40], ylim=(3.5, -0.5), xlabel="kilobytes")
    stored.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.97), ncol=3, reverse=True)
    return _say(state)


def granularity() -> Explorer:
    """Explorer: pattern of the zeros and sparsity, against the bytes and the weights that stay.

    Returns
    -------
    explorer : Explorer
    """
    trained_weights()  # now, so that no later move has to wait
    controls = {
        "pattern": widgets.Dropdown(options=CHOICES, description="pattern of the zeros"),
        "sparsity": widgets.FloatSlider(
            value=0.9,
            min=0,
            max=MOST,
            step=0.02,
            description="sparsity",
            readout_format=".0%",
            layout={"width": "30em"},
        ),
    }
    return Explorer(look_at, draw_granularity, controls, size=(7.6, 4.6))


def _bars(
    axes: Axes, lengths: Mapping[str, float], colour: str | list[str], label: str | None = None
) -> None:
    """Lying bars with their names, the first on top."""
    axes.barh(range(len(lengths)), lengths.values(), color=colour, height=0.6, label=label)
    axes.set_yticks(range(len(lengths)), lengths)
    axes.set(ylim=(len(lengths) - 0.5, -0.5), axisbelow=True)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _number(axes: Axes, x: float, row: int, text: str, bold: bool = False) -> None:
    """Right of the bars, where none of them reaches."""
    how = {"ha": "right", "va": "center", "weight": "bold" if bold else "normal"}
    axes.text(x, row, text, transform=axes.get_yaxis_transform(), **how)


def _say(state: Granularity) -> str:
    """The sentences below the picture."""
    kept, size, dense = state.kept, state.mask.size, state.dense_bytes
    fixed = ", whatever the slider says" if state.pattern == "2:4" else ""
    said = (
        f"Pattern: {state.pattern}. {kept:,} of {size:,} trained weights stay, sparsity "
        f"{1 - kept / size:.3f}{fixed}; their mean size is "
        f"{state.kept_sizes[state.pattern]:.2f} of that of the {kept:,} largest. "
    )
    if not state.smallest:
        return said + f"No format is smaller than dense, {dense:,} bytes."
    stored = state.stored_bytes[state.smallest[0]]
    return said + (
        f"Smallest: {' and '.join(state.smallest)}, {stored:,} bytes, {dense / stored:.1f} times "
        f"smaller than dense, with {state.index_bits(state.smallest[0]):.2f} bits of index a "
        "weight."
    )


def _bytes(n_values: int, index_bits: int) -> int:
    """Of values, and of an index that is filled up to whole bytes."""
    return n_values * VALUE_BITS // 8 + math.ceil(index_bits / 8)
