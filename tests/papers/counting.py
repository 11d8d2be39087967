"""What printed figures stand for, and networks counted from their tables, by hand."""

import re

from sparsecourse import papers
from sparsecourse.papers.published import printed

UNITS = {"": 1, "k": 1e3, "K": 1e3, "KB": 1e3, "M": 1e6, "MB": 1e6, "B": 1e9}
NUMBER = re.compile(r"(-?\d+)(?:\.(\d+))?(?:e(\d+))? ?([kKMB]?B?)")


class Range:
    """The numbers that round to a printed one, and what comes of calculating with them."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    @classmethod
    def of(cls, text):
        whole, decimals, exponent, unit = NUMBER.fullmatch(text).groups()
        factor = 10 ** int(exponent or 0) * UNITS[unit]
        value = float(f"{whole}.{decimals or 0}")
        half = 0.5 * 10 ** -len(decimals or "")
        return cls((value - half) * factor, (value + half) * factor)

    def __add__(self, other):
        return Range(self.low + other.low, self.high + other.high)

    def __mul__(self, other):
        if not isinstance(other, Range):
            other = Range(other, other)
        return Range(self.low * other.low, self.high * other.high)

    def __truediv__(self, other):
        return Range(self.low / other.high, self.high / other.low)

    def saved(self):
        """Percent saved where this is what is left, as a share."""
        return Range(100 * (1 - self.high), 100 * (1 - self.low))

    def meets(self, other):
        if not isinstance(other, Range):
            other = Range(other, other)
        # The margin is for the rounding of floating point, not of the papers.
        margin = 1e-9 * max(map(abs, (self.low, self.high, other.low, other.high)))
        return self.low <= other.high + margin and other.low <= self.high + margin


def rows_of(name):
    """Row -> column -> text, a row of one part under its bare name."""
    names = [row[0] if len(row) == 1 else row for row in papers.table(name).rows]
    return dict(zip(names, printed(name).to_dict("records"), strict=True))


def conv(kernel, inputs, outputs, size, groups=1):
    """Weights and multiply-adds of a convolution with square kernel and output."""
    weights = kernel**2 * inputs * outputs // groups
    return weights, weights * size**2


VGG16 = [
    *(64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool"),
    *(512, 512, 512, "pool", 512, 512, 512, "pool"),
]


def vgg16():
    """Weights, biases and multiply-adds of each layer, from its definition."""
    channels, size = 3, 224
    for outputs in VGG16:
        if outputs == "pool":
            size //= 2
        else:
            weights, multiply_adds = conv(3, channels, outputs, size)
            yield weights, outputs, multiply_adds
            channels = outputs
    for inputs, outputs in ((7 * 7 * 512, 4096), (4096, 4096), (4096, 1000)):
        yield inputs * outputs, outputs, inputs * outputs


def mobilenet_layers(rows):
    """Row, kind, stride, kernel, input and output channels, input size of each layer of Table 1."""
    for row, cells in rows.items():
        size = int(cells["input_size"].partition("x")[0])
        stride = int(cells["stride"])
        filters = cells["filter_shape"]
        if row == "FC":
            inputs, outputs = map(int, filters.split("x"))
            yield row, "FC", stride, 1, inputs, outputs, size
        elif "Conv" in row:
            for part in 5 * filters.split(" + ") if row.startswith("5x") else [filters]:
                kernel, _, inputs, *outputs = map(int, part.removesuffix(" dw").split("x"))
                kind = "Conv" if outputs else "Conv dw"
                yield row, kind, stride, kernel, inputs, (outputs or [inputs])[0], size


def mobilenet_counts(alpha=1.0, full=False, shallow=False):
    """Type -> weights and multiply-adds, from the filters and output sizes of Table 1."""
    counts = {}
    layers = list(mobilenet_layers(rows_of("mobilenet_architecture")))
    if full:  # a depthwise layer and the 1x1 after it become one full convolution
        layers = [layer for layer in layers if layer[1] != "Conv" or layer[3] == 3]
    for number, (row, kind, stride, kernel, inputs, outputs, size) in enumerate(layers):
        if shallow and row.startswith("5x"):
            continue
        size = 7 if row == "Conv dw #8" else size // stride  # the stride of this one is 1
        inputs = inputs if inputs == 3 else int(alpha * inputs)
        outputs = outputs if kind == "FC" else int(alpha * outputs)
        if full and kind == "Conv dw":
            kind, outputs = "Conv", layers[number + 1][4]
        if kind == "Conv dw":
            name, cost = "Conv DW 3x3", conv(kernel, inputs, outputs, size, groups=inputs)
        elif kind == "FC":
            name, cost = "Fully Connected", conv(1, inputs, outputs, 1)
        else:
            name, cost = f"Conv {kernel}x{kernel}", conv(kernel, inputs, outputs, size)
        counts[name] = tuple(map(sum, zip(counts.get(name, (0, 0)), cost, strict=True)))
    return counts


def total(counts):
    return tuple(map(sum, zip(*counts.values(), strict=True)))


def bottleneck_network(stages, stride_in="3x3"):
    """Weights and multiply-adds of a network of bottlenecks, from the texts of its stages."""
    counts = [conv(7, 3, 64, 112)]
    channels, size = 64, 56
    for text in stages:
        blocks = re.search(r"\[1x1,(\d+); 3x3,\d+(?:,C=(\d+))?; 1x1,(\d+)\] x(\d+)", text)
        width, groups, outputs, repeats = (int(part or 1) for part in blocks.groups())
        for number in range(repeats):
            before = size
            if number == 0 and channels > 64:
                size //= 2
            counts += [
                conv(1, channels, width, before if stride_in == "3x3" else size),
                conv(3, width, width, size, groups),
                conv(1, width, outputs, size),
            ]
            if number == 0:
                counts.append(conv(1, channels, outputs, size))
            channels = outputs
    counts.append(conv(1, channels, 1000, 1))
    return tuple(map(sum, zip(*counts, strict=True)))
