"""Residual branches: parts of a network that a shortcut goes around, so that they can go whole.

An addition has two operands. One of them is a branch if it has layers on all its ways, if nobody
else needs what they make, and if the other operand starts from the same activation: that one is
the shortcut, and carries the signal when the branch has gone. A projection is a shortcut with a
layer of its own. So it is a branch, too, and one of the two has to stay.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, fx

Place = tuple[str, int]  # the module in whose forward an operation stands, and its number there

ADDITIONS: set[Callable | str] = {operator.add, operator.iadd, torch.add, "add", "add_"}


@dataclass
class Branch:
    """An operand of an addition that can go.

    Attributes
    ----------
    layers : tuple of str
        Convolutions and linear layers that nobody else reads, in the order in which they run.
    through : tuple of str
        Those of them that everything goes through. If all weights of one are zero, the branch
        only adds a constant.
    modules : tuple of str
        All modules that are used nowhere else.
    operations : frozenset of Place
        The operations that are no modules.
    owner : str
        The module whose forward holds all of it.
    addition : Place
    operand : int
        Which one: 0 or 1.
    channels : Tensor of int64
        Labels (in a `Graph`: groups) of the channels that it is added to.
    """

    layers: tuple[str, ...]
    through: tuple[str, ...]
    modules: tuple[str, ...]
    operations: frozenset[Place]
    owner: str
    addition: Place
    operand: int
    channels: Tensor


def unneeded(addition: fx.Node, operand: fx.Node) -> set[fx.Node]:
    """What nobody needs any more, if an addition does not read one of its operands.

    Parameters
    ----------
    addition, operand : fx.Node

    Returns
    -------
    nodes : set of fx.Node
        Empty if the operand itself is needed elsewhere.
    """
    nodes = [n for n in addition.graph.nodes if n.op not in ("placeholder", "output")]
    useless: set[fx.Node] = set()
    for node in reversed(nodes):
        readers = set(node.users) - useless
        if not readers or (node is operand and readers == {addition}):
            useless.add(node)
    found: set[fx.Node] = set()
    for node in reversed(nodes):
        if node in useless and (node is operand or not found.isdisjoint(node.users)):
            found.add(node)
    for node in nodes:  # sizes that are read and not used
        if node in useless and not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found


def residual_branches(
    nodes: Collection[fx.Node],
    places: Mapping[fx.Node, Place],
    owners: Mapping[fx.Node, str],
    activations: Mapping[fx.Node, Any],
    channels: Mapping[fx.Node, Tensor],
    layers: Collection[str],
) -> list[Branch]:
    """Find the branches of a network.

    Parameters
    ----------
    nodes : collection of fx.Node
        In the order in which they run.
    places : mapping of fx.Node to Place
        Of the operations that are no modules, where the place is this operation's alone.
    owners : mapping of fx.Node to str
        In which module's forward a node stands.
    activations : mapping of fx.Node to Tensor or tuple of Tensor
        For what makes tensors, something of the same shapes.
    channels : mapping of fx.Node to Tensor of int64
        For what makes one tensor, the labels of its channels.
    layers : collection of str
        Names of convolutions and linear layers.

    Returns
    -------
    branches : list of Branch
    """
    users: dict[str, set[fx.Node]] = {}
    for node in nodes:
        if node.op == "call_module":
            users.setdefault(node.target, set()).add(node)
    found = []
    for addition in nodes:
        if addition.target not in ADDITIONS or addition not in places:
            continue
        operands = addition.args
        if operands[0] is operands[1] or not all(
            isinstance(operand, fx.Node) and operand in activations for operand in operands
        ):
            continue
        gone = [unneeded(addition, operand) for operand in operands]
        starts = [_starts(*side, activations) for side in zip(operands, gone, strict=True)]
        for number, (operand, inside) in enumerate(zip(operands, gone, strict=True)):
            calls = [n for n in nodes if n in inside and n.op == "call_module"]
            weighted = [n for n in calls if n.target in layers]
            other = operands[1 - number]
            if (
                not weighted
                or activations[other].shape != activations[addition].shape
                or not starts[1 - number] <= starts[number]
                or _starts(operand, inside, activations, weighted)
            ):
                continue
            found.append(
                Branch(
                    layers=tuple(n.target for n in weighted),
                    through=tuple(
                        n.target for n in weighted if not _starts(operand, inside, activations, [n])
                    ),
                    modules=tuple(
                        dict.fromkeys(n.target for n in calls if users[n.target] <= inside)
                    ),
                    operations=frozenset(places[n] for n in inside if n in places),
                    owner=_common({owners[node] for node in (addition, *inside)}),
                    addition=places[addition],
                    operand=number,
                    channels=channels[addition],
                )
            )
    return found


def _starts(
    operand: fx.Node,
    inside: Collection[fx.Node],
    activations: Collection[fx.Node],
    walls: Collection[fx.Node] = (),
) -> set[fx.Node]:
    """The activations outside to which there is a way back that meets no wall."""
    starts, seen, ahead = set(), set(), [operand]
    while ahead:
        node = ahead.pop()
        if node in seen or node in walls or node not in activations:
            continue
        seen.add(node)
        if node in inside:
            ahead += node.all_input_nodes
        else:
            starts.add(node)
    return starts


def _common(names: Collection[str]) -> str:
    """The innermost module that has all of these inside, or is them."""
    parts = zip(*(name.split(".") for name in names), strict=False)
    return ".".join(same[0] for same in takewhile(lambda part: len(set(part)) == 1, parts))
