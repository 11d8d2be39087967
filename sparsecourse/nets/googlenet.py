"""GoogLeNet: filters of three sizes side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparsecourse.nets.chain import chain, network


class Inception(nn.Module):
    """1 x 1, 3 x 3 and 5 x 5 convolutions and a pooling of the same maps, concatenated.

    A 1 x 1 convolution reduces the maps before the two larger ones, and after the pooling.
    """

    def __init__(
        self,
        inputs: int,
        ones: int,
        threes_reduced: int,
        threes: int,
        fives_reduced: int,
        fives: int,
        pooled: int,
    ):
        super().__init__()
        self.branch1 = chain(conv=nn.Conv2d(inputs, ones, 1), relu=nn.ReLU())
        self.branch2 = chain(
            reduce=nn.Conv2d(inputs, threes_reduced, 1),
            relu1=nn.ReLU(),
            conv=nn.Conv2d(threes_reduced, threes, 3, padding=1),
            relu2=nn.ReLU(),
        )
        self.branch3 = chain(
            reduce=nn.Conv2d(inputs, fives_reduced, 1),
            relu1=nn.ReLU(),
            conv=nn.Conv2d(fives_reduced, fives, 5, padding=2),
            relu2=nn.ReLU(),
        )
        self.branch4 = chain(
            pool=nn.MaxPool2d(3, stride=1, padding=1),
            reduce=nn.Conv2d(inputs, pooled, 1),
            relu=nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)]
        return torch.cat(branches, dim=1)


def googlenet() -> nn.Sequential:
    """GoogLeNet (Inception v1) as published: response normalisation, no batch normalisation.

    The two auxiliary classifiers, which the paper uses in training only, are left out.
    6,998,552 parameters (published: about 7M; table 1 adds up to 6.8M) and 1.58G multiply-adds
    (published: 1.5G). Table 1 counts the first convolution as 2.7k weights and 34M multiply-adds;
    a 7 x 7 one with 64 filters has 9.4k and 118M, and this is most of the difference.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 224, 224) -> scores (n, 1000)

    References
    ----------
    Szegedy et al., Going deeper with convolutions, CVPR 2015, table 1.
    """
    # Pooled sizes are rounded up, as in Caffe's version: 112 -> 56 -> 28 -> 14 -> 7.
    return network(
        (3, 224, 224),
        conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),
        norm1=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75),
        conv2_reduce=nn.Conv2d(64, 64, 1),
        relu2_reduce=nn.ReLU(),
        conv2=nn.Conv2d(64, 192, 3, padding=1),
        relu2=nn.ReLU(),
        norm2=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75),
        pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),
        inception3a=Inception(192, 64, 96, 128, 16, 32, 32),
        inception3b=Inception(256, 128, 128, 192, 32, 96, 64),
        pool3=nn.MaxPool2d(3, stride=2, ceil_mode=True),
        inception4a=Inception(480, 192, 96, 208, 16, 48, 64),
        inception4b=Inception(512, 160, 112, 224, 24, 64, 64),
        inception4c=Inception(512, 128, 128, 256, 24, 64, 64),
        inception4d=Inception(512, 112, 144, 288, 32, 64, 64),
        inception4e=Inception(528, 256, 160, 320, 32, 128, 128),
        pool4=nn.MaxPool2d(3, stride=2, ceil_mode=True),
        inception5a=Inception(832, 256, 160, 320, 32, 128, 128),
        inception5b=Inception(832, 384, 192, 384, 48, 128, 128),
        pool5=nn.AvgPool2d(7),
        flatten=nn.Flatten(),
        drop=nn.Dropout(0.4),
        fc=nn.Linear(1024, 1000),
    )
