"""Masks on the weights of a network: chosen by size, held while it is trained, saved with it.

Weights are those of convolutions and linear layers. Biases and normalisations are not pruned: they
are few, and cutting them would shift or silence a whole neuron. Layers have the names that they
have in ``model.named_modules()``.

A mask is a parametrization (torch.nn.utils.parametrize) of the layer's weight. So it holds in
every forward, whatever optimizer moves the numbers behind it; it is saved in the state_dict; the
layer stays a layer of its class, for torch.fx too; and an optimizer made before goes on with the
same parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sparsecourse.costs import PRODUCTS
from sparsecourse.functional.pruning import global_magnitude_masks, threshold_mask
from sparsecourse.functional.validation import finite_tensor
from sparsecourse.reference.validation import fraction

Masks = dict[str, Tensor]  # layer name -> tensor of bool, True where the weight stays


class Mask(nn.Module):
    """The parametrization: the weight where the mask is True, zero elsewhere.

    The numbers behind zeros get no gradient. Momentum may still move them, which nobody sees.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        # Not a product, which would turn infinity into NaN, and negative numbers into -0.
        return torch.where(self.mask, weight, 0)


def weight_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Find the layers whose weights can be pruned: convolutions and linear layers.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    layers : dict of str to nn.Module
        In the order of ``model.named_modules()``. A layer that is used twice is there once.

    Raises
    ------
    ValueError
        If there is none, if two modules share one weight, or if a weight is no plain parameter.
    """
    holders: dict[int, list[str]] = {}
    for name, module in model.named_modules():
        for key, parameter in module.named_parameters(name, recurse=False):
            holders.setdefault(id(parameter), []).append(key)
    layers = {}
    for name, layer in model.named_modules():
        if isinstance(layer, PRODUCTS):
            shared = holders[id(_parameter(name, layer))]
            if len(shared) > 1:
                raise ValueError(
                    f"{' and '.join(shared)} are one tensor, which two masks would cut twice: "
                    "give each module its own"
                )
            layers[name] = layer
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no convolution and no linear layer: nothing to prune"
        )
    return layers


def trained_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Find what an optimizer moves in each layer: its weight, or the tensor behind its mask.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    weights : dict of str to nn.Parameter
        Under the names of `weight_layers`. Where a mask is zero, the numbers have no meaning.

    Raises
    ------
    ValueError
        As `weight_layers`.
    """
    return {name: _parameter(name, layer) for name, layer in weight_layers(model).items()}


def apply(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set weights to zero, and hold them there. What was pruned before stays pruned.

    Parameters
    ----------
    model : nn.Module
    masks : mapping of layer name to Tensor of bool, shape of the layer's weight
        Layers that are not named stay as they are.

    Raises
    ------
    ValueError
        If a name is no layer's, if a mask is not of bool or of another shape, or if it would bring
        back what is pruned. Nothing is applied then.
    """
    layers = per_layer("masks", masks, weight_layers(model))
    for name, (layer, mask) in layers.items():
        left = _left(layer)
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != left.shape:
            given = (mask.dtype, tuple(mask.shape)) if isinstance(mask, Tensor) else type(mask)
            raise ValueError(f"{name}: a mask must be bool of {tuple(left.shape)}, got {given}")
        revived = int((mask.to(left.device) & ~left).sum())
        if revived:
            raise ValueError(
                f"{name}: the mask keeps {revived} weights that are pruned already, and their "
                "values are lost: combine it (&) with masks_of(model), or start from another model"
            )
    with torch.no_grad():
        for layer, mask in layers.values():
            parametrization = _attach(layer)
            parametrization[0].mask.copy_(mask)
            parametrization.original.masked_fill_(~parametrization[0].mask, 0)


def masks_of(model: nn.Module) -> Masks:
    """Copy the masks of all layers.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    masks : dict of str to Tensor of bool
        True everywhere for a layer without one.

    Raises
    ------
    ValueError
        As `weight_layers`.
    """
    return {name: _left(layer).clone() for name, layer in weight_layers(model).items()}


def remove(model: nn.Module) -> None:
    """Take the masks off: zeros become plain weights, which training can move again.

    Parameters
    ----------
    model : nn.Module

    Raises
    ------
    ValueError
        As `weight_layers`.
    """
    for layer in weight_layers(model).values():
        if parametrize.is_parametrized(layer, "weight"):
            # Copies (copy.deepcopy) share the class that torch made for the layer, and torch takes
            # the weight from that class: without a class of its own, this would break the others.
            shared = type(layer)
            layer.__class__ = type(shared.__name__, shared.__bases__, dict(vars(shared)))
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def load_state_dict(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Load what a masked model saved into a model with or without masks.

    Parameters
    ----------
    model : nn.Module
        Of the same architecture.
    state : mapping
        ``state_dict()`` of the masked model.

    Raises
    ------
    ValueError
        As `weight_layers`.
    RuntimeError
        As ``model.load_state_dict``, if `state` is of another architecture.
    """
    for name, layer in weight_layers(model).items():
        if f"{name}.parametrizations.weight.0.mask".lstrip(".") in state:
            _attach(layer)
    model.load_state_dict(state)


def magnitude(
    model: nn.Module,
    keep: float | Mapping[str, float],
    scope: Literal["global", "layer"] = "global",
) -> Masks:
    """Choose the largest weights among those that are left.

    Parameters
    ----------
    model : nn.Module
    keep : float, 0 to 1, or mapping of layer name to float
        The share of all weights, pruned ones included, that stays: exactly ``round(keep * n)``.
        A mapping, for scope "layer", leaves the layers alone that it does not name.
    scope : "global" or "layer"
        Rank the weights of all layers together, or those of each layer alone.

    Returns
    -------
    masks : dict of str to Tensor of bool
        To be given to `apply`.

    Raises
    ------
    ValueError
        If fewer weights are left than are to be kept, if a name is no layer's, or on bad input.
    """
    layers = weight_layers(model)
    if scope == "global" and not isinstance(keep, Mapping):
        return _largest(layers, keep)
    if scope != "layer":
        expected = '"layer" where keep is a mapping' if scope == "global" else '"global" or "layer"'
        raise ValueError(f"scope must be {expected}, got {scope!r}")
    masks: Masks = {}
    for name, (layer, share) in per_layer("keep", keep, layers).items():
        masks |= _largest({name: layer}, share)
    return masks


def threshold(model: nn.Module, c: float | Mapping[str, float]) -> Masks:
    """Choose the weights larger than `c` standard deviations of what is left in their layer.

    Parameters
    ----------
    model : nn.Module
    c : float, >= 0, or mapping of layer name to float
        A mapping leaves the layers alone that it does not name.

    Returns
    -------
    masks : dict of str to Tensor of bool
        To be given to `apply`.

    Raises
    ------
    ValueError
        If `c` is negative, if a name is no layer's, or on bad input.

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, section 4. The paper does not say whether zeros count in later rounds; here they
    do not.
    """
    masks = {}
    for name, (layer, factor) in per_layer("c", c, weight_layers(model)).items():
        left = _left(layer)
        mask = left.clone()
        if left.any():
            mask.masked_scatter_(left, threshold_mask(_weights_left(name, layer), factor))
        masks[name] = mask
    return masks


def sparsity(model: nn.Module) -> pd.DataFrame:
    """Count the exact zeros among the weights that the layers really use.

    Parameters
    ----------
    model : nn.Module
        With masks or without.

    Returns
    -------
    counts : DataFrame
        A row for each layer and one for the "total"; columns `weights`, `zeros`, and `sparsity`,
        the share of zeros.

    Raises
    ------
    ValueError
        As `weight_layers`.
    """
    counts = pd.DataFrame(
        [
            (name, layer.weight.numel(), int((layer.weight == 0).sum()))
            for name, layer in weight_layers(model).items()
        ],
        columns=["layer", "weights", "zeros"],
    ).set_index("layer")
    counts.loc["total"] = counts.sum()
    return counts.assign(sparsity=counts["zeros"] / counts["weights"])


def sensitivity(
    model: nn.Module,
    evaluate: Callable[[nn.Module], float],
    shares: Sequence[float],
    layers: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Prune one layer alone, to several shares, and evaluate each time. The model stays as it is.

    Parameters
    ----------
    model : nn.Module
    evaluate : callable, model -> float
        The error, say, on validation data. It is given a copy, which it may do anything with.
    shares : sequence of float, 0 to 1
        Of the layer's weights that are kept, the largest ones.
    layers : iterable of str, optional
        Default: all.

    Returns
    -------
    scan : DataFrame
        A row for each share, a column for each layer.

    Raises
    ------
    ValueError
        If a name is no layer's, or a share is none.

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, figure 6.
    """
    scan = pd.DataFrame(index=pd.Index(shares, name="keep"))
    for name in weight_layers(model) if layers is None else layers:
        column = []
        for share in shares:
            pruned = copy.deepcopy(model)
            apply(pruned, magnitude(pruned, {name: share}, scope="layer"))
            column.append(evaluate(pruned))
        scan[name] = column
    return scan


def per_layer(
    argument: str, values: Any, layers: Mapping[str, nn.Module]
) -> dict[str, tuple[nn.Module, Any]]:
    """Bring layers and the values given for them together.

    Parameters
    ----------
    argument : str
        What the caller's signature calls the values.
    values : mapping of layer name to anything, or anything else
        What is no mapping is for all layers.
    layers : mapping of str to nn.Module

    Returns
    -------
    pairs : dict of str to (layer, value)
        Of the layers that are named.

    Raises
    ------
    ValueError
        If a name is no layer's.
    """
    if not isinstance(values, Mapping):
        values = dict.fromkeys(layers, values)
    unknown = [name for name in values if name not in layers]
    if unknown:
        raise ValueError(f"{argument} names {unknown}, the layers are {list(layers)}")
    return {name: (layers[name], value) for name, value in values.items()}


def _parameter(name: str, layer: nn.Module) -> nn.Parameter:
    """What the optimizer moves: the weight, or the tensor behind its mask."""
    if parametrize.is_parametrized(layer, "weight"):
        steps = layer.parametrizations.weight
        if len(steps) > 1 or not isinstance(steps[0], Mask):
            kinds = ", ".join(type(step).__name__ for step in steps)
            raise ValueError(
                f"{name}.weight is parametrized by {kinds}, and only plain weights can be masked: "
                "remove the parametrization (torch.nn.utils.parametrize)"
            )
        return steps.original
    if "weight" not in layer._parameters:
        raise ValueError(
            f"{name}.weight is computed from other tensors, and only plain weights can be masked: "
            "make it permanent (torch.nn.utils.prune.remove, or remove_weight_norm)"
        )
    return layer.weight


def _left(layer: nn.Module) -> Tensor:
    if parametrize.is_parametrized(layer, "weight"):
        return layer.parametrizations.weight[0].mask
    return torch.ones_like(layer.weight, dtype=torch.bool)


def _attach(layer: nn.Module) -> parametrize.ParametrizationList:
    if not parametrize.is_parametrized(layer, "weight"):
        parametrize.register_parametrization(layer, "weight", Mask(_left(layer)))
    return layer.parametrizations.weight


def _weights_left(name: str, layer: nn.Module) -> Tensor:
    weight = finite_tensor(f"{name}.weight", layer.weight.detach(), least_ndim=1)
    return weight.masked_select(_left(layer))


def _largest(layers: Mapping[str, nn.Module], keep: float) -> Masks:
    """The largest of the weights left in these layers, which are ranked together."""
    masks = {name: torch.zeros_like(_left(layer)) for name, layer in layers.items()}
    left = {name: _weights_left(name, layer) for name, layer in layers.items()}
    n_left = sum(len(weights) for weights in left.values())
    n_kept = round(fraction("keep", keep) * sum(mask.numel() for mask in masks.values()))
    if n_kept > n_left:
        raise ValueError(
            f"keep = {keep} of {', '.join(layers)} are {n_kept} weights, but only {n_left} are "
            "left: what is pruned stays pruned"
        )
    some = [name for name in layers if len(left[name])]
    if some:
        chosen = global_magnitude_masks([left[name] for name in some], n_kept / n_left)
        for name, mask in zip(some, chosen, strict=True):
            masks[name].masked_scatter_(_left(layers[name]), mask)
    return masks
