"""Small networks, each with something that surgery must follow, or must refuse."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


def conv_norm_relu(inputs, outputs, kernel=3, **options):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **options),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Net(nn.Module):
    """A first layer of 12 filters, a body, and a classifier on means over the picture."""

    outputs = 12

    def __init__(self):
        super().__init__()
        self.stem = conv_norm_relu(3, 12)
        self.build()
        self.head = nn.Linear(self.outputs, 5)

    def build(self):
        pass

    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean((2, 3)))


class ConcatOfThree(Net):
    outputs = 18

    def build(self):
        self.a = nn.Conv2d(12, 4, 1)
        self.b = nn.Conv2d(12, 6, 3, padding=1)
        self.c = nn.Conv2d(12, 8, 5, padding=2)
        self.norm = nn.BatchNorm2d(18)

    def body(self, x):
        return torch.sigmoid(self.norm(torch.cat([self.a(x), self.b(x), self.c(x)], 1)))


class DenseBlock(Net):
    outputs = 20

    def build(self):
        self.a = nn.Sequential(nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 4, 3, padding=1))
        self.b = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 4, 3, padding=1))

    def body(self, x):
        x = torch.cat((x, self.a(x)), dim=1)
        return torch.cat((x, self.b(x)), dim=1)


class ResidualChain(Net):
    """A residual stream with the same channels throughout, and normalisation before addition."""

    def build(self):
        self.blocks = nn.ModuleList(
            nn.Sequential(conv_norm_relu(12, 8), nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12))
            for _ in range(3)
        )

    def body(self, x):
        for block in self.blocks:
            x = x + block(x)
        return F.relu(x)


class Preactivation(ResidualChain):
    """Normalisation reads the stream, of which no single layer is the maker."""

    def build(self):
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 12, 3, padding=1))
            for _ in range(3)
        )


class PaddedShortcut(Net):
    """Option A, with new channels on both sides and every second pixel."""

    outputs = 18

    def build(self):
        self.a = nn.Conv2d(12, 18, 3, stride=2, padding=1)

    def body(self, x):
        y = self.a(x)
        y += F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 4))
        return y.relu()


class Depthwise(Net):
    outputs = 10

    def build(self):
        self.a = conv_norm_relu(12, 24, groups=12)  # two filters for each channel
        self.b = conv_norm_relu(24, 24, groups=24, bias=False)
        self.c = conv_norm_relu(24, 10, 1)

    def body(self, x):
        return self.c(self.b(self.a(x)))


class Grouped(Net):
    outputs = 8

    def build(self):
        self.a = conv_norm_relu(12, 24, groups=3)
        self.b = conv_norm_relu(24, 16, groups=4)
        self.c = conv_norm_relu(16, 8)

    def body(self, x):
        return self.c(self.b(self.a(x)))


class Shuffle(Net):
    """A channel shuffle with its numbers written out, between grouped convolutions."""

    outputs = 24

    def build(self):
        self.a = conv_norm_relu(12, 24, 1, groups=3)
        self.b = conv_norm_relu(24, 24, groups=24)
        self.c = nn.Conv2d(24, 24, 1, groups=3)

    def body(self, x):
        y = self.a(x)
        y = y.view(-1, 3, 8, 8, 8).permute(0, 2, 1, 3, 4).reshape(-1, 24, 8, 8)
        return F.relu(self.c(self.b(y)))


class ShuffleBySize(Shuffle):
    """The same with numbers taken from the shape."""

    def body(self, x):
        y = self.a(x)
        n, c, h, w = y.shape
        y = y.view(n, 3, c // 3, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        return F.relu(self.c(self.b(y)))


class ShuffleModule(Shuffle):
    def build(self):
        super().build()
        self.shuffle = nn.ChannelShuffle(3)

    def body(self, x):
        return F.relu(self.c(self.b(self.shuffle(self.a(x)))))


class ShuffleOfOne(Net):
    """A shuffle of channels that no grouped convolution ties together."""

    outputs = 6

    def build(self):
        self.a = conv_norm_relu(12, 6)

    def body(self, x):
        n, c, h, w = x.shape
        return self.a(x.reshape(n, 2, c // 2, h, w).transpose(1, 2).flatten(1, 2))


class ChunkAndShuffle(Net):
    """A half passes, a half is convolved (ShuffleNet version 2)."""

    outputs = 10

    def build(self):
        self.a = nn.Sequential(conv_norm_relu(6, 6), conv_norm_relu(6, 6, groups=6))
        self.b = conv_norm_relu(12, 10)

    def body(self, x):
        same, y = x.chunk(2, dim=1)
        y = torch.cat([same, self.a(y)], 1)
        return self.b(F.relu(y))


class SplitInThree(Net):
    outputs = 5

    def build(self):
        self.a = conv_norm_relu(3, 5)
        self.b = conv_norm_relu(4, 5)
        self.c = conv_norm_relu(5, 5)

    def body(self, x):
        a, b, c = torch.split(x, [3, 4, 5], dim=1)
        return self.a(a) + self.b(b) * self.c(c)


class Slices(Net):
    outputs = 13

    def build(self):
        self.a = conv_norm_relu(6, 6)
        self.b = conv_norm_relu(6, 6)

    def body(self, x):
        return torch.cat([self.a(x[:, ::2]), self.b(x[:, 6:]), x[:, 4].unsqueeze(1)], 1)


class SqueezeAndExcitation(Net):
    def build(self):
        self.a = conv_norm_relu(12, 12)
        self.down = nn.Linear(12, 4)
        self.up = nn.Linear(4, 12)

    def body(self, x):
        y = self.a(x)
        gate = self.up(F.relu(self.down(F.adaptive_avg_pool2d(y, 1).view(y.size(0), 12))))
        return y * torch.sigmoid(gate).view(-1, 12, 1, 1) + x


class ConvolutionalGate(Net):
    """The gate of a picture's places, and one of channels that is expanded."""

    def build(self):
        self.place = nn.Conv2d(12, 1, 1)
        self.channel = nn.Conv2d(12, 12, 1)

    def body(self, x):
        gate = torch.sigmoid(self.channel(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.place(x)) * gate.expand_as(x)


class EncoderDecoder(nn.Module):
    """Transposed convolutions, one of them grouped, a border of zeros, and a skip connection."""

    def __init__(self):
        super().__init__()
        self.down = conv_norm_relu(3, 8)
        self.deep = conv_norm_relu(8, 12)
        self.up1 = nn.ConvTranspose2d(12, 8, 2, groups=2, bias=False)
        self.up2 = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.last = nn.Conv2d(14, 3, 3)

    def forward(self, x):
        x = self.down(x)
        y = F.relu(self.up1(F.pad(self.deep(F.max_pool2d(x, 2)), (1, 0, 0, 1))))
        y = F.interpolate(F.relu(self.up2(y)), size=x.shape[2:])
        return self.last(torch.cat([F.pad(x, (1, 1, 1, 1)), F.pad(y, [1] * 4)], dim=1))


class MultiOutput(Net):
    def build(self):
        self.a = conv_norm_relu(12, 7)
        self.b = conv_norm_relu(7, 12)

    def forward(self, x):
        x = self.stem(x)
        early = self.a(x)
        return {"early": (early,), "late": self.head((self.b(early) + x).mean((2, 3)))}


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(7, 10)
        self.b = nn.Linear(4, 10)
        self.norm = nn.BatchNorm1d(10)
        self.head = nn.Linear(10, 2)

    def forward(self, x, z):
        return self.head(torch.tanh(self.norm(self.a(x) - self.b(z) / 2)))


class WrittenOutFlatten(nn.Module):
    """Flattened twice, by a view and by a reshape, with the numbers of features written out."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(1, 6, 3, padding=1)  # groups = in_channels = 1 is not depthwise
        self.b = nn.Conv2d(6, 10, 3, padding=1)
        self.fc1 = nn.Linear(10 * 16, 20)
        self.fc2 = nn.Linear(5 * 4, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.a(x)), 2)
        x = F.avg_pool2d(torch.sigmoid(self.b(x)), 2)
        x = F.relu(self.fc1(x.view(-1, 160)))
        return self.fc2(torch.reshape(x, (x.size(0), 20)))


class Sequence(nn.Module):
    """Convolutions over time, then linear layers at each time."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv1d(4, 8, 3)
        self.norm = nn.InstanceNorm1d(8, affine=True, track_running_stats=True)
        self.b = nn.Linear(8, 6)
        self.c = nn.Linear(6, 3)

    def forward(self, x):
        x = F.gelu(self.norm(self.a(x)))
        return self.c(F.silu(self.b(x.permute(0, 2, 1)))).sum(1)


class Volume(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv3d(1, 6, 2)
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.b = nn.Linear(6, 3)

    def forward(self, x):
        return self.b(self.pool(F.relu(self.a(x))).flatten(1))


class MixingNorms(Net):
    """Channels that must stay: their normalisation looks at others."""

    def build(self):
        self.a = nn.Conv2d(12, 12, 3, padding=1)
        self.group_norm = nn.GroupNorm(3, 12)
        self.b = nn.Conv2d(12, 9, 3, padding=1)
        self.c = nn.Conv2d(9, 12, 3, padding=1)
        self.response = nn.LocalResponseNorm(3)

    def body(self, x):
        return self.response(self.c(F.relu(self.b(self.group_norm(self.a(x))))))


class Flip(nn.Module):
    """Two halves change places."""

    def forward(self, x):
        return torch.cat([x[:, 6:], x[:, :6]], 1)


class NumbersInside(Net):
    """Numbers of channels in a forward, and then in that of a module inside."""

    def build(self):
        self.a = conv_norm_relu(12, 12)
        self.flip = Flip()
        self.b = conv_norm_relu(12, 12)

    def body(self, x):
        x = self.a(x.view(-1, 12, 8, 8))
        return self.b(self.flip(x))


class NestedResidual(Net):
    """A branch with a branch inside, and a projection around both."""

    def build(self):
        self.a, self.b = conv_norm_relu(12, 8), conv_norm_relu(8, 8)
        self.c, self.project = nn.Conv2d(8, 12, 1), nn.Conv2d(12, 12, 1)

    def body(self, x):
        y = self.a(x)
        y = F.relu(self.b(y) + y)
        return F.relu(torch.add(self.project(x), self.c(y)))


class ThreeAdded(Net):
    """Two branches are added to a stream, one after another."""

    def build(self):
        self.a, self.b = conv_norm_relu(12, 12), nn.Conv2d(12, 12, 3, padding=1)

    def body(self, x):
        return F.relu(x + self.a(x) + self.b(x))


class TwoInParallel(Net):
    """Two convolutions of one input: a sum, and no shortcut without weights."""

    def build(self):
        self.a, self.b = conv_norm_relu(12, 12), nn.Conv2d(12, 12, 1)

    def body(self, x):
        return self.a(x).add(self.b(x))


class Add(nn.Module):
    def forward(self, x, y):
        return x + y


class OnlyConvolution(nn.Module):
    """A block with nothing in it but its branch, and one activation for all places."""

    def __init__(self, relu):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(12, 12, 3, padding=1), relu

    def forward(self, x):
        return x + self.conv(self.relu(x))


class Assembled(Net):
    """The addition is a module; a branch is flattened, with sizes that nobody uses; a gate."""

    def build(self):
        self.relu, self.add = nn.ReLU(), Add()
        self.first, self.second = OnlyConvolution(self.relu), OnlyConvolution(nn.ReLU())
        self.a = conv_norm_relu(12, 24)
        self.b = nn.Conv2d(24, 12, 3, padding=1)
        self.gate = nn.Conv2d(12, 12, 1)

    def body(self, x):
        x = self.relu(self.second(self.first(x)))
        y = self.a(x)
        _, c, h, w = y.shape
        y = y.view(-1, 2, c // 2, h, w).transpose(1, 2).reshape(-1, 24, h, w)
        x = self.add(self.b(y), x)
        return x + self.gate(x.mean((2, 3), keepdim=True))


PICTURES = [
    *(ConcatOfThree, DenseBlock, ResidualChain, Preactivation, PaddedShortcut, Depthwise, Grouped),
    *(Shuffle, ShuffleBySize, ShuffleModule, ShuffleOfOne, ChunkAndShuffle, SplitInThree, Slices),
    *(SqueezeAndExcitation, ConvolutionalGate, EncoderDecoder, MultiOutput, MixingNorms),
    *(NumbersInside, NestedResidual, ThreeAdded, TwoInParallel, Assembled),
]
# Network -> shapes of its inputs.
FOLLOWED = {
    **dict.fromkeys(PICTURES, ((2, 3, 8, 8),)),
    TwoInputs: ((3, 7), (3, 4)),
    WrittenOutFlatten: ((2, 1, 16, 16),),
    Sequence: ((2, 4, 9),),
    Volume: ((2, 1, 4, 4, 4),),
}


class SharedLayer(Net):
    def build(self):
        self.a = nn.Conv2d(12, 12, 3, padding=1)

    def body(self, x):
        return self.a(F.relu(self.a(x)))


class TiedWeights(SharedLayer):
    def build(self):
        super().build()
        self.b = nn.Conv2d(12, 12, 3, padding=1)
        self.b.weight = self.a.weight

    def body(self, x):
        return self.b(self.a(x))


class OwnParameter(Net):
    def build(self):
        self.scale = nn.Parameter(torch.ones(12, 1, 1))

    def body(self, x):
        return x * self.scale


class DecidesOnValues(Net):
    def body(self, x):
        return x if x.sum() > 0 else -x


class DropoutAsFunction(Net):
    def body(self, x):
        return F.dropout(x, 0.5, training=self.training)


class SlopeForEachChannel(Net):
    def build(self):
        self.act = nn.PReLU(12)

    def body(self, x):
        return self.act(x)


class ChannelsIntoBatch(Net):
    def build(self):
        self.a = nn.Conv2d(1, 1, 3, padding=1)

    def body(self, x):
        n = x.shape[0]
        return self.a(x.view(n * 12, 1, 8, 8)).view(n, 12, 8, 8)


class LinearAlongWidth(Net):
    def build(self):
        self.a = nn.Linear(8, 8)

    def body(self, x):
        return self.a(x)


class Matmul(Net):
    def body(self, x):
        return x @ x


class SumOverChannels(Net):
    def body(self, x):
        return x - x.mean(1, keepdim=True)


class Attention(Net):
    def build(self):
        self.attention = nn.MultiheadAttention(12, 3)

    def body(self, x):
        y = x.flatten(2).permute(2, 0, 1)
        return self.attention(y, y, y)[0].permute(1, 2, 0).unsqueeze(-1)


class SqueezesWhatItCan(Net):
    def forward(self, x):
        return self.head(F.adaptive_avg_pool2d(self.stem(x), 1).squeeze())


class ScaledByNumberOfChannels(Net):
    def body(self, x):
        return x / x.shape[1]


class SizesInOne(Net):
    def body(self, x):
        return x.flatten(2).view(x.shape)


class OuterProduct(Net):
    outputs = 12

    def forward(self, x):
        x = self.stem(x).mean((2, 3))
        return self.head((x.unsqueeze(1) * x.unsqueeze(2)).mean(1))


class Unflattened(Net):
    def build(self):
        self.apart = nn.Unflatten(1, (3, 4))

    def body(self, x):
        return self.apart(x).flatten(1, 2)


class NoBatch(Net):
    def build(self):
        self.a = nn.Conv2d(12, 12, 1)

    def body(self, x):
        return self.a(x[0])


# Network -> what the message must name, and say.
REFUSED = {
    SharedLayer: "a .Conv2d. .*used 2 times",
    TiedWeights: "a.weight and b.weight are one tensor",
    OwnParameter: "scale is used outside of a layer",
    DecidesOnValues: "the model: torch.fx cannot trace",
    DropoutAsFunction: "training",
    SlopeForEachChannel: "act .PReLU. .*slope for each channel",
    ChannelsIntoBatch: "view in the model .*into the batch",
    LinearAlongWidth: "a .Linear. .*dimension 3 .*dimension \\[1\\]",
    Matmul: "matmul in the model .*not known",
    SumOverChannels: "mean in the model .*one number of several channels",
    Attention: "attention .MultiheadAttention. .*not known",
    SqueezesWhatItCan: "squeeze in the model .*which dimension",
    ScaledByNumberOfChannels: "truediv in the model .*computed from a shape",
    SizesInOne: "view in the model .*one by one",
    OuterProduct: "mul in the model .*each channel of one by each of the other",
    Unflattened: "apart .Unflatten.",
    NoBatch: "getitem in the model .*batch",
}
