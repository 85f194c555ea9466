"""Each augmentation against what it must do to a picture that shows it; H != W throughout."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.data.augment import Augment, mirrored_first, principal_components


def pictures(n=64, c=1, h=12, w=16, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((n, c, h, w), np.float32))


def dot(n=200, h=21, w=31, top=10, left=15):
    x = torch.zeros(n, 1, h, w)
    x[:, :, top, left] = 1
    return x


def centre(x):
    """Centre of mass of each picture: (N, 2) rows, columns."""
    mass = x.sum((1, 2, 3))
    i = (x.sum((1, 3)) * torch.arange(x.shape[2])).sum(1) / mass
    j = (x.sum((1, 2)) * torch.arange(x.shape[3])).sum(1) / mass
    return torch.stack([i, j], 1)


ALL = [
    Augment(shift=3), Augment(flip=True), Augment(crop=2), Augment(rotate=20), Augment(scale=0.2), Augment(multiscale=0.3),
    Augment(elastic=1.0), Augment(cutout=5), Augment(brightness=0.2), Augment(rotate=10, shift=2, scale=0.1, flip=True, cutout=3, brightness=0.1),
    Augment(colour_pca=0.1, components=((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))),
]  # fmt: skip


@pytest.mark.parametrize("augment", ALL, ids=str)
def test_the_seed_decides_and_nothing_else(augment):
    x = pictures(c=3)
    kept = x.clone()
    once = augment(x, (1, 2, 3))
    assert torch.equal(once, augment(x, (1, 2, 3))) and torch.equal(x, kept)
    assert not torch.equal(once, augment(x, (1, 2, 4))) and not torch.equal(once, x)
    assert once.shape == x.shape and once.dtype == x.dtype and once.isfinite().all()


def test_nothing_asked_nothing_changed():
    x = pictures()
    assert Augment()(x, (0,)) is x


def test_a_shift_moves_up_to_its_pixels_each_way_on_both_axes():
    moved = centre(Augment(shift=3)(dot(), (0,))) - torch.tensor([10.0, 15.0])
    assert set(moved[:, 0].tolist()) == set(moved[:, 1].tolist()) == {-3.0, -2, -1, 0, 1, 2, 3}


def test_a_shift_with_rotation_is_in_pixels_of_its_own_axis():
    # rotate by next to nothing, so that the interpolating path is taken; H and W differ
    moved = centre(Augment(shift=4, rotate=1e-6)(dot(500), (0,))) - torch.tensor([10.0, 15.0])
    assert 3.5 < moved[:, 0].abs().max() <= 4.01 and 3.5 < moved[:, 1].abs().max() <= 4.01


def test_half_the_pictures_are_mirrored():
    x = pictures(1000)
    y = Augment(flip=True)(x, (5,))
    same = (y == x).flatten(1).all(1)
    mirrored = (y == x.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all() and 400 < mirrored.sum() < 600  # sd 16


def test_who_is_mirrored_is_half_and_by_the_seed():
    first = mirrored_first(1000, seed=3)
    assert 430 < first.sum() < 570  # sd 16
    assert (
        np.array_equal(first, mirrored_first(1000, seed=3)) and (mirrored_first(1000, seed=4) != first).any()
    )
    x = pictures(1000)
    expected = torch.where(torch.from_numpy(first)[:, None, None, None], x.flip(3), x)
    assert torch.equal(Augment(flip=True)(x, (0,), first), expected)


def test_a_crop_shows_a_window_of_the_mirrored_margin():
    x = pictures(50, c=2)
    y = Augment(crop=2)(x, (7,))
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    places = set()
    for n in range(50):
        found = [
            (i, j)
            for i in range(5)
            for j in range(5)
            if np.array_equal(y[n].numpy(), padded[n, :, i : i + 12, j : j + 16])
        ]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 15  # of 25


def test_rotation_turns_about_the_centre_without_stretching():
    h, w = 41, 61
    x = dot(300, h, w, top=20, left=40)  # 10 right of the centre
    offset = centre(Augment(rotate=30)(x, (3,))) - torch.tensor([20.0, 30.0])
    radius, angle = offset.norm(dim=1), torch.rad2deg(torch.atan2(-offset[:, 0], offset[:, 1]))
    assert (radius - 10).abs().max() < 0.35  # bilinear weights blur the place a little
    assert angle.min() < -25 and angle.max() > 25 and angle.abs().max() < 31.5


def test_scale_is_a_share_of_the_size():
    x = dot(300, 41, 61, top=20, left=40)
    radius = (centre(Augment(scale=0.3)(x, (3,))) - torch.tensor([20.0, 30.0])).norm(dim=1) / 10
    assert 0.68 < radius.min() < 0.75 and 1.25 < radius.max() < 1.32


def test_multiscale_only_enlarges_and_stays_inside():
    # A frame of ones around zeros: enlarged windows may lose the frame, but nothing from outside may come in.
    x = torch.full((200, 1, 20, 30), 0.5)
    assert torch.allclose(Augment(multiscale=0.5)(x, (3,)), x)
    ramp = (torch.arange(30.0) / 29).expand(200, 1, 20, 30)
    step = Augment(multiscale=0.5)(ramp, (3,)).diff(dim=3)[:, 0, 10, 10:20].mean(1) * 29  # 1 / zoom
    assert step.max() < 1.01 and 0.66 < step.min() < 0.72


def test_elastic_bends_by_pixels_of_its_own_axis():
    # A ramp says where each pixel was read: on 15x29 the knots are 7 pixels apart, and (7, 14) is one of them.
    for axis, size in ((2, 15), (3, 29)):
        ramp = (
            (torch.arange(float(size)) / 100)
            .view([-1 if a == axis else 1 for a in range(4)])
            .expand(4000, 1, 15, 29)
        )
        moved = (Augment(elastic=0.8)(ramp, (3,)) - ramp)[:, 0] * 100  # pixels
        assert moved[:, 7, 14].std() == pytest.approx(0.8, rel=0.05)  # n = 4,000: 1.1 % is one deviation
        assert abs(moved[:, 7, 14].mean()) < 0.05
        # Neighbours move together, the next knot for itself: correlations of 4,000 have a deviation of 0.016.
        near, far = (torch.corrcoef(moved[:, 7, [14, 14 + d]].T)[0, 1] for d in (1, 7))
        assert near > 0.9 and abs(far) < 0.08


def test_cutout_blanks_a_square_with_the_mean():
    x = pictures(300)
    changed = Augment(cutout=5)(x, (2,)) != x
    rows, columns = changed.any(3).sum(2)[:, 0], changed.any(2).sum(2)[:, 0]
    assert (
        rows.max() == 5 and columns.max() == 5 and rows.min() >= 2 and columns.min() >= 2
    )  # clipped at the edges
    y = Augment(cutout=5)(x, (2,))
    for n in range(20):
        torch.testing.assert_close(y[n][changed[n]].unique(), x[n].mean().view(1))


def test_brightness_adds_one_number_per_picture():
    added = (Augment(brightness=0.2)(pictures(400, c=3), (2,)) - pictures(400, c=3)).flatten(1)
    assert (added.max(1).values - added.min(1).values).max() < 1e-6
    assert -0.2 <= added.min() < -0.18 and 0.18 < added.max() <= 0.2


def test_the_principal_components_are_those_of_the_colours():
    rng = np.random.default_rng(0)
    amount = rng.normal(0, 1, (200, 1, 8, 9))
    direction = np.array([3.0, 2.0, 1.0]).reshape(1, 3, 1, 1) / np.sqrt(14)
    colours = 128 + 20 * amount * direction + rng.normal(0, 1, (200, 3, 8, 9))
    components = np.array(principal_components(colours.round().astype(np.uint8)))
    largest = components[:, np.argmax(np.linalg.norm(components, axis=0))]
    # variance along the direction: 20^2 (and 1 of noise) in units of 255^2
    assert np.linalg.norm(largest) == pytest.approx(401 / 255**2, rel=0.05)
    assert abs(largest @ direction.ravel()) / np.linalg.norm(largest) == pytest.approx(1, abs=0.01)


def test_colour_shifts_lie_along_the_components():
    components = ((0.0, 2.0), (0.0, 0.0), (0.0, 1.0))  # columns: nothing, and (2, 0, 1)
    x = pictures(500, c=3)
    added = (Augment(colour_pca=0.1, components=components)(x, (2,)) - x).mean((2, 3))  # (N, 3)
    assert added[:, 1].abs().max() < 1e-6
    torch.testing.assert_close(added[:, 0], 2 * added[:, 2], atol=1e-5, rtol=0)
    assert 0.08 < added[:, 2].std() < 0.12
