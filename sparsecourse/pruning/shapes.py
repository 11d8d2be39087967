"""A convolution without its dead columns: gather what is needed of the image, multiply by less.

A column of the matrix ``W.reshape(filters, -1)`` is one position of one channel, in all filters.
Where it is zero, no row of the patches' matrix (im2col) that it meets is needed. What is left is a
smaller matrix product, and nothing in it is sparse.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from sparsecourse.nets.chain import chain
from sparsecourse.pruning.masks import per_layer, weight_layers
from sparsecourse.reference.convolution import output_size


class GatheredColumns(nn.Module):
    """Some rows of the patches' matrix, as maps: for each column that is left, what it meets.

    Parameters
    ----------
    is_left : Tensor of bool, shape (channels, k_h, k_w)
        True for the columns that are left, at least one.
    stride, padding, dilation : pair of int
        Vertical and horizontal, as those of the convolution. Padding is with zeros.

    Raises
    ------
    ValueError
        If `is_left` is of another kind, or no column is left.

    Notes
    -----
    The maps (n, columns, down, across) are in the order of ``is_left.permute(1, 2, 0)``: positions
    first, and channels within them. So there is one slice for each position of the kernel. Shapes
    must be known, so torch.fx does not trace through this.
    """

    is_left: Tensor
    channels: Tensor  # of each column

    def __init__(
        self,
        is_left: Tensor,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (0, 0),
        dilation: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        if is_left.dtype != torch.bool or is_left.ndim != 3 or not is_left.any():
            raise ValueError(
                "is_left must be bool of shape (channels, k_h, k_w) with a column that is left, "
                f"got {is_left.dtype} of shape {tuple(is_left.shape)} with {int(is_left.sum())}"
            )
        self.register_buffer("is_left", is_left.clone())
        self.stride, self.padding, self.dilation = stride, padding, dilation
        _plan(self)
        self.register_load_state_dict_post_hook(_plan)

    def forward(self, X: Tensor) -> Tensor:
        """Gather.

        Parameters
        ----------
        X : Tensor, shape (n, channels, height, width)

        Returns
        -------
        maps : Tensor, shape (n, columns, down, across)

        Raises
        ------
        ValueError
            If the images have another number of channels.
        """
        if X.ndim != 4 or X.shape[1] != len(self.is_left):
            raise ValueError(
                f"images must have {len(self.is_left)} channels, got shape {tuple(X.shape)}"
            )
        (s_h, s_w), (p_h, p_w), (d_h, d_w) = self.stride, self.padding, self.dilation
        kernel_size = tuple(self.is_left.shape[1:])
        down, across = output_size(
            tuple(X.shape[2:]), kernel_size, self.stride, self.padding, self.dilation
        )
        padded = pad(X, (p_w, p_w, p_h, p_h))
        maps = []
        for (i, j), channels in zip(self.positions, self.channels.split(self.counts), strict=True):
            rows = slice(d_h * i, d_h * i + s_h * (down - 1) + 1, s_h)
            cols = slice(d_w * j, d_w * j + s_w * (across - 1) + 1, s_w)
            maps.append(padded[:, :, rows, cols].index_select(1, channels))
        return torch.cat(maps, dim=1)


def without_dead_columns(conv: nn.Conv2d) -> nn.Sequential:
    """Leave out the columns of a convolution whose weights are all zero.

    Parameters
    ----------
    conv : nn.Conv2d
        With a mask or without, in one group, padded with zeros. It stays as it is.

    Returns
    -------
    smaller : nn.Sequential
        ``columns``, which gathers, and ``product``, a convolution of kernel size 1 with as many
        channels as there are columns left. The same function up to rounding. It can be trained,
        saved, counted by `costs` and masked like any layer; the gathering has no weights.

    Raises
    ------
    ValueError
        If it is another kind of layer, or no column is left.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    section 3.3.
    """
    if not isinstance(conv, nn.Conv2d) or conv.groups != 1 or conv.padding_mode != "zeros":
        raise ValueError(f"conv must be an nn.Conv2d in one group, padded with zeros, got {conv}")
    if isinstance(conv.padding, str):
        raise ValueError(f"conv must have padding in numbers, got {conv.padding!r}")
    weight = conv.weight.detach()
    is_left = (weight != 0).any(0)
    gathered = GatheredColumns(is_left, conv.stride, conv.padding, conv.dilation)
    product = nn.Conv2d(
        int(is_left.sum()),
        conv.out_channels,
        kernel_size=1,
        bias=conv.bias is not None,
        device=weight.device,
        dtype=weight.dtype,
    )
    with torch.no_grad():
        product.weight[:, :, 0, 0] = weight.permute(0, 2, 3, 1)[:, is_left.permute(1, 2, 0)]
        if conv.bias is not None:
            product.bias.copy_(conv.bias)
    return chain(columns=gathered, product=product).train(conv.training)


def gather_columns(model: nn.Module, layers: Iterable[str]) -> nn.Module:
    """Copy a network, with some of its convolutions `without_dead_columns`.

    Parameters
    ----------
    model : nn.Module
    layers : iterable of str
        Names of convolutions.

    Returns
    -------
    smaller : nn.Module
        Under the name of such a convolution are ``columns`` and ``product``.

    Raises
    ------
    ValueError
        If a name is no layer's, and as `without_dead_columns`.

    References
    ----------
    Wen et al., NeurIPS 2016, section 3.3.
    """
    smaller = copy.deepcopy(model)
    for name, (conv, _) in per_layer("layers", dict.fromkeys(layers), weight_layers(model)).items():
        parent, _, child = name.rpartition(".")
        setattr(smaller.get_submodule(parent), child, without_dead_columns(conv))
    return smaller


def _plan(module: GatheredColumns, keys: object = None) -> None:
    """Note what `is_left` says in the form that is gathered by; again after it was loaded."""
    by_position = module.is_left.permute(1, 2, 0)
    left = by_position.sum(2)
    module.positions = left.nonzero().tolist()
    module.counts = left[left > 0].tolist()
    module.register_buffer("channels", by_position.nonzero()[:, 2], persistent=False)
