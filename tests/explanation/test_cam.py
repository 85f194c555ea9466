"""Grad-CAM: a case by hand, the definitions' gradients, Captum's own where it can, and where cells lie in the picture."""

from __future__ import annotations

import captum.attr
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from planted import planted
from torch import nn

import hubel
from hubel import zoo
from hubel.errors import InputError, UnknownName
from hubel.explanation.attribution import attribute
from hubel.explanation.cam import placed
from hubel.explanation.heat import Output
from hubel.explanation.inside import Inside
from hubel.replay import replay
from hubel.shapes import Field


@pytest.fixture
def x(run):
    return run.dataset().test.inputs[:4].astype(np.float32) / 255


def test_grad_cam_by_hand():
    conv, head = nn.Conv2d(1, 2, 1, bias=False), nn.Linear(8, 2, bias=False)
    conv.weight.data[:] = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)  # maps are x and -x
    head.weight.data[0] = torch.tensor([4.0, 0, 0, 0, 0, 0, 0, 8])  # logit a = 4 x[0,0] + 8 (-x[1,1])
    head.weight.data[1] = torch.tensor([0.0, 8, 0, 0, 0, 0, 0, 8])  # logit b = 8 x[0,1] + 8 (-x[1,1])
    run = planted(nn.Sequential(conv, nn.Flatten(), head), (1, 2, 2))
    x = np.float32([[[[0.1, 0.2], [0.3, -0.4]]]])
    # eq. 1, of a: alpha = mean(4,0,0,0) = 1 and mean(0,0,0,8) = 2;  eq. 2: relu(1*x + 2*(-x)) = relu(-x)
    np.testing.assert_allclose(attribute(run, x, "grad-cam", 0).values, [[[0, 0], [0, 0.4]]], rtol=1e-6)
    # of b rather than a: alpha = mean(-4,8,0,0) = 1 and mean(0,0,0,0) = 0, so that relu(x) is left
    found = attribute(run, x, "grad-cam", 1, contrast=0)
    np.testing.assert_allclose(found.values, [[[0.1, 0.2], [0.3, 0]]], rtol=1e-6)
    np.testing.assert_allclose(found.output, [-4 * 0.1 + 8 * 0.2], rtol=1e-6)
    assert found.layer == "0"


def test_it_is_what_the_definitions_give_at_every_layer(run, x):
    targets = [3, 0, 7, 3]
    told = replay(run.model.network, run.model.normalized(torch.from_numpy(x)).numpy())
    dy = np.zeros((4, 10), np.float32)
    dy[range(4), targets] = 1
    slopes = told.gradients(told.output, dy)
    names = [layer.name for layer in Inside(run).maps]
    assert len(names) > 8
    for name in names:
        a, da = told.layer(name).value, slopes[told.layer(name)]
        expected = np.maximum((da.mean((2, 3), keepdims=True) * a).sum(1), 0)
        found = attribute(run, x, "grad-cam", targets, layer=name)
        np.testing.assert_allclose(found.values, expected, atol=1e-5 + 1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "place", [0, 3, 7]
)  # convolutions: what Captum sees of a norm, the next ReLU has overwritten
def test_it_is_captums_where_captum_can(run, x, place):
    model, weights = run.model, torch.eye(10)[[3, 0, 7, 3]]
    cam = captum.attr.LayerGradCam(Output(model), model.network.features[place])
    expected = cam.attribute(torch.from_numpy(x), additional_forward_args=(weights,), relu_attributions=True)
    found = attribute(run, x, "grad-cam", [3, 0, 7, 3], layer=f"features.{place}")
    np.testing.assert_allclose(found.values, expected.detach()[:, 0], atol=1e-6)


def test_a_step_that_is_a_function_is_a_layer_too():
    class Shortcut(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.head = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 3, 1), nn.Linear(3, 2)

        def forward(self, x):
            return self.head(F.relu(self.a(x) + self.b(x)).mean((2, 3)))

    torch.manual_seed(0)
    network = Shortcut()
    run, x = planted(network, (2, 5, 7)), torch.rand(3, 2, 5, 7)
    for name, maps in (
        ("add", network.a(x) + network.b(x)),
        ("relu", F.relu(network.a(x) + network.b(x))),
    ):
        behind = (F.relu(maps) if name == "add" else maps).mean((2, 3))
        (slopes,) = torch.autograd.grad(network.head(behind)[:, 1].sum(), maps)
        expected = (slopes.mean((2, 3), keepdim=True) * maps).sum(1).relu().detach()
        np.testing.assert_allclose(attribute(run, x, "grad-cam", 1, layer=name).values, expected, atol=1e-6)
    assert attribute(run, x, "grad-cam", 1).layer == "relu"  # the last with maps


@pytest.mark.parametrize("method", ["grad-cam", "guided-grad-cam", "integrated-gradients", "saliency"])
def test_a_run_that_looks_at_both_mirror_images_finds_mirrored_evidence(method):
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 2)
    )
    x = torch.rand(2, 1, 4, 8).numpy()
    run = planted(network, (1, 4, 8), mirror=True)
    here, there = (attribute(run, pictures, method, [0, 1]) for pictures in (x, x[..., ::-1].copy()))
    most = np.abs(here.heat).max()
    np.testing.assert_allclose(there.heat, here.heat[:, :, ::-1], atol=1e-3 * most)
    alone = attribute(planted(network, (1, 4, 8)), x, method, [0, 1])
    assert np.abs(alone.heat - here.heat).max() > 0.1 * most  # the mirror image has its part in it


def test_a_cell_is_drawn_where_it_looks():
    # A 1x1 window that moves by 3 rows and 4 columns sees the very pixel (3 i, 4 j).
    cells = np.float32([[[1, 5], [2, 8], [7, 0]]])
    heat = placed(cells, (Field(1, 3, 0), Field(1, 4, 0)), (8, 6))
    np.testing.assert_allclose(heat[0, ::3, ::4], cells[0])
    np.testing.assert_allclose(heat[0, 0], [1, 2, 3, 4, 5, 5])  # linear between, constant beyond
    # The middle of 5 pixels from -2 on is pixel 0; of the next, two further, pixel 2.
    assert placed(np.float32([[[1, 3]]]), (Field(1, 1, 0), Field(5, 2, -2)), (1, 5))[0, 0].tolist() == [
        1,
        2,
        3,
        3,
        3,
    ]


def test_cells_of_which_nothing_is_known_share_the_picture():
    # Two cells over four pixels have their middles at 0.5 and 2.5.
    assert placed(np.float32([[[1, 3]]]), None, (1, 4))[0, 0].tolist() == [1, 1.5, 2.5, 3]


def test_a_blob_that_is_seen_is_found_in_its_place():
    # Without padding a stretched map would lie beside it: cell (i, j) sees pixels 4 i to 4 i + 6.
    conv = nn.Conv2d(1, 1, 7, stride=4, bias=False)
    conv.weight.data[:] = 1
    run = planted(nn.Sequential(conv, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(1, 2)), (1, 29, 33))
    run.model.network[3].weight.data[:] = 1
    x = np.zeros((1, 1, 29, 33), np.float32)
    x[0, 0, 20:27, 24:31] = 1  # what cell (5, 6) sees, its middle at (23, 27)
    heat = attribute(run, x, "grad-cam", 0).heat[0]
    assert np.unravel_index(heat.argmax(), heat.shape) == (23, 27)


def test_what_attention_makes_of_tokens_is_no_map():
    run = planted(zoo.create("vit-tiny", 2, (3, 64, 64)), (3, 64, 64))
    rows = {row.name: row for row in Inside(run).layers}
    assert any(
        len(row.output) == 3 and "attn" in name for name, row in rows.items()
    )  # heads, tokens, channels
    assert not [row.name for row in Inside(run).maps if "attn" in row.name]
    assert Inside(run).last_maps.name == "patch_embed.proj"


def test_what_cannot_be_asked_is_said_with_what_can(run, x, tmp_path):
    with pytest.raises(UnknownName, match=r"no layer named 'features\.99'.*Did you mean 'features\.9'"):
        attribute(run, x, "grad-cam", 0, layer="features.99")
    with pytest.raises(
        InputError, match=r"the layer classifier gives \(10,\), not maps; layers with maps: features\.0"
    ):
        attribute(run, x, "grad-cam", 0, layer="classifier")
    mlp = hubel.train("digits", network="mlp", out=tmp_path / "mlp", epochs=0)
    with pytest.raises(InputError, match=r"mlp has no layer with maps.*saliency"):
        attribute(mlp, np.zeros((1, *mlp.preprocess.shape), np.float32), "grad-cam", 0)
