"""Lecture 01: the energy of one image, while weights are pruned and move from DRAM to the chip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import ipywidgets as widgets
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparsecourse import costs, nets
from sparsecourse.widgets.explorer import Explorer

NETWORKS = {
    "AlexNet": nets.alexnet_grouped,  # the one whose pruning Han et al. report
    "VGG-16": nets.vgg16,
    "GoogLeNet": nets.googlenet,
    "ResNet-50": nets.resnet50,
    "MobileNet": nets.mobilenet,
}
CHIP_MEGABYTES = (0, 8, 32, 128)
PARTS = {
    "arithmetic": "#009E73",
    "weights from DRAM": "#D55E00",
    "weights from SRAM": "#0072B2",
    "activations": "#CC79A7",
}


@dataclass(frozen=True)
class EnergyBudget:
    """Where the weights of a network are, and what one image costs then.

    Attributes
    ----------
    network : str
    kept : float
        Share of the weights left by pruning.
    chip_bytes, weight_bytes, on_chip_bytes : float
        Room on the chip; bytes of the weights left; those of them that lie on the chip.
    dense_bytes : int
        Of all weights.
    joule : dict of str to float
        Energy of each of PARTS.
    dense_joule : float
        Energy of the unpruned network with all weights in DRAM.
    """

    network: str
    kept: float
    chip_bytes: float
    weight_bytes: float
    on_chip_bytes: float
    dense_bytes: int
    joule: dict[str, float]
    dense_joule: float

    @property
    def total(self) -> float:
        """Energy of one image, in joule."""
        return sum(self.joule.values())


@cache
def count_network(network: str) -> costs.LayerCosts:
    """What the unpruned network costs in all, in float32.

    Parameters
    ----------
    network : str
        A key of NETWORKS.

    Returns
    -------
    totals : LayerCosts
    """
    with torch.device("meta"):
        net = NETWORKS[network]()
    return costs.count(net, net.input_shape).totals


def spend_energy(network: str, kept: float, chip_megabytes: float) -> EnergyBudget:
    """Estimate the energy of one image with some weights pruned and some on the chip.

    Every layer keeps the same share of its weights, and what is pruned is neither stored nor
    multiplied. Each weight left is read once: from SRAM as many as fit on the chip, the others
    from DRAM. Positions of the weights left are not counted. Biases are pruned like weights.

    Parameters
    ----------
    network : str
        A key of NETWORKS.
    kept : float, 0 < kept <= 1
    chip_megabytes : float, >= 0
        Room for weights in the on-chip SRAM, in 10^6 bytes; activations have their own.

    Returns
    -------
    budget : EnergyBudget

    Raises
    ------
    ValueError
        If one of the arguments is none of these.

    References
    ----------
    Energy of single operations: Han et al., Learning both weights and connections for efficient
    neural networks, NeurIPS 2015, figure 1.
    """
    if network not in NETWORKS:
        raise ValueError(f"network must be one of {list(NETWORKS)}, got {network!r}")
    if not 0 < kept <= 1:
        raise ValueError(f"kept must be in (0, 1], got {kept}")
    if not chip_megabytes >= 0:
        raise ValueError(f"chip_megabytes must be >= 0, got {chip_megabytes}")
    totals = count_network(network)
    far, near = totals.energy("DRAM"), totals.energy("SRAM")
    weight_bytes = kept * totals.weight_bytes
    on_chip_bytes = min(weight_bytes, 1e6 * chip_megabytes)
    share_on_chip = on_chip_bytes / weight_bytes
    return EnergyBudget(
        network=network,
        kept=kept,
        chip_bytes=1e6 * chip_megabytes,
        weight_bytes=weight_bytes,
        on_chip_bytes=on_chip_bytes,
        dense_bytes=totals.weight_bytes,
        joule={
            "arithmetic": kept * far.arithmetic,
            "weights from DRAM": kept * (1 - share_on_chip) * far.weights,
            "weights from SRAM": kept * share_on_chip * near.weights,
            "activations": far.activations,
        },
        dense_joule=far.total,
    )


def draw_budget(figure: Figure, budget: EnergyBudget) -> str:
    """Above, the bytes of the weights and where they are; below, the energy and its parts."""
    above, below = figure.subplots(2, 1)
    figure.subplots_adjust(left=0.02, right=0.97, bottom=0.31, top=0.91, hspace=1.2)
    megabytes = {
        "weights from SRAM": budget.on_chip_bytes / 1e6,
        "weights from DRAM": (budget.weight_bytes - budget.on_chip_bytes) / 1e6,
    }
    size, room = budget.weight_bytes / 1e6, budget.chip_bytes / 1e6
    if budget.on_chip_bytes == budget.weight_bytes:
        where = f"all on the chip, which has room for {room:.0f} MB"
    else:
        where = f"{room:.0f} MB of them on the chip" if room else "none of them on the chip"
    _stack(above, megabytes, outline=budget.dense_bytes / 1e6)
    above.axvline(room, color="black", ls="--", label="room on the chip")
    above.set(title=f"{size:.3g} MB of weights, {where}", xlabel="megabytes")

    millijoule = {part: 1e3 * joule for part, joule in budget.joule.items()}
    total, dense = 1e3 * budget.total, 1e3 * budget.dense_joule
    _stack(below, millijoule, outline=dense)
    below.set(xlabel="millijoule an image")
    below.set_title(f"{total:.3g} mJ an image, {100 * total / dense:.3g} % of the dotted bar")
    handles = [*below.get_legend_handles_labels()[0], *above.get_lines()]
    below.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.8), ncol=3)
    parts = ", ".join(f"{part} {value:.3g} mJ" for part, value in millijoule.items())
    return (
        f"{budget.network} with {budget.kept:.0%} of its weights: {size:.3g} MB, {where}. "
        f"One image takes {total:.3g} mJ: {parts}. "
        f"The whole network with all weights in DRAM takes {dense:.3g} mJ."
    )


def _stack(axes: Axes, lengths: dict[str, float], outline: float) -> None:
    """A bar of parts, in front of the outline of that of the whole network, read from DRAM."""
    label = "whole network, from DRAM"
    axes.barh(0, outline, color="none", edgecolor="#777777", ls=":", lw=1.5, label=label)
    start = 0.0
    for part, length in lengths.items():
        axes.barh(0, length, left=start, color=PARTS[part], label=part)
        start += length
    axes.set(xlim=(0, 1.1 * outline), ylim=(-0.5, 0.5), yticks=[], axisbelow=True)
    axes.spines["left"].set_visible(False)


def energy_budget() -> Explorer:
    """Explorer: network, share of its weights kept and room on the chip, against the energy.

    Returns
    -------
    explorer : Explorer
    """
    for network in NETWORKS:  # now, so that no later move has to wait
        count_network(network)
    wide = {"width": "30em"}
    controls = {
        "network": widgets.ToggleButtons(options=list(NETWORKS), description="network"),
        "kept": widgets.FloatSlider(
            value=1,
            min=0.02,
            max=1,
            step=0.02,
            description="weights kept",
            readout_format=".0%",
            layout=wide,
        ),
        "chip_megabytes": widgets.SelectionSlider(
            value=0,
            options=[(f"{size} MB", size) for size in CHIP_MEGABYTES],
            description="room for weights on the chip",
            layout=wide,
        ),
    }
    return Explorer(spend_energy, draw_budget, controls)
