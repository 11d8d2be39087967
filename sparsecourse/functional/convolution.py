"""Convolution as a matrix product on tensors: the twins of `sparsecourse.reference.convolution`.

The reference walks over the places of the kernel, one patch at a time. Here the walk is over the
entries of the kernel, of which there are fewer: what one entry meets at all places of all images
is a view of the batch.

A setting (`kernel_size`, `stride`, `padding`, `dilation`) is a number or a pair (vertical,
horizontal).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from sparsecourse.functional.validation import finite_tensor
from sparsecourse.reference.convolution import Setting, output_size
from sparsecourse.reference.validation import count


def im2col(
    X: Tensor,
    kernel_size: Setting,
    stride: Setting = 1,
    padding: Setting = 0,
    dilation: Setting = 1,
) -> Tensor:
    """Write the patch at each place of the kernel as a column.

    Parameters
    ----------
    X : Tensor, shape (n, channels, height, width)
    kernel_size : int or pair of int, >= 1
        k_h and k_w.
    stride : int or pair of int, >= 1
    padding : int or pair of int, >= 0
        Zeros on each side.
    dilation : int or pair of int, >= 1

    Returns
    -------
    columns : Tensor, shape (n, channels * k_h * k_w, down * across)
        `down` and `across` are those of `reference.convolution.output_size`; places are read row
        by row. With a stride of 1 this is about k_h k_w times as large as `X`.

    Raises
    ------
    ValueError
        If a setting is no such number or pair, if the kernel is larger than the padded image, or
        on bad input.

    References
    ----------
    Chellapilla, Puri, Simard, High performance convolutional neural networks for document
    processing, IWFHR 2006; Chetlur et al., cuDNN: Efficient primitives for deep learning, 2014,
    section 3.
    """
    n, channels, height, width = _four_dimensional("X", X).shape
    places = output_size((height, width), kernel_size, stride, padding, dilation)
    (k_h, k_w), (p_h, p_w) = _pair(kernel_size), _pair(padding)
    padded = pad(X, (p_w, p_w, p_h, p_h))
    met = torch.stack(list(_met_by_each_entry(padded, places, kernel_size, stride, dilation)), 2)
    return met.reshape(n, channels * k_h * k_w, -1)


def col2im(
    columns: Tensor,
    shape: Sequence[int],
    kernel_size: Setting,
    stride: Setting = 1,
    padding: Setting = 0,
    dilation: Setting = 1,
) -> Tensor:
    """Add each column to the pixels that it came from: the adjoint (transpose) of `im2col`.

    ``sum(im2col(X) * C) = sum(X * col2im(C))`` for all X and C. So it carries a gradient back from
    patches to the image; it does not undo `im2col`, since a pixel of k patches is added k times.

    Parameters
    ----------
    columns : Tensor, shape (n, channels * k_h * k_w, down * across)
        As `im2col` returns them.
    shape : sequence of 4 int
        (n, channels, height, width) of the images.
    kernel_size, stride, padding, dilation : int or pair of int
        As in `im2col`.

    Returns
    -------
    X : Tensor, shape `shape`
        Zero where the kernel does not come.

    Raises
    ------
    ValueError
        If `columns` has another shape than `im2col` gives images of shape `shape`, as `im2col`, or
        on bad input.

    References
    ----------
    Chellapilla, Puri, Simard, High performance convolutional neural networks for document
    processing, IWFHR 2006.
    """
    finite_tensor("columns", columns, least_ndim=3)
    if len(shape) != 4:
        raise ValueError(f"shape must be (n, channels, height, width), got {shape}")
    n, channels, height, width = (count("shape", number) for number in shape)
    places = output_size((height, width), kernel_size, stride, padding, dilation)
    (k_h, k_w), (p_h, p_w) = _pair(kernel_size), _pair(padding)
    expected = (n, channels * k_h * k_w, places[0] * places[1])
    if columns.shape != expected:
        raise ValueError(
            f"columns must have shape {expected} for images of shape {tuple(shape)}, got "
            f"{tuple(columns.shape)}"
        )
    padded = columns.new_zeros(n, channels, height + 2 * p_h, width + 2 * p_w)
    met = _met_by_each_entry(padded, places, kernel_size, stride, dilation)
    for pixels, row in zip(met, columns.reshape(n, channels, -1, *places).unbind(2), strict=True):
        pixels.add_(row)
    return padded[:, :, p_h : p_h + height, p_w : p_w + width]


def conv2d(
    X: Tensor,
    W: Tensor,
    bias: Tensor | None = None,
    stride: Setting = 1,
    padding: Setting = 0,
    dilation: Setting = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve by a matrix product for each group: filters as rows times patches as columns.

    The products of all images and groups are one batched product. (To compute and not to learn,
    take `torch.nn.functional.conv2d`: the same up to rounding, also by ways that write no columns.)

    Parameters
    ----------
    X : Tensor, shape (n, channels, height, width)
    W : Tensor, shape (filters, channels / groups, k_h, k_w)
        The same dtype and device as `X`.
    bias : Tensor, shape (filters,), optional
        The same dtype and device as `X`.
    stride : int or pair of int, >= 1
    padding : int or pair of int, >= 0
        Zeros on each side.
    dilation : int or pair of int, >= 1
    groups : int, >= 1, divides channels and filters
        The first ``filters / groups`` filters see the first ``channels / groups`` channels alone,
        and so on; with as many groups as channels the convolution is depthwise.

    Returns
    -------
    Y : Tensor, shape (n, filters, down, across)
        `down` and `across` are those of `reference.convolution.output_size`.

    Raises
    ------
    ValueError
        If `groups` does not divide the channels and the filters, if `W` or `bias` does not fit
        them or differs from `X` in dtype or device, as `im2col`, or on bad input.

    References
    ----------
    Chellapilla, Puri, Simard, High performance convolutional neural networks for document
    processing, IWFHR 2006; Chetlur et al., cuDNN: Efficient primitives for deep learning, 2014,
    section 3. Groups: Krizhevsky, Sutskever, Hinton, ImageNet classification with deep
    convolutional neural networks, NeurIPS 2012, section 3.2.
    """
    n, channels, height, width = _four_dimensional("X", X).shape
    filters, in_group, *kernel_size = _four_dimensional("W", W, like=X).shape
    if count("groups", groups) == 0 or channels % groups or filters % groups:
        raise ValueError(
            f"groups must divide the {channels} channels of X and the {filters} filters of W, got "
            f"{groups}"
        )
    if in_group != channels // groups:
        raise ValueError(
            f"W must have shape (filters, {channels // groups}, k_h, k_w) for {channels} channels "
            f"in groups = {groups}, got {tuple(W.shape)}"
        )
    if bias is not None:
        _like("bias", finite_tensor("bias", bias, least_ndim=1), X)
        if bias.shape != (filters,):
            raise ValueError(f"bias must have shape ({filters},), got {tuple(bias.shape)}")
    places = output_size((height, width), kernel_size, stride, padding, dilation)
    columns = im2col(X, kernel_size, stride, padding, dilation)
    filters_of = W.reshape(groups, filters // groups, -1)
    columns_of = columns.reshape(n, groups, -1, columns.shape[-1])
    Y = (filters_of @ columns_of).reshape(n, filters, *places)
    return Y if bias is None else Y + bias[:, None, None]


def _met_by_each_entry(
    padded: Tensor,
    places: tuple[int, int],
    kernel_size: Setting,
    stride: Setting,
    dilation: Setting,
) -> Iterator[Tensor]:
    """For each entry of the kernel the pixels that it meets, one a place: views of the images."""
    (k_h, k_w), (s_h, s_w), (d_h, d_w) = _pair(kernel_size), _pair(stride), _pair(dilation)
    down, across = places
    for i in range(k_h):
        rows = slice(d_h * i, d_h * i + s_h * (down - 1) + 1, s_h)
        for j in range(k_w):
            cols = slice(d_w * j, d_w * j + s_w * (across - 1) + 1, s_w)
            yield padded[:, :, rows, cols]


def _pair(setting: Setting) -> Sequence[int]:
    return setting if isinstance(setting, Sequence) else (setting, setting)


def _four_dimensional(name: str, value: Tensor, like: Tensor | None = None) -> Tensor:
    if finite_tensor(name, value, least_ndim=4).ndim != 4:
        raise ValueError(f"{name} must be 4-D, got shape {tuple(value.shape)}")
    return value if like is None else _like(name, value, like)


def _like(name: str, value: Tensor, X: Tensor) -> Tensor:
    if (value.dtype, value.device) != (X.dtype, X.device):
        raise ValueError(
            f"{name} must be {X.dtype} on {X.device} like X, got {value.dtype} on {value.device}"
        )
    return value
