"""What sparsity gains in time: one layer's product, dense and in other formats, on this machine.

Three rules keep the figures honest:

- No product is timed before its result was compared with that of the dense one, in float64.
- Dense and sparse are timed in turn, a little of each again and again: a machine that grows busy
  slows both.
- The theory counts multiply-adds alone. The bytes count all that is stored, indices among it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
import psutil
import torch
from torch import Tensor

from sparsecourse.functional.validation import finite_tensor
from sparsecourse.reference.validation import fraction
from sparsecourse.timing.formats import FLOAT32_ERROR, FORMATS, HALF_ERROR, Format, Held, dense
from sparsecourse.timing.measuring import Measurement, Speedup, measure_in_turn, require_device
from sparsecourse.timing.patterns import PATTERNS

SECONDS = 0.3  # of timed calls, for each product
COPIES = 20  # of the matrices at once: the check in float64, and what formats make on their way


class UnequalProductError(ArithmeticError):
    """A format gives another product than the dense one: its time would mean nothing."""


@dataclass(frozen=True)
class Layer:
    """The product that a layer is, once im2col has written its input as columns.

    Attributes
    ----------
    name : str
    rows : int
        Filters.
    columns : int
        Inputs of a filter: channels times height times width of the kernel.
    places : int
        Output pixels, of all images of a batch.
    """

    name: str
    rows: int
    columns: int
    places: int

    @property
    def multiply_adds(self) -> int:
        """Of the dense product."""
        return self.rows * self.columns * self.places

    def __str__(self) -> str:
        return f"{self.name} ({self.rows} x {self.columns}, {self.places} places)"


# Of layers in groups, one group: the others are the same again.
LAYERS = {
    layer.name: layer
    for layer in (
        Layer("AlexNet conv1", 96, 363, 3025),
        Layer("AlexNet conv2, one of 2 groups", 128, 1200, 729),
        Layer("AlexNet conv3", 384, 2304, 169),
        Layer("AlexNet conv4, one of 2 groups", 192, 1728, 169),
        Layer("AlexNet conv5, one of 2 groups", 128, 1728, 169),
        Layer("LeNet-5 conv1", 20, 25, 576),
        Layer("LeNet-5 conv2", 50, 500, 64),
        Layer("ResNet-50 conv2_x, 1x1", 256, 64, 3136),
        Layer("ResNet-50 conv4_x, 3x3", 256, 2304, 196),
        Layer("ResNet-50 conv5_x, 1x1", 2048, 512, 49),
    )
}


@dataclass(frozen=True)
class Timed:
    """One product in one format, beside the dense one.

    Attributes
    ----------
    format : str
    sparsity : float
        The share of zeros that W had, counted.
    dense, sparse : Measurement
        Of one call each.
    dense_bytes, sparse_bytes : int
        What W takes in memory, with all indices.
    """

    format: str
    sparsity: float
    dense: Measurement
    sparse: Measurement
    dense_bytes: int
    sparse_bytes: int

    @property
    def speedup(self) -> Speedup:
        """How many times faster it is than dense: the ratio of medians, and the quartiles' band."""
        return self.sparse.speedup_over(self.dense)

    @property
    def theory(self) -> float:
        """The dense multiply-adds over those of the weights that are left; inf for none."""
        return theoretical_speedup(self.sparsity)

    @property
    def realised(self) -> float:
        """The share of the theory that was measured."""
        return self.speedup.ratio / self.theory

    @property
    def compression(self) -> float:
        """How many times fewer bytes it takes, its indices counted."""
        return self.dense_bytes / self.sparse_bytes


def theoretical_speedup(sparsity: float) -> float:
    """What skipping every zero would gain, if all else cost nothing.

    Parameters
    ----------
    sparsity : float, 0 to 1

    Returns
    -------
    speedup : float
        ``1 / (1 - sparsity)``; inf where nothing is left.

    Raises
    ------
    ValueError
        If `sparsity` is no share.
    """
    left = 1 - fraction("sparsity", sparsity)
    return 1 / left if left else math.inf


def time_product(
    name: str,
    W: Tensor,
    X: Tensor,
    *,
    threads: int | None = None,
    at_most: float = SECONDS,
    formats: dict[str, Format] = FORMATS,
) -> Timed:
    """Time one format's product against the dense one, after a check that both are equal.

    Parameters
    ----------
    name : str
        Of the format.
    W : Tensor, shape (n_rows, n_columns)
        With its zeros.
    X : Tensor, shape (n_columns, n_places)
    threads : int, optional
        Default: as many as torch uses now.
    at_most : float, > 0
        Seconds of timed calls for each of the two.
    formats : dict of str to Format

    Returns
    -------
    timed : Timed

    Raises
    ------
    UnequalProductError
        If the two products differ by more than the format's tolerance.
    CannotHoldError
        If the device or W does not suit the format.
    ValueError
        If there is no such format, if shapes do not fit, or if W holds no weight.
    """
    if name not in formats:
        raise ValueError(f"format must be one of {', '.join(formats)}, got {name!r}")
    for label, value in (("W", W), ("X", X)):
        if finite_tensor(label, value, least_ndim=2).ndim != 2:
            raise ValueError(f"{label} must be 2-D, got shape {tuple(value.shape)}")
    if W.shape[1] != len(X):
        raise ValueError(f"X must have {W.shape[1]} rows, one for each column of W, got {len(X)}")
    if not (left := int(torch.count_nonzero(W))):
        raise ValueError("W must hold a weight that is not zero: there is nothing to multiply")
    chosen = formats[name]
    W, X = W.detach().to(chosen.dtype), X.detach().to(chosen.dtype)
    held, peer = chosen.hold(W, X), dense(W, X)
    exact = W.double() @ X.double()
    # Summands may cancel, their errors do not: these are relative to what random signs would give.
    summands = W.double().square().sum(dim=0) @ X.double().square().sum(dim=1)
    size = max(float(exact.norm()), float(summands.sqrt()))
    of_dense = FLOAT32_ERROR if chosen.dtype == torch.float32 else HALF_ERROR
    _require_equal("dense", peer, exact, size, of_dense)
    _require_equal(name, held, exact, size, chosen.tolerance)
    del exact
    times = measure_in_turn(
        [peer.product, held.product], threads=threads, device=W.device, at_most=at_most
    )
    return Timed(name, 1 - left / W.numel(), *times, peer.stored_bytes, held.stored_bytes)


def sweep(
    layer: Layer,
    names: Sequence[str],
    sparsities: Sequence[float],
    *,
    device: torch.device | str = "cpu",
    threads: int | None = None,
    seed: int = 0,
    at_most: float = SECONDS,
) -> Iterator[Timed]:
    """Time formats at several sparsities, each with the pattern of zeros that it is made for.

    Parameters
    ----------
    layer : Layer
        Its weights are drawn from a normal distribution, its inputs too.
    names : sequence of str
        Of formats.
    sparsities : sequence of float, 0 to 1
        Wanted; what a pattern can make of it is in the result. Where nothing would be left, nothing
        is timed. Formats with a sparsity of their own (int8, 2:4) are timed once.
    device : torch.device or str
    threads : int, optional
    seed : int
        Of the weights and inputs.
    at_most : float, > 0
        Seconds of timed calls for each product.

    Yields
    ------
    timed : Timed
        As soon as it is measured. There are `n_products` of them at most.

    Raises
    ------
    CannotHoldError
        If the device does not suit a format.
    MemoryError
        If the matrices would not fit.
    ValueError
        On bad input.
    """
    device = require_device(device)
    require_memory(layer, device)
    generator = torch.Generator().manual_seed(seed)
    W = torch.randn(layer.rows, layer.columns, generator=generator)
    X = torch.randn(layer.columns, layer.places, generator=generator).to(device)
    done = set()
    for name, sparsity in _products(names, sparsities):
        mask = PATTERNS[FORMATS[name].pattern](W, sparsity)
        # Two wanted sparsities may come out as one and the same.
        if not mask.any() or (name, int(mask.sum())) in done:
            continue
        done.add((name, int(mask.sum())))
        yield time_product(name, (W * mask).to(device), X, threads=threads, at_most=at_most)


def n_products(names: Sequence[str], sparsities: Sequence[float]) -> int:
    """How many products `sweep` will time, at most.

    Parameters
    ----------
    names : sequence of str
    sparsities : sequence of float

    Returns
    -------
    n_products : int
    """
    return len(_products(names, sparsities))


def require_memory(layer: Layer, device: torch.device) -> None:
    """Check that the matrices of a layer fit into memory, several times over.

    Parameters
    ----------
    layer : Layer
    device : torch.device

    Raises
    ------
    MemoryError
        If they do not, saying how much they need and how much there is.
    ValueError
        If the layer has a side that is no whole number of at least 1.
    """
    sides = layer.rows, layer.columns, layer.places
    if any(type(side) is not int or side < 1 for side in sides):
        raise ValueError(f"rows, columns and places must be whole numbers of at least 1: {sides}")
    rows, columns, places = sides
    entries = rows * columns + columns * places + rows * places
    needed = COPIES * 4 * entries
    free = psutil.virtual_memory().available
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    if needed > free:
        raise MemoryError(
            f"a product of {rows} x {columns} with {columns} x {places} needs about "
            f"{needed / 1e9:,.1f} GB while it is measured, {free / 1e9:,.1f} GB are free"
        )


def crossover(points: Sequence[Timed]) -> float | None:
    """The sparsity from which on a format was faster than dense, as measured.

    Parameters
    ----------
    points : sequence of Timed
        Of one format.

    Returns
    -------
    sparsity : float or None
        The lowest one measured at which, and above which, the sparse product was the faster one;
        None if it was slower at the highest.

    Raises
    ------
    ValueError
        If there is no point, or if they are of several formats.
    """
    if len({point.format for point in points}) != 1:
        raise ValueError(f"points must be of one format, got {[p.format for p in points]}")
    found = None
    for point in sorted(points, key=lambda point: (-point.sparsity, point.speedup.ratio)):
        if point.speedup.ratio <= 1:
            break
        found = point.sparsity
    return found


def table(points: Sequence[Timed]) -> pd.DataFrame:
    """All that was measured, one row a product.

    Parameters
    ----------
    points : sequence of Timed

    Returns
    -------
    table : DataFrame
        Sparsities as shares, times in microseconds, speed-ups as ratios of medians with the band of
        the quartiles.
    """
    return pd.DataFrame(
        {
            "format": point.format,
            "sparsity": point.sparsity,
            "dense_us": 1e6 * point.dense.median,
            "sparse_us": 1e6 * point.sparse.median,
            "speedup": point.speedup.ratio,
            "speedup_lower": point.speedup.lower,
            "speedup_upper": point.speedup.upper,
            "theory": point.theory,
            "realised": point.realised,
            "dense_bytes": point.dense_bytes,
            "sparse_bytes": point.sparse_bytes,
            "threads": point.sparse.threads,
            "device": point.sparse.device,
        }
        for point in points
    )


def _products(names: Sequence[str], sparsities: Sequence[float]) -> list[tuple[str, float]]:
    """Pairs of format and sparsity, sparsity by sparsity: all curves grow together."""
    if unknown := [name for name in names if name not in FORMATS]:
        raise ValueError(f"formats must be of {', '.join(FORMATS)}, got {', '.join(unknown)}")
    of_their_own = {name for name in names if FORMATS[name].pattern in ("none", "2:4")}
    first = [(name, 0.0) for name in names if name in of_their_own]
    wanted = sorted({fraction("sparsity", sparsity) for sparsity in sparsities})
    return first + [(name, s) for s in wanted for name in names if name not in of_their_own]


def _require_equal(name: str, held: Held, exact: Tensor, size: float, tolerance: float) -> None:
    """An UnequalProductError where a product is another one, of another shape, or not finite."""
    found = held.full(held.product())
    if found.shape != exact.shape:
        raise UnequalProductError(
            f"{name} gives a product of shape {tuple(found.shape)}, expected {tuple(exact.shape)}"
        )
    distance = float((found.double() - exact).norm())
    if not distance <= tolerance * size:
        raise UnequalProductError(
            f"{name} is {distance / size if size else math.inf:.1e} away from the exact product, "
            f"relative; at most {tolerance:.0e} is expected"
        )
