"""Our network for small photographs: its stem whitens the data that it is shown."""

from __future__ import annotations

import pytest
import torch
from claims import assert_is_what_its_entry_says

import hubel
from hubel.errors import ShapeError
from hubel.zoo.strong import NOISE, StrongPictures


def photographs(n=200, h=12, w=15):
    """Neighbours alike, channels alike, means and strengths that differ: what whitening is for."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, h + 2, w + 2, generator=generator)
    x = x + 2 * x.roll(1, 2) + 3 * x.roll(1, 3) + x.mean(1, keepdim=True) * 4
    return x[:, :, 1:-1, 1:-1] * torch.tensor([1.0, 3.0, 0.5]).view(1, 3, 1, 1) + torch.tensor(
        [2.0, -1.0, 0.0]
    ).view(1, 3, 1, 1)


def test_it_is_what_its_entry_says():
    assert_is_what_its_entry_says("strong-pictures")


def test_what_the_stem_gives_is_white():
    x = photographs()
    network = StrongPictures(4, (3, 12, 15))
    network.adapt(x)
    with torch.no_grad():
        y = network.whiten(x).transpose(0, 1).flatten(1).double()  # (24, N 11 14)
    got = torch.cov(y[:12])
    # u_k^T C u_l / sqrt((l_k + e)(l_l + e)) is l_k / (l_k + e) where k = l and 0 elsewhere.
    patches = torch.nn.functional.unfold(x, 2).transpose(1, 2).flatten(0, 1).double()
    variances = torch.linalg.eigvalsh(torch.cov(patches.T)).flip(0)
    torch.testing.assert_close(got, torch.diag(variances / (variances + NOISE)), atol=2e-3, rtol=0)
    torch.testing.assert_close(y[12:], -y[:12])  # both signs


def test_training_shows_it_the_train_part_and_other_weights_are_left(tmp_path):
    run = hubel.train(
        "digits", network="strong-pictures", input_size=(9, 9), epochs=0, seed=3, out=tmp_path / "a"
    )
    kernels = run.model.network.whiten.weight.detach()
    assert torch.equal(kernels[:4], -kernels[4:])  # as adapt makes them
    torch.manual_seed(3)
    fresh = StrongPictures(10, (1, 9, 9))
    assert torch.equal(run.model.network.features[0].weight, fresh.features[0].weight)
    again = hubel.train("digits", from_run=tmp_path / "a", epochs=0, seed=4, out=tmp_path / "b")
    assert torch.equal(again.model.network.whiten.weight, kernels)


def test_a_convolution_begins_as_the_identity_on_the_maps_that_it_has_both_ways():
    network = StrongPictures()
    x = torch.randn(2, 24, 7, 7)
    torch.testing.assert_close(network.features[0](x)[:, :24], x)
    assert network.features[0](x)[:, 24:].abs().max() > 0


def test_small_pictures_are_refused_by_their_size():
    with pytest.raises(ShapeError, match=r"8x20 are too small.*--input 9x9"):
        StrongPictures(10, (3, 8, 20))
