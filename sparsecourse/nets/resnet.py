"""Residual networks: what a block computes is added to what went into it.

For CIFAR-10 where the size changes, the shortcut skips every other pixel and fills the new
channels with zeros (option A of the paper: no parameters); for ImageNet it is a 1 x 1 convolution
(option B). Bottlenecks have their stride in the 3 x 3 convolution, which costs 4.09G multiply-adds
in ResNet-50; in the first 1 x 1, as in the paper, it would cost 3.86G.

References
----------
He, Zhang, Ren, Sun, Deep residual learning for image recognition, CVPR 2016, table 1 (ImageNet)
and table 6 (CIFAR-10). The place of the stride: torchvision, after Gross and Wilber, Training and
investigating residual nets, 2016.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from sparsecourse.nets.chain import chain, network


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut around them."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, shortcut: nn.Module):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = shortcut
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return self.relu2(y + self.shortcut(x))


class Bottleneck(nn.Module):
    """1 x 1 to fewer channels, 3 x 3, 1 x 1 to four times as many, and a shortcut around them."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, shortcut: nn.Module):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(4 * width)
        self.shortcut = shortcut
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.norm1(self.conv1(x)))
        y = self.relu2(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        return self.relu3(y + self.shortcut(x))


class ZeroPadding(nn.Module):
    """Option A: every `stride`-th pixel, and channels of zeros behind those that there are."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.new_channels = outputs - inputs
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


def projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Option B: a 1 x 1 convolution.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    stride : int

    Returns
    -------
    shortcut : nn.Sequential
    """
    return chain(
        conv=nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
        norm=nn.BatchNorm2d(outputs),
    )


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    shortcut: Callable[[int, int, int], nn.Module],
    inputs: int,
    width: int,
    depth: int,
    stride: int,
) -> nn.Sequential:
    """`depth` blocks, of which the first changes the size and the number of channels."""
    outputs = width * block.expansion
    same = inputs == outputs and stride == 1
    first = nn.Identity() if same else shortcut(inputs, outputs, stride)
    blocks = [block(inputs, width, stride, first)]
    blocks += [block(outputs, width, 1, nn.Identity()) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def _cifar(depth: int) -> nn.Sequential:
    """6 n + 2 layers: n blocks of two convolutions in each of three stages."""
    n = (depth - 2) // 6
    return network(
        (3, 32, 32),
        conv1=nn.Conv2d(3, 16, 3, padding=1, bias=False),
        norm1=nn.BatchNorm2d(16),
        relu1=nn.ReLU(),
        stage1=_stage(BasicBlock, ZeroPadding, 16, 16, n, stride=1),
        stage2=_stage(BasicBlock, ZeroPadding, 16, 32, n, stride=2),
        stage3=_stage(BasicBlock, ZeroPadding, 32, 64, n, stride=2),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(64, 10),
    )


def _imagenet(
    block: type[BasicBlock] | type[Bottleneck], n1: int, n2: int, n3: int, n4: int
) -> nn.Sequential:
    e = block.expansion
    return network(
        (3, 224, 224),
        conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        norm1=nn.BatchNorm2d(64),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(3, stride=2, padding=1),
        stage1=_stage(block, projection, 64, 64, n1, stride=1),
        stage2=_stage(block, projection, 64 * e, 128, n2, stride=2),
        stage3=_stage(block, projection, 128 * e, 256, n3, stride=2),
        stage4=_stage(block, projection, 256 * e, 512, n4, stride=2),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(512 * e, 1000),
    )


def resnet20() -> nn.Sequential:
    """ResNet-20 for CIFAR-10 (He et al., CVPR 2016, table 6).

    269,722 parameters (published: 0.27M), 40.6M multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 32, 32) -> scores (n, 10)
    """
    return _cifar(20)


def resnet32() -> nn.Sequential:
    """ResNet-32 for CIFAR-10 (He et al., CVPR 2016, table 6).

    464,154 parameters (published: 0.46M), 68.9M multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 32, 32) -> scores (n, 10)
    """
    return _cifar(32)


def resnet44() -> nn.Sequential:
    """ResNet-44 for CIFAR-10 (He et al., CVPR 2016, table 6).

    658,586 parameters (published: 0.66M), 97.2M multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 32, 32) -> scores (n, 10)
    """
    return _cifar(44)


def resnet56() -> nn.Sequential:
    """ResNet-56 for CIFAR-10 (He et al., CVPR 2016, table 6).

    853,018 parameters (published: 0.85M), 125M multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 32, 32) -> scores (n, 10)
    """
    return _cifar(56)


def resnet110() -> nn.Sequential:
    """ResNet-110 for CIFAR-10 (He et al., CVPR 2016, table 6).

    1,727,962 parameters (published: 1.7M), 253M multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 32, 32) -> scores (n, 10)
    """
    return _cifar(110)


def resnet18() -> nn.Sequential:
    """ResNet-18 for ImageNet (He et al., CVPR 2016, table 1).

    11,689,512 parameters, 1.81G multiply-adds (published: 1.8G).

    Returns
    -------
    net : nn.Sequential, images (n, 3, 224, 224) -> scores (n, 1000)
    """
    return _imagenet(BasicBlock, 2, 2, 2, 2)


def resnet34() -> nn.Sequential:
    """ResNet-34 for ImageNet (He et al., CVPR 2016, table 1).

    21,797,672 parameters, 3.66G multiply-adds (published: 3.6G).

    Returns
    -------
    net : nn.Sequential, images (n, 3, 224, 224) -> scores (n, 1000)
    """
    return _imagenet(BasicBlock, 3, 4, 6, 3)


def resnet50() -> nn.Sequential:
    """ResNet-50 for ImageNet (He et al., CVPR 2016, table 1).

    25,557,032 parameters, 4.09G multiply-adds (published: 3.8G with the stride in the 1 x 1).

    Returns
    -------
    net : nn.Sequential, images (n, 3, 224, 224) -> scores (n, 1000)
    """
    return _imagenet(Bottleneck, 3, 4, 6, 3)


def resnet101() -> nn.Sequential:
    """ResNet-101 for ImageNet (He et al., CVPR 2016, table 1).

    44,549,160 parameters, 7.80G multiply-adds (published: 7.6G with the stride in the 1 x 1).

    Returns
    -------
    net : nn.Sequential, images (n, 3, 224, 224) -> scores (n, 1000)
    """
    return _imagenet(Bottleneck, 3, 4, 23, 3)


def resnet152() -> nn.Sequential:
    """ResNet-152 for ImageNet (He et al., CVPR 2016, table 1).

    60,192,808 parameters, 11.51G multiply-adds (published: 11.3G with the stride in the 1 x 1).

    Returns
    -------
    net : nn.Sequential, images (n, 3, 224, 224) -> scores (n, 1000)
    """
    return _imagenet(Bottleneck, 3, 8, 36, 3)
