"""A network taken apart and put together again: on every network of the zoo both halves in a row are the whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hubel.errors import InputError
from hubel.zoo import names, small
from hubel.zoo.parts import Parts

HEADS = {
    "lenet5": "classifier.5", "alexnet-owt": "classifier.6", "resnet18": "fc", "vgg16": "classifier.6", "mlp": "layers.3",
    "googlenet": "fc", "inception-v3": "fc", "squeezenet1_1": "classifier.1", "mobilenet-v2": "classifier.1",
    "alphago-policy": "classifier.conv", "vit-tiny": "head",
}  # fmt: skip


def made(name):
    torch.manual_seed(0)
    network, shape = small(name)
    return network.eval(), torch.rand(2, *shape)


@pytest.mark.parametrize(("name", "head"), HEADS.items())
def test_the_head_gives_the_answer(name, head):
    network, x = made(name)
    parts = Parts(network)
    assert parts.head.name == head
    with torch.no_grad():
        for p in parts.learning_behind(parts.backbone):
            p.zero_()
        assert network(x).abs().max() == 0  # nothing else reaches the output


@pytest.mark.parametrize(
    "name", [n for n in names() if n not in ("googlenet", "googlenet-bn", "inception-v3")]
)
def test_the_two_sides_of_a_cut_are_the_whole(name):
    network, x = made(name)
    parts = Parts(network)
    count = parts.backbone
    cut = parts.cut(count)
    assert cut is not None
    front, behind = parts.until(cut), parts.behind(cut)
    with torch.no_grad():
        torch.testing.assert_close(behind(front(x)), network(x))
    learning = {id(p) for p in parts.learning_behind(count)}
    assert {id(p) for p in behind.parameters()} == learning and len(learning) > 0
    assert not learning & {id(p) for p in front.parameters()}


def test_where_auxiliary_heads_look_on_there_is_no_cut():
    network, _ = made("googlenet")
    parts = Parts(network)
    assert parts.cut(parts.backbone) is None
    auxiliary = {p for name, p in network.named_parameters() if name.startswith("aux")}
    assert auxiliary < set(parts.learning_behind(parts.backbone))


def test_inside_a_shortcut_there_is_no_cut_and_before_dropout_there_is():
    parts = Parts(made("resnet18")[0])
    # conv1, bn1, then a block of conv, bn, conv, bn around which the shortcut goes.
    assert parts.cut(2) == "maxpool" and parts.cut(3) is None and parts.cut(5) is None
    assert parts.cut(6) == "layer1.0.relu#2"
    vgg = Parts(made("vgg11")[0])
    # The first matrix is followed by ReLU and dropout, which must be drawn anew each time.
    assert vgg.cut(9) == "classifier.1" and vgg.before_head() == "classifier.5"


def test_a_layer_named_twice_counts_once_and_its_dropout_stays():
    shared, drop = nn.Linear(3, 3), nn.Dropout(0.5)
    network = nn.Sequential(shared, drop, shared, drop, nn.Linear(3, 2))
    parts = Parts(network)
    assert [layer.name for layer, _ in parts.weighing] == ["0", "4"] and parts.backbone == 1
    assert parts.modules_up_to(1) == []  # both come again behind it


def test_a_network_of_one_layer_has_nothing_before_its_head():
    with pytest.raises(
        InputError, match="no layer stands before '0', the head: it is given the input itself"
    ):
        Parts(nn.Sequential(nn.Linear(3, 2))).before_head()
