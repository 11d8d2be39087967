"""A small trained network, for widgets that look at one."""

from functools import cache

import torch

from sparsecourse.data import Split, load
from sparsecourse.nets import lenet5, lenet_300_100
from sparsecourse.training import fit


@cache
def lenet_on_digits():
    """LeNet-300-100 after one epoch on the digits of scikit-learn, and their validation part."""
    digits = load("digits", shape=(1, 28, 28))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = lenet_300_100()
    fit(model, digits.train, epochs=1, progress=False)
    return model, digits.validation


@cache
def convolution_on_digits():
    """LeNet-5 after some steps on the digits, its second layer, and images to fit and to judge."""
    digits = load("digits", shape=(1, 28, 28))
    some = Split(digits.train.X[:1024], digits.train.y[:1024])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = lenet5()
    fit(model, some, epochs=2, progress=False)
    return model, "conv2", some, digits.validation
