"""The picture of a network: what is put into boxes and branches, and that what is drawn lies where it should."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import pytest
import torch
from torch import nn

import hubel
from hubel import zoo
from hubel.errors import InputError
from hubel.zoo.describe import Layer, layers
from hubel.zoo.drawing import PAGE, draw
from hubel.zoo.drawing_parts import Box, Fork, Repeat, parts

SVG = "{http://www.w3.org/2000/svg}"
LINE = "conv4x3 bn relu res(conv4x3+same relu) 2*(inc(conv2x1 | pool3/1+1 conv2x1) relu) gap drop0.5 fc"


def rows(name: str, shape: tuple[int, ...] | None = None) -> tuple[tuple[Layer, ...], tuple[int, ...]]:
    shape = shape or zoo.lookup(name).input
    with torch.device("meta"):
        return layers(zoo.create(name, input=shape), shape), shape


def told(items) -> list:
    """Parts as nested lists of titles."""
    said = []
    for item in items:
        if isinstance(item, Box):
            said.append(item.title + "".join(f" {note}" for note in item.notes))
        elif isinstance(item, Fork):
            said.append(
                [told(branch) for branch in item.branches] + (told([item.join]) if item.join else [None])
            )
        else:
            said.append((item.times, told(item.items)))
    return said


def test_small_layers_belong_to_the_box_before_them_and_branches_to_their_fork():
    inception = [["conv 1×1"], ["max pool 3×3/1", "conv 1×1"], "concat squash"]
    assert told(parts(*rows(LINE))) == [
        "input", "conv 3×3 norm squash", [["conv 3×3 squash"], [], "+"], inception, inception, "global mean drop", "fc",
    ]  # fmt: skip
    assert told(parts(*rows(LINE), fold=True))[3] == (2, [inception])


def test_branches_within_branches():
    line = "inc(conv2x1 inc(conv2x1x3+same | conv2x3x1+same) | conv4x1) fc"
    # torch.cat of the inner and of the outer branches
    assert told(parts(*rows(line))) == [
        "input", [["conv 1×1", [["conv 1×3"], ["conv 3×1"], "concat"]], ["conv 1×1"], "concat"], "fc",
    ]  # fmt: skip


def test_branches_that_meet_before_the_others_are_one_branch():
    # The input goes to both convolutions and to the sum: the two meet in the concatenation, long before the sum.
    line = "conv4x3 res(inc(conv2x1 | conv2x3+same) conv4x1) fc"
    assert told(parts(*rows(line))) == [
        "input", "conv 3×3", [[[["conv 1×1"], ["conv 3×3"], "concat"], "conv 1×1"], [], "+"], "fc",
    ]  # fmt: skip


class Ends(nn.Module):
    """Branches of a branch that all end in one join."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Conv2d(2, 2, 1) for _ in range(4))

    def forward(self, x):
        a = self.a(x)
        return torch.cat([self.b(a), self.c(a), self.d(x)], 1)


class Crossed(Ends):
    """d needs b and c, and the join needs b: no nesting."""

    def forward(self, x):
        a = self.a(x)
        b, c = self.b(a), self.c(a)
        return torch.cat([b, self.d(b + c), c], 1)


def test_a_fork_inside_may_end_where_the_outer_one_ends():
    assert told(parts(layers(Ends(), (2, 4, 4)), (2, 4, 4))) == [
        "input", [["conv 1×1", [["conv 1×1"], ["conv 1×1"], None]], ["conv 1×1"], "concat"],
    ]  # fmt: skip


def test_ways_that_cross_are_refused_by_name():
    with pytest.raises(InputError, match="cannot be drawn: the ways that meet at 'add' are not nested"):
        draw(layers(Crossed(), (2, 4, 4)), (2, 4, 4), "crossed")


def count(items) -> int:
    """Boxes, repeats multiplied out."""
    total = 0
    for item in items:
        if isinstance(item, Repeat):
            total += item.times * count(item.items)
        elif isinstance(item, Fork):
            total += sum(map(count, item.branches)) + (item.join is not None)
        else:
            total += 1
    return total


@pytest.mark.parametrize("name", ["resnet152", "mobilenet-v2", "inception-v3", "vit-tiny"])
def test_folding_loses_no_box(name):
    found = rows(name)
    whole, folded = parts(*found, fold=False), parts(*found, fold=True)
    assert count(whole) == count(folded) and len(folded) < len(whole)


def test_a_deep_chain_is_no_deep_recursion():
    assert len(parts(*rows("980*(conv1x1 relu) fc"), fold=False)) == 982


def placed(svg: str) -> tuple[tuple[float, float], list[tuple[str, float, float, float, float]]]:
    """Size of the picture, and (class, left, top, right, bottom) of all rectangles and circles in its own pixels."""
    root = ET.fromstring(svg)
    found = []

    def walk(element, x, y):
        for child in element:
            dx, dy = x, y
            if "transform" in child.attrib:
                move = re.fullmatch(r"translate\((-?[\d.]+) (-?[\d.]+)\)", child.attrib["transform"])
                dx, dy = x + float(move[1]), y + float(move[2])
            at = {k: float(v) for k, v in child.attrib.items() if re.fullmatch(r"-?[\d.]+", v)}
            if child.tag == SVG + "rect" and "class" in child.attrib:
                left, top = dx + at.get("x", 0), dy + at.get("y", 0)
                found.append((child.attrib["class"], left, top, left + at["width"], top + at["height"]))
            elif child.tag == SVG + "circle":
                found.append((child.attrib["class"], dx - at["r"], dy, dx + at["r"], dy + 2 * at["r"]))
            walk(child, dx, dy)

    walk(root, 0.0, 0.0)
    return (float(root.attrib["width"]), float(root.attrib["height"])), found


@pytest.mark.parametrize("name", [*hubel.names(), LINE])
def test_every_network_is_drawn_within_the_page_and_no_box_on_another(name):
    found, shape = rows(name)
    (width, height), shapes = placed(draw(found, shape, name))
    assert width <= PAGE
    for kind, left, top, right, bottom in shapes:
        assert left >= 0 and top >= 0 and right <= width and bottom <= height, kind
    boxes = [box for box in shapes if box[0].startswith("box")]
    assert len(boxes) > 2
    for n, (_, left, top, right, bottom) in enumerate(boxes):
        for _, other_left, other_top, other_right, other_bottom in boxes[:n]:
            apart = right <= other_left or other_right <= left or bottom <= other_top or other_bottom <= top
            assert apart, (name, left, top)


def test_a_picture_says_every_size_and_needs_nothing_else():
    svg = draw(*rows("lenet5"), "lenet5")
    texts = [e.text for e in ET.fromstring(svg).iter(SVG + "text")]
    assert texts[:2] == ["lenet5", "1×32×32 input, 61,706 parameters, 416,520 multiply-adds"]
    for said in (
        "conv 5×5",
        "6×28×28",
        "mean pool 2×2",
        "6×14×14",
        "16×10×10",
        "16×5×5",
        "fc",
        "120",
        "84",
        "10",
    ):
        assert said in texts
    assert not re.findall(r"(?:href|src|url)\s*[=(]\s*[\"']?(?!#)", svg.replace("url(#arrow)", ""))


def test_what_cannot_be_narrower_is_one_column():
    wide = "inc(" + " | ".join(["conv4x1"] * 20) + ")"  # 20 boxes side by side
    (width, _), shapes = placed(draw(*rows(f"2*({wide} pool2) {wide} fc"), "wide"))
    assert width > PAGE
    pools = {
        (left + right) / 2 for kind, left, _, right, _ in shapes if kind == "box pool" and right - left > 20
    }
    assert len(pools) == 1  # below each other


def test_what_is_added_is_named_without_its_place():
    assert told(parts(*rows("alphago-policy")))[-1] == "+ bias"


def test_the_rows_of_a_chain_turn_where_the_page_ends():
    (width, _), shapes = placed(draw(*rows("24*(conv8x3+same pool3/1+1) fc", (3, 64, 64)), "long"))
    lefts = [left for kind, left, *_ in shapes if kind.split()[0] == "box"]
    turns = sum(b < a for a, b in itertools.pairwise(lefts))  # a step back: a new row
    assert width <= PAGE and turns > 3


def test_names_are_escaped():
    net = nn.Sequential(nn.Conv2d(1, 2, 3))
    svg = draw(layers(net, (1, 5, 5)), (1, 5, 5), '<b>&"quoted"')
    assert next(ET.fromstring(svg).iter(SVG + "text")).text == '<b>&"quoted"'


def test_equal_layers_of_a_chain_share_a_label():
    texts = [e.text for e in ET.fromstring(draw(*rows("vgg16"), "vgg16")).iter(SVG + "text")]
    assert texts.count("conv 3×3 × 3") == 3 and texts.count("conv 3×3 × 2") == 2 and "fc × 2" in texts


class Dense(nn.Module):
    """The input is put behind what is made of it, as in DenseNet."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(2, 3, 1)

    def forward(self, x):
        return torch.cat([x, self.a(x)], 1)


def test_an_input_that_is_handed_past_is_a_branch():
    found = layers(Dense(), (2, 4, 4))
    assert told(parts(found, (2, 4, 4))) == ["input", [["conv 1×1"], [], "concat"]]
    ET.fromstring(draw(found, (2, 4, 4), "dense"))
