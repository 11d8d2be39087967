"""Whole networks, pruned by surgery: the speed-up that is measured beside the one counted.

The weights are random. What a dense layer takes does not depend on their values, so no training
is needed; which filters go matters for accuracy alone. How many go, from which layer, is what
counts, and that is taken from published plans and from common budgets.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from sparsecourse import costs, nets, papers
from sparsecourse.bench.report import circumstances
from sparsecourse.experiments import li2017
from sparsecourse.pruning import criteria
from sparsecourse.pruning.criteria import Scores
from sparsecourse.pruning.graph import Graph, trace
from sparsecourse.pruning.selection import Plan, select
from sparsecourse.pruning.shapes import gather_columns
from sparsecourse.pruning.surgery import compact
from sparsecourse.timing.measuring import (
    Measurement,
    Speedup,
    measure_in_turn,
    require_device,
    three_digits,
)

BATCHES = (1, 64)  # images
SECONDS = 2.0  # of timed calls, for each network and batch
CHECKED = 4  # images that the masked and the small network are compared on
TOLERANCE = 1e-4  # relative to the largest output, in float32

# From a network to the same one with zeros for what is removed, and to the small one.
Prune = Callable[[nn.Sequential], tuple[nn.Module, nn.Module]]


class DifferentOutputsError(RuntimeError):
    """A small network does not compute what the masked one does: its time means nothing."""


@dataclass(frozen=True)
class Case:
    """A network, and how it is pruned.

    Attributes
    ----------
    network, plan : str
        In words, for the table.
    make : callable, () -> network of `nets`
    prune : callable, network -> (masked, small)
        The network with zeros for what is removed, and the one without it.
    """

    network: str
    plan: str
    make: Callable[[], nn.Sequential]
    prune: Prune


@dataclass(frozen=True)
class Timed:
    """What pruning made of a network.

    Attributes
    ----------
    network, plan : str
    parameters, multiply_adds : tuple (dense, small)
        Counted by `costs`, for one image.
    times : dict of int to tuple (dense, small) of Measurement
        By the number of images that run at once.
    """

    network: str
    plan: str
    parameters: tuple[int, int]
    multiply_adds: tuple[int, int]
    times: dict[int, tuple[Measurement, Measurement]] = field(default_factory=dict)

    @property
    def theory(self) -> float:
        """How many times fewer multiply-adds there are."""
        return self.multiply_adds[0] / self.multiply_adds[1]

    def speedup(self, batch: int) -> Speedup:
        """How many times faster the small network was measured to be.

        Parameters
        ----------
        batch : int

        Returns
        -------
        speedup : Speedup
        """
        dense, small = self.times[batch]
        return small.speedup_over(dense)

    def realised(self, batch: int) -> float:
        """The share of the theory that was measured.

        Parameters
        ----------
        batch : int

        Returns
        -------
        share : float
        """
        return self.speedup(batch).ratio / self.theory


def with_random_weights(net: nn.Sequential) -> nn.Sequential:
    """Draw weights that keep activations at their size, so that the outputs show every layer.

    Parameters
    ----------
    net : nn.Sequential
        Changed in place.

    Returns
    -------
    net : nn.Sequential

    References
    ----------
    He, Zhang, Ren, Sun, Delving deep into rectifiers, ICCV 2015, eq. (10).
    """
    for parameter in net.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    return net


def without_filters(
    net: nn.Sequential, choose: Callable[[Graph], Plan]
) -> tuple[nn.Module, nn.Module]:
    """Remove filters, once by zeros and once by surgery.

    Parameters
    ----------
    net : nn.Sequential
        One of `nets`.
    choose : callable, Graph -> Plan

    Returns
    -------
    masked : nn.Module
        Of the size of `net`; each layer reads zeros where the removed filters' channels are.
    small : nn.Module
    """
    graph = trace(net, torch.empty(1, *net.input_shape))
    plan = choose(graph)
    masked, kept = copy.deepcopy(net), ~graph.removed(plan)
    for name, layer in graph.layers.items():
        module = masked.get_submodule(name)
        mask = kept[layer.inputs].float()
        if not isinstance(module, nn.Linear):
            mask = mask[:, None, None]
        module.register_forward_pre_hook(partial(_times, mask))
    return masked, compact(graph, plan)


def without_columns(
    net: nn.Sequential, left: Mapping[str, tuple[int, int]]
) -> tuple[nn.Module, nn.Module]:
    """Remove columns of convolutions, once by zeros and once by gathering the others.

    Parameters
    ----------
    net : nn.Sequential
    left : mapping of str to tuple (columns, channels)
        For each convolution how many columns are left, drawn from so many channels.

    Returns
    -------
    masked, small : nn.Module
    """
    masked = copy.deepcopy(net)
    with torch.no_grad():
        for name, (columns, channels) in left.items():
            weight = masked.get_submodule(name).weight
            candidates = channels * weight[0, 0].numel()
            is_left = torch.zeros(weight[0].numel(), dtype=torch.bool)
            is_left[torch.randperm(candidates)[:columns]] = True
            weight.mul_(is_left.reshape(weight.shape[1:]))
    return masked, gather_columns(masked, left)


def ssl_filters(graph: Graph, scores: Scores) -> Plan:
    """As many filters of LeNet-5 as structured sparsity learning left: 3 and 12.

    Parameters
    ----------
    graph : Graph
    scores : mapping of str to Tensor
        Which ones: those of the highest scores.

    Returns
    -------
    plan : Plan

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    table 1, LeNet 3.
    """
    table = papers.table("ssl_lenet_filters").frame.set_index("lenet")
    dense, left = table.loc["1 (baseline)"], table.loc["3"]
    keep = {conv: left[f"{conv}_filters"] / dense[f"{conv}_filters"] for conv in ("conv1", "conv2")}
    return select(graph, scores, keep, by="filters", scope="layer")


def ssl_columns() -> dict[str, tuple[int, int]]:
    """How many columns, and in how many channels, shape-wise sparsity left of LeNet-5's kernels.

    Returns
    -------
    left : dict of str to tuple (columns, channels)

    References
    ----------
    Wen et al., NeurIPS 2016, table 2, LeNet 5.
    """
    row = papers.table("ssl_lenet_shapes").frame.set_index("lenet").loc["5"]
    return {
        conv: (int(row[f"{conv}_filter_size"]), int(row[f"{conv}_channels"]))
        for conv in ("conv1", "conv2")
    }


def _by_l1(plan: Callable[..., Plan], **settings: object) -> Prune:
    def choose(graph: Graph) -> Plan:
        return plan(graph, criteria.l1(graph), **settings)

    return partial(without_filters, choose=choose)


HALF = _by_l1(select, keep=0.5, by="multiply_adds", scope="layer")
HALF_IN_SIXTEENS = _by_l1(select, keep=0.5, by="multiply_adds", scope="layer", multiple_of=16)

CASES = (
    Case(
        "LeNet-5",
        "half of the filters",
        nets.lenet5,
        _by_l1(select, keep=0.5, by="filters", scope="layer"),
    ),
    Case("LeNet-5", "SSL: 3 and 12 filters", nets.lenet5, _by_l1(ssl_filters)),
    Case(
        "LeNet-5",
        "SSL: 7 and 14 columns",
        nets.lenet5,
        lambda net: without_columns(net, ssl_columns()),
    ),
    Case("ConvNet", "half", nets.convnet, HALF),
    Case("VGG-16", "Li et al., A", nets.vgg16_cifar, _by_l1(li2017.vgg16_plan)),
    Case("ResNet-20", "half", nets.resnet20, HALF),
    Case(
        "ResNet-56",
        "Li et al., A",
        nets.resnet56,
        _by_l1(li2017.resnet_plan, rates=(0.1, 0.1, 0.1), skipped={16, 20, 38, 54}),
    ),
    Case(
        "ResNet-56",
        "Li et al., B",
        nets.resnet56,
        _by_l1(li2017.resnet_plan, rates=(0.6, 0.3, 0.1), skipped={16, 18, 20, 34, 38, 54}),
    ),
    Case("ResNet-56", "half", nets.resnet56, HALF),
    Case("MobileNet, 96 px", "half", partial(nets.mobilenet, resolution=96), HALF),
    Case(
        "MobileNet, 96 px",
        "half, in sixteens",
        partial(nets.mobilenet, resolution=96),
        HALF_IN_SIXTEENS,
    ),
)


def measure(device: str, threads: int | None) -> Iterator[Timed]:
    """Prune networks, check what is left, and time it beside the dense network.

    Parameters
    ----------
    device : str
    threads : int or None
        None for as many as torch uses.

    Yields
    ------
    timed : Timed
        As soon as it is measured.

    Raises
    ------
    DifferentOutputsError
        If a small network does not put out what the masked one does.
    ValueError
        If there is no such device, or threads are less than 1.
    """
    device = require_device(device)
    with tqdm(total=len(CASES) * len(BATCHES), desc="networks") as bar:
        for case in CASES:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                net = with_random_weights(case.make()).eval()
                masked, small = case.prune(net)
                _require_equal(case, masked, small, torch.randn(CHECKED, *net.input_shape))
                images = torch.randn(max(BATCHES), *net.input_shape).to(device)
            dense_costs, small_costs = (
                costs.count(model, net.input_shape).totals for model in (net, small)
            )
            timed = Timed(
                case.network,
                case.plan,
                (dense_costs.parameters, small_costs.parameters),
                (dense_costs.multiply_adds, small_costs.multiply_adds),
            )
            net.to(device)
            small.to(device)
            for batch in BATCHES:
                with torch.inference_mode():
                    timed.times[batch] = tuple(
                        measure_in_turn(
                            [partial(model, images[:batch]) for model in (net, small)],
                            threads=threads,
                            device=device,
                            at_most=SECONDS,
                        )
                    )
                bar.update()
            yield timed


def heading() -> str:
    """Say what is compared, then the titles of the columns.

    Returns
    -------
    text : str
    """
    above = " " * 62 + "".join(f"{f'{batch} at a time':>30}" for batch in BATCHES)
    title = f"{'network':18} {'plan':22} {'params':>7} {'m-adds':>6} {'theory':>6}"
    return (
        "What is left of parameters and multiply-adds, how many times faster that makes a network "
        "in theory,\nhow many times faster it is (and the band of the quartiles), and the share of "
        "the theory that is.\nThe weights are random: times do not depend on them.\n\n"
        f"{above}\n{title}" + f"{'measured':>9}{'quartiles':>14}{'share':>7}" * len(BATCHES)
    )


def in_a_line(timed: Timed) -> str:
    """One row of the table.

    Parameters
    ----------
    timed : Timed

    Returns
    -------
    text : str
    """
    (parameters, fewer), (multiply_adds, less) = timed.parameters, timed.multiply_adds
    text = (
        f"{timed.network:18} {timed.plan:22} {fewer / parameters:7.1%} {less / multiply_adds:6.1%} "
        f"{timed.theory:5.2f}x"
    )
    for batch in timed.times:
        found = timed.speedup(batch)
        band = f"{three_digits(found.lower)}-{three_digits(found.upper)}"
        text += f" {three_digits(found.ratio):>7}x {band:>13} {timed.realised(batch):>6.0%}"
    return text


def conditions(measured: list[Timed]) -> dict:
    """Everything that the times depend on.

    Parameters
    ----------
    measured : list of Timed
        At least one.

    Returns
    -------
    conditions : dict of str, int and dict
    """
    first = measured[0].times[BATCHES[0]][0]
    return circumstances() | {"measured_on": first.device, "threads": first.threads}


def where(conditions: dict) -> str:
    """Where it was measured, in a line.

    Parameters
    ----------
    conditions : dict

    Returns
    -------
    text : str
    """
    threads, torch_version = conditions["threads"], conditions["versions"]["torch"]
    return (
        f"{conditions['measured_on']} ({conditions['device']}), "
        f"{threads} thread{'s' * (threads > 1)}, torch {torch_version}, {conditions['date'][:10]}"
    )


def store(path: Path, measured: list[Timed]) -> None:
    """Write everything as JSON, whole or not at all.

    Parameters
    ----------
    path : Path
    measured : list of Timed
        At least one.
    """
    report = conditions(measured) | {"networks": [_as_dict(timed) for timed in measured]}
    partially = path.with_name(path.name + ".partial")
    partially.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    partially.replace(path)


def _times(mask: Tensor, module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0] * mask,)


@torch.no_grad()
def _require_equal(case: Case, masked: nn.Module, small: nn.Module, images: Tensor) -> None:
    expected = masked(images)
    difference = float((small(images) - expected).abs().max() / expected.abs().max())
    if not difference <= TOLERANCE:
        raise DifferentOutputsError(
            f"{case.network}, {case.plan}: the small network's outputs differ from the masked "
            f"one's by {difference:.1e} of the largest, more than {TOLERANCE:.0e}"
        )


def _as_dict(timed: Timed) -> dict:
    """Of a measurement the median and quartiles, in seconds."""
    batches = []
    for batch, (dense, small) in timed.times.items():
        found = timed.speedup(batch)
        batches.append(
            {
                "batch": batch,
                "dense_seconds": [dense.lower, dense.median, dense.upper],
                "small_seconds": [small.lower, small.median, small.upper],
                "is_settled": dense.is_settled and small.is_settled,
                "speedup": found.ratio,
                "lower": found.lower,
                "upper": found.upper,
                "realised": timed.realised(batch),
            }
        )
    return {
        "network": timed.network,
        "plan": timed.plan,
        "dense_parameters": timed.parameters[0],
        "parameters": timed.parameters[1],
        "dense_multiply_adds": timed.multiply_adds[0],
        "multiply_adds": timed.multiply_adds[1],
        "theory": timed.theory,
        "batches": batches,
    }
