"""Structured sparsity learning: the group lasso on the weights of a network while it is trained.

The loss gets a price on groups of weights, such as filters, that makes some of them zero as a
whole:

    E(W) = E_D(W) + lam sum_layers sum_g ||W_g||

There are two ways to lower it. `ProximalStep` lets the optimizer step on the loss alone, and then
shrinks every group by the block soft threshold: groups become exactly zero. `Subgradient` adds the
price's subgradient to the gradient: groups become small, and none is ever zero.

`functional.weight_groups` has the kinds of groups. Which groups died, `pruning.dead_groups` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from sparsecourse.functional.weight_groups import (
    group_norms,
    group_penalty,
    group_subgradient,
    proximal_step,
)
from sparsecourse.pruning.dead_groups import kill
from sparsecourse.pruning.masks import apply, masks_of, per_layer, trained_weights, weight_layers
from sparsecourse.reference.validation import count, fraction, strength
from sparsecourse.reference.weight_groups import numbering_axes
from sparsecourse.training import Step

Prices = Mapping[str, Mapping[str, float]]  # layer name -> kind of group -> lam
Limits = Mapping[str, Mapping[str, int]]  # layer name -> kind of group -> number of groups


def constant_price(step: Step) -> float:
    """Charge the full price in every step.

    Parameters
    ----------
    step : Step

    Returns
    -------
    factor : float
        1.
    """
    return 1.0


def warm_up(up: float, off: float = 1.0) -> Callable[[Step], float]:
    """Let the price rise from 0, stay, and end, so that what is left can be trained without it.

    Parameters
    ----------
    up : float, 0 to `off`
        Share of all steps in which it rises, in a straight line.
    off : float, 0 to 1
        Share of all steps after which there is no price.

    Returns
    -------
    schedule : callable, Step -> factor of the price, 0 to 1

    Raises
    ------
    ValueError
        If a share is none, or `up` is more than `off`.
    """
    if fraction("up", up) > fraction("off", off):
        raise ValueError(f"up must be at most off, {off}, got {up}")

    def factor(step: Step) -> float:
        done = step.number / step.steps
        if done >= off:
            return 0.0
        return min(1.0, done / up) if up > 0 else 1.0

    return factor


def penalty(model: nn.Module, prices: Prices) -> Tensor:
    """Price of all groups of the layers named: what is added to the loss.

    Parameters
    ----------
    model : nn.Module
    prices : mapping of layer name to mapping of kind of group to lam, >= 0
        Such as ``{"conv1": {"filters": 1e-3}, "conv2": {"filters": 1e-3, "channels": 1e-3}}``.

    Returns
    -------
    price : Tensor, shape ()
        Gradients go through it.

    Raises
    ------
    ValueError
        If a name is no layer's, a kind is unknown or a price is negative.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    eq. (1).
    """
    _require_prices(model, prices)
    terms = [
        lam * group_penalty(layer.weight, kind)
        for layer, kinds in _priced(model, prices).values()
        for kind, lam in kinds.items()
    ]
    return torch.stack(terms).sum() if terms else torch.zeros(())


class Subgradient:
    """Hook of `training.fit`: add a subgradient of the group lasso's price to the gradient.

    For comparison. A group that is drawn to zero goes past it and back by the length of a step,
    so what died can be told by a threshold only. The bound on the gradient's norm (`clip`) comes
    after this, and bounds the price as well.

    Parameters
    ----------
    model : nn.Module
        The one that will be trained.
    prices : mapping of layer name to mapping of kind of group to lam, >= 0
        As for `penalty`. Groups may overlap.
    schedule : callable, Step -> factor of all prices

    Raises
    ------
    ValueError
        As `penalty`.

    References
    ----------
    Wen et al., NeurIPS 2016, section 3.1.
    """

    def __init__(
        self,
        model: nn.Module,
        prices: Prices,
        schedule: Callable[[Step], float] = constant_price,
    ) -> None:
        _require_prices(model, prices)
        self.prices = prices
        self.schedule = schedule

    def after_backward(self, step: Step) -> None:
        """Add the subgradient."""
        factor = self.schedule(step)
        parameters = trained_weights(step.model)
        for name, (layer, kinds) in _priced(step.model, self.prices).items():
            for kind, lam in kinds.items():
                pull = group_subgradient(layer.weight.detach(), kind)
                parameters[name].grad.add_(pull, alpha=factor * lam)


class ProximalStep:
    """Hook of `training.fit`: after each step of the optimizer, shrink every group by lr * lam.

    That is the proximal gradient method where the optimizer is plain gradient descent. With
    momentum the gradient's steps are longer than lr, and the price weighs less by that factor;
    optimizers that scale each weight's step (Adam) do not fit. Groups that overlap, filters and
    channels say, are shrunk kind by kind, in the order of `prices`: no longer the exact proximal
    step of their sum, but one that leaves zeros of both kinds.

    A group that is zero may come back, if the loss pulls hard enough. With `until` it may not once
    there are few enough: then the dead groups of this kind are put under a mask, and those that
    are left have no price any more. A step that would leave fewer shrinks by less.

    Parameters
    ----------
    model : nn.Module
        The one that will be trained.
    prices : mapping of layer name to mapping of kind of group to lam, >= 0
        As for `penalty`.
    schedule : callable, Step -> factor of all prices
    until : mapping of layer name to mapping of kind of group to int, >= 1, optional
        How many groups are few enough. Kinds that are not named have their price to the end. All
        layers named get masks at once, so that a checkpoint of any step can be loaded.

    Raises
    ------
    ValueError
        As `penalty`, and if `until` names what has no price, or less than one group.

    References
    ----------
    Wen et al., NeurIPS 2016, eq. (1); the step: Parikh, Boyd, Proximal algorithms, Foundations and
    Trends in Optimization 2014, sections 4.2 and 6.5.4. `until` is not in the paper, which tries
    prices.
    """

    def __init__(
        self,
        model: nn.Module,
        prices: Prices,
        schedule: Callable[[Step], float] = constant_price,
        until: Limits | None = None,
    ) -> None:
        _require_prices(model, prices)
        self.prices = prices
        self.schedule = schedule
        self.until = until or {}
        _require_limits(self.until, prices)
        left = masks_of(model)
        apply(model, {name: left[name] for name in self.until})

    def after_step(self, step: Step) -> None:
        """Shrink the groups."""
        factor = self.schedule(step)
        parameters = trained_weights(step.model)
        rates = {
            id(parameter): group["lr"]
            for group in step.optimizer.param_groups
            for parameter in group["params"]
        }
        for name, (layer, kinds) in _priced(step.model, self.prices).items():
            parameter = parameters[name]
            rate = rates.get(id(parameter), 0.0)  # a layer that the optimizer does not move
            for kind, lam in kinds.items():
                limit = self.until.get(name, {}).get(kind, 0)
                weight = layer.weight.detach()
                norms = group_norms(weight, kind).flatten().sort(descending=True).values
                threshold = rate * factor * lam
                if limit:
                    if norms.count_nonzero() <= limit:
                        continue
                    # Else one step could leave fewer. Halfway, as lengths are rounded.
                    threshold = min(threshold, float(norms[limit - 1 : limit + 1].mean()))
                weight = proximal_step(weight, kind, threshold)
                parameter.data.copy_(weight)
                self._hold_the_dead(step.model, name, kind, weight)

    def _hold_the_dead(self, model: nn.Module, name: str, kind: str, weight: Tensor) -> None:
        limit = self.until.get(name, {}).get(kind, 0)
        norms = group_norms(weight, kind)
        if norms.count_nonzero() <= limit:
            mask = masks_of(model)[name]
            kill(mask, kind, norms == 0)
            apply(model, {name: mask})


def _priced(model: nn.Module, prices: Prices) -> dict[str, tuple[nn.Module, Mapping[str, float]]]:
    return per_layer("prices", prices, weight_layers(model))


def _require_prices(model: nn.Module, prices: Prices) -> None:
    for name, (layer, kinds) in _priced(model, prices).items():
        if not isinstance(kinds, Mapping):
            raise ValueError(
                f"prices of {name} must be a mapping of kind of group to lam, got {kinds!r}"
            )
        for kind, lam in kinds.items():
            numbering_axes(kind, layer.weight.ndim)
            strength(lam)


def _require_limits(until: Limits, prices: Prices) -> None:
    for name, kinds in until.items():
        for kind, limit in kinds.items():
            if kind not in prices.get(name, {}):
                raise ValueError(f"until names {kind!r} of {name!r}, which have no price")
            if count("until", limit) < 1:
                raise ValueError(f"until must be at least 1, got {limit} for {kind!r} of {name!r}")
