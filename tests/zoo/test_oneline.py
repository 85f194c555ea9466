"""Networks in one line: against the same layers written in torch.nn, counts by pencil, and what is said to mistakes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import hubel
from hubel import zoo
from hubel.errors import InputError, ShapeError, UnknownName
from hubel.replay import Program
from hubel.training import prepare
from hubel.zoo.oneline import parse
from hubel.zoo.oneline_sizes import plan

LECTURES = "conv20x5 relu pool2 conv50x5 relu pool2 fc500 relu fc"
# Every word of the grammar, every block, on a picture that is not square.
EVERYTHING = (
    "conv8x3x5/2+same~1 bn relu lrn 2*(conv8x3+1%2 leaky) res(conv12x3/2+1 bn gelu conv12x3+same bn) silu "
    "inc(conv4x1 | conv3x1 relu conv5x3+same | pool3/1+1 conv2x1 | avgpool3/1+same) drop0.25 "
    "res(conv23x3+2~2 tanh) inc(gap flatten fc6 sigmoid | gmp fc4) fc9 tanh fc"
)


def test_the_words_are_the_layers_of_pytorch():
    net = zoo.create(
        "conv6x3x5/2x1+1~1x2%2 bn relu pool3x2/2x1+1 avgpool2 gap flatten fc5 drop0.5 fc", 7, (4, 20, 21)
    )
    wanted = nn.Sequential(
        nn.Conv2d(4, 6, (3, 5), (2, 1), 1, (1, 2), 2, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.MaxPool2d((3, 2), (2, 1), 1), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 5), nn.Dropout(0.5), nn.Linear(5, 7),
    )  # fmt: skip
    assert {k: v.shape for k, v in net.state_dict().items()} == {
        k: v.shape for k, v in wanted.state_dict().items()
    }
    wanted.load_state_dict(net.state_dict())
    x = torch.randn(3, 4, 20, 21)
    assert torch.equal(net.eval()(x), wanted.eval()(x))


def test_the_lectures_network_counts_as_the_pencil_does():
    # 28 -> 24 -> 12 -> 8 -> 4:  20*25+20, 50*20*25+50, (50*16)*500+500, 500*10+10
    assert zoo.lookup(LECTURES).parameters == 520 + 25_050 + 400_500 + 5_010
    assert sum(p.numel() for p in zoo.create(LECTURES).parameters()) == 431_080


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        (EVERYTHING, (3, 21, 30)),
        (EVERYTHING, (1, 16, 12)),
        ("3*(conv8x3 bn relu) 2*pool2 2*fc6 fc", (3, 21, 30)),  # each time something else arrives
        ("2*res(conv8x3/2+1 relu conv6x3+same) 2*inc(conv3x1 | pool3/1+1) flatten fc", (2, 13, 10)),
    ],
)
def test_the_plan_is_what_the_network_does(line, shape):
    net, planned = zoo.create(line, 7, shape), plan(line, 7, shape)
    x = torch.randn(2, *shape)
    for module, made in zip(net, planned, strict=True):
        x = module(x)
        assert tuple(x.shape[1:]) == made.output
        assert sum(p.numel() for p in module.parameters()) == made.parameters
    assert x.shape == (2, 7)
    x.square().sum().backward()
    starved = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias in front of nothing but a norm would be starved: such convolutions have none.
    assert starved == []


def test_a_residual_unit_adds_what_came_in():
    net = zoo.create("res(conv2x3+same) fc", 3, (2, 5, 6))
    x = torch.randn(1, 2, 5, 6)
    assert isinstance(net[0].shortcut, nn.Identity)
    torch.testing.assert_close(net[0](x), x + net[0].body[0](x))


@pytest.mark.parametrize(("size", "stride"), [((13, 8), (2, 2)), ((12, 7), (2, 2)), ((3, 3), (2, 2))])
def test_the_shortcut_has_the_stride_that_the_sizes_ask_for(size, stride):
    net = zoo.create("res(conv6x3/2+1 bn relu conv6x3+same bn) fc", 3, (2, *size))
    conv, norm = net[0].shortcut
    assert (conv.kernel_size, conv.stride, conv.bias) == ((1, 1), stride, None)
    assert isinstance(norm, nn.BatchNorm2d)
    assert net(torch.randn(2, 2, *size)).shape == (2, 3)


def test_without_a_norm_in_the_body_the_shortcut_has_a_bias():
    shortcut = zoo.create("res(conv6x3+same relu) fc", 3, (2, 5, 6))[0].shortcut
    assert (type(shortcut), shortcut.stride, shortcut.bias.shape) == (nn.Conv2d, (1, 1), (6,))
    assert isinstance(zoo.create("fc8 res(fc6 relu) fc", 3, (5,))[1].shortcut, nn.Linear)


def test_branches_are_joined_in_their_order():
    net = zoo.create("inc(conv2x1 | pool3/1+1 | conv3x3+same relu) fc", 3, (2, 5, 6))
    x = torch.randn(1, 2, 5, 6)
    one, two, three = net[0]
    torch.testing.assert_close(net[0](x), torch.cat([one(x), two(x), three(x)], 1))
    assert net[0](x).shape == (1, 2 + 2 + 3, 5, 6)


def test_a_repeat_has_its_own_weights_and_names_that_mirror_the_text():
    net = zoo.create("conv4x3+same 2*(relu 2*conv4x3+same) fc", 3, (4, 5, 6))
    names = [n.removesuffix(".weight") for n, _ in net.named_parameters() if n.endswith("weight")]
    assert names == ["0", "1.0.1.0", "1.0.1.1", "1.1.1.0", "1.1.1.1", "3"]
    assert not torch.equal(net.get_parameter("1.0.1.0.weight"), net.get_parameter("1.1.1.0.weight"))


def test_weights_begin_as_he_and_glorot_say():
    torch.manual_seed(0)
    net = zoo.create("conv200x5+same relu conv100x3+same tanh fc", 10, (4, 8, 8))
    he, glorot = net[0].weight, net[2].weight
    assert he.std().item() == pytest.approx((2 / 100) ** 0.5, rel=0.02)  # fan in 4 * 25
    # uniform within sqrt(6 / (fan in + fan out)), fans 200 * 9 and 100 * 9
    assert glorot.abs().max().item() == pytest.approx((6 / 2700) ** 0.5, rel=0.001)
    assert not any(b.any() for n, b in net.named_parameters() if n.endswith("bias"))


@pytest.mark.parametrize("training", [False, True])
def test_a_line_is_replayed_by_the_definitions(training):
    torch.manual_seed(1)
    net = zoo.create(EVERYTHING.replace("drop0.25 ", ""), 7, (3, 21, 30)).double().train(training)
    x = np.random.default_rng(0).standard_normal((2, 3, 21, 30))
    program = Program(net, training=training)
    np.testing.assert_allclose(program.run(x).output.value, net(torch.tensor(x)).detach().numpy(), atol=1e-10)


def test_a_line_is_trained_saved_and_loaded(tmp_path):
    line = "conv8x3   relu\npool2 fc"
    run = hubel.train("digits", network=line, out=tmp_path / "run", epochs=1, precision="fp32")
    loaded = hubel.load(tmp_path / "run")
    assert loaded.network.name == "conv8x3 relu pool2 fc" and dict(loaded.network.arguments) == {}
    x = np.zeros((2, 1, 8, 8), np.uint8)
    np.testing.assert_array_equal(loaded.logits(x), run.logits(x))


def test_few_items_are_learnt_in_smaller_steps_and_more_passes(tmp_path):
    recipe = prepare("digits", network="conv8x3 relu pool2 fc", out=tmp_path / "run").recipe
    assert (recipe.optimizer, recipe.lr, recipe.batch, recipe.shift) == ("adam", 3e-3, 32, 0.0)
    assert recipe.epochs * (1258 // 32) >= 1_700 > (recipe.epochs - 1) * (1258 // 32)
    chosen = prepare(
        "digits", network="conv8x3 relu pool2 fc", out=tmp_path / "other", epochs=2, lr=0.1
    ).recipe
    assert (chosen.epochs, chosen.lr) == (2, 0.1)


def test_the_folder_of_a_run_has_a_short_safe_name():
    assert zoo.slug("conv8x3/2 relu pool2 fc") == "conv8x3-2-relu-pool2-fc"
    assert zoo.slug("lenet5-1998") == "lenet5-1998"
    long = zoo.slug("../" + EVERYTHING)
    assert len(long) <= 40 and set(long) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") and long[0] != "-"


@pytest.mark.parametrize(
    ("text", "line"),
    [("conv8x3 fc", True), ("fc", True), ("cnv8x3 rellu fc", True), ("res(x)", True), ("CONV8×3 FC", True),
     ("lennet5", False), ("runs/my run", False), ("conv", True), ("resnet18", False), ("inception-v3", False)],
)  # fmt: skip
def test_a_line_is_told_from_a_name(text, line):
    assert zoo.is_line(text) is line


def test_no_name_of_the_zoo_is_taken_for_a_line():
    assert [name for name in zoo.names() if zoo.is_line(name)] == []


def shown(line: str, under: str) -> str:
    """The line, and carets under the last place of a piece of it, as a message has them."""
    return f"\n  {line}\n  {' ' * line.rindex(under)}{'^' * len(under)}"


@pytest.mark.parametrize(
    ("line", "under", "says"),
    [
        ("conv8x3 rellu fc", "rellu", "'rellu' is no part of a network; did you mean 'relu'?"),
        ("cnv8x3 relu fc", "cnv8x3", "did you mean 'conv'?"),
        ("conv8 fc", "conv8", "conv is written as conv20x5, got conv8"),
        ("conv0x3 fc", "conv0x3", "every number must be at least 1"),
        ("bn2 fc", "bn2", "bn is written as bn, got bn2"),
        ("drop1.0 fc", "drop1.0", "dropout takes a share from 0 to under 1, as drop0.5, got 1.0"),
        ("pool3%2 fc", "pool3%2", "pool takes /stride +padding, but here stands %2"),
        ("relu+1 fc", "relu+1", "relu takes nothing behind it, but here stands +1"),
        ("conv8x3/2/2 fc", "conv8x3/2/2", "stride is said twice"),
        ("conv8x3/0 fc", "conv8x3/0", "the stride must be at least 1"),
        ("conv8x3/same fc", "conv8x3/same", "write +same instead of /same"),
        ("conv8x3 relu", "relu", "a line ends with a bare fc, which takes the class count: write ' fc' behind it"),
        ("conv8x3 fc9", "fc9", "a line ends with a bare fc"),
        ("3*(conv8x3 relu fc", "(", "this parenthesis is not closed: a ) is missing"),
        ("conv8x3) fc", ")", "this parenthesis was not opened"),
        ("conv8x3 | fc", "|", "a | stands only inside inc(... | ...)"),
        ("res(conv8x3 | relu) fc", "|", "a | stands only inside inc(... | ...)"),
        ("inc(conv8x3 | ) fc", "inc(conv8x3 | )", "a branch of inc( ) is empty"),
        ("0*(conv8x3) fc", "0*", "repeats zero times"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_pointed_at(line, under, says):
    with pytest.raises(InputError) as e:
        parse(line)
    assert says in str(e.value) and shown(line, under) in str(e.value)


@pytest.mark.parametrize("line", ["", " \n"], ids=["nothing", "blanks"])
def test_an_empty_line_is_told_the_least_network_and_the_grammar(line):
    with pytest.raises(
        InputError, match=r"^a network in one line needs at least a bare fc\nknown are: conv20x5 "
    ):
        parse(line)


def test_the_bare_fc_stands_at_the_end_alone():
    with pytest.raises(
        InputError,
        match=r"stands at the end alone: say how many units, as fc500\n  res\(fc\) fc\n      \^\^$",
    ):
        parse("res(fc) fc")


def test_an_unknown_word_comes_with_the_grammar():
    with pytest.raises(InputError, match=r"\^\^\^\^\nknown are: conv20x5 .*\n.*\n.*\n.*a bare fc at the end"):
        parse("blob fc")


@pytest.mark.parametrize(
    ("line", "under", "says"),
    [
        ("conv8x3 pool2 conv9x5 fc", "conv9x5", "a window of 5x5 does not fit: 8x3x4 arrives. Windows up to 3x4 fit"),
        ("conv8x3~5+1 fc", "conv8x3~5+1", "a window of 11x11 does not fit: 2x8x10 arrives, 10x12 with padding"),
        ("conv9x3%2 fc", "conv9x3%2", "2 groups must divide the 2 maps that arrive and the 9 that it makes"),
        ("conv8x4+same fc", "conv8x4+same", "even window of 4; take an odd one"),
        ("pool3+2 fc", "pool3+2", "a pooling of 3x3 may be padded by half of that, got +2x2"),
        ("fc9 conv8x3 fc", "conv8x3", "conv takes maps, but 9 numbers arrive"),
        ("res(conv8x3) fc", "res(conv8x3)", "the body makes 8x6x8 of 2x8x10: no 1x1 convolution does the same"),
        ("res(fc4) fc", "res(fc4)", "the body makes 4 numbers of 2x8x10: nothing can be added"),
        ("inc(conv8x3 | conv8x1) fc", "inc(conv8x3 | conv8x1)", "the branches make 8x6x8, 8x8x10"),
        ("inc(gap | fc8) fc", "inc(gap | fc8)", "the branches make 2x1x1, 8"),
        ("fc99999999 fc", "fc99999999", "is more than the 2,147,483,648 numbers that are allowed"),
        ("conv99999999x1 gap fc", "conv99999999x1", "an output of 99999999x8x10 is more than"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_pointed_at_with_the_size_that_arrives(line, under, says):
    with pytest.raises(ShapeError) as e:
        zoo.create(line, 3, (2, 8, 10))
    assert says in str(e.value) and shown(line, under) in str(e.value)


@pytest.mark.parametrize(
    "line",
    ["relu " * 1_000_000 + "fc", "9999999*(conv8x1) fc", "999*999*999*relu fc", "(" * 1000 + ")" * 1000 + " fc",
     "2*" * 1000 + "relu fc", "50*(50*(relu)) fc", "9" * 3000 + "*relu fc", "fc" + "9" * 3000 + " fc"],
)  # fmt: skip
def test_what_is_too_large_is_refused_before_it_is_built(line):
    with pytest.raises(InputError, match=r"characters|over 2,000 layers|nested|9 digits") as e:
        zoo.create(line, 3, (2, 8, 10))
    assert len(str(e.value)) < 400


def test_long_lines_are_cut_around_the_mistake():
    with pytest.raises(InputError) as e:
        parse("relu " * 100 + "blob " + "relu " * 100 + "fc")
    line, carets = str(e.value).split("\n")[1:3]
    assert line.startswith("  …") and line.endswith("…") and len(line) < 90
    assert line[carets.index("^") : carets.rindex("^") + 1] == "blob"


def test_a_line_takes_no_arguments():
    with pytest.raises(UnknownName, match=r"no argument of fc named 'width'. Known: \(none\)"):
        zoo.create("fc", width=2)


def test_training_says_what_does_not_fit_before_it_makes_a_folder(tmp_path):
    with pytest.raises(ShapeError, match="20x2x2 arrives"):
        hubel.train("digits", network="conv20x5 relu pool2 conv50x5 relu fc", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_reading_a_line_does_not_import_torch():
    code = "import sys; from hubel import zoo; zoo.lookup('conv8x3 fc'); zoo.check('fc', (1, 2, 2)); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
