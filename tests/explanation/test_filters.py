"""Kernels as they are, and patches: a planted detector finds its pattern at the exact place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import planted
from torch import nn

import hubel
from hubel.errors import InputError, UnknownName
from hubel.explanation import filters, patches
from hubel.explanation.finding import Item, Question
from hubel.explanation.inside import Inside, asking

rng = np.random.default_rng(0)
PLUS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.float32)
SHAPE = (1, 11, 8)  # higher than wide


def detector() -> nn.Module:
    """One map that is largest on a bright plus over darkness, looked for at every second cell of a padded picture.

    With stride 2 and padding 1 cell (i, j) sees the pixels 2 i - 1 .. 2 i + 1 and 2 j - 1 .. 2 j + 1.
    """
    conv = nn.Conv2d(1, 2, 3, stride=2, padding=1)
    conv.weight.data[0, 0] = torch.from_numpy(2 * PLUS - 1)
    conv.weight.data[1] = -1
    conv.bias.data[:] = torch.tensor([0.0, -1.0])  # the second is nowhere above 0
    network = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, *SHAPE))
    return network


def items(count: int, place: int, top: int, left: int) -> list[Item]:
    """Faint noise everywhere, and in one picture a plus with its corner at (top, left)."""
    made = rng.random((count, *SHAPE)).astype(np.float32) * 0.2
    made[place, 0, top : top + 3, left : left + 3] = PLUS
    return [Item(f"{n}.png", x) for n, x in enumerate(made)]


def ask(run, given=(), **question):
    (found,) = filters.explain(run, given, Question(**question))
    return found


def test_the_pattern_that_excites_a_detector_is_found_at_its_exact_place():
    run, given = planted(detector(), SHAPE), items(7, place=4, top=5, left=3)
    found = ask(run, given, layer="1")
    assert found.numbers["items"]["0"][0] == "4.png"
    # rows 5..7 are those of cell 3 (2*3 - 1 = 5), columns 3..5 those of cell 2
    assert (found.arrays["rows"][0, 0], found.arrays["columns"][0, 0]) == (3, 2)
    assert found.arrays["values"][0, 0] == pytest.approx(5.0)  # five bright pixels, and four of 0
    layer = Inside(run).layer("1")
    rows, columns = patches.span(layer, 0, 3, 11), patches.span(layer, 1, 2, 8)
    assert (rows, columns) == (patches.Span(5, 8), patches.Span(3, 6))
    large = np.asarray(patches.cut(given[4].x, rows, columns))
    side = large.shape[0] // 3
    np.testing.assert_array_equal(large[side // 2 :: side, side // 2 :: side, 0], PLUS * 255)


def test_what_lies_beyond_the_border_is_clipped_and_hatched():
    run = planted(detector(), SHAPE)
    layer = Inside(run).layer("0")
    # cell 0 begins one pixel above the picture; cell 5 of the 11 rows sees 9..11, of which 11 is beyond
    assert patches.span(layer, 0, 0, 11) == patches.Span(0, 2, before=1)
    assert patches.span(layer, 0, 5, 11) == patches.Span(9, 11, after=1)
    black = np.zeros(SHAPE, np.float32)
    large = np.asarray(patches.cut(black, patches.Span(0, 2, before=1), patches.Span(2, 5)))
    third = large.shape[0] // 3
    assert (large[:third] > 150).all() and not large[third:].any()


def test_a_field_as_large_as_the_picture_shows_the_whole_of_it():
    network = nn.Sequential(nn.Conv2d(1, 1, 9, padding=4), nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, *SHAPE))
    layer = Inside(planted(network, SHAPE)).layer("0")
    assert patches.span(layer, 1, 0, 8) == patches.Span(0, 8)  # 9 of 8 columns
    assert patches.span(layer, 0, 0, 11) == patches.Span(0, 5, before=4)


@pytest.mark.parametrize("name", ["0", "4"])
def test_running_through_the_data_in_pieces_gives_what_sorting_all_of_it_gives(name, monkeypatch):
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5), nn.Linear(5, 2)
    )
    network(torch.zeros(1, *SHAPE))
    run = planted(network, SHAPE)
    given = items(23, 4, 5, 3)
    given[9] = Item("again", given[4].x)  # an equal one, later
    monkeypatch.setattr(patches, "AT_ONCE", 5)
    inside = Inside(run)
    with asking(run), torch.no_grad():
        found = patches.peaks(inside, inside.layer(name), given, 6, Question())
        _, values = inside.values(torch.from_numpy(np.stack([i.x for i in given])), [name])
    flat = values[name].reshape(23, inside.layer(name).output[0], -1).numpy()  # (N, M, cells)
    for m in range(flat.shape[1]):
        best = np.argsort(-flat[:, m].max(1), kind="stable")[:6]
        np.testing.assert_array_equal(found.items[m], best)
        np.testing.assert_allclose(found.values[m], flat[best, m].max(1), rtol=1e-6)
        width = inside.layer(name).output[2] if name == "0" else 1
        np.testing.assert_array_equal(found.rows[m] * width + found.columns[m], flat[best, m].argmax(1))


def test_a_map_that_is_nowhere_above_0_is_said():
    found = ask(planted(detector(), SHAPE), items(5, 1, 1, 1), layer="1")
    assert found.numbers["nowhere above 0"] == [1]
    assert "Nowhere above 0: 1 of 2 maps (1)." in found.caption


def test_without_pictures_the_train_part_is_looked_through(tmp_path):
    run = hubel.train("digits", out=tmp_path / "run", epochs=0, precision="fp32")
    found = ask(run, layer="features.2", map=3)
    train = run.dataset().train
    assert found.numbers["pictures"] == len(train) and found.numbers["data"] == "the train part of digits"
    assert found.arrays["values"].shape == (16, patches.ALONE)
    best = found.numbers["items"]["3"][0]
    values = run.features(train.inputs, "features.2")[:, 3].reshape(len(train), -1).max(1)
    assert values[list(train.items).index(best)] == pytest.approx(values.max())


def test_the_kernels_are_the_weights_in_the_colours_of_the_picture():
    conv = nn.Conv2d(3, 2, (3, 2))
    network = nn.Sequential(conv, nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, 3, 5, 4))
    plain, turned = (ask(planted(network, (3, 5, 4), order=order)) for order in ("rgb", "bgr"))
    weights = conv.weight.detach().numpy()
    np.testing.assert_array_equal(plain.arrays["kernels"], weights)
    np.testing.assert_array_equal(turned.arrays["kernels"], weights[:, ::-1])
    assert plain.numbers["largest weight"] == pytest.approx(np.abs(weights).max())


def test_a_kernel_is_grey_where_it_is_0_and_coloured_by_its_largest_channel():
    kernel = np.zeros((3, 1, 2), np.float32)
    kernel[0, 0, 1] = 4.0
    drawn = np.asarray(filters._kernel(kernel, 4.0))
    assert drawn[0, 0].tolist() == [128, 128, 128] and drawn[0, -1].tolist() == [255, 128, 128]


def test_a_dense_layer_on_the_picture_has_kernels_of_its_size():
    linear = nn.Linear(54, 4)
    found = ask(planted(nn.Sequential(nn.Flatten(), linear), (1, 9, 6), "abcd"))
    np.testing.assert_array_equal(found.arrays["kernels"], linear.weight.detach().numpy().reshape(4, 1, 9, 6))


def test_what_there_is_is_said_where_the_question_does_not_fit():
    run = planted(detector(), SHAPE)
    with pytest.raises(UnknownName, match=r"no layer named 'conv'\. Known: 0, 1, 2, 3"):
        ask(run, items(5, 1, 1, 1), layer="conv")
    with pytest.raises(InputError, match="the layer 1 has 2 maps, 0 to 1; there is no 7"):
        ask(run, items(5, 1, 1, 1), layer="1", map=7)
    with pytest.raises(InputError, match="brings no data: name pictures"):
        ask(run, layer="1")
    rows = planted(nn.Sequential(nn.Linear(5, 2)), (5,))
    with pytest.raises(InputError, match="rows of 5 numbers, and kernels are shown of pictures"):
        ask(rows)
    with pytest.raises(InputError, match="rows of 5 numbers, and patches are cut from pictures; name a run"):
        ask(rows, layer="0")


def test_a_network_without_kernels_over_the_pictures_channels_is_told_what_else_can_be_asked():
    pooled = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(20, 2))  # 11×8 -> 5×4
    with pytest.raises(
        InputError,
        match=r"with weights, 2, has them of shape \(2, 20\): no kernels .* 1 channels\. Ask for patches by --layer",
    ):
        ask(planted(pooled, SHAPE))
    plain = planted(
        nn.Sequential(nn.AvgPool2d((5, 8)), nn.Flatten()), SHAPE
    )  # two numbers, of the upper and lower half
    with pytest.raises(
        InputError, match=r"planted has no convolution and no dense layer, .* name a --layer for patches"
    ):
        ask(plain)
    flat = planted(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(2), nn.Flatten(), nn.Linear(108, 2)), SHAPE)
    with pytest.raises(
        InputError, match=r"the layer 1 gives \(2, 54\): neither maps nor single units\. Name another --layer"
    ):
        ask(flat, items(5, 1, 1, 1), layer="1")
