"""Dreams: what is raised, the waves they begin with, how rough they are; from nothing and on a photograph."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import planted
from torch import nn

import hubel
from hubel.data import Preprocess
from hubel.errors import InputError, UnknownName
from hubel.explanation.deepdream import Retouching, deepdream, octaves, parts, tiled
from hubel.explanation.dream import Dreaming, dream
from hubel.explanation.film import FRAMES, is_frame
from hubel.explanation.objective import Objective, Target, classes_of, layer_of, usual_layer
from hubel.explanation.painting import COLOURS, LEAST, Canvas, one_over_f, total_variation, views
from hubel.run import Card, Network, Run

STILL = {"smooth": 0.0, "jitter": 0.0, "turn": 0.0, "scaling": 0.0, "views": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return hubel.train("digits", out=tmp_path_factory.mktemp("runs") / "cnn", epochs=4, precision="fp32")


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """A network with a matrix at its end, which takes 8x8 alone."""
    out = tmp_path_factory.mktemp("runs") / "fixed"
    return hubel.train("digits", network="conv4x3 relu pool2 fc", out=out, epochs=0)


def linear(kernel: np.ndarray, bias: float = 0.0) -> Run:
    """A run whose network is one convolution as large as the picture: logits (<kernel, x> + bias, 0)."""
    channels, height, width = kernel.shape
    line = f"conv2x{height} fc"
    card = Card("classify", ("for", "against"), 2, Network(line), Preprocess("picture", kernel.shape))
    inside = nn.Sequential(nn.Conv2d(channels, 2, (height, width)), nn.Flatten())
    inside[0].weight.data = torch.stack([torch.from_numpy(kernel), torch.zeros(kernel.shape)]).float()
    inside[0].bias.data = torch.tensor([bias, 0.0])
    return Run(Path("linear"), card, card.wrap(inside), {})


KERNEL = np.random.default_rng(0).standard_normal((1, 5, 7))


# ---- what is raised


def test_a_map_is_raised_by_its_mean_and_a_layer_by_half_its_mean_square():
    # Two maps of one cell: <k, x> + 0.5 and 0, the second's weights being zero.
    run, x = linear(KERNEL, 0.5), torch.rand(3, 1, 5, 7)
    inner = (x.numpy() * KERNEL).sum((1, 2, 3)) + 0.5
    np.testing.assert_allclose(Objective(run, layer_of(run, "0", 0))(x).detach(), inner, rtol=1e-5)
    np.testing.assert_allclose(Objective(run, layer_of(run, "0"))(x).detach(), inner**2 / 4, rtol=1e-5)


def test_a_class_is_raised_by_its_log_odds():
    run, x = linear(KERNEL, 0.5), torch.rand(3, 1, 5, 7)
    p = run.model(x).softmax(1)[:, 1].detach().numpy()
    found = Objective(run, classes_of(run, ["against"])[0])(x).detach()
    np.testing.assert_allclose(found, np.log(p / (1 - p)), rtol=1e-4)


def test_the_slope_of_a_linear_map_is_its_kernel():
    run = linear(KERNEL)
    value, slope = Objective(run, layer_of(run, "0", 0)).slope(torch.zeros(1, 1, 5, 7))
    assert value == 0
    np.testing.assert_allclose(slope[0], KERNEL, rtol=1e-6)


@pytest.mark.parametrize(("number", "sign"), [(0, 1), (1, -1)])
def test_what_raises_a_linear_class_is_white_where_its_kernel_is_positive_and_black_elsewhere(number, sign):
    # <k, x> with x in 0..1 is largest at x = [k > 0]; the other class's log-odds are -<k, x>.
    run = linear(KERNEL)
    made = dream(run, classes_of(run)[number], Dreaming(steps=400, **STILL))
    strong = np.abs(KERNEL) > 0.3
    np.testing.assert_allclose(made.picture[strong], (sign * KERNEL > 0)[strong], atol=0.1)
    assert made.picture.min() >= 0 and made.picture.max() <= 1
    assert made.value == pytest.approx(np.abs(KERNEL[sign * KERNEL > 0]).sum(), rel=0.07)


def test_targets_that_are_not_there_say_what_is(run):
    with pytest.raises(UnknownName, match="no class named 'ten'"):
        classes_of(run, ["ten"])
    with pytest.raises(UnknownName, match=r"Did you mean 'features\.0'"):
        layer_of(run, "feature.0")
    with pytest.raises(InputError, match=r"the layer features\.0 has 16 maps, 0 to 15: there is no map 16"):
        layer_of(run, "features.0", 16)
    with pytest.raises(InputError, match="the layer classifier has 10 units, 0 to 9: there is no unit 10"):
        layer_of(run, "classifier", 10)


def test_a_network_without_classes_or_maps_says_what_else_can_be_dreamt_of():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(2), nn.Flatten(), nn.Linear(30, 1))
    run = planted(network, (1, 5, 7), (), task="regress", outputs=1)
    with pytest.raises(
        InputError, match="planted answers with numbers and has no classes: name --layer and --map"
    ):
        classes_of(run)
    with pytest.raises(
        InputError, match=r"the layer 1 gives \(2, 15\), neither maps nor units: leave --map out"
    ):
        layer_of(run, "1", 0)
    assert layer_of(run, "1") == Target("1", layer="1")


def test_a_size_that_the_network_does_not_take_is_refused_with_its_own(fixed):
    with pytest.raises(InputError, match=r"class 3 of conv4x3 .* a picture of 40×44 .*Its own size is 8×8"):
        dream(fixed, classes_of(fixed, ["3"])[0], size=(40, 44))


def test_a_map_that_answers_nothing_is_named_with_what_it_is_given():
    run = linear(-np.abs(KERNEL), -1.0)
    run.model.network.insert(1, nn.ReLU())
    with pytest.raises(
        InputError, match=r"1 map 0 .* answers nothing to 8 starts.*dead behind its ReLU.*the layer 0"
    ):
        dream(run, layer_of(run, "1", 0))


def test_rows_of_numbers_have_no_dreams(tmp_path):
    made = hubel.train("points", out=tmp_path / "points", epochs=0)
    with pytest.raises(InputError, match=r"dreams are pictures, and mlp takes vectors of shape \(2,\)"):
        dream(made, Target("class 0", 0))


# ---- what a dream is painted with


@pytest.mark.parametrize(("height", "width"), [(24, 40), (25, 41), (40, 24)])
def test_the_start_has_the_power_of_photographs_at_every_frequency(height, width):
    generator = torch.Generator().manual_seed(0)
    power = torch.zeros(height, width)
    for _ in range(200):
        z = Canvas.drawn((2, height, width), torch.full((2,), 0.5), generator, spread=1.0).flat().detach()
        power += torch.fft.fft2(z, norm="ortho").abs().square().mean(0) / 200
    f = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])
    flat = (power * f.square())[f > 0]  # 1/f² times f²: the same everywhere
    assert (flat / flat.mean()).std() < 0.08  # each a mean of 400 squares
    assert abs(flat / flat.mean() - 1).max() < 0.4
    assert power.mean().item() == pytest.approx(1, abs=0.05)  # Parseval: z has deviation 1  # fmt: skip


def test_waves_alone_carry_a_picture():
    x = torch.rand(3, 9, 14, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(Canvas.of(x).picture()[0].detach(), x.clamp(LEAST, 1 - LEAST), atol=1e-4)


def test_colours_vary_together_as_photographs_do_and_grey_has_one():
    root, one = torch.tensor(COLOURS), Canvas((3, 6, 8), torch.full((3,), 0.5))
    np.testing.assert_allclose(one.mixing, 4 * root)
    assert (
        torch.linalg.eigvalsh(root @ root)[-1] > 10 * torch.linalg.eigvalsh(root @ root)[-2]
    )  # light above all
    assert Canvas((1, 6, 8), torch.tensor([0.5])).mixing.tolist() == [[4.0]]


def test_still_waves_show_the_ground():
    ground = torch.tensor([0.2, 0.5, 0.7])
    np.testing.assert_allclose(
        Canvas((3, 4, 6), ground).picture().detach(), ground.view(1, 3, 1, 1).expand(1, 3, 4, 6), atol=1e-6
    )


def test_one_over_f_by_hand():
    # 4x4: frequencies 0 (taken as 1/4), 1/4, 1/2 along an axis; √2 where a column is its own mirror.
    scale = one_over_f(4, 4)
    a = scale[0, 1] / 4
    assert scale.shape == (4, 3)
    assert scale[0, 0] == pytest.approx(4 * math.sqrt(2) * a) and scale[0, 2] == pytest.approx(
        2 * math.sqrt(2) * a
    )
    assert scale[2, 1] == pytest.approx(a / math.hypot(0.5, 0.25))


def test_total_variation_by_hand():
    # Two channels, 2x3. First: down |3|+|0|+|3| = 6, right |1|+|1| + |-2|+|4| = 8. Second is flat. Per pixel: 14/6.
    x = torch.tensor([[[[0.0, 1, 2], [3, 1, 5]], [[5.0, 5, 5], [5, 5, 5]]]])
    assert total_variation(x).tolist() == pytest.approx([14 / 6])


def test_views_that_do_not_move_are_the_picture():
    x = torch.rand(1, 2, 7, 12)
    seen = views(x, torch.zeros(2), 3, torch.Generator(), jitter=0, turn=0, scaling=0)
    np.testing.assert_allclose(seen, x.expand(3, -1, -1, -1), atol=1e-5)


def test_views_are_turned_without_being_stretched():
    # A bar along the rows of a picture that is much wider than high: turned, it keeps its length.
    x = torch.zeros(1, 1, 31, 93)
    x[0, 0, 15, 36:57] = 1
    seen = views(x, torch.zeros(1), 8, torch.Generator().manual_seed(0), jitter=0, turn=90, scaling=0)
    for one in seen:
        ink = one[0].nonzero().float()
        length = (ink[:, None] - ink[None]).square().sum(2).max().sqrt()
        assert 19 <= length <= 24


def test_what_lies_around_is_the_ground():
    x = torch.ones(1, 1, 8, 8)
    seen = views(x, torch.tensor([0.25]), 1, torch.Generator().manual_seed(3), jitter=6, turn=0, scaling=0)
    assert {round(v, 3) for v in (seen[0, 0, 0, 0].item(), seen[0, 0, -1, -1].item())} & {0.25}


# ---- from nothing


def test_the_run_gives_each_class_that_is_dreamt_of(run):
    for target in classes_of(run, ["0", "6"]):
        made = dream(run, target, Dreaming(steps=60))
        with torch.no_grad():
            p = run.model(torch.from_numpy(made.picture)[None]).softmax(1)[0, target.number]
        assert p > 0.9 and made.value > made.began


def test_the_seed_alone_says_what_is_dreamt(run):
    target = layer_of(run, "features.0", 3)
    first, again, other = (dream(run, target, Dreaming(steps=4, seed=s), (12, 17)).picture for s in (1, 1, 2))
    assert first.shape == (1, 12, 17) and np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_is_borrowed_is_given_back_when_whoever_watches_fails(run):
    run.model.train()
    torch.manual_seed(5)
    expected = torch.get_rng_state()

    def watch(now):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dream(run, layer_of(run, "features.0", 3), Dreaming(steps=4), watch=watch)
    assert run.model.training and all(p.requires_grad for p in run.model.parameters())
    assert torch.equal(torch.get_rng_state(), expected)
    run.model.eval()


def test_total_variation_smooths(run):
    target = classes_of(run, ["3"])[0]
    rough, smooth = (dream(run, target, Dreaming(steps=40, smooth=s)).picture for s in (0.0, 1.0))
    assert total_variation(torch.from_numpy(smooth)[None]) < 0.8 * total_variation(
        torch.from_numpy(rough)[None]
    )


# ---- on a photograph


def test_a_step_moves_a_pixel_by_so_much_on_average_along_the_gradient():
    run, x = linear(KERNEL), torch.full((1, 5, 7), 0.5)
    how = Retouching(steps=1, octaves=1, step=0.01)
    made = deepdream(run, layer_of(run, "0", 0), x, how)
    # One step of a linear map: x + 0.01 k / mean |k|, rolled by the seed's shift and back; without shift it is k itself.
    assert np.abs(made.picture - 0.5).mean() == pytest.approx(0.01, rel=1e-4)
    as_class = deepdream(run, classes_of(run)[0], x, how).picture
    np.testing.assert_allclose(as_class, 0.5 + 0.01 * KERNEL / np.abs(KERNEL).mean(), atol=1e-6)


def test_octaves_grow_by_the_ratio_and_those_that_are_too_small_are_left_out(run, fixed):
    raised = Objective(run, layer_of(run, "features.2"))
    how = Retouching(octaves=4, ratio=2.0)
    assert octaves(raised, (40, 64), how) == [(5, 8), (10, 16), (20, 32), (40, 64)]
    whole = Objective(fixed, classes_of(fixed)[0])
    assert octaves(whole, (8, 8), how) == [(8, 8)]
    with pytest.raises(InputError, match="cannot be asked about a picture of 11×8"):
        octaves(whole, (11, 8), how)


def test_tiles_are_rolled_back_to_where_they_were(run):
    # Of a layer of 1x1 windows what is rolled is the same, so that tiles must give the whole picture's gradient.
    net = linear(np.ones((1, 1, 1)))
    x = torch.rand(1, 1, 9, 14)
    whole = Objective(net, layer_of(net, "0")).slope(x)[1]
    found = tiled(Objective(net, layer_of(net, "0")), x, 5, torch.Generator().manual_seed(1))[1]
    assert (
        np.corrcoef(found.flatten(), whole.flatten())[0, 1] > 0.95
    )  # each tile's mean is over its own cells


def test_parts_cover_a_length_in_equal_pieces():
    assert parts(10, 4) == [(0, 3), (3, 6), (6, 10)] and parts(4, 4) == [(0, 4)]


def test_a_photograph_is_dreamt_on_at_its_own_size(run):
    x = torch.rand(1, 21, 30, generator=torch.Generator().manual_seed(0))
    steps = []
    made = deepdream(
        run,
        layer_of(run, usual_layer(run)),
        x,
        Retouching(steps=3, octaves=3),
        lambda m: steps.append(m.step),
    )
    assert made.picture.shape == (1, 21, 30) and made.value > made.began
    assert steps == list(range(1, len(steps) + 1)) and len(steps) % 3 == 0


# ---- the way there


@pytest.mark.parametrize("steps", [7, 48, 100, 256])
def test_frames_are_spread_evenly_and_the_last_is_one(steps):
    kept = [step for step in range(1, steps + 1) if is_frame(step, steps)]
    assert len(kept) == min(steps, FRAMES) and kept[-1] == steps
    assert max(np.diff([0, *kept])) - min(np.diff([0, *kept])) <= 1
