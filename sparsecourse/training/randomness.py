"""The random numbers of a run: seeded, saved, and drawn without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Randomness:
    """The random numbers of a run, as a state that can be saved.

    Attributes
    ----------
    order : torch.Generator
        For the order of the samples alone: nets with and without dropout see the same batches.
        On the CPU, so that they are the same on every device.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        # Not torch.manual_seed, which seeds the devices that take no part in the run as well.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        self.order = torch.Generator().manual_seed(seed)
        self._device = device

    def state_dict(self) -> dict[str, Tensor]:
        """The states of the generators."""
        state = {"order": self.order.get_state(), "cpu": torch.get_rng_state()}
        if self._device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self._device)
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from saved states; a run may go on, on another kind of device."""
        self.order.set_state(state["order"])
        torch.set_rng_state(state["cpu"])
        if self._device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self._device)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[Randomness]:
    """Seed torch's generators; afterwards they continue as if nothing had been drawn."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield Randomness(seed, device)
