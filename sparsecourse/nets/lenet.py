"""The two networks for handwritten digits that most pruning papers start with."""

from __future__ import annotations

from torch import nn

from sparsecourse.nets.chain import network


def lenet_300_100() -> nn.Sequential:
    """LeNet-300-100: fully connected, with 300 and 100 hidden neurons.

    266,610 parameters (published: 267k), 266,200 multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 1, 28, 28) -> scores (n, 10)

    References
    ----------
    LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition,
    Proceedings of the IEEE 1998; counts: Han et al., Learning both weights and connections for
    efficient neural networks, NeurIPS 2015, table 1.
    """
    return network(
        (1, 28, 28),
        flatten=nn.Flatten(),
        fc1=nn.Linear(784, 300),
        relu1=nn.ReLU(),
        fc2=nn.Linear(300, 100),
        relu2=nn.ReLU(),
        fc3=nn.Linear(100, 10),
    )


def lenet5() -> nn.Sequential:
    """LeNet-5 as Caffe has it: 20 and 50 filters of 5 x 5, then 500 and 10 neurons.

    Nothing but max pooling follows a convolution; the only ReLU is behind fc1.
    431,080 parameters (published: 431k), 2.293M multiply-adds.

    Returns
    -------
    net : nn.Sequential, images (n, 1, 28, 28) -> scores (n, 10)

    References
    ----------
    LeCun et al., Proceedings of the IEEE 1998, in the sizes of Caffe's
    examples/mnist/lenet.prototxt; counts: Han et al., NeurIPS 2015, table 1.
    """
    return network(
        (1, 28, 28),
        conv1=nn.Conv2d(1, 20, kernel_size=5),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(20, 50, kernel_size=5),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(50 * 4 * 4, 500),
        relu1=nn.ReLU(),
        fc2=nn.Linear(500, 10),
    )
