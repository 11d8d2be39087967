"""The course's networks, plain and in the order of their papers.

Each is a function that returns an ``nn.Sequential`` of named layers, untrained, with torch's
default initial weights. MobileNet's takes a width and a resolution, the others nothing.

- ``net.input_shape`` is the shape of one image. Images of another shape raise a ValueError that
  names both shapes.
- Each activation is a module that runs once, so that a hook on it sees one set of activations.
- ``torch.fx.symbolic_trace`` follows all of them.
- Made inside ``with torch.device("meta"):`` they take no memory, which is enough for counting.

`NETS` holds them by name.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from sparsecourse.nets.alexnet import alexnet, alexnet_grouped
from sparsecourse.nets.convnet import convnet
from sparsecourse.nets.googlenet import googlenet
from sparsecourse.nets.lenet import lenet5, lenet_300_100
from sparsecourse.nets.mlp import mlp_500_300
from sparsecourse.nets.mobilenet import mobilenet
from sparsecourse.nets.resnet import (
    resnet18,
    resnet20,
    resnet32,
    resnet34,
    resnet44,
    resnet50,
    resnet56,
    resnet101,
    resnet110,
    resnet152,
)
from sparsecourse.nets.vgg import vgg16, vgg16_cifar, vgg19

# The submodules share names with functions (nets.googlenet): here, a name is the function.
_FUNCTIONS: tuple[Callable[[], nn.Sequential], ...] = (
    lenet_300_100,
    lenet5,
    mlp_500_300,
    convnet,
    vgg16_cifar,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
    alexnet,
    alexnet_grouped,
    vgg16,
    vgg19,
    googlenet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    mobilenet,
)
NETS = {function.__name__: function for function in _FUNCTIONS}

__all__ = ["NETS", *NETS]
