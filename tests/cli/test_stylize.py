"""`hubel stylize`: by optimisation and by a network of one style; previews, errors, Ctrl-C."""

from __future__ import annotations

import numpy as np
import pytest
from needs import data
from PIL import Image

import hubel
from hubel.explanation import style as styles
from hubel.zoo.style_transfer import StyleTransfer


def size(file):
    with Image.open(file) as image:
        return image.size


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with content.png (30x44), style.png, a run on colours, and an archive of a fresh style network."""
    root = tmp_path_factory.mktemp("stylize")
    draw = np.random.default_rng(0)
    for name, size in (("content", (30, 44, 3)), ("style", (21, 20, 3))):
        Image.fromarray(draw.integers(0, 256, size, np.uint8)).save(root / f"{name}.png")
    for name in ("a", "b"):
        (root / "pictures" / name).mkdir(parents=True)
        for n in range(4):
            Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(
                root / "pictures" / name / f"{n}.png"
            )
    hubel.train(root / "pictures", network="conv8x3 relu pool2 conv8x3 relu fc", epochs=0, out=root / "run")
    (root / "painter").mkdir()
    np.savez(
        root / "painter" / "weights.npz",
        **{n: p.detach().numpy() for n, p in StyleTransfer().named_parameters()},
    )
    return root


def repainted(cli, place, out, *options):
    """The one picture by the other, as the run's network sees them."""
    command = ("stylize", place / "content.png", place / "style.png", "-o", out, "--weights", place / "run")
    return cli(*command, *options)


def test_a_run_repaints_one_picture_by_another(cli, place, tmp_path):
    out = tmp_path / "out.png"
    said = repainted(cli, place, out, "--steps", 3, "--preview", 2)
    assert said.code == 0 and size(out) == (44, 30)
    assert f"{out}, 30×44 pixels" in said.out and "style layers" in said.out and "content" in said.out
    assert [line.split(":")[0] for line in said.err.splitlines() if "written to" in line] == [
        "step 2 of 6",
        "step 4 of 6",
    ]


def test_a_network_of_one_style_paints_any_size_in_one_pass(cli, place, tmp_path):
    said = cli(
        "stylize",
        place / "content.png",
        place / "painter",
        "-o",
        tmp_path / "out.png",
        "--size",
        "33",
        "--json",
    )
    assert said.json["size"] == [22, 33] and "in one pass" in said.json["network"]
    assert size(tmp_path / "out.png") == (33, 22)


def test_squeezenet_stands_ready_and_says_its_layers(cli, place, tmp_path):
    data("weights")
    said = cli(
        "stylize",
        place / "content.png",
        place / "style.png",
        "-o",
        tmp_path / "out.png",
        "--size",
        "96",
        "--steps",
        "1",
        "--json",
    )
    assert said.json["content_layer"] == "features.4.cat" or said.json["content_layer"].startswith(
        "features."
    )
    assert said.json["style_layers"] == ["features.1", "features.4.cat", "features.7.cat", "features.12.cat"]


@pytest.mark.parametrize(
    ("style", "arguments", "text"),
    [
        ("nowhere.jpg", [], "nowhere.jpg: there is no such file"),
        (
            "painter",
            ["--steps", "3"],
            "is a network that paints at once: options of the optimisation do nothing",
        ),
        ("painter", ["--size", "4"], "content.png at 3×4 pixels is too small to paint: name a --size from 5"),
        ("pictures", [], "holds no weights.npz: name one that does, or la_muse or wave"),
        ("style.png", ["--size", "0"], "--size takes pixels from 1 to 4096, got 0"),
        ("style.png", ["--style-weight", "-1"], "a weight cannot be -1"),
        ("style.png", ["--style-layers", "0,9"], "no layer named '9'"),
        ("style.png", ["--weights", "nothing"], "no weights or file named 'nothing'"),
    ],
)
def test_what_is_wrong_is_named(cli, place, tmp_path, style, arguments, text):
    if "--weights" not in arguments:
        arguments = ["--weights", place / "run", *arguments] if style == "style.png" else arguments
    named = style if style == "nowhere.jpg" else place / style
    said = cli("stylize", place / "content.png", named, "-o", tmp_path / "out.png", *arguments)
    assert (said.code, said.out) == (2, "") and text in said.err
    assert not (tmp_path / "out.png").exists()


def test_the_out_must_be_a_picture_that_is_not_there(cli, place, tmp_path):
    said = cli("stylize", place / "content.png", place / "painter", "-o", tmp_path / "out.txt")
    assert said.code == 2 and "--out names a picture file" in said.err
    (tmp_path / "out.png").write_bytes(b"mine")
    said = cli("stylize", place / "content.png", place / "painter", "-o", tmp_path / "out.png")
    assert said.code == 2 and "out.png exists" in said.err and (tmp_path / "out.png").read_bytes() == b"mine"


def test_ctrl_c_keeps_the_picture_as_it_stands_and_says_where(cli, place, tmp_path, monkeypatch):
    true, calls = styles.total_variation, []

    def interrupted(x):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return true(x)

    monkeypatch.setattr(styles, "total_variation", interrupted)
    out = tmp_path / "out.png"
    said = repainted(cli, place, out, "--steps", 9)
    assert said.code == 130 and f"interrupted at step 3 of 18: the picture as it stood is {out}" in said.err
    assert size(out) == (22, 15)
