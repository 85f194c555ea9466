"""Networks replayed in NumPy: the numbers of PyTorch, with every operation of PyTorch forbidden meanwhile."""

from __future__ import annotations

import operator
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from hubel import zoo
from hubel.data import Preprocess
from hubel.definitions import cross_entropy_with_logits, dropout, one_hot, softmax, total
from hubel.errors import InputError, UnknownName
from hubel.replay import Program, replay
from hubel.run import Card, Network, Run
from hubel.zoo.pixels import Pixels


class Forbidden(TorchDispatchMode):
    """Inside, any computation by PyTorch is a failure: no value can come from there."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        raise AssertionError(f"PyTorch computed {function}")


def far(mine, theirs):
    """Largest difference, relative to the largest number where that is above 1."""
    theirs = theirs.detach().numpy()
    assert mine.shape == theirs.shape
    return np.abs(mine - theirs).max(initial=0) / max(1, np.abs(theirs).max(initial=0))


def assert_replays(network, x, *, training=False, tol=1e-10):
    """Output, gradient of the input, of every parameter, and buffers: all as PyTorch has them, in float64."""
    network = network.double().train(training)
    program = Program(network, training=training)
    given = x.numpy().copy()
    with Forbidden():
        found = program.run(given, seed=3)
    dropping = [network.get_submodule(name) for name, _ in dropped(found)]
    hooks = [  # what the replay dropped is dropped there too
        layer.register_forward_hook(
            lambda m, x, y, mask=mask: x[0] * torch.from_numpy(mask.astype(float)) / (1 - m.p)
        )
        for layer, (_, mask) in zip(dropping, dropped(found), strict=True)
    ]
    x = x.clone().requires_grad_(x.is_floating_point())
    network.requires_grad_(True)  # what a training leaves alone has slopes, too
    network.zero_grad()
    outputs = network(x)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)  # with auxiliary classifiers, in training
    flows = [torch.randn_like(y) for y in outputs]
    torch.autograd.backward(outputs, flows)
    given, flows = (found.output, *found.heads), [dy.numpy() for dy in flows]
    with Forbidden():
        terms = [found.tape.apply(total, y * dy) for y, dy in zip(given, flows, strict=True)]
        gradients = found.gradients(reduce(operator.add, terms))
    for mine, theirs in zip(given, outputs, strict=True):
        assert far(mine.value, theirs) < tol
    if x.requires_grad:
        assert far(gradients[found.input], x.grad) < tol
    inner = network.network if isinstance(network, Pixels) else network
    # In use, auxiliary classifiers have no part.
    used = {name: p for name, p in inner.named_parameters() if p.grad is not None}
    assert set(found.parameters) == set(used)
    for name, parameter in used.items():
        assert far(gradients[found.parameters[name]], parameter.grad) < tol, name
    for name, buffer in network.named_buffers():
        assert far(found.buffers[name], buffer) < tol, name
    for hook in hooks:
        hook.remove()
    return found


def dropped(found):
    return [(name, node.inputs[1].value) for name, node in found.layers.items() if node.operation is dropout]


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_forbidden_does_forbid():
    with pytest.raises(AssertionError, match="PyTorch computed"), Forbidden():
        torch.zeros(2) + 1


# ---- the zoo


def unlike_fresh(network):
    """Statistics and scales that differ from 0 and 1, which would hide that they are left out."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.5, 0.5), nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 2), nn.init.uniform_(layer.bias, -0.5, 0.5)
    return network


@pytest.mark.parametrize("training", [False, True], ids=["in use", "in training"])
@pytest.mark.parametrize("name", zoo.names())
def test_every_network_of_the_zoo(name, training):
    torch.manual_seed(1)
    network, shape = zoo.small(name)
    found = assert_replays(unlike_fresh(network), draw(3, *shape), training=training, tol=1e-8)
    assert not training or set(found.parameters) == {n for n, _ in network.named_parameters()}


@pytest.mark.parametrize("name", zoo.names())
def test_every_network_of_the_zoo_in_float32(name):
    torch.manual_seed(1)
    network, shape = zoo.small(name)
    network = unlike_fresh(network).eval()
    x = torch.randn(2, *shape)
    found = replay(network, x.numpy())
    assert {node.value.dtype for node in found.layers.values()} == {np.dtype(np.float32)}
    assert far(found.output.value, network(x)) < 1e-4


# ---- networks of others


class Residual(nn.Module):
    """One ReLU, in place, used twice; a shortcut by projection; += on what the norm gave."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, 6, 3, 2, 1, bias=False), nn.Conv2d(6, 6, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(6), nn.BatchNorm2d(6, momentum=None)
        self.relu, self.down = nn.ReLU(inplace=True), nn.Conv2d(4, 6, 1, 2)

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.down(x)
        return self.relu(y)


class Preactivated(nn.Module):
    """What is written over in place is what the shortcut takes: relu(bn(x)), and not bn(x)."""

    def __init__(self):
        super().__init__()
        self.bn, self.relu, self.conv = (
            nn.BatchNorm2d(3),
            nn.ReLU(inplace=True),
            nn.Conv2d(3, 3, 3, padding=1),
        )

    def forward(self, x):
        before = self.bn(x)
        return self.conv(self.relu(before)) + before


class Branches(nn.Module):
    """Inception's parallel branches, one of them pooled with ceil mode, and a gate over the channels."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 5, (1, 7), padding=(0, 3))
        self.pool = nn.MaxPool2d(3, 1, 1, ceil_mode=True)
        self.down, self.up = nn.Linear(12, 4), nn.Linear(4, 12)

    def forward(self, x):
        y = torch.cat([self.a(x), self.b(x), self.pool(x)], 1)
        gate = torch.sigmoid(self.up(F.relu(self.down(y.mean((2, 3))))))
        return y * gate[:, :, None, None]


class Attention(nn.Module):
    """A block of a vision transformer: patches, a class token, heads by reshape and permute, MLP with GELU."""

    def __init__(self, heads=2, width=8):
        super().__init__()
        self.patch, self.heads = nn.Conv2d(3, width, 4, 4), heads
        self.token, self.place = (
            nn.Parameter(torch.randn(1, 1, width)),
            nn.Parameter(torch.randn(1, 7, width)),
        )
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 12), nn.GELU(), nn.Dropout(0.4), nn.Linear(12, width))

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.place
        n, length, width = x.shape
        qkv = (
            self.qkv(self.norm1(x))
            .reshape(n, length, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        q, k, v = qkv[0], qkv[1], qkv[2]
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, width)
        x = x + self.out(y)
        return (x + self.mlp(self.norm2(x)))[:, 0]


class Text(nn.Module):
    """Kim's: words, kernels of several heights, the maximum over time."""

    def __init__(self):
        super().__init__()
        self.words, self.convs = nn.Embedding(20, 6), nn.ModuleList(nn.Conv1d(6, 4, k) for k in (2, 3))
        self.last = nn.Linear(8, 2)

    def forward(self, ids):
        x = self.words(ids).permute(0, 2, 1)
        return self.last(torch.cat([F.relu(conv(x)).amax(2) for conv in self.convs], 1))


class Shuffle(nn.Module):
    """Channels split, shuffled, enlarged twice: by resampling and by pixel shuffle."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding="same", groups=4), nn.GroupNorm(2, 8)

    def forward(self, x):
        a, b = x.chunk(2, 1)
        y = torch.stack([a, b], 2).flatten(1, 2)
        y = F.interpolate(self.conv(y), scale_factor=2, mode="bilinear", align_corners=False)
        z = F.interpolate(x, size=(y.shape[2], y.shape[3]), mode="nearest")
        return F.pixel_shuffle(self.norm(torch.cat((y, -z), 1)), 2)


class Shared(nn.Module):
    """One layer and one weight in two places: their gradients add up."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 5)
        self.b = nn.Linear(5, 5, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x):
        return F.linear(self.b(self.a(self.a(x))), self.a.weight.t() * 2, self.a.bias)


class Arithmetic(nn.Module):
    """Plain operators in every order, with numbers and with constants made in forward."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.5, -1.5, 2.0]))
        self.register_buffer("shift", torch.tensor([1.0, 2.0, 3.0]), persistent=False)

    def forward(self, x):
        y = (1 - x) * self.scale + self.shift / (2 + x.square()) - x / 3
        y = torch.clamp(y, -1, 2) + torch.sqrt(x.abs() + 0.5) ** 3 - torch.exp(-y) + torch.log(x * x + 1)
        y = (
            y
            + torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
            + torch.maximum(x, 2 * y)
            - x.var(1, keepdim=True)
        )
        y = torch.where(x > 0, y, x) + torch.zeros_like(x) + y.detach() * x
        return (y @ torch.stack([y[0], y[1], y[2]]).t()).view(y.size(0), -1).sum(1, keepdim=True) + y.mean()


WHOLE = {  # layers by themselves, with the input each takes
    "conv2d of all settings": (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), groups=2), (2, 4, 7, 6)),
    "conv2d, same, even": (nn.Conv2d(2, 3, (2, 4), padding="same"), (2, 2, 5, 6)),
    "conv2d, reflected": (nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="reflect"), (2, 2, 5, 6)),
    "conv2d, replicated": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="replicate", bias=False), (2, 2, 5, 6)),
    "conv1d": (nn.Conv1d(4, 6, 3, 2, 1, 2, groups=2), (2, 4, 11)),
    "conv1d, same": (nn.Conv1d(2, 3, 4, padding="same"), (2, 2, 9)),
    "conv transpose": (nn.ConvTranspose2d(4, 6, (3, 2), 2, 1, (1, 0), 2, dilation=(1, 2)), (2, 4, 3, 4)),
    "max pooling": (nn.MaxPool2d((3, 2), 2, (1, 0), ceil_mode=True), (2, 3, 7, 6)),
    "max pooling, dilated": (nn.MaxPool2d(2, 1, 1, 2), (2, 3, 7, 6)),
    "max pooling in one dimension": (nn.MaxPool1d(3, 2, 1), (2, 3, 8)),
    "mean pooling": (nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 3, 7, 6)),
    "mean pooling with a divisor": (nn.AvgPool2d((2, 3), divisor_override=5), (2, 3, 7, 6)),
    "mean pooling in one dimension": (nn.AvgPool1d(3, 2, 1), (2, 3, 8)),
    "adaptive mean": (nn.AdaptiveAvgPool2d((3, None)), (2, 3, 7, 5)),
    "adaptive maximum": (nn.AdaptiveMaxPool2d((3, 2)), (2, 3, 7, 5)),
    "batch norm, one dimension": (nn.BatchNorm1d(3), (5, 3)),
    "batch norm of other settings": (nn.BatchNorm2d(3, eps=0.3, momentum=0.7), (2, 3, 4, 5)),
    "batch norm without scale": (nn.BatchNorm2d(3, affine=False), (2, 3, 4, 5)),
    "batch norm without memory": (nn.BatchNorm2d(3, track_running_stats=False), (2, 3, 4, 5)),
    "instance norm": (nn.InstanceNorm2d(3, affine=True), (2, 3, 4, 5)),
    "layer norm over a picture": (nn.LayerNorm((3, 4, 5)), (2, 3, 4, 5)),
    "rms norm": (nn.RMSNorm(5), (2, 3, 5)),
    "group norm": (nn.GroupNorm(2, 4), (2, 4, 3, 5)),
    "local response norm": (nn.LocalResponseNorm(4, 0.3, 0.6, 2.0), (2, 6, 3, 4)),
    "dropout of maps": (nn.Dropout2d(0.4), (4, 6, 3, 2)),
    "reflection": (nn.ReflectionPad2d((1, 2, 0, 1)), (2, 3, 4, 5)),
    "replication": (nn.ReplicationPad2d((1, 2, 0, 1)), (2, 3, 4, 5)),
    "a constant around": (nn.ConstantPad2d((1, -1, 0, 2), 0.5), (2, 3, 4, 5)),
    "upsample": (nn.Upsample(scale_factor=(2, 1.5), mode="bilinear", align_corners=True), (2, 3, 4, 6)),
    "upsample to the nearest": (nn.Upsample(size=(7, 5)), (2, 3, 4, 6)),
    "pixel shuffle": (nn.PixelShuffle(2), (2, 8, 3, 2)),
    "flatten in the middle": (nn.Flatten(1, 2), (2, 3, 4, 5)),
    "softmax over channels": (nn.Softmax(1), (2, 3, 4)),
    "log softmax": (nn.LogSoftmax(-1), (2, 3, 4)),
    "prelu per channel": (nn.PReLU(3), (2, 3, 4)),
    "hardtanh": (nn.Hardtanh(-0.5, 1.5), (2, 3, 4)),
} | {
    type(layer).__name__: (layer, (2, 3, 4))
    for layer in (
        nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.SiLU(), nn.Mish(), nn.GELU(), nn.Hardswish(),
        nn.Hardsigmoid(), nn.Softplus(), nn.Sigmoid(), nn.Tanh(), nn.PReLU(), nn.Identity(), nn.Dropout(0.3),
    )
}  # fmt: skip


@pytest.mark.parametrize("training", [False, True], ids=["in use", "in training"])
@pytest.mark.parametrize("name", WHOLE)
def test_layers_by_themselves(name, training):
    layer, shape = WHOLE[name]
    x = draw(*shape) * 3
    if isinstance(layer, nn.Dropout2d):  # as a part, so that its hook can tell its place
        x = x.abs() + 0.1
    # PyTorch's hardsigmoid has its sixth in float32, also where all else is float64.
    tol = 1e-7 if isinstance(layer, nn.Hardsigmoid) else 1e-10
    assert_replays(nn.Sequential(layer), x, training=training, tol=tol)


@pytest.mark.parametrize("training", [False, True], ids=["in use", "in training"])
@pytest.mark.parametrize(
    ("network", "shape"),
    [(Residual, (3, 4, 7, 6)), (Preactivated, (3, 3, 4, 5)), (Branches, (2, 4, 5, 6)), (Attention, (2, 3, 8, 12)),
     (Shuffle, (2, 4, 3, 5)), (Shared, (3, 5)), (Arithmetic, (3, 3))],
)  # fmt: skip
def test_networks_of_others(network, shape, training):
    torch.manual_seed(4)
    assert_replays(network(), draw(*shape), training=training)


def test_a_network_for_words():
    assert_replays(Text(), torch.randint(0, 20, (3, 7)))


def test_the_wrapper_from_pixels_with_its_mirror_image():
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 2 * 3, 5))
    found = assert_replays(
        Pixels(inner, (0.4, 0.5, 0.6), (0.2, 0.3, 0.1), "bgr", mirror=True), draw(2, 3, 4, 5)
    )
    assert {"0", "0#2", "3.weight"} <= {
        *found.layers,
        *found.parameters,
    }  # the names of the network that it holds
    assert_replays(Pixels(nn.Linear(3, 2), (0.4, 0.5, 0.6), (0.2, 0.3, 0.1), picture=False), draw(4, 3))


@pytest.mark.parametrize(
    ("preprocess", "item"),
    [
        (
            Preprocess("picture", (1, 5, 4), mean=(0.3,), std=(0.2,)),
            np.arange(20, dtype=np.uint8).reshape(5, 4),
        ),
        (Preprocess("vector", (3,), mean=(1.0, 2.0, 3.0), std=(0.5, 1.0, 2.0)), [0.5, -1, 7]),
    ],
    ids=["picture", "vector"],
)
def test_a_run_is_replayed_from_what_predict_takes(preprocess, item):
    card = Card("classify", ("a", "b", "c"), 3, Network("mlp", {"hidden": (4,)}), preprocess)
    run = Run(Path("nowhere"), card, card.wrap(card.build()), {})
    found = replay(run, item)
    (answer,) = run.predict(item if preprocess.kind == "picture" else [item], top=3)
    p = dict(answer.top)
    np.testing.assert_allclose(softmax(found.output.value)[0], [p["a"], p["b"], p["c"]], rtol=1e-5)


# ---- names, weights, modes


def test_layers_have_the_names_of_their_places():
    found = replay(Residual().eval(), np.ones((1, 4, 5, 5), np.float32))
    assert list(found.layers) == [
        "input", "conv1", "bn1", "relu", "conv2", "bn2", "down", "add", "relu#2",
    ]  # fmt: skip
    assert found.layer("relu#2") is found.output
    with pytest.raises(UnknownName, match=r"no layer named 'relu2'\. Did you mean 'relu#2'"):
        found.layer("relu2")


def test_one_place_is_one_set_of_weights():
    program = Program(nn.Linear(2, 1, bias=False))
    program.parameters["weight"] = np.array([[3.0, 5.0]], np.float32)
    assert program.run(np.array([[1, 10]], np.float32)).output.value == 53


def test_the_weights_are_copies():
    network = nn.Linear(2, 1, bias=False)
    program = Program(network)
    before = program.parameters["weight"].copy()
    with torch.no_grad():
        network.weight += 1
    assert np.array_equal(program.parameters["weight"], before)


def test_tracing_leaves_the_network_as_it_was():
    network = nn.Sequential(Arithmetic(), nn.Dropout(0.5))
    network.train()
    network[1].eval()
    before = set(vars(network)), set(vars(network[0]))
    Program(network, training=False)
    assert (set(vars(network)), set(vars(network[0]))) == before
    assert [m.training for m in network.modules()] == [True, True, False]


def test_a_shared_weight_is_one_parameter():
    found = replay(Shared().double(), np.ones((2, 5)))
    assert list(found.parameters) == ["a.weight", "a.bias"]


def test_slopes_of_a_loss_by_name():
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, labels = draw(5, 3), torch.tensor([0, 1, 1, 0, 1])
    found = replay(network, x.numpy())
    loss = found.tape.apply(cross_entropy_with_logits, found.output, one_hot(labels.numpy(), 2))
    F.cross_entropy(network(x), labels).backward()
    slopes = found.slopes(loss)
    assert list(slopes) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    for name, parameter in network.named_parameters():
        assert far(slopes[name], parameter.grad) < 1e-12


def test_masks_are_drawn_from_the_seed_and_can_be_given():
    program = Program(nn.Sequential(nn.Identity(), nn.Dropout(0.25)), training=True)
    x = np.ones((100, 100), np.float32)
    first, again, other = (program.run(x, seed=s).output.value for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert set(np.unique(first)) == {np.float32(0), np.float32(4 / 3)}
    assert abs((first > 0).mean() - 0.75) < 0.02  # 10,000 draws: four deviations of 0.0043
    mask = np.zeros((100, 100))
    mask[3, 4] = 1
    given = program.run(x, masks={"1": mask}).output.value
    assert np.flatnonzero(given).tolist() == [304]


def test_float64_is_asked_for():
    network = nn.Linear(3, 2)
    found = replay(network, np.ones((1, 3), np.float32), dtype=np.float64)
    assert found.output.value.dtype == np.float64 and found.parameters["weight"].value.dtype == np.float64
    assert replay(network, np.ones((1, 3))).output.value.dtype == np.float32  # else that of the weights


# ---- what cannot be replayed


class Strange(nn.Module):
    def forward(self, x):
        return torch.cumsum(x, 1).sort(1)[0]


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Subclassed(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) + 1


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.RReLU()), "the step '1' cannot be replayed: the layer type RReLU"),
        (Strange(), "the step 'cumsum' cannot be replayed: the function cumsum"),
        (nn.Sequential(Subclassed(1, 1, 1)), "the step '0' cannot be replayed: the layer type Subclassed"),
        (Branching(), "Branching cannot be traced"),
    ],
)
def test_what_has_no_definition_is_named(network, named):
    with pytest.raises(InputError, match=named):
        Program(network)


class Uncalled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weigh = nn.Linear(2, 2)

    def forward(self, x):
        return x + self.weigh  # and not self.weigh(x)


class Constant(nn.Module):
    def forward(self, x):
        return 3


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (Uncalled(), "the network's 'weigh' cannot be replayed: .* is none; a layer must be called"),
        (Constant(), "the network gives 3 and no array: its forward must return what it made of its input"),
    ],
    ids=["a layer that is not called", "an answer that is no array"],
)
def test_what_is_no_array_is_told(network, text):
    with pytest.raises(InputError, match=text):
        replay(network, np.ones((1, 2), np.float32))


def test_an_input_that_does_not_fit_is_told_with_the_step():
    with pytest.raises(InputError, match=r"the step '1' does not fit .* x and w .* \(1, 4\) and \(2, 3\)"):
        replay(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), np.ones((1, 2, 2)))
