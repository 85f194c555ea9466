"""A zoo entry is a claim; these tests hold every claim, for every name."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

import hubel
from hubel import zoo
from hubel.errors import InputError, ShapeError, UnknownName
from hubel.zoo.lenet5 import DIGITS, TABLE, LeNet5Of1998, PartialConv2d, Subsample
from hubel.zoo.lenet5_simplified import SliceBiasConv2d
from hubel.zoo.pixels import Pixels

MODES = pytest.mark.parametrize("training", [False, True], ids=["in use", "in training"])
HELD_IN_MEMORY = 4_000_000  # parameters; a larger network is built without memory for its weights


def as_published(name, **arguments):
    """The network at its full size; where that is large, on PyTorch's meta device, which knows shapes alone."""
    with torch.device("meta" if zoo.ZOO[name].parameters > HELD_IN_MEMORY else "cpu"):
        return hubel.create(name, **arguments)


def answer(network, shape, count=2):
    """The logits of a picture that is nothing but zeros, in use."""
    return network.eval()(torch.zeros(count, *shape, device=next(network.parameters()).device))


def outputs(network, x):
    """All that a network gives: the logits, and in training those of its auxiliary classifiers."""
    y = network(x)
    return y if isinstance(y, tuple) else (y,)


@pytest.mark.parametrize("name", hubel.names())
def test_every_network_is_what_its_entry_says(name):
    entry = zoo.ZOO[name]
    assert sum(p.numel() for p in as_published(name).parameters()) == entry.parameters
    # Not the paper's class count: an ignored argument shows.
    assert answer(as_published(name, classes=7), entry.input).shape == (2, 7)


@pytest.mark.parametrize("name", hubel.names())
def test_every_parameter_learns(name):
    torch.manual_seed(0)
    net, shape = zoo.small(name)
    sum(y.square().sum() for y in outputs(net, torch.randn(4, *shape))).backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    # Its stem is what the data made it, and its norms shift but do not scale (strong.py).
    norms = [f"{n}.weight" for n, m in net.named_modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert still == (["whiten.weight", *norms] if name == "strong-pictures" else [])


@pytest.mark.parametrize("name", hubel.names())
def test_auxiliary_classifiers_answer_in_training_alone_and_have_a_weight_each(name):
    net, shape = zoo.small(name)
    x = torch.randn(3, *shape)
    logits, *heads = outputs(net.train(), x)
    assert len(heads) == len(getattr(net, "auxiliary", ()))
    assert all(head.shape == logits.shape for head in heads)
    assert net.eval()(x).shape == logits.shape


@MODES
@pytest.mark.parametrize("name", hubel.names())
def test_every_network_can_be_traced(name, training):
    # Issue by issue, more is built on the graph: replay, receptive fields, export.
    net, shape = zoo.small(name)
    x = torch.randn(2, *shape)
    traced = torch.fx.symbolic_trace(net.train(training))
    for layer in net.modules():
        if isinstance(layer, nn.Dropout | nn.Dropout2d):
            layer.p = 0.0  # the layers are shared, and what they drop is drawn anew at each call
    torch.testing.assert_close(traced(x), net(x))


PICTURES = [n for n in hubel.names() if len(zoo.ZOO[n].input) == 3 and n != "mlp"]


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_network_takes_colour_and_other_sizes(name):
    channels = max(3, zoo.ZOO[name].input[0])  # grey ones take colour too; 48 planes of a board stay 48
    shape = zoo.ZOO[name].takes((channels, 36, 44))
    assert shape[0] == channels
    assert answer(as_published(name, classes=5, input=shape), shape).shape == (2, 5)


@pytest.mark.parametrize("name", hubel.names())
def test_the_seed_fixes_the_weights(name):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in zoo.small(name)[0].parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def layer_parameters(net: nn.Module) -> list[int]:
    counts = [sum(p.numel() for p in m.parameters()) for m in net.modules() if not any(m.children())]
    return [c for c in counts if c]


def test_lenet5_of_1998_counts_as_the_paper_does():
    # C1 6(25+1); S2 6*2; C3 60*25+16; S4 16*2; C5 120(400+1); F6 84(120+1)
    assert layer_parameters(hubel.create("lenet5-1998")) == [156, 12, 1516, 32, 48_120, 10_164]


def test_the_simplified_lenet_counts_as_the_lectures_do():
    assert layer_parameters(hubel.create("lenet5-simplified")) == [156, 7_800, 125_100, 1_010]
    first = hubel.create("lenet5-simplified").features[0](torch.zeros(1, 1, 29, 29))
    assert first.shape[1:] == (6, 13, 13) and first[0].numel() * 26 == 26_364  # connections


def test_c3_sees_the_maps_of_the_table_and_no_others():
    layer = PartialConv2d(6, TABLE, 5)
    x = torch.randn(1, 6, 14, 14, requires_grad=True)
    for o, seen in enumerate(TABLE):
        (dx,) = torch.autograd.grad(layer(x)[0, o].sum(), x)
        assert {c for c in range(6) if dx[0, c].any()} == set(seen)
    assert sum(map(len, TABLE)) == 60


def test_a_partial_convolution_is_the_sum_over_its_own_slices():
    table = ((0, 2), (1,))
    layer = PartialConv2d(3, table, 3)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([0.5, -1.0]))
    x = torch.randn(2, 3, 5, 6)
    one = nn.functional.conv2d
    w = layer.weight[:, None, None]  # (3, 1, 1, 3, 3): kernels in the table's order
    torch.testing.assert_close(layer(x)[:, 0], (one(x[:, 0:1], w[0]) + one(x[:, 2:3], w[1]) + 0.5)[:, 0])
    torch.testing.assert_close(layer(x)[:, 1], (one(x[:, 1:2], w[2]) - 1.0)[:, 0])


def test_subsampling_by_hand():
    layer = Subsample(1)
    with torch.no_grad():
        layer.coefficient.fill_(0.5)
        layer.bias.fill_(1.0)
    x = torch.tensor([[[[1.0, 2, 3, 4], [5, 6, 7, 8]]]])
    assert layer(x).tolist() == [[[[8.0, 12.0]]]]  # (1+2+5+6)/2 + 1 and (3+4+7+8)/2 + 1


def test_each_kernel_slice_has_its_own_bias():
    layer = SliceBiasConv2d(2, 1, 2, 1)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor([[0.25, 2.0]]))
    assert layer(torch.randn(1, 2, 2, 2)).item() == 2.25


def test_the_rbf_output_is_the_negative_squared_distance_to_the_code():
    rbf = LeNet5Of1998().classifier[-1]
    assert rbf.codes.shape == (10, 84) and set(rbf.codes.unique().tolist()) == {-1.0, 1.0}
    # Standing on the code of 3: its logit is 0; of another class, -4 for each of the cells where the codes differ.
    y = rbf(rbf.codes[3:4])[0]
    assert y[3] == 0 and y.argmax() == 3
    assert y[8].item() == -4 * (rbf.codes[3] != rbf.codes[8]).sum().item()


def test_the_drawn_digits_are_7_by_12_and_all_different():
    rows = [line.split() for line in DIGITS.strip().splitlines()]
    assert len(rows) == 12 and all(len(row) == 10 and {len(c) for c in row} == {7} for row in rows)
    codes = LeNet5Of1998().classifier[-1].codes
    assert all((codes[i] != codes[j]).sum() >= 4 for i in range(10) for j in range(i))


def test_classes_other_than_ten_get_seeded_codes():
    a, b = LeNet5Of1998(classes=4), LeNet5Of1998(classes=4)
    assert torch.equal(a.classifier[-1].codes, b.classifier[-1].codes) and a.classifier[-1].codes.shape == (
        4,
        84,
    )


def test_one_unit_answers_for_two_classes_as_a_sigmoid():
    net = hubel.create(
        "mlp", 2, (2,), hidden=(4,), activation="sigmoid", bias=False, init="uniform", single=True
    )
    assert [tuple(p.shape) for p in net.parameters()] == [(4, 2), (1, 4)]  # 2-4-1 without bias
    x = torch.randn(5, 2)
    w1, w2 = net.parameters()
    z = torch.sigmoid(x @ w1.T) @ w2.T
    torch.testing.assert_close(net(x).softmax(1)[:, 1:], torch.sigmoid(z))
    assert all(p.abs().max() <= 1 for p in net.parameters())


def test_one_neuron_has_no_hidden_layer():
    assert [tuple(p.shape) for p in hubel.create("mlp", 3, (5,), hidden=()).parameters()] == [(3, 5), (3,)]


def test_pixels_normalises_orders_and_mirrors():
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x[:, 0, 0, :2]

    x = torch.rand(2, 3, 2, 2)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 0.125]
    y = Pixels(Spy(), mean, std, "bgr", mirror=True).eval()(x)
    expected = (x.flip(1) - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    torch.testing.assert_close(seen[0], expected)
    torch.testing.assert_close(seen[1], expected.flip(3))
    torch.testing.assert_close(y, (expected[:, 0, 0, :] + expected.flip(3)[:, 0, 0, :]) / 2)
    seen.clear()
    Pixels(Spy(), mean, std, mirror=True).train()(x)
    assert len(seen) == 1  # in training a picture is seen once


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: hubel.create("lennet5"), UnknownName, r"no network named 'lennet5'. Did you mean 'lenet5'\? Known: fast-digits, "),
        (lambda: hubel.create("mlp", hiden=(3,)), UnknownName, r"no argument of mlp named 'hiden'. Did you mean 'hidden'\?"),
        (lambda: hubel.create("lenet5", widht=3), UnknownName, r"no argument of lenet5 named 'widht'. Known: \(none\)"),
        (lambda: hubel.create("mlp", activation="rellu"), UnknownName, r"Did you mean 'relu'\?"),
        (lambda: hubel.create("mlp", 3, single=True), InputError, "answers for two classes, the data have 3"),
        (lambda: hubel.create("lenet5", 0), InputError, "at least one output, got classes=0"),
        (lambda: hubel.create("lenet5", 10, (1, 8, 8)), ShapeError, "a window of 5 does not fit into 2 cells"),
        (lambda: hubel.create("lenet5-1998", 10, (1, 40, 40)), ShapeError, "which 32x32 gives; the input is 40x40"),
        (lambda: hubel.create("mlp", init="xavier"), UnknownName, "no initialisation named 'xavier'. Known: default, uniform"),
        (lambda: hubel.create("fast-digits", 10, (1, 3, 20)), ShapeError, "pictures of 3x20 are too small for 2 halvings: they need 4 pixels each way; enlarge them with --input 4x4"),
        (lambda: hubel.create("fast-digits", stages=4), InputError, "fast-digits has 1 to 3 stages, not 4: say --arg stages=2"),
        (lambda: zoo.ZOO["fast-digits"].takes((7,)), ShapeError, "takes pictures, the data are vectors of 7 numbers; try --network mlp"),
        (lambda: zoo.ZOO["lenet5"].takes((7,)), ShapeError, "takes pictures of 32x32, the data are vectors of 7 numbers"),
    ],
)  # fmt: skip
def test_errors_name_both_sides(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_the_list_of_networks_does_not_import_torch():
    code = "import sys, hubel; hubel.names(); from hubel.zoo import ZOO; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
