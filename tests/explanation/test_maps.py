"""Feature maps: what the definitions make of the picture, in one scale per layer, dead ones marked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import planted
from torch import nn

from hubel.errors import InputError, UnknownName
from hubel.explanation import maps
from hubel.explanation.finding import Item, Question
from hubel.explanation.inside import Inside
from hubel.replay import replay

rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def item(run):
    test = run.dataset().test
    return Item(test.items[3], test.inputs[3].astype(np.float32) / 255)


def ask(run, *items: Item, **question) -> list:
    return list(maps.explain(run, items, Question(**question)))


def wide(count: int = 40) -> nn.Module:
    """Two layers of `count` maps over a picture that is higher than wide."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, count, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(count, 2)
    )


def picture(shape=(1, 9, 6)) -> Item:
    return Item("made", rng.random(shape).astype(np.float32))


def test_the_maps_are_those_of_the_definitions(run, item):
    (found,) = ask(run, item)
    expected = replay(run.model.network, run.model.normalized(torch.from_numpy(item.x)[None]).numpy())
    assert list(found.arrays) == [row.name for row in Inside(run).maps]
    for name, values in found.arrays.items():
        np.testing.assert_allclose(values, expected.layer(name).value[0], atol=1e-4)


def test_a_map_is_dead_if_all_its_cells_are_equal():
    one = np.zeros((4, 3, 5))
    one[1] = 7.0  # everywhere the same, if not 0
    one[2, 2, 4] = 0.001  # a single cell
    one[3] = 7 + np.linspace(0, 1, 15).reshape(3, 5)
    assert maps.dead(one) == (0, 1)


def test_a_dead_map_is_marked_and_counted():
    conv = nn.Conv2d(1, 3, 3)
    conv.weight.data[:] = torch.tensor([1.0, -1.0, 1.0]).view(
        3, 1, 1, 1
    )  # the second is negative, whatever comes
    conv.bias.data[:] = 0
    network = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, 1, 9, 6))
    (found,) = ask(planted(network, (1, 9, 6)), picture())
    assert found.caption == "Dead maps: 1 of 3 in 1."
    assert (found.numbers["0"]["dead"], found.numbers["1"]["dead"]) == (0, 1)
    assert found.numbers["0"]["min"] < 0 == found.numbers["1"]["min"]
    sheet = maps.Sheet(Inside(planted(network, (1, 9, 6))).layer("1"), found.arrays["1"], (1,))
    plain = maps.Sheet(sheet.layer, sheet.maps, ())
    marked = [np.asarray(maps.draw(s, None)) for s in (sheet, plain)]
    grids = [m[-70:] for m in marked]
    assert (grids[0] != grids[1]).any()


def test_one_scale_serves_all_maps_of_a_layer():
    layer = Inside(planted(wide(2), (1, 9, 6))).layer("0")
    drawn = np.asarray(maps.draw(maps.Sheet(layer, np.stack([np.eye(4), 4 * np.eye(4)]), ()), None))
    tiles = drawn[-maps.SIDE - 1 :]  # the last row: two tiles of 64 pixels, 16 to a cell
    low, high = maps.Scale(0.0, 4.0, maps.drawing.SEQUENTIAL).colours(np.array([1.0, 4.0])).tolist()
    assert tiles[8, 1 + 8].tolist() == low  # a quarter of the way, and not the end
    assert tiles[8, 1 + maps.SIDE + maps.GAP + 8].tolist() == high


def test_of_many_maps_the_first_are_shown_unless_the_layer_is_asked_for():
    run = planted(wide(40), (1, 9, 6))
    (some,), (all_,) = ask(run, picture()), ask(run, picture(), layer="1")
    assert list(some.arrays) == ["0", "1"] and list(all_.arrays) == ["1"]
    assert len(all_.arrays["1"]) == len(some.arrays["1"]) == 40  # for programs always all
    line = maps.SIDE + maps.GAP
    assert (
        all_.image.height
        > maps.draw(maps.Sheet(Inside(run).layer("1"), some.arrays["1"], ()), maps.SHOWN).height + line
    )


def test_what_does_not_fit_into_one_picture_goes_on_in_another(monkeypatch):
    run, made = planted(wide(8), (1, 9, 6)), picture()
    monkeypatch.setattr(maps, "TALL", 150)
    parts = ask(run, made)
    assert [list(p.arrays) for p in parts] == [["0"], ["1"]]
    assert [p.name for p in parts] == ["made", "made-2"]
    assert "layers 1 to 1" in parts[1].title


def test_a_single_map_is_shown_with_its_largest_cell():
    conv = nn.Conv2d(1, 2, 1, bias=False)
    conv.weight.data[:] = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    network = nn.Sequential(conv, nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, 1, 9, 6))
    x = np.zeros((1, 9, 6), np.float32)
    x[0, 7, 2] = 0.5
    run = planted(network, (1, 9, 6))
    (found,) = ask(run, Item("made", x), layer="0", map=1)
    assert found.caption == "Largest in row 7, column 2: 1."
    (same,) = ask(run, Item("made", x), map=1)
    assert same.caption == "0 is the last layer with maps. Largest in row 7, column 2: 1."
    np.testing.assert_allclose(found.arrays["0/1"], 2 * x[0])
    with pytest.raises(InputError, match="the layer 0 has 2 maps, 0 to 1; there is no 2"):
        ask(run, Item("made", x), layer="0", map=2)


def test_what_there_is_is_said_where_a_layer_is_wrong(run, item):
    with pytest.raises(UnknownName, match=r"Did you mean 'features\.3'"):
        ask(run, item, layer="feature.3")
    with pytest.raises(InputError, match=r"classifier gives .*not maps"):
        ask(run, item, layer="classifier")
    with pytest.raises(InputError, match="no layer with maps"):
        ask(planted(nn.Sequential(nn.Flatten(), nn.Linear(54, 2)), (1, 9, 6)), picture())


def test_the_network_is_given_back_as_it_was_after_a_failure(run):
    modes = {name: module.training for name, module in run.model.named_modules()}
    hooks = [len(m._forward_hooks) for m in run.model.modules()]
    run.model.train()
    try:
        with pytest.raises(RuntimeError):
            ask(run, Item("wrong", np.zeros((3, 2, 2), np.float32)))
        assert all(m.training for m in run.model.modules())
        assert [len(m._forward_hooks) for m in run.model.modules()] == hooks
        assert all(p.requires_grad for p in run.model.parameters())
    finally:
        for name, module in run.model.named_modules():
            module.training = modes[name]


def test_progress_is_told_by_pictures(run, item):
    seen = []
    ask(run, item, item, layer="features.2", progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 2), (2, 2)]
