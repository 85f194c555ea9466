"""Style by optimisation: Gram matrices, losses as shares, layers chosen on the graph; what it does to a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hubel
from hubel.errors import InputError, UnknownName
from hubel.explanation.style import Styling, gram, off, restyle, usual_layers


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A narrow network on colours, whose maps shrink from 38x46 to 6x8; fresh weights see texture, too."""
    from PIL import Image

    place = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        (place / name).mkdir()
        for n in range(4):
            Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(place / name / f"{n}.png")
    line = "conv8x3 relu pool2 conv12x3 relu pool2 conv16x3 relu fc"
    return hubel.train(
        place, network=line, epochs=0, input_size=(40, 48), out=tmp_path_factory.mktemp("runs") / "colours"
    )


def stripes(along: int) -> torch.Tensor:
    """(3, 40, 56): black and white in turn, two pixels wide."""
    wave = (torch.arange(56 if along else 40) // 2 % 2).float()
    return (wave[None, None] if along else wave[None, :, None]).expand(3, 40, 56).contiguous()


def test_a_gram_matrix_by_hand():
    # Maps (1, 2, 0, -1) and (3, 0, 1, 1) of 2x2 cells: sums of products 6, 2 and 11, over 4 cells.
    maps = torch.tensor([[[[1.0, 2], [0, -1]], [[3.0, 0], [1, 1]]]])
    assert gram(maps).tolist() == [[[6 / 4, 2 / 4], [2 / 4, 11 / 4]]]


def test_a_gram_matrix_does_not_tell_where():
    maps = torch.randn(2, 3, 5, 7)
    shuffled = maps.flatten(2)[:, :, torch.randperm(35)].unflatten(2, (5, 7))
    np.testing.assert_allclose(gram(maps), gram(shuffled), atol=1e-5)


def test_what_is_off_is_a_share_in_any_unit():
    a, b = torch.randn(4, 5), torch.randn(4, 5)
    assert off(a, a) == 0
    assert off(torch.zeros(4, 5), a).item() == pytest.approx(1)
    assert off(7 * a, 7 * b).item() == pytest.approx(off(a, b).item(), rel=1e-5)


def test_layers_are_chosen_by_the_sizes_of_maps(run):
    names = {row.name: row.output for row in run.layers()}
    content, style = usual_layers(run)
    assert [names[name][1:] for name in style] == [(38, 46), (19, 23), (17, 21), (8, 10)]
    assert content == style[2]
    for name in style:  # the last of its size
        later = [n for n in list(names)[list(names).index(name) + 1 :] if names[n][1:] == names[name][1:]]
        assert later == []


def test_stripes_take_the_other_direction(run):
    # Content: stripes along the rows; style: along the columns. More of the change than of the stay must be seen.
    content, style = stripes(0) * 0.6 + 0.2, stripes(1) * 0.6 + 0.2
    seen = []
    how = Styling(
        steps=40, sizes=(1.0,), lr=0.05, content=0.0, smooth=0.0, style_layers=("0", "1"), content_layer="1"
    )
    x = restyle(run, content, style, how, seen.append)
    assert x.shape == (3, 40, 56) and x.dtype == np.float32 and x.min() >= 0 and x.max() <= 1
    assert seen[-1].losses.style < 0.3 * seen[0].losses.style
    assert seen[0].losses.content == pytest.approx(0, abs=1e-6)
    across, before = (np.abs(np.diff(p, axis=2)).mean() for p in (x, content.numpy()))
    assert before == 0 and across > 0.05


def test_content_alone_stays_as_it_is(run):
    content = torch.rand(3, 40, 56, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    how = Styling(steps=5, sizes=(1.0,), style=0.0, smooth=0.0)
    assert np.abs(restyle(run, content, stripes(1), how) - content.numpy()).mean() < 0.005


def test_it_is_gone_through_from_small_to_large_and_equal_when_repeated(run):
    sizes = []
    how = Styling(steps=2, sizes=(0.5, 1.0))
    first = restyle(
        run, stripes(0), stripes(1), how, lambda s: sizes.append((s.step, s.steps, tuple(s.picture.shape)))
    )
    assert sizes == [(1, 4, (3, 20, 28)), (2, 4, (3, 20, 28)), (3, 4, (3, 40, 56)), (4, 4, (3, 40, 56))]
    assert np.array_equal(first, restyle(run, stripes(0), stripes(1), how))


def test_layers_that_are_not_there_or_have_no_maps_are_named(run):
    with pytest.raises(UnknownName, match="no layer named 'conv9'"):
        restyle(run, stripes(0), stripes(1), Styling(style_layers=("conv9",)))
    last = run.layers()[-1].name
    with pytest.raises(InputError, match=f"the layer {last} gives .*not maps; layers with maps: 0"):
        restyle(run, stripes(0), stripes(1), Styling(content_layer=last))


def test_a_picture_that_is_too_small_says_so(run):
    small = torch.rand(3, 3, 4)
    with pytest.raises(
        InputError, match=r"cannot be asked about a picture of [23]×[24] .*name a larger --size"
    ):
        restyle(run, small, stripes(1), Styling(style_layers=(run.layers()[6].name,)))


def test_what_is_borrowed_is_given_back_when_whoever_watches_fails(run):
    expected = torch.get_rng_state()

    def watch(now):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restyle(run, stripes(0), stripes(1), Styling(steps=2), watch)
    assert torch.equal(torch.get_rng_state(), expected)
    assert all(p.requires_grad for p in run.model.parameters())
