"""The table of questions, and the face that asks them from Python."""

from __future__ import annotations

import numpy as np
import pytest

import hubel
from hubel.errors import InputError, UnknownName
from hubel.explanation.methods import METHODS, function


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return hubel.train("digits", out=tmp_path_factory.mktemp("runs") / "cnn", epochs=1, precision="fp32")


@pytest.mark.parametrize("name", METHODS)
def test_every_name_in_the_table_is_a_function(name):
    assert callable(function(name))


def test_python_asks_as_the_command_line_does(run):
    picture = run.dataset().test.inputs[0]
    (found,) = hubel.explain(run, picture, "grad-cam", layer="features.9")
    (heat,) = (a for n, a in found.arrays.items() if "heat" in n or a.ndim >= 2)
    assert np.asarray(heat).shape[-2:] == (8, 8) and found.image.width > 100


def test_pictures_keep_their_order_and_their_names(run, tmp_path):
    from PIL import Image

    test = run.dataset().test
    paths = [tmp_path / f"{n}.png" for n in (2, 1)]
    for path, pixels in zip(paths, test.inputs[:2], strict=True):
        Image.fromarray(pixels[0]).save(path)
    found = hubel.explain(run, paths, "maps", layer="features.0")
    assert [f.name for f in found] == [str(p) for p in paths]
    assert not np.array_equal(*(next(iter(f.arrays.values())) for f in found))


def test_what_a_method_would_pass_over_is_refused(run):
    with pytest.raises(InputError, match="--method maps takes no --top"):
        hubel.explain(run, run.dataset().test.inputs[0], "maps", top=3)
    with pytest.raises(UnknownName, match="Did you mean 'grad-cam'"):
        hubel.explain(run, run.dataset().test.inputs[0], "gradcam")
