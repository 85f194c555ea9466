"""Hand-made kernels on pictures: the definition's numbers, how they became pixels, and files that are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hubel.definitions import KERNELS, filtered, kernel


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """Higher than a strip of rows, not square, in colour."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, (530, 41, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    return pixels


def test_sizes_without_sign_are_scaled_to_the_largest(cli, photo):
    said = cli("walk", "kernel", "sobel-x", "photo.png", "-o", "out.png")
    y = filtered(photo.transpose(2, 0, 1).astype(float), kernel("sobel-x"))
    wanted = np.rint(np.abs(y) * (255 / np.abs(y).max())).transpose(1, 2, 0)
    found = np.asarray(Image.open("out.png")).astype(int)
    assert (
        found.shape == photo.shape and np.abs(found - wanted).max() <= 1
    )  # float32 may round a half the other way
    assert (found != wanted).mean() < 1e-3
    assert (said.code, said.err) == (0, "")
    assert f"answers   from {y.min():g} to {y.max():g}, where pixels are 0 to 255" in said.out
    assert f"shown as  sizes without sign, 0 to {np.abs(y).max():g} as 0 (black) to 255 (white)" in said.out


def test_a_kernel_that_keeps_evenness_gives_a_picture_again(cli, photo):
    said = cli("walk", "kernel", "sharpen", "photo.png", "--json").json
    y = filtered(photo.transpose(2, 0, 1).astype(float), kernel("sharpen"))
    found = np.asarray(Image.open("photo-sharpen.png"))
    np.testing.assert_array_equal(found, np.clip(y, 0, 255).transpose(1, 2, 0))
    beyond = int(((y < 0) | (y > 255)).sum())
    assert said[
        "mapped"
    ] == f"as it is, 0 to 255; {beyond:,} of {y.size:,} numbers lay beyond and were cut".removeprefix("as ")
    assert (said["least"], said["most"]) == (y.min(), y.max())


def test_grey_stays_grey_and_numbers_are_a_kernel(cli, photo):
    Image.fromarray(photo[:, :, 0]).save("grey.png")
    assert cli("walk", "kernel", "0 0 0; 0 0 1; 0 0 0", "grey.png", "-o", "out.png").code == 0
    found = Image.open("out.png")
    # unflipped: every cell shows its right neighbour; the last column has none
    np.testing.assert_array_equal(np.asarray(found)[:, :-1], photo[:, 1:, 0])
    assert found.mode == "L" and not np.asarray(found)[:, -1].any()


def test_an_even_picture_has_no_edges(cli, photo):
    Image.fromarray(np.zeros((4, 5), np.uint8)).save("black.png")
    assert cli("walk", "kernel", "laplacian", "black.png", "-o", "out.png").code == 0
    assert not np.asarray(Image.open("out.png")).any()


def test_no_file_is_written_over_unasked(cli, photo, tmp_path):
    assert cli("walk", "kernel", "blur", "photo.png").code == 0
    before = (tmp_path / "photo-blur.png").read_bytes()
    for typed, text in {
        ("blur", "photo.png"): "photo-blur.png is there already; name another file with --out",
        ("blur", "photo.png", "-o", "photo.png"): "photo.png is there already",
        ("blur", "photo.png", "-o", "out.jpg"): "--out writes a PNG, got 'out.jpg'",
        ("blur", "photo.png", "-o", "no/out.png"): "the folder no for out.png does not exist",
        ("blur", "nope.png"): "nope.png: there is no such file",
    }.items():
        said = cli("walk", "kernel", *typed)
        assert said.code == 2 and text in said.err
    assert (tmp_path / "photo-blur.png").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photo-blur.png", "photo.png"]


def test_the_list_has_every_kernel_with_what_it_answers_to(cli):
    said = cli("walk", "kernel")
    assert [name for name in KERNELS if f"\n{name} " not in f"\n{said.out}"] == []
    listed = cli("walk", "kernel", "--json").json
    assert {n: k["numbers"] for n, k in listed.items()} == {
        n: [list(r) for r in k] for n, k in KERNELS.items()
    }
    assert all(k["answers"] for k in listed.values())
