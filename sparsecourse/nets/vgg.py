"""VGG: blocks of 3 x 3 convolutions, with half the resolution after each block."""

from __future__ import annotations

from torch import nn

from sparsecourse.nets.chain import network

WIDTHS = (64, 128, 256, 512, 512)  # filters in each layer of a block


def vgg16() -> nn.Sequential:
    """VGG-16, configuration D, for ImageNet.

    138,357,544 parameters (published: 138M), 15.47G multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 224, 224) -> scores (n, 1000)

    References
    ----------
    Simonyan, Zisserman, Very deep convolutional networks for large-scale image recognition,
    ICLR 2015, tables 1 and 2.
    """
    return _imagenet(layers_of_block=(2, 2, 3, 3, 3))


def vgg19() -> nn.Sequential:
    """VGG-19, configuration E, for ImageNet.

    143,667,240 parameters (published: 144M), 19.63G multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 224, 224) -> scores (n, 1000)

    References
    ----------
    Simonyan, Zisserman, ICLR 2015, tables 1 and 2.
    """
    return _imagenet(layers_of_block=(2, 2, 4, 4, 4))


def vgg16_cifar() -> nn.Sequential:
    """VGG-16 for CIFAR-10: batch normalisation, and two small fully connected layers.

    The convolutions have no bias, which the normalisation would take away again. 14,987,210
    parameters (published: 15.0M), 313M multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 32, 32) -> scores (n, 10)

    References
    ----------
    Li et al., Pruning filters for efficient ConvNets, ICLR 2017, section 4.1 and its table of
    layers.
    """
    return network(
        (3, 32, 32),
        **_convolutions(layers_of_block=(2, 2, 3, 3, 3), batch_norm=True),
        flatten=nn.Flatten(),
        fc1=nn.Linear(512, 512, bias=False),
        norm1=nn.BatchNorm1d(512),
        relu1=nn.ReLU(),
        fc2=nn.Linear(512, 10),
    )


def _imagenet(layers_of_block: tuple[int, ...]) -> nn.Sequential:
    return network(
        (3, 224, 224),
        **_convolutions(layers_of_block, batch_norm=False),
        flatten=nn.Flatten(),
        fc6=nn.Linear(512 * 7 * 7, 4096),
        relu6=nn.ReLU(),
        drop6=nn.Dropout(0.5),
        fc7=nn.Linear(4096, 4096),
        relu7=nn.ReLU(),
        drop7=nn.Dropout(0.5),
        fc8=nn.Linear(4096, 1000),
    )


def _convolutions(layers_of_block: tuple[int, ...], batch_norm: bool) -> dict[str, nn.Module]:
    layers: dict[str, nn.Module] = {}
    channels = 3
    for block, (width, depth) in enumerate(zip(WIDTHS, layers_of_block, strict=True), start=1):
        for at in range(1, depth + 1):
            layers[f"conv{block}_{at}"] = nn.Conv2d(
                channels, width, kernel_size=3, padding=1, bias=not batch_norm
            )
            if batch_norm:
                layers[f"norm{block}_{at}"] = nn.BatchNorm2d(width)
            layers[f"relu{block}_{at}"] = nn.ReLU()
            channels = width
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    return layers
