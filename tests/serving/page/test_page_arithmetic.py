"""The page's own modules, in a browser: the arithmetic of cells, receptive fields and the way of drawings."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
import pytest
import torch
from torch import nn

from hubel import zoo
from hubel.data import Preprocess
from hubel.replay import Program, replay
from hubel.replay.cells import receptive
from hubel.run import Card, Network, Run
from hubel.serving.opened.cells import arithmetic, step_of
from hubel.serving.opened.network import Opened, rows
from hubel.zoo.describe import layers
from hubel.zoo.pixels import Pixels

EACH = 200  # cells of every layer type


class Others(nn.Module):
    """Layers that no network of the zoo has, one after another; settings that are not the defaults where that matters."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList([
            nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), groups=2), nn.GroupNorm(3, 6),
            nn.PReLU(6), nn.ConvTranspose2d(6, 4, 3, 2, 1), nn.ELU(0.7), nn.InstanceNorm2d(4, affine=True),
            nn.LeakyReLU(0.2), nn.AvgPool2d(3, 2, 1), nn.SiLU(), nn.AvgPool2d(2, 2, 1, count_include_pad=False),
            nn.Upsample(scale_factor=2), nn.Mish(), nn.Upsample(scale_factor=3, mode="bilinear"), nn.Hardswish(),
            nn.Conv2d(4, 8, 3, 2, "valid"), nn.PixelShuffle(2), nn.Hardsigmoid(), nn.Conv2d(2, 4, 1), nn.ReflectionPad2d(1),
            nn.Softplus(2), nn.Hardtanh(-0.4, 1.2), nn.GELU(), nn.GELU("tanh"), nn.ReLU6(), nn.Sigmoid(), nn.Tanh(),
            nn.LocalResponseNorm(3, 0.5), nn.AdaptiveMaxPool2d((3, 2)), nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(),
            nn.RMSNorm(16), nn.Linear(16, 5), nn.LogSoftmax(1), nn.Softmax(1),
        ])  # fmt: skip

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return torch.maximum(x, x * 2 - 0.3) / (x.exp() + 1)


@pytest.fixture(scope="module")
def networks():
    """(name, module in use, input): all of the zoo in small, and the layers that it lacks."""
    made = []
    for name in [*zoo.names(), "others"]:
        torch.manual_seed(1)
        module, shape = (Others(), (4, 9, 11)) if name == "others" else zoo.small(name)
        for part in module.modules():
            if getattr(part, "running_mean", None) is not None:  # as training would have left them
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.3, 2)
        x = np.random.default_rng(4).standard_normal((1, *shape)).astype(np.float32)
        made.append((name, module.eval(), x))
    return made


def asked(page, script, *arguments):
    """The result of a module script in the page: `script` returns it and may await."""
    done = page.execute_async_script(
        f"const done = arguments[arguments.length - 1]; (async (...a) => {{ {script} }})(...arguments)"
        ".then((v) => done([v, null]), (e) => done([null, e.stack]))",
        *arguments,
    )
    assert done[1] is None, done[1]
    return done[0]


def test_the_arithmetic_of_every_layer_type_is_that_of_the_replay(page, networks):
    """maths.js gets windows, kernels and settings; what the replay comes to it is not told."""
    places, rng = defaultdict(list), np.random.default_rng(0)
    for name, module, x in networks:
        found = Program(module).run(x)
        for row in layers(module, x.shape[1:]):
            step = step_of(row.name, tuple(found.layers))
            if row.idle or row.type == "Parameter" or step is None:
                continue
            places[row.type].append((f"{name}, {row.name}", step, found.layers[step]))
    assert len(places) > 55
    cells, wanted = [], []
    for kind, several in places.items():
        for n in range(EACH):
            where, step, node = several[n % len(several)]
            at = [int(rng.integers(size)) for size in node.value.shape[1:]]
            cell = arithmetic(node, at, step)
            wanted.append((f"{kind} in {where} {at}", cell.pop("value")))
            del cell["computed"], cell["steps"]  # what the server made of it
            cells.append(cell)
    values = []
    for start in range(0, len(cells), 500):
        script = "const { worked } = await import('/page/maths.js'); return JSON.parse(a[0]).map((c) => worked(c).value)"
        values += asked(page, script, json.dumps(cells[start : start + 500]))
    wrong = [
        (where, found, value)
        for (where, value), found in zip(wanted, values, strict=True)
        if not abs(found - value) <= 1e-5 * max(1, abs(value))
    ]
    assert wrong == []


def test_a_wrong_window_would_be_noticed(page, networks):
    """The oracle can fail: another kernel's weights give another number."""
    _, module, x = networks[0]
    found = Program(module).run(x)
    node = next(n for n in found.layers.values() if n.operation and n.operation.__name__ == "conv2d")
    cell, other = (arithmetic(node, [o, 1, 2]) for o in (0, 1))
    script = "const { worked } = await import('/page/maths.js'); return worked(a[0]).value"
    assert abs(asked(page, script, {**cell, "weights": other["weights"]}) - cell["value"]) > 1e-3


@pytest.mark.parametrize(
    "name",
    [
        "fast-digits",
        "lenet5",
        "resnet18",
        "googlenet",
        "alexnet",
        "mobilenet-v2",
        "squeezenet1_1",
        "vgg11-bn",
    ],
)
def test_what_lights_up_is_what_the_cell_depends_on(page, name, tmp_path):
    """The page walks back over windows; the replay over each cell. Boxes are compared, at borders too."""
    module, shape = zoo.small(name)
    module.eval()
    card = Card("classify", ("a", "b"), 2, Network(name), Preprocess("picture", shape))
    opened = Opened(Run(tmp_path, card, Pixels(module), {}))
    found = replay(module, np.random.default_rng(1).random((1, *shape), np.float32))
    rng = np.random.default_rng(2)
    places, wanted = [], []
    for n, row in enumerate(opened.layers):
        if len(row.output) != 3 or row.type == "Parameter":
            continue
        for at in (
            [0, 0, 0],
            [size - 1 for size in row.output],
            [int(rng.integers(size)) for size in row.output],
        ):
            way = receptive(found.layers[step_of(row.name, tuple(found.layers))], (0, *at), found.input)
            if not way.steps[-1].count:  # only padding
                continue
            places.append([n + 1, at])
            wanted.append([end for low_high in way.box[2:] for end in low_high])
    script = """
        const { seen, asMaps } = await import('/page/fields.js');
        const rows = [{ name: "input", inputs: [], output: a[1] }, ...a[0]].map((r) => ({ ...r, maps: asMaps(r.output) }));
        const place = new Map(rows.map((r, n) => [r.name, n]));
        return a[2].map(([n, at]) => seen(rows, place, n, at).get(0).box);
    """
    assert asked(page, script, rows(opened), list(shape), places) == wanted


# ---- drawings


def drawn(page, grey, ink, shape):
    """What the page makes of (h, w) ink in 0..1: (H, W) levels."""
    h, w = grey.shape
    script = """
        const { normalised } = await import('/page/ink.js');
        const made = normalised(Float32Array.from(a[0]), a[1], a[2], a[3], a[4], a[5]);
        return made && Array.from(made);
    """
    found = asked(page, script, grey.ravel().tolist(), h, w, ink, *shape)
    return None if found is None else np.array(found).reshape(shape)


INK = {"box": 20, "middle": [14, 14]}


def ell(side, size, top, left):
    """An L: neither symmetric nor as wide as high."""
    grey = np.zeros((side, side))
    grey[top : top + size, left : left + size // 4] = 1
    grey[top + size - size // 4 : top + size, left : left + size // 2] = 1
    return grey


def test_ink_fills_the_box_and_its_mass_lies_in_the_middle(page):
    made = drawn(page, ell(140, 80, 5, 50), INK, (28, 28))
    rows_, columns = np.nonzero(made)
    assert rows_.max() - rows_.min() + 1 == 20  # the longer side
    assert columns.max() - columns.min() + 1 == 10  # half as wide
    mass = made / made.sum()
    middle = (mass.sum(1) @ np.arange(28), mass.sum(0) @ np.arange(28))
    assert middle == pytest.approx((14, 14), abs=0.5)  # put there in whole pixels
    assert made.max() == 255


def test_where_and_how_large_ink_is_drawn_makes_no_difference(page):
    """Sizes of which the box is a whole part, so that no pixel is shared."""
    one = drawn(page, ell(140, 40, 3, 7), INK, (28, 28))
    for size, top, left in ((40, 90, 60), (80, 30, 20), (120, 0, 70)):
        assert (drawn(page, ell(140, size, top, left), INK, (28, 28)) == one).all()


def test_a_pixel_is_the_mean_of_what_it_covers(page):
    """A stripe of 3 of 5 columns in a box of 2: 5 columns on 2 pixels; the first covers columns 0, 1 and half of 2."""
    grey = np.zeros((9, 9))
    grey[2:7, 2:7] = [1, 1, 1, 0, 1]  # a square, so that its box is 5 x 5
    made = drawn(page, grey, {"box": 2, "middle": [1, 1]}, (4, 4))
    # (1 + 1 + 0.5) / 2.5 = 1 and (0.5 + 0 + 1) / 2.5 = 0.6 of full ink
    assert sorted(set(made.ravel())) == [0, 153, 255]
    assert [sorted(row[row > 0]) for row in made if row.any()] == [[153, 255], [153, 255]]


def test_no_ink_is_no_picture(page):
    assert drawn(page, np.full((20, 20), 0.05), INK, (28, 28)) is None
