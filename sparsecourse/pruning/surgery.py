"""Surgery: from a network and a plan to a smaller network with smaller tensors."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvTransposeNd

from sparsecourse.pruning.branches import Branch, unneeded
from sparsecourse.pruning.following import Reshaping, Tracer, operations
from sparsecourse.pruning.graph import Graph, Layer
from sparsecourse.pruning.selection import Plan

WEIGHTS, PLAN = "weights.pt", "plan.json"  # names of files


def compact(graph: Graph, plan: Plan) -> nn.Module:
    """Build the network that a plan leaves: the same modules, with smaller tensors.

    It computes what the large network would with the channels of the removed filters set to zero
    where convolutions and linear layers read them, that is, after normalisation and activation,
    and with what a branch that goes makes set to zero where it is added. So a branch whose weights
    have died goes with the constant that it still adds: the shifts of its normalisation, biases.

    It is a copy of the same class, with the same names in its state_dict, less those of modules
    that go, and is trained like any other. A module whose forward has numbers of channels written
    into it (a view, a split, a padding with channels), or an addition that goes, gets the forward
    that torch.fx writes for it.

    Parameters
    ----------
    graph : Graph
        The weights are those that its model has now.
    plan : Plan

    Returns
    -------
    small : nn.Module

    Raises
    ------
    ValueError
        If the plan is for another network, removes a part of channels that go together, or
        removes what must stay, or a layer that is in no residual branch that goes as a whole.
    """
    kept, gone = ~graph.removed(plan), graph.going(plan.gone)
    deleted = {name for branch in gone for name in branch.modules}
    small = copy.deepcopy(graph.model)
    for name, layer in graph.layers.items():
        if name not in deleted:
            _shrink_layer(small.get_submodule(name), layer, kept)
    for name, groups in graph.norms.items():
        if name not in deleted:
            _shrink_norm(small.get_submodule(name), kept[groups])
    changed = []
    for reshaping in graph.reshapings:
        place = (reshaping.owner, reshaping.position)
        if any(place in branch.operations for branch in gone) or all(
            kept[groups].all() for groups in (reshaping.before, *reshaping.after)
        ):
            continue
        if reshaping.owner_uses > 1:
            raise ValueError(
                f"{reshaping.owner} is used more than once, and has numbers of channels in its "
                "forward: give each place a module of its own"
            )
        changed.append(reshaping)
    _rewrite_forwards(small, changed, gone, kept)
    for branch in gone:
        for name in branch.modules:
            _delete(small, name, branch.owner)
    return small


def save(folder: str | Path, small: nn.Module, plan: Plan) -> None:
    """Write a smaller network: its state_dict, and the plan that says which filters these are.

    An older one in this folder is replaced when both are written.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there.
    small : nn.Module
        What `compact` returned, trained or not.
    plan : Plan
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights, plan_file = folder / f"{WEIGHTS}.partial", folder / f"{PLAN}.partial"
    torch.save(small.state_dict(), weights)
    plan_file.write_text(plan.to_json(), encoding="utf-8")
    weights.replace(folder / WEIGHTS)
    plan_file.replace(folder / PLAN)


def load(folder: str | Path, graph: Graph) -> nn.Module:
    """Read what `save` wrote. Nothing in the files is executed.

    Parameters
    ----------
    folder : str or Path
    graph : Graph
        Of the large network, with any weights.

    Returns
    -------
    small : nn.Module

    Raises
    ------
    ValueError
        If the plan does not fit the network.
    """
    plan = Plan.from_json((Path(folder) / PLAN).read_text(encoding="utf-8"))
    small = compact(graph, plan)
    small.load_state_dict(torch.load(Path(folder) / WEIGHTS, "cpu", weights_only=True))
    return small


def _shrink_layer(module: nn.Module, layer: Layer, kept: Tensor) -> None:
    filters, inputs = kept[layer.groups], kept[layer.inputs]
    n_filters, n_inputs = int(filters.sum()), int(inputs.sum())
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = n_filters, n_inputs
        sides = (filters, inputs)
    else:
        groups = module.groups
        module.out_channels, module.in_channels = n_filters, n_inputs
        if groups == len(inputs):  # depthwise
            module.groups = n_inputs
            sides = (filters, torch.ones(1, dtype=torch.bool))
        else:
            sides = (filters, inputs[: len(inputs) // groups])  # the same in all groups
        if isinstance(module, _ConvTransposeNd):
            sides = (inputs, filters[: len(filters) // groups])
    weight = module.weight
    for dim, side in enumerate(sides):
        weight = _part(weight, side, dim)
    module.weight = weight
    if module.bias is not None:
        module.bias = _part(module.bias, filters, 0)


def _shrink_norm(module: nn.Module, kept: Tensor) -> None:
    module.num_features = int(kept.sum())
    for name in ("weight", "bias", "running_mean", "running_var"):
        if getattr(module, name) is not None:
            setattr(module, name, _part(getattr(module, name), kept, 0))


def _part(tensor: Tensor, kept: Tensor, dim: int) -> Tensor:
    """The slices kept, as a parameter if it was one."""
    index = kept.nonzero().flatten().to(tensor.device)
    part = tensor.detach().index_select(dim, index)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(part, requires_grad=tensor.requires_grad)
    return part


def _rewrite_forwards(
    small: nn.Module, changed: list[Reshaping], gone: tuple[Branch, ...], kept: Tensor
) -> None:
    """Give modules the forward that torch.fx writes, with other numbers and without branches."""
    forwards = {}
    for name in dict.fromkeys(one.owner for one in (*changed, *gone)):
        owner = small.get_submodule(name)
        tracer = Tracer()
        graph = tracer.trace_or_refuse(owner)
        # torch.fx writes out the modules inside: what stands in their forwards is changed, too.
        start = f"{name}." if name else ""
        nodes = {
            ((start + inner).removesuffix("."), position): node
            for node, (inner, position) in operations(tracer, graph).items()
        }
        for reshaping in changed:
            node = nodes.get((reshaping.owner, reshaping.position))
            if node is not None:
                CORRECTIONS[reshaping.kind](node, reshaping, kept)
        for branch in gone:
            addition = nodes.get(branch.addition)
            if addition is not None and f"{branch.owner}.".startswith(start):
                _take_out(addition, branch.operand)
        forwards[owner] = type(fx.GraphModule(owner, graph)).forward
    for owner, forward in forwards.items():
        # A class of its own, as torch's parametrizations have: the module stays what it was
        # otherwise.
        own = type(owner)
        attributes = {"forward": forward, "__module__": own.__module__}
        owner.__class__ = type(own.__name__, (own,), attributes)


def _take_out(addition: fx.Node, operand: int) -> None:
    """Replace an addition by its other operand."""
    useless = unneeded(addition, addition.args[operand])
    addition.replace_all_uses_with(addition.args[1 - operand])
    addition.graph.erase_node(addition)
    for node in reversed(addition.graph.nodes):
        if node in useless:
            addition.graph.erase_node(node)


def _delete(small: nn.Module, name: str, owner: str) -> None:
    """Delete a module, and the modules around it, inside of the owner, that are empty then."""
    empty = True
    while empty and name != owner:
        name, _, child = name.rpartition(".")
        parent = small.get_submodule(name)
        delattr(parent, child)
        empty = not (list(parent.children()) or parent.state_dict())


def _correct_view(node: fx.Node, reshaping: Reshaping, kept: Tensor) -> None:
    sizes = reshaping.arguments
    given = list(node.args[1:]) if len(sizes) == len(node.args) - 1 else list(node.args[1])
    if sizes[reshaping.dim_after] != -1:
        given[reshaping.dim_after] = int(kept[reshaping.after[0]].sum())
    node.args = (node.args[0], tuple(given))


def _correct_split(node: fx.Node, reshaping: Reshaping, kept: Tensor) -> None:
    dim = reshaping.arguments[0]
    if dim == reshaping.dim_before:
        node.target = "split" if node.op == "call_method" else torch.split
        node.args = (node.args[0], [int(kept[groups].sum()) for groups in reshaping.after], dim)
        node.kwargs = {}


def _correct_pad(node: fx.Node, reshaping: Reshaping, kept: Tensor) -> None:
    at = 2 * (reshaping.n_dims - 1 - reshaping.dim_after)  # the last dimension comes first
    pads = reshaping.arguments
    if at < len(pads):
        ends = kept[reshaping.after[0]]
        before, after = pads[at : at + 2]
        given = list(node.kwargs.get("pad", node.args[1] if len(node.args) > 1 else ()))
        given[at : at + 2] = [int(ends[:before].sum()), int(ends[len(ends) - after :].sum())]
        if "pad" in node.kwargs:
            node.update_kwarg("pad", given)
        else:
            node.update_arg(1, given)


def _correct_slice(node: fx.Node, reshaping: Reshaping, kept: Tensor) -> None:
    index: list[Any] = list(reshaping.arguments)
    dim = reshaping.dim_before
    if dim is not None and dim < len(index):
        stays = kept[reshaping.before]
        rank = stays.cumsum(0) - 1  # in the smaller tensor
        taken = torch.arange(len(stays))[index[dim]]
        if isinstance(index[dim], int):
            index[dim] = int(rank[taken])
        else:
            places = rank[taken[stays[taken]]].tolist()
            in_a_row = places == list(range(places[0], places[-1] + 1))
            index[dim] = slice(places[0], places[-1] + 1) if in_a_row else places
        node.args = (node.args[0], tuple(index))


CORRECTIONS = {
    "view": _correct_view,
    "split": _correct_split,
    "pad": _correct_pad,
    "slice": _correct_slice,
}
