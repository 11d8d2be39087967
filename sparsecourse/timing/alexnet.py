"""The published table of AlexNet's pruned convolutions, measured again at the table's sparsities.

Wen et al. pruned AlexNet twice: single weights with an l1 penalty, rows and columns with a group
lasso. They measured each convolution as a matrix product, on a CPU and on a GPU. Their trained
weights are not needed for the time of a product: ours have the same shapes, and zeros of the same
kind in the same shares.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd
import torch

from sparsecourse import papers
from sparsecourse.timing.curves import FOLDER, load
from sparsecourse.timing.measuring import require_device
from sparsecourse.timing.patterns import row_and_column_mask, scattered_mask
from sparsecourse.timing.sparse import LAYERS, SECONDS, Layer, Timed, time_product

TABLE = "ssl_alexnet_imagenet"
INDEX = ["row", "pruned", "layer"]
CONVOLUTIONS = {
    name.split()[1].rstrip(","): layer for name, layer in LAYERS.items() if "AlexNet" in name
}
RANDOM, STRUCTURED = "torch CSR", "smaller GEMM"
# Beside those that the authors could have used: the best of ours, and with the cost of gathering.
FORMATS = {RANDOM: [RANDOM, "course CSR"], STRUCTURED: [STRUCTURED, "gathered GEMM"]}


@dataclass(frozen=True)
class Pruned:
    """One layer of one row of the table.

    Attributes
    ----------
    row : int
        Its number in the table.
    convolution : str
    column_sparsity, row_sparsity : float
        In shares; NaN where single weights were pruned.
    sparsity : float
        In shares; of a structured one what rows and columns make together.
    cpu_speedup, gpu_speedup : float
        As published.
    """

    row: int
    convolution: str
    column_sparsity: float
    row_sparsity: float
    sparsity: float
    cpu_speedup: float
    gpu_speedup: float

    @property
    def is_structured(self) -> bool:
        """Whether rows and columns were pruned, not single weights."""
        return not math.isnan(self.row_sparsity)

    @property
    def layer(self) -> Layer:
        """The shape of the product."""
        return CONVOLUTIONS[self.convolution]

    @property
    def formats(self) -> list[str]:
        """Those it is measured in, the one of the paper first."""
        return FORMATS[STRUCTURED if self.is_structured else RANDOM]


def published() -> list[Pruned]:
    """The layers of the table's rows that say how fast they were.

    Returns
    -------
    layers : list of Pruned
        Row by row, conv1 to conv5.
    """
    frame = papers.table(TABLE).frame.set_index(["row", "statistic"])
    layers = []
    for row in frame.index.unique("row"):
        printed = frame.loc[row]
        if "cpu_speedup" not in printed.index:
            continue
        for convolution in CONVOLUTIONS:
            of = printed[convolution].get
            columns, rows = (of(f"{s}_sparsity_percent", math.nan) / 100 for s in ("column", "row"))
            together = 1 - (1 - columns) * (1 - rows)
            layers.append(
                Pruned(
                    row=int(row),
                    convolution=convolution,
                    column_sparsity=columns,
                    row_sparsity=rows,
                    sparsity=of("sparsity_percent", 100 * together) / 100,
                    cpu_speedup=of("cpu_speedup"),
                    gpu_speedup=of("gpu_speedup"),
                )
            )
    return layers


def measure_again(
    layers: Iterable[Pruned],
    *,
    device: torch.device | str = "cpu",
    threads: int | None = None,
    seed: int = 0,
    at_most: float = SECONDS,
) -> Iterator[tuple[Pruned, list[Timed]]]:
    """Time each layer in the formats that suit its zeros.

    Parameters
    ----------
    layers : iterable of Pruned
        `published`, or some of it.
    device : torch.device or str
    threads : int, optional
    seed : int
        Of weights and inputs.
    at_most : float, > 0
        Seconds of timed calls for each product.

    Yields
    ------
    pruned : Pruned
    timed : list of Timed
        One for each of its formats.
    """
    device = require_device(device)
    generator = torch.Generator().manual_seed(seed)
    for pruned in layers:
        shape = pruned.layer
        W = torch.randn(shape.rows, shape.columns, generator=generator)
        X = torch.randn(shape.columns, shape.places, generator=generator).to(device)
        mask = (
            row_and_column_mask(W, pruned.row_sparsity, pruned.column_sparsity)
            if pruned.is_structured
            else scattered_mask(W, pruned.sparsity)
        )
        W = (W * mask).to(device)
        yield (
            pruned,
            [time_product(name, W, X, threads=threads, at_most=at_most) for name in pruned.formats],
        )


def side_by_side(measured: Iterable[tuple[Pruned, list[Timed]]]) -> pd.DataFrame:
    """Ours beside the paper's, one line a layer.

    Parameters
    ----------
    measured : iterable of (Pruned, list of Timed)
        What `measure_again` gives.

    Returns
    -------
    table : DataFrame
        Index: row of the table, kind of pruning and layer. Columns: the share of zeros, the
        speed-up that multiply-adds promise, ours with its band, ours over the promise, our other
        format, and the paper's on a CPU and on a GPU.
    """
    lines = {}
    for pruned, (timed, other) in measured:
        kind = "rows and columns" if pruned.is_structured else "single weights"
        lines[pruned.row, kind, pruned.convolution] = {
            "zeros": timed.sparsity,
            "theory": timed.theory,
            "ours": timed.speedup.ratio,
            "lower": timed.speedup.lower,
            "upper": timed.speedup.upper,
            "ours / theory": timed.realised,
            "format": timed.format,
            "other format": other.format,
            "other": other.speedup.ratio,
            "paper CPU": pruned.cpu_speedup,
            "paper GPU": pruned.gpu_speedup,
        }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis(INDEX)


def recorded() -> dict[str, tuple[pd.DataFrame, str]]:
    """The table as it was measured on a quiet machine, for each recorded device.

    Returns
    -------
    recorded : dict of str to (DataFrame, str)
        Device -> `side_by_side`, and where it came from, in a line for readers.
    """
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        (first, *_), lines = load(path), json.loads(path.read_text(encoding="utf-8"))["table"]
        found[first.origin["device"]] = pd.DataFrame(lines).set_index(INDEX), first.where
    return found
