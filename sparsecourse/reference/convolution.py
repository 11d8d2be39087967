"""Convolution as a matrix product: patches become columns, filters are rows.

Conventions: an image is (channels, height, width) and a batch has n of them; `W.reshape(filters,
-1)` has a filter in each row. What a filter meets at one place, its patch, is a column, read in the
order of that row: channel by channel, then row by row. Each image has a matrix of its own; Chetlur
et al. set those of a batch side by side. As in all networks the kernel is not flipped, which in
mathematics is a correlation.

A setting (`kernel_size`, `stride`, `padding`, `dilation`) is a number or a pair (vertical,
horizontal).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference.validation import count, finite_array

Floats = NDArray[np.float64]
Setting = int | Sequence[int]


def output_size(
    size: Setting,
    kernel_size: Setting,
    stride: Setting = 1,
    padding: Setting = 0,
    dilation: Setting = 1,
) -> tuple[int, int]:
    """Count the places of a kernel: ``floor((h + 2 p - d (k - 1) - 1) / s) + 1`` each way.

    Parameters
    ----------
    size : int or pair of int, >= 1
        h, height and width of an image.
    kernel_size : int or pair of int, >= 1
        k.
    stride : int or pair of int, >= 1
        s, from one place to the next.
    padding : int or pair of int, >= 0
        p, zeros on each of two opposite sides.
    dilation : int or pair of int, >= 1
        d, from one entry of the kernel to the next.

    Returns
    -------
    down, across : int
        The output of a convolution has shape (n, filters, down, across).

    Raises
    ------
    ValueError
        If a setting is no such number or pair, or if the kernel is larger than the padded image.

    References
    ----------
    Dumoulin, Visin, A guide to convolution arithmetic for deep learning, 2016, section 5.1.
    """
    sizes = _pair("size", size, 1)
    settings = _settings(kernel_size, stride, padding, dilation)
    places = []
    for h, k, s, p, d in zip(sizes, *settings, strict=True):
        reach = d * (k - 1) + 1
        if reach > h + 2 * p:
            raise ValueError(
                f"kernel_size = {kernel_size} with dilation = {dilation} reaches over {reach} "
                f"pixels, the image with padding = {padding} has {h + 2 * p}: pad more, or take a "
                "smaller kernel"
            )
        places.append((h + 2 * p - reach) // s + 1)
    down, across = places
    return down, across


def im2col(
    X: ArrayLike,
    kernel_size: Setting,
    stride: Setting = 1,
    padding: Setting = 0,
    dilation: Setting = 1,
) -> Floats:
    """Write the patch at each place of the kernel as a column.

    Parameters
    ----------
    X : array_like, shape (n, channels, height, width)
    kernel_size : int or pair of int, >= 1
        k_h and k_w.
    stride : int or pair of int, >= 1
    padding : int or pair of int, >= 0
        Zeros on each side.
    dilation : int or pair of int, >= 1

    Returns
    -------
    columns : ndarray, shape (n, channels * k_h * k_w, down * across)
        `down` and `across` are those of `output_size`; places are read row by row. With a stride
        of 1 this is about k_h k_w times as large as `X`.

    Raises
    ------
    ValueError
        As `output_size`, or on bad input.

    References
    ----------
    Chellapilla, Puri, Simard, High performance convolutional neural networks for document
    processing, IWFHR 2006; Chetlur et al., cuDNN: Efficient primitives for deep learning, 2014,
    section 3.
    """
    X = finite_array("X", X, ndim=(4,))
    n, channels, height, width = X.shape
    down, across = output_size((height, width), kernel_size, stride, padding, dilation)
    (k_h, k_w), (s_h, s_w), (p_h, p_w), (d_h, d_w) = _settings(
        kernel_size, stride, padding, dilation
    )
    padded = np.pad(X, [(0, 0), (0, 0), (p_h, p_h), (p_w, p_w)])
    columns = np.empty((n, channels * k_h * k_w, down * across))
    for i in range(down):
        for j in range(across):
            rows = s_h * i + d_h * np.arange(k_h)
            cols = s_w * j + d_w * np.arange(k_w)
            patch = padded[:, :, rows[:, None], cols]
            columns[:, :, i * across + j] = patch.reshape(n, -1)
    return columns


def col2im(
    columns: ArrayLike,
    shape: Sequence[int],
    kernel_size: Setting,
    stride: Setting = 1,
    padding: Setting = 0,
    dilation: Setting = 1,
) -> Floats:
    """Add each column to the pixels that it came from: the adjoint (transpose) of `im2col`.

    ``sum(im2col(X) * C) = sum(X * col2im(C))`` for all X and C. So it carries a gradient back from
    patches to the image; it does not undo `im2col`, since a pixel of k patches is added k times.

    Parameters
    ----------
    columns : array_like, shape (n, channels * k_h * k_w, down * across)
        As `im2col` returns them.
    shape : sequence of 4 int
        (n, channels, height, width) of the images.
    kernel_size, stride, padding, dilation : int or pair of int
        As in `im2col`.

    Returns
    -------
    X : ndarray, shape `shape`
        Zero where the kernel does not come.

    Raises
    ------
    ValueError
        If `columns` has another shape than `im2col` gives images of shape `shape`, as
        `output_size`, or on bad input.

    References
    ----------
    Chellapilla, Puri, Simard, High performance convolutional neural networks for document
    processing, IWFHR 2006.
    """
    columns = finite_array("columns", columns, ndim=(3,))
    if len(shape) != 4:
        raise ValueError(f"shape must be (n, channels, height, width), got {shape}")
    n, channels, height, width = (count("shape", number) for number in shape)
    down, across = output_size((height, width), kernel_size, stride, padding, dilation)
    (k_h, k_w), (s_h, s_w), (p_h, p_w), (d_h, d_w) = _settings(
        kernel_size, stride, padding, dilation
    )
    expected = (n, channels * k_h * k_w, down * across)
    if columns.shape != expected:
        raise ValueError(
            f"columns must have shape {expected} for images of shape {shape}, got {columns.shape}"
        )
    padded = np.zeros((n, channels, height + 2 * p_h, width + 2 * p_w))
    for i in range(down):
        for j in range(across):
            rows = s_h * i + d_h * np.arange(k_h)
            cols = s_w * j + d_w * np.arange(k_w)
            patch = columns[:, :, i * across + j].reshape(n, channels, k_h, k_w)
            padded[:, :, rows[:, None], cols] += patch
    return padded[:, :, p_h : p_h + height, p_w : p_w + width]


def conv2d(
    X: ArrayLike,
    W: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Setting = 1,
    padding: Setting = 0,
    dilation: Setting = 1,
    groups: int = 1,
) -> Floats:
    """Convolve by a matrix product for each group: filters as rows times patches as columns.

    Parameters
    ----------
    X : array_like, shape (n, channels, height, width)
    W : array_like, shape (filters, channels / groups, k_h, k_w)
    bias : array_like, shape (filters,), optional
    stride : int or pair of int, >= 1
    padding : int or pair of int, >= 0
        Zeros on each side.
    dilation : int or pair of int, >= 1
    groups : int, >= 1, divides channels and filters
        The first ``filters / groups`` filters see the first ``channels / groups`` channels alone,
        and so on; with as many groups as channels the convolution is depthwise.

    Returns
    -------
    Y : ndarray, shape (n, filters, down, across)
        `down` and `across` are those of `output_size`.

    Raises
    ------
    ValueError
        If `groups` does not divide the channels and the filters, if `W` or `bias` does not fit
        them, as `output_size`, or on bad input.

    References
    ----------
    Chellapilla, Puri, Simard, High performance convolutional neural networks for document
    processing, IWFHR 2006; Chetlur et al., cuDNN: Efficient primitives for deep learning, 2014,
    section 3. Groups: Krizhevsky, Sutskever, Hinton, ImageNet classification with deep
    convolutional neural networks, NeurIPS 2012, section 3.2.
    """
    X, W = finite_array("X", X, ndim=(4,)), finite_array("W", W, ndim=(4,))
    (n, channels, *size), (filters, _, *kernel_size) = X.shape, W.shape
    if count("groups", groups) == 0 or channels % groups or filters % groups:
        raise ValueError(
            f"groups must divide the {channels} channels of X and the {filters} filters of W, got "
            f"{groups}"
        )
    if W.shape[1] != channels // groups:
        raise ValueError(
            f"W must have shape (filters, {channels // groups}, k_h, k_w) for {channels} channels "
            f"in groups = {groups}, got {W.shape}"
        )
    b = np.zeros(filters) if bias is None else finite_array("bias", bias, ndim=(1,))
    if len(b) != filters:
        raise ValueError(f"bias must have shape ({filters},), got {b.shape}")
    filters_of = np.split(W, groups)
    columns_of = np.split(im2col(X, kernel_size, stride, padding, dilation), groups, axis=1)
    products = [
        W_g.reshape(len(W_g), -1) @ columns_g  # for each image
        for W_g, columns_g in zip(filters_of, columns_of, strict=True)
    ]
    Y = np.concatenate(products, axis=1) + b[:, None]
    return Y.reshape(n, filters, *output_size(size, kernel_size, stride, padding, dilation))


def _settings(
    kernel_size: Setting, stride: Setting, padding: Setting, dilation: Setting
) -> tuple[tuple[int, int], ...]:
    return (
        _pair("kernel_size", kernel_size, 1),
        _pair("stride", stride, 1),
        _pair("padding", padding, 0),
        _pair("dilation", dilation, 1),
    )


def _pair(name: str, value: Setting, at_least: int) -> tuple[int, int]:
    pair = value if isinstance(value, Sequence) else (value, value)
    try:
        vertical, horizontal = (count(name, number) for number in pair)
    except ValueError:  # negative, not whole, or not two
        vertical = horizontal = -1
    if min(vertical, horizontal) < at_least:
        raise ValueError(
            f"{name} must be a whole number >= {at_least} or a pair of them, got {value!r}"
        )
    return vertical, horizontal
