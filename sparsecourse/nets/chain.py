"""A network as a chain of named layers that knows the images it takes."""

from __future__ import annotations

from collections import OrderedDict

from torch import fx, nn


def chain(**layers: nn.Module) -> nn.Sequential:
    """Put layers behind each other, under the names they are given.

    Parameters
    ----------
    **layers : nn.Module
        In the order in which they are applied.

    Returns
    -------
    layers : nn.Sequential
    """
    return nn.Sequential(OrderedDict(layers))


def network(input_shape: tuple[int, int, int], **layers: nn.Module) -> nn.Sequential:
    """Chain layers to a network that refuses images of another shape in words.

    Parameters
    ----------
    input_shape : tuple (channels, height, width)
        Of one image; kept as the attribute `input_shape`.
    **layers : nn.Module

    Returns
    -------
    net : nn.Sequential
    """
    net = chain(**layers)
    net.input_shape = input_shape
    # A hook, because a check in forward would be in the way of tracing.
    net.register_forward_pre_hook(_check_images)
    return net


def _check_images(net: nn.Sequential, inputs: tuple) -> None:
    for images in inputs:
        if isinstance(images, fx.Proxy):  # traced as a part of something larger: no shape yet
            continue
        if tuple(images.shape[1:]) != net.input_shape:
            expected = ", ".join(str(size) for size in net.input_shape)
            raise ValueError(
                f"images must have shape (n, {expected}), got {tuple(images.shape)}: "
                "resize or reshape them, or take a network for images of this size"
            )
