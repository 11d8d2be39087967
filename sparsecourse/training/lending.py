"""A run borrows a model, and gives it back where and as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def lent(model: nn.Module, device: torch.device | str | None) -> Iterator[torch.device]:
    """Move a model to a device; afterwards it is where, and in the mode that, it was before.

    Networks with convolutions are laid out in memory with the channels last, which is faster.

    Parameters
    ----------
    model : nn.Module
    device : torch.device or str, optional
        Default: CUDA if there is one, else the CPU.

    Yields
    ------
    device : torch.device

    Raises
    ------
    ValueError
        If the model has no parameters.
    """
    parameters = list(model.parameters())
    if not parameters:
        raise ValueError(f"model must have parameters, got {type(model).__name__} without any")
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    home = parameters[0].device
    # A hook may borrow what is lent already, to measure an error.
    was_channels_last = any(value.ndim == 4 and not value.is_contiguous() for value in parameters)
    modes = [(module, module.training) for module in model.modules()]
    try:
        if any(isinstance(module, nn.Conv2d) for module in model.modules()):
            model.to(memory_format=torch.channels_last)
        model.to(device)
        yield device
    finally:
        layout = torch.channels_last if was_channels_last else torch.contiguous_format
        model.to(home, memory_format=layout)
        for module, training in modes:
            module.training = training
