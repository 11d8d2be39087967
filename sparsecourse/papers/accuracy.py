"""Published top-1 accuracies on ImageNet of networks that `sparsecourse.nets` defines."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from sparsecourse.papers.published import table, unknown

PARAMETERS_PER_AREA = 5e4  # of a circle, in square points

# Tables and their columns; an error is turned into an accuracy.
HAN = ("han2015_networks", "top1_error_percent")
HOWARD = ("mobilenet_comparisons", "imagenet_accuracy_percent")
LI = ("li2017_filter_pruning", "error_percent")
SOURCES = {  # network: where its figure is printed, row
    "AlexNet": (HAN, ("AlexNet", "reference")),
    "VGG-16": (HOWARD, ("popular models", "VGG 16")),
    "VGG-16 before pruning": (HAN, ("VGG-16", "reference")),
    "VGG-16 pruned": (HAN, ("VGG-16", "pruned")),
    "GoogLeNet": (HOWARD, ("popular models", "GoogleNet")),
    "ResNet-34": (LI, ("ResNet-34",)),
    "MobileNet": (HOWARD, ("popular models", "1.0 MobileNet-224")),
    "0.75 MobileNet": (HOWARD, ("narrow vs shallow", "0.75 MobileNet")),
}


def imagenet_accuracies() -> pd.DataFrame:
    """Share of the photos of ImageNet for which the first guess is right, as papers print it.

    The networks were trained by different authors, and judged on one or several crops of a photo:
    a point of difference between two papers says little. VGG-16 is there from two of them.

    Returns
    -------
    accuracies : DataFrame
        A row for each network, named in the index `network`. Columns: `top1_percent`, the
        accuracy; `table`, a name of `papers.tables()`; `url`, the paper.
    """
    rows = {}
    for network, ((name, column), row) in SOURCES.items():
        source = table(name)
        percent = float(source.frame[column][source.rows.index(row)])
        if column.endswith("error_percent"):
            percent = 100 - percent
        rows[network] = {"top1_percent": percent, "table": name, "url": source.url}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("network")


def accuracy_against_cost(
    axes: Axes,
    networks: Mapping[str, tuple[float, float]],
    *,
    above: Collection[str] = (),
    **style: object,
) -> None:
    """Draw a circle for each network: accuracy against multiply-adds, area the parameters.

    Parameters
    ----------
    axes : matplotlib Axes
        The horizontal axis becomes logarithmic.
    networks : mapping of str to (float, float)
        A network of `imagenet_accuracies()` -> multiply-adds for one image, parameters.
    above : collection of str
        The networks whose names stand above their circles, not below.
    **style
        For ``axes.scatter``.

    Raises
    ------
    ValueError
        If no accuracy of a network is known.

    References
    ----------
    The kind of picture: Canziani, Paszke, Culurciello, An analysis of deep neural network models
    for practical applications, 2016, figure 2.
    """
    percents = imagenet_accuracies().top1_percent
    for network, (multiply_adds, parameters) in networks.items():
        if network not in percents:
            raise ValueError(unknown("network", network, list(percents.index)))
        at, area = (multiply_adds / 1e9, percents[network]), parameters / PARAMETERS_PER_AREA
        axes.scatter(*at, s=area, zorder=3, **style)
        shift = math.sqrt(area / math.pi) + 3  # from the centre, in points
        axes.annotate(
            f"{network}\n{parameters / 1e6:.0f}M",
            at,
            (0, shift if network in above else -shift),
            textcoords="offset points",
            ha="center",
            va="bottom" if network in above else "top",
            fontsize=10,
        )
    axes.set(xscale="log", xlabel="multiply-adds for one image (billion)")
    axes.set_xticks([0.3, 1, 3, 10, 30])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_ylabel("published top-1 accuracy (%)")
