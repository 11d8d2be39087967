"""AlexNet twice: the grouped net of the paper, and the narrower single tower of two years later."""

from __future__ import annotations

from torch import nn

from sparsecourse.nets.chain import network


def alexnet() -> nn.Sequential:
    """AlexNet as a single tower: no groups, no response normalisation, fewer filters.

    61,100,840 parameters (published: 61.1M), 714M multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 224, 224) -> scores (n, 1000)

    References
    ----------
    Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv 2014, with
    256 filters in conv4, as in torchvision.
    """
    return network(
        (3, 224, 224),
        conv1=nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(3, stride=2),
        conv2=nn.Conv2d(64, 192, kernel_size=5, padding=2),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(3, stride=2),
        conv3=nn.Conv2d(192, 384, kernel_size=3, padding=1),
        relu3=nn.ReLU(),
        conv4=nn.Conv2d(384, 256, kernel_size=3, padding=1),
        relu4=nn.ReLU(),
        conv5=nn.Conv2d(256, 256, kernel_size=3, padding=1),
        relu5=nn.ReLU(),
        pool5=nn.MaxPool2d(3, stride=2),
        flatten=nn.Flatten(),
        drop6=nn.Dropout(0.5),
        fc6=nn.Linear(256 * 6 * 6, 4096),
        relu6=nn.ReLU(),
        drop7=nn.Dropout(0.5),
        fc7=nn.Linear(4096, 4096),
        relu7=nn.ReLU(),
        fc8=nn.Linear(4096, 1000),
    )


def alexnet_grouped() -> nn.Sequential:
    """AlexNet of the paper, as Caffe has it: conv2, conv4 and conv5 in two groups.

    The groups were the two graphics cards it was trained on. A filter sees half of the maps
    there: 1200, 1728 and 1728 inputs. The pictures are 227 x 227, which is what the paper's sizes
    need. 60,965,224 parameters (published: 61M), 724M multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 227, 227) -> scores (n, 1000)

    References
    ----------
    Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional neural
    networks, NeurIPS 2012; Caffe, models/bvlc_alexnet.
    """
    return network(
        (3, 227, 227),
        conv1=nn.Conv2d(3, 96, kernel_size=11, stride=4),
        relu1=nn.ReLU(),
        norm1=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75),
        pool1=nn.MaxPool2d(3, stride=2),
        conv2=nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2),
        relu2=nn.ReLU(),
        norm2=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75),
        pool2=nn.MaxPool2d(3, stride=2),
        conv3=nn.Conv2d(256, 384, kernel_size=3, padding=1),
        relu3=nn.ReLU(),
        conv4=nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2),
        relu4=nn.ReLU(),
        conv5=nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2),
        relu5=nn.ReLU(),
        pool5=nn.MaxPool2d(3, stride=2),
        flatten=nn.Flatten(),
        fc6=nn.Linear(256 * 6 * 6, 4096),
        relu6=nn.ReLU(),
        drop6=nn.Dropout(0.5),
        fc7=nn.Linear(4096, 4096),
        relu7=nn.ReLU(),
        drop7=nn.Dropout(0.5),
        fc8=nn.Linear(4096, 1000),
    )
