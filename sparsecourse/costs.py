"""What a network costs for one image: parameters, multiply-adds, bytes and energy, layer by layer.

The conventions, which differ from paper to paper:

- Parameters are all trained numbers: weights, biases, scale and shift of a normalisation. Weights
  are the entries of kernels and weight matrices alone. Running means and variances are neither. A
  weight under a mask counts like any other: what sparse storage saves is not seen here.
- Multiply-adds are those of convolutions and linear layers, products with padded zeros included.
  Biases, normalisation, activations, pooling and the addition of maps are not counted. A count of
  floating-point operations that takes a multiply-add for two is twice as large.
- Activations are the outputs of convolutions and linear layers (Radosavovic et al., Designing
  network design spaces, CVPR 2020): what stands between them can work in place.
- Energy is estimated from single 32-bit operations (Han et al., NeurIPS 2015, figure 1): a
  multiply-add is a multiplication and an addition in floating point; each parameter is read once;
  each activation is written to and read from SRAM once.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache, partial

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils.flop_counter import FlopCounterMode

from sparsecourse import papers

PRODUCTS = (_ConvNd, nn.Linear)
NORMALISATIONS = (_NormBase, nn.GroupNorm, nn.LayerNorm)
MEMORIES = {"DRAM": "32 bit DRAM memory", "SRAM": "32 bit SRAM cache"}
WORD_BYTES = 4


@dataclass(frozen=True)
class Energy:
    """Energy for one image, in joule.

    Attributes
    ----------
    arithmetic : float
        Of the multiply-adds.
    weights : float
        Of reading the parameters.
    activations : float
        Of writing and reading the activations.
    """

    arithmetic: float
    weights: float
    activations: float

    @property
    def total(self) -> float:
        """The sum of the three."""
        return self.arithmetic + self.weights + self.activations


@dataclass(frozen=True)
class LayerCosts:
    """What one use of a layer costs, or the sum over layers.

    Attributes
    ----------
    name : str
        As in ``model.named_modules()``.
    kind : str
        The module's class.
    output_shape : tuple of int
        Of one image, without the batch.
    parameters, weights : int
        0 where all were counted before, because the layer is used again.
    multiply_adds : int
    weight_bytes : int
        Of all parameters.
    activation_bytes : int
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    weights: int
    multiply_adds: int
    weight_bytes: int
    activation_bytes: int

    def energy(self, weights_in: str = "DRAM") -> Energy:
        """Estimate the energy, with the parameters in one kind of memory.

        Parameters
        ----------
        weights_in : str
            "DRAM" or "SRAM".

        Returns
        -------
        energy : Energy
            Bytes are moved in words of 32 bits; arithmetic is in 32 bits whatever the format.

        Raises
        ------
        ValueError
            If there is no such memory.
        """
        if weights_in not in MEMORIES:
            raise ValueError(f"weights_in must be one of {list(MEMORIES)}, got {weights_in!r}")
        joule = _joule_per_operation()
        multiply_add = joule["32 bit float MULT"] + joule["32 bit float ADD"]
        return Energy(
            arithmetic=multiply_add * self.multiply_adds,
            weights=joule[MEMORIES[weights_in]] * self.weight_bytes / WORD_BYTES,
            activations=2 * joule[MEMORIES["SRAM"]] * self.activation_bytes / WORD_BYTES,
        )


@dataclass(frozen=True)
class Costs:
    """What a network costs.

    Attributes
    ----------
    layers : tuple of LayerCosts
        In the order in which they ran. A layer that runs twice is there twice.
    """

    layers: tuple[LayerCosts, ...]

    @property
    def totals(self) -> LayerCosts:
        """The sums over all layers, under the name "total"."""
        summed = ("parameters", "weights", "multiply_adds", "weight_bytes", "activation_bytes")
        return LayerCosts(
            name="total",
            kind="",
            output_shape=self.layers[-1].output_shape,
            **{name: sum(getattr(layer, name) for layer in self.layers) for name in summed},
        )

    def to_frame(self) -> pd.DataFrame:
        """Show layers as rows, and the totals as the last one.

        Returns
        -------
        frame : DataFrame
            A column for each attribute of `LayerCosts`, and `energy_joule` with the parameters
            in DRAM. The index is the name.
        """
        rows = [
            {**vars(layer), "energy_joule": layer.energy().total}
            for layer in (*self.layers, self.totals)
        ]
        return pd.DataFrame(rows).set_index("name")


def count(
    model: nn.Module, input_shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> Costs:
    """Count what one image costs, without computing anything.

    The model is left as it is: a copy without data runs on torch's meta device.

    Parameters
    ----------
    model : nn.Module
        On any device.
    input_shape : tuple of int
        Of one image, without the batch.
    dtype : torch.dtype
        The number format whose bytes are counted, for parameters and activations.

    Returns
    -------
    costs : Costs

    Raises
    ------
    ValueError
        If `input_shape` is no shape, or if something cannot be counted: parameters of a module
        that is no convolution, linear layer or normalisation; parameters of a layer that does
        not run; products outside of the layers.
    """
    if not input_shape or not all(isinstance(size, int) and size > 0 for size in input_shape):
        raise ValueError(f"input_shape must be positive integers, got {input_shape!r}")
    skeleton = _without_data(model).eval()
    layers: list[LayerCosts] = []
    counted: set[int] = set()  # parameters, by identity

    def add(name: str, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        if not isinstance(output, Tensor):  # has no parameters: nothing to count
            return
        new = [p for p in module.parameters() if id(p) not in counted]
        counted.update(id(p) for p in new)
        parameters = sum(p.numel() for p in new)
        product = isinstance(module, PRODUCTS)
        layers.append(
            LayerCosts(
                name=name,
                kind=type(module).__name__,
                output_shape=tuple(output.shape[1:]),
                parameters=parameters,
                weights=sum(p.numel() for p in new if p.ndim > 1) if product else 0,
                multiply_adds=_multiply_adds(module, inputs, output) if product else 0,
                weight_bytes=parameters * dtype.itemsize,
                activation_bytes=output.numel() * dtype.itemsize if product else 0,
            )
        )

    for name, module in _layers(skeleton).items():
        module.register_forward_hook(partial(add, name))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        skeleton(torch.empty(1, *input_shape, device="meta"))

    idle = [name for name, p in skeleton.named_parameters() if id(p) not in counted]
    if idle:
        raise ValueError(
            f"these parameters belong to layers that did not run as modules: {', '.join(idle)}. "
            "Remove them from the model, or call their layers in forward"
        )
    seen, found = counter.get_total_flops() // 2, sum(layer.multiply_adds for layer in layers)
    if seen != found:
        raise ValueError(
            f"torch sees {seen} multiply-adds, the convolutions and linear layers have {found}: "
            "the model multiplies matrices outside of its layers. Make them layers"
        )
    return Costs(tuple(layers))


def _without_data(model: nn.Module) -> nn.Module:
    """Copy a model with its tensors on the meta device, and without hooks that watch outputs."""
    copies: dict[int, object] = {}  # what deepcopy is to put in the place of an object
    for module in model.modules():
        for name, value in vars(module).items():
            # Hooks before a layer stay: pruning computes weights there.
            if name.endswith("_hooks") and name != "_forward_pre_hooks":
                copies[id(value)] = OrderedDict()
        attributes = vars(module).values()
        for tensor in (*module._parameters.values(), *module._buffers.values(), *attributes):
            if isinstance(tensor, Tensor):
                copies.setdefault(id(tensor), _empty(tensor))
    return copy.deepcopy(model, copies)


def _empty(tensor: Tensor) -> Tensor:
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    empty = torch.empty_like(tensor, device="meta", dtype=dtype, requires_grad=False)
    is_parameter = isinstance(tensor, nn.Parameter)
    return nn.Parameter(empty, requires_grad=False) if is_parameter else empty


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """What is counted as one layer: modules of a known kind, and modules without parts."""
    layers: dict[str, nn.Module] = {}
    inside: set[nn.Module] = set()  # layers and their parts, such as parametrizations
    for name, module in model.named_modules():
        if module in inside:
            continue
        known = isinstance(module, PRODUCTS + NORMALISATIONS)
        if list(module.parameters(recurse=False)) and not known:
            raise ValueError(
                f"{name or 'the model'} ({type(module).__name__}) has parameters of its own, and "
                "only convolutions, linear layers and normalisations can be counted: put them "
                "into such layers"
            )
        if known or not list(module.children()):
            layers[name] = module
            inside.update(module.modules())
    return layers


def _multiply_adds(layer: nn.Module, inputs: tuple, output: Tensor) -> int:
    """Each weight is used once a place: an output pixel, an input pixel where transposed."""
    if isinstance(layer, _ConvTransposeNd):
        places = inputs[0].numel() // layer.in_channels
    elif isinstance(layer, _ConvNd):
        places = output.numel() // layer.out_channels
    else:
        places = output.numel() // layer.out_features
    return layer.weight.numel() * places


@cache
def _joule_per_operation() -> dict[str, float]:
    frame = papers.table("energy_per_operation").frame
    return dict(zip(frame["operation"], 1e-12 * frame["energy_pj"], strict=True))
