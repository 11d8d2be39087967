"""AlexNet's convolutions as pruned in a published table: what is gained, and from where on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd
from tqdm.auto import tqdm

from sparsecourse.timing import alexnet
from sparsecourse.timing.curves import Curve, measured_now
from sparsecourse.timing.formats import FORMATS, CannotHoldError
from sparsecourse.timing.measuring import three_digits
from sparsecourse.timing.sparse import crossover, n_products, sweep

SPARSITIES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
SECONDS = 0.2  # of timed calls, for each product
SAID_OF = "conv2 to conv5"  # conv1 has next to no zeros to remove


def measure_table(device: str, threads: int | None) -> pd.DataFrame:
    """Measure the published rows again, with a progress bar.

    Parameters
    ----------
    device : str
    threads : int or None
        None for as many as torch uses.

    Returns
    -------
    table : DataFrame
        As `alexnet.side_by_side`.
    """
    layers = alexnet.published()
    again = alexnet.measure_again(layers, device=device, threads=threads, at_most=SECONDS)
    return alexnet.side_by_side(tqdm(again, total=len(layers), desc="the table"))


def measure_curves(device: str, threads: int | None) -> Iterator[Curve]:
    """Measure all formats that the device has, over a range of sparsities, layer by layer.

    Parameters
    ----------
    device : str
    threads : int or None
        None for as many as torch uses.

    Yields
    ------
    curve : Curve
    """
    for name, layer in alexnet.CONVOLUTIONS.items():
        points = []
        with tqdm(total=n_products(list(FORMATS), SPARSITIES), desc=name) as bar:
            for chosen in FORMATS:
                try:
                    for point in sweep(
                        layer,
                        [chosen],
                        SPARSITIES,
                        device=device,
                        threads=threads,
                        at_most=SECONDS,
                    ):
                        points.append(point)
                        bar.update()
                except CannotHoldError as error:
                    tqdm.write(f"Without {chosen}: {error}")
        yield measured_now(layer, points)


def in_lines(table: pd.DataFrame) -> str:
    """The table for a terminal, and the median share of the theory.

    Parameters
    ----------
    table : DataFrame
        As `alexnet.side_by_side`.

    Returns
    -------
    text : str
    """
    title = (
        f"{'row':3} {'pruned':17} {'layer':6} {'zeros':>6} {'theory':>7} {'ours':>6} "
        f"{'quartiles':>14} {'of theory':>9}  {'format':13} {'other':>6}  {'other format':13} "
        f"{'paper: CPU':>10} {'GPU':>5}"
    )
    lines = [title]
    for (row, pruned, layer), line in table.iterrows():
        band = f"{three_digits(line['lower'])}-{three_digits(line['upper'])}"
        lines.append(
            f"{row:3} {pruned:17} {layer:6} {line['zeros']:6.1%} {line['theory']:7.2f} "
            f"{line['ours']:6.2f} {band:>14} {line['ours / theory']:9.0%}  {line['format']:13} "
            f"{line['other']:6.2f}  {line['other format']:13} {line['paper CPU']:10.2f} "
            f"{line['paper GPU']:5.2f}"
        )
    for pruned, part in table.drop("conv1", level="layer").groupby(level="pruned"):
        median = part["ours / theory"].median()
        slower = int((part["ours"] < 1).sum())
        lines.append(
            f"{pruned}, {SAID_OF}: median {median:.2f} of the theory; slower than dense in "
            f"{slower} of {len(part)}"
        )
    return "\n".join(lines)


def crossovers(curves: Sequence[Curve]) -> str:
    """From which measured sparsity on each format is faster than dense, layer by layer.

    Parameters
    ----------
    curves : sequence of Curve

    Returns
    -------
    text : str
    """
    formats = list(dict.fromkeys(name for curve in curves for name in curve.formats))
    lines = [f"{'faster than dense from':23}" + "".join(f"{c.layer.name[8:13]:>8}" for c in curves)]
    for name in formats:
        cells = []
        for curve in curves:
            points = curve.of(name)
            found = crossover(points) if points else None
            cells.append("-" if not points else "never" if found is None else f"{found:.0%}")
        lines.append(f"{name:23}" + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join(lines)
