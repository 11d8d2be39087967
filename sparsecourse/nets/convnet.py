"""A small convolutional network for CIFAR-10."""

from __future__ import annotations

from torch import nn

from sparsecourse.nets.chain import network


def convnet() -> nn.Sequential:
    """ConvNet, Caffe's "CIFAR-10 quick" network: 32, 32 and 64 filters of 5 x 5.

    The first pooling takes the maximum and stands before its ReLU; the others average. There is
    no activation between the two fully connected layers. 145,578 parameters, 12.4M multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 3, 32, 32) -> scores (n, 10)

    References
    ----------
    Caffe, examples/cifar10/cifar10_quick.prototxt, after Krizhevsky's cuda-convnet, 2012. Wen et
    al., NeurIPS 2016, table 3, sparsify convolutions of these sizes.
    """
    # Caffe rounds the size of a pooled map up: 32 -> 16 -> 8 -> 4.
    return network(
        (3, 32, 32),
        conv1=nn.Conv2d(3, 32, kernel_size=5, padding=2),
        pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(32, 32, kernel_size=5, padding=2),
        relu2=nn.ReLU(),
        pool2=nn.AvgPool2d(3, stride=2, ceil_mode=True),
        conv3=nn.Conv2d(32, 64, kernel_size=5, padding=2),
        relu3=nn.ReLU(),
        pool3=nn.AvgPool2d(3, stride=2, ceil_mode=True),
        flatten=nn.Flatten(),
        fc1=nn.Linear(64 * 4 * 4, 64),
        fc2=nn.Linear(64, 10),
    )
