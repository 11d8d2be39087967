"""Labels that follow channels through a network, and which of them can only go together.

An activation is stood for by a tensor of its shape that holds, at each place, the label of the
channel that the number there belongs to. What only moves numbers (a view, a concatenation, a
channel shuffle) is run on the labels as it is. What combines numbers unites their labels.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor


class Labels:
    """All labels of a network: who made them, which were united, which must stay.

    A label is made by a filter, or it is free: a constant, such as the zeros of a padding, that
    goes with whatever it is combined with.
    """

    def __init__(self) -> None:
        self.is_free: list[bool] = []
        self.reasons: dict[int, str] = {}  # label -> why its channel must stay
        self._links: list[tuple[Tensor, Tensor]] = []
        self._classes: Tensor | None = None

    def new(self, n: int, *, free: bool = False) -> Tensor:
        """Make `n` labels, shape (n,)."""
        first = len(self.is_free)
        self.is_free += [free] * n
        self._classes = None
        return torch.arange(first, first + n)

    def unite(self, a: Tensor, b: Tensor) -> None:
        """From now on, the channels that meet at a place go together. Shapes broadcast."""
        a, b = torch.broadcast_tensors(_without_repeats(a), _without_repeats(b))
        differs = a != b
        if differs.any():
            pairs = torch.stack([a[differs], b[differs]]).numpy()
            pairs = np.unique(pairs[0] * len(self.is_free) + pairs[1])
            self._links.append(np.divmod(pairs, len(self.is_free)))
            self._classes = None

    def keep(self, labels: Tensor, reason: str) -> None:
        """These channels, and those that go with them, must stay. The first reason counts."""
        for label in _without_repeats(labels).unique().tolist():
            self.reasons.setdefault(label, reason)

    def classes(self) -> Tensor:
        """For each label the number of its class: labels of one class go together."""
        if self._classes is None:
            n = len(self.is_free)
            ends = [np.concatenate(side) for side in zip(*self._links, strict=True)]
            rows, columns = ends or (np.empty(0, int), np.empty(0, int))
            links = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(n, n))
            self._classes = torch.from_numpy(connected_components(links, directed=False)[1])
        return self._classes

    def of_filters(self) -> Tensor:
        """For each class, whether a filter makes one of its labels."""
        classes = self.classes().long()
        made = torch.zeros(int(classes.max()) + 1, dtype=torch.bool)
        made[classes[~torch.tensor(self.is_free)]] = True
        return made

    def varying(self, labels: Tensor) -> list[int]:
        """The dimensions along which the class changes."""
        few = _without_repeats(labels)
        dims = [dim for dim in range(few.ndim) if few.shape[dim] > 1]
        if len(dims) > 1:
            classes = self.classes()[few]
            dims = [dim for dim in dims if (classes != classes.narrow(dim, 0, 1)).any()]
        return dims

    def straighten(self, labels: Tensor) -> int | None:
        """Unite labels until they change along one dimension only; return it, or None for none.

        A smaller tensor has whole slices less: what is removed must be slices of one dimension.
        That one is taken which leaves the most classes to choose from.
        """
        dims = self.varying(labels)
        if len(dims) > 1:
            dims = [max(dims, key=lambda dim: (self._classes_along(labels, dim), dim))]
            reference = labels
            for dim in set(range(labels.ndim)) - set(dims):
                reference = reference.narrow(dim, 0, 1)
            self.unite(labels, reference)
        return dims[0] if dims else None

    def channels(self, labels: Tensor, dim: int) -> Tensor | None:
        """The labels along one dimension, if they change along no other; None if they do.

        Free labels join those around them: a border of zeros goes with its channel.
        """
        if set(self.varying(labels)) - {dim}:
            rows = _without_repeats(labels).movedim(dim, 0).flatten(1)
            classes = self.classes()[rows].long()
            made = self.of_filters()[classes]
            n_classes = int(classes.max()) + 1
            highest = torch.where(made, classes, -1).amax(1)
            lowest = torch.where(made, classes, n_classes).amin(1)
            if ((highest != lowest) & made.any(1)).any():
                return None
            self.unite(rows, rows[:, :1])
        first = labels
        for other in set(range(labels.ndim)) - {dim}:
            first = first.narrow(other, 0, 1)
        return first.flatten()

    def _classes_along(self, labels: Tensor, dim: int) -> int:
        """How many classes with filters there would be, if labels changed along `dim` only."""
        rows = self.classes()[_without_repeats(labels)].movedim(dim, 0).flatten(1).long()
        n = int(rows.max()) + 1
        made = self.of_filters()[rows]
        places = n + torch.arange(len(rows))[:, None].expand_as(rows)
        ends = (rows.flatten().numpy(), places.flatten().numpy())
        size = n + len(rows)
        links = coo_array((np.ones(rows.numel(), np.int8), ends), shape=(size, size))
        joined = torch.from_numpy(connected_components(links, directed=False)[1])
        return len(joined[rows[made]].unique())


def spread(channels: Tensor, dim: int, shape: torch.Size) -> Tensor:
    """Labels of this shape that are `channels` along `dim`, without taking memory for it.

    Parameters
    ----------
    channels : Tensor of int64, shape (shape[dim],)
    dim : int
    shape : torch.Size

    Returns
    -------
    labels : Tensor of int64
    """
    return channels.view([-1 if at == dim % len(shape) else 1 for at in range(len(shape))]).expand(
        shape
    )


def _without_repeats(labels: Tensor) -> Tensor:
    """Size 1 in the dimensions along which `spread` repeats the same numbers."""
    return labels[tuple(slice(0, 1) if step == 0 else slice(None) for step in labels.stride())]
