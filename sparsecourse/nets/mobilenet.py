"""MobileNet: a convolution as a depthwise one, which filters, and a 1 x 1 one, which combines."""

from __future__ import annotations

from torch import nn

from sparsecourse.nets.chain import chain, network

# Output channels and stride of each block. The paper's table prints stride 2 for the last one;
# its input and output sizes say 1.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


def mobilenet(alpha: float = 1.0, resolution: int = 224) -> nn.Sequential:
    """MobileNet (version 1) for ImageNet, thinner and for smaller images where asked.

    With alpha = 1 at 224: 4,231,976 parameters (published: 4.2M), 569M multiply-adds. Both go
    down with about alpha^2; a lower resolution saves multiply-adds only.

    Parameters
    ----------
    alpha : float, 0 < alpha <= 1
        Width multiplier, of the channels of each layer. The paper's: 1, 0.75, 0.5, 0.25.
    resolution : int
        Height and width of the images, a multiple of 32: rho times 224 in the paper's terms,
        which takes 224, 192, 160 and 128.

    Returns
    -------
    net : nn.Sequential, images (n, 3, resolution, resolution) -> scores (n, 1000)

    Raises
    ------
    ValueError
        If `alpha` or `resolution` is out of range.

    References
    ----------
    Howard et al., MobileNets: efficient convolutional neural networks for mobile vision
    applications, arXiv 2017, tables 1, 6 and 7.
    """
    if not 0 < alpha <= 1 or int(32 * alpha) == 0:
        raise ValueError(
            f"alpha must be above 0 and at most 1, and leave a channel of 32, got {alpha}"
        )
    if resolution <= 0 or resolution % 32:
        raise ValueError(f"resolution must be a positive multiple of 32, got {resolution}")
    channels = int(32 * alpha)
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
        "norm1": nn.BatchNorm2d(channels),
        "relu1": nn.ReLU(),
    }
    for number, (width, stride) in enumerate(BLOCKS, start=1):
        outputs = int(width * alpha)
        layers[f"block{number}"] = _separable(channels, outputs, stride)
        channels = outputs
    return network(
        (3, resolution, resolution),
        **layers,
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(channels, 1000),
    )


def _separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return chain(
        depthwise=nn.Conv2d(inputs, inputs, 3, stride=stride, padding=1, groups=inputs, bias=False),
        norm1=nn.BatchNorm2d(inputs),
        relu1=nn.ReLU(),
        pointwise=nn.Conv2d(inputs, outputs, 1, bias=False),
        norm2=nn.BatchNorm2d(outputs),
        relu2=nn.ReLU(),
    )
