"""The network that repaints in one style: what it computes, by the definitions; the published weights' own picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from needs import data
from PIL import Image

from hubel.definitions.convolution import conv2d
from hubel.definitions.normalisation import instance_norm
from hubel.definitions.transposed import conv_transpose2d
from hubel.errors import ArtifactError, InputError
from hubel.zoo.public_weights import STYLES
from hubel.zoo.style_transfer import StyleTransfer, Unit, Up, is_style, painter, same


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = StyleTransfer().eval()
    for name, p in made.named_parameters():  # scales and shifts that differ, so that a swapped one shows
        if not name.endswith("weight"):
            p.data = torch.randn_like(p) * 0.3 + (1 if name.endswith("scale") else 0)
    return made


def defined(x: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    """The README's sentences, one after the other, in NumPy: x (1, 3, H, W) in 0..255 -> the same."""

    def unit(y: np.ndarray, name: str, stride: int = 1, relu: bool = True) -> np.ndarray:
        kernel = w[f"{name}.weight"]
        sides = []
        for size in y.shape[2:]:  # TensorFlow's SAME: as many windows as strides fit, the odd zero after
            total = max((int(np.ceil(size / stride)) - 1) * stride + kernel.shape[2] - size, 0)
            sides.append((total // 2, total - total // 2))
        y = conv2d(np.pad(y, ((0, 0), (0, 0), *sides)), kernel, stride=stride)
        y = instance_norm(y, w[f"{name}.scale"], w[f"{name}.shift"], eps=1e-3)
        return np.maximum(y, 0) if relu else y

    def up(y: np.ndarray, name: str) -> np.ndarray:
        y = conv_transpose2d(y, w[f"{name}.weight"], stride=2)[:, :, :-1, :-1]
        return np.maximum(instance_norm(y, w[f"{name}.scale"], w[f"{name}.shift"], eps=1e-3), 0)

    y = unit(unit(unit(x, "conv1"), "conv2", 2), "conv3", 2)
    for n in range(1, 6):
        y = y + unit(unit(y, f"res{n}.a"), f"res{n}.b", relu=False)
    y = unit(up(up(y, "up1"), "up2"), "conv_out", relu=False)
    return np.clip(150 * np.tanh(y) + 127.5, 0, 255)


@pytest.mark.parametrize("size", [(20, 28), (21, 18), (23, 17)])
def test_it_is_what_the_definitions_make_of_its_weights(network, size):
    network.double()
    x = torch.rand(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    expected = defined(255 * x.numpy(), weights)[:, :, : size[0], : size[1]] / 255
    with torch.no_grad():
        np.testing.assert_allclose(network(x).numpy(), expected, atol=1e-9)
    assert expected.std() > 0.1  # neither all black nor all white


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(7, 3, 2), (8, 3, 2), (5, 9, 1), (1, 3, 2), (9, 3, 1)]
)
def test_the_padding_makes_as_many_windows_as_strides_fit(size, kernel, stride):
    before, after = same(size, kernel, stride)
    assert (size + before + after - kernel) // stride + 1 == -(-size // stride)
    assert after - before in (0, 1)  # the odd zero stands after


def test_up_is_the_transpose_of_a_unit_of_stride_two():
    # <conv(x), y> = <x, up(y)>, where the convolution's kernel is that of `up`.
    torch.manual_seed(0)
    down, up = Unit(2, 5, 3, 2), Up(5, 2)
    up.weight.data = down.weight.data
    x, y = torch.randn(1, 2, 6, 10), torch.randn(1, 5, 3, 5)
    left, right = (down.convolved(x) * y).sum(), (x * up.convolved(y)).sum()
    assert left.item() == pytest.approx(right.item(), rel=1e-5)


@pytest.mark.parametrize("style", STYLES)
def test_the_published_weights_give_the_picture_that_lies_beside_them(style):
    folder = data("weights") / f"style_{style}"
    given, expected = (
        np.asarray(Image.open(folder / f"chelsea-{name}.png").convert("RGB"), np.float32)
        for name in ("input", "expected")
    )
    x = torch.from_numpy(given).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        y = painter(style)(x)[0].permute(1, 2, 0).numpy()
    assert np.abs(np.rint(255 * y) - expected).mean() < 0.01  # of 255; asked for: 2
    assert np.abs(given - expected).mean() > 20  # it is another picture


def test_weights_of_something_else_are_refused(tmp_path):
    np.savez(tmp_path / "weights.npz", **{"conv1.weight": np.zeros((32, 3, 9, 9), np.float32)})
    with pytest.raises(ArtifactError, match=r"weights\.npz is not of the style network: Missing key"):
        painter(str(tmp_path))


def test_a_folder_without_an_archive_says_what_there_is(tmp_path):
    with pytest.raises(InputError, match=r"holds no weights\.npz: name one that does, or la_muse or wave"):
        painter(str(tmp_path))


def test_a_style_is_a_name_a_folder_or_an_archive_and_no_picture(tmp_path):
    (tmp_path / "wave.png").touch()
    assert [is_style(s) for s in ("wave", "style_la_muse", str(tmp_path), str(tmp_path / "wave.png"), "waves")] == [
        True, True, True, False, False,
    ]  # fmt: skip
