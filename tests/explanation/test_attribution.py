"""Seven methods: each worked out by hand on a network of a few numbers, held to its law on larger ones, and drawn."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explanation.by_hand import OneClass, linear
from planted import planted
from torch import nn

from hubel.errors import InputError, MissingExtra, ShapeError, UnknownName
from hubel.explanation.attribution import METHODS, attribute, explain
from hubel.explanation.finding import Item, Question
from hubel.explanation.heat import Output, asked, mean, windows
from hubel.explanation.unrolled import GUIDED, RESCALED, unrolled
from hubel.replay import replay


@pytest.fixture
def x(run):
    return run.dataset().test.inputs[:6].astype(np.float32) / 255


@pytest.fixture
def items(run, x):
    return [Item(f"picture {n}", row, "4") for n, row in enumerate(x)]


# --- worked out by hand ----------------------------------------------------------------------------------------------


def test_gradients_of_a_weighted_sum_are_its_weights():
    # Two channels, H != W, each channel in its own units: logit = sum w (x - mean) / std.
    w = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    run = planted(linear(w), (2, 3, 4), mean=(0.2, 0.6), std=(0.5, 0.25))
    x = np.random.default_rng(0).random((3, 2, 3, 4), np.float32)
    slopes = (w[1] / torch.tensor([0.5, 0.25]).view(2, 1, 1)).numpy()
    saliency = attribute(run, x, "saliency", 1)
    np.testing.assert_allclose(saliency.values, np.tile(np.abs(slopes), (3, 1, 1, 1)), rtol=1e-5)
    np.testing.assert_allclose(saliency.heat, np.tile(np.abs(slopes).max(0), (3, 1, 1)), rtol=1e-5)
    product = attribute(run, x, "input-x-gradient", 1)
    np.testing.assert_allclose(product.values, x * slopes, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(product.heat, (x * slopes).sum(1), rtol=1e-4, atol=1e-6)


def test_integrated_gradients_by_hand():
    class Product(nn.Module):
        def forward(self, x):
            return x[:, 0, 0, 0:1] * x[:, 0, 0, 1:2]

    # y = a b from black: along t (a, b) the gradient is t (b, a), its mean (b, a) / 2, so that each gets a b / 2.
    run = planted(OneClass(Product()), (1, 1, 2))
    found = attribute(run, np.float32([[[[0.6, 0.5]]]]), "integrated-gradients", 0)
    np.testing.assert_allclose(found.values, [[[[0.15, 0.15]]]], rtol=1e-5)
    np.testing.assert_allclose([*found.output, *found.reference], [0.3, 0], atol=1e-6)
    assert found.incomplete.max() < 1e-5


def test_integrated_gradients_look_closer_where_a_sum_is_off():
    class Kink(nn.Module):
        def forward(self, x):
            return 4 * F.relu(x.flatten(1) - 0.71).sum(1, keepdim=True)

    # y gains 4 (1 - 0.71) = 1.16 behind the kink; 64 even steps see the slope of 4 in 19 of them: 1.1875, 2.4 % off.
    found = attribute(
        planted(OneClass(Kink()), (1, 1, 1)), np.ones((1, 1, 1, 1), np.float32), "integrated-gradients", 0
    )
    assert found.values.item() == pytest.approx(1.16, rel=0.005)
    assert found.incomplete[0] == pytest.approx(abs(found.values.item() - 1.16) / 1.16, abs=1e-4)


def test_occlusion_by_hand():
    # 14 columns: windows of 2x2, one apart. Covered by black, a weighted sum loses what the window held.
    w = torch.zeros(2, 1, 3, 14)
    w[0, 0, 1, 4] = 10
    x = np.full((1, 1, 3, 14), 0.5, np.float32)
    assert windows((1, 3, 14)) == ((1, 2, 2), (1, 1, 1))
    heat = attribute(planted(linear(w), (1, 3, 14)), x, "occlusion", 0).heat[0]
    # The pixel (1, 4) is under four windows, each losing 5; a neighbour shares two of its four; a corner one of four.
    # In the upper row there are but two windows over a cell (none begins above), and both hold the row below.
    assert heat[:, 3:6].tolist() == [[2.5, 5, 2.5], [2.5, 5, 2.5], [2.5, 5, 2.5]]
    assert not heat[:, :3].any() and not heat[:, 6:].any()


def test_occlusion_is_the_mean_over_the_windows_that_cover_a_cell():
    # Windows of 4, two apart, do not end at the edge of 31 or 25: the last ones are cut off. Two channels go together.
    torch.manual_seed(0)
    shape = (2, 31, 25)
    network = nn.Sequential(nn.Conv2d(2, 3, 5, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 9 * 7, 2))
    run = planted(network, shape, mean=(0.3, 0.7), std=(0.5, 2.0), order="bgr")
    x = torch.rand(2, *shape)
    grey = torch.tensor([0.7, 0.3]).view(
        2, 1, 1
    )  # in the picture's order of channels, which is not the network's
    total, count = np.zeros((2, 31, 25)), np.zeros((31, 25))
    with torch.no_grad():
        for top in range(0, 31 - 4 + 2, 2):
            for left in range(0, 25 - 4 + 2, 2):
                covered = x.clone()
                covered[:, :, top : top + 4, left : left + 4] = grey
                lost = (run.model(x) - run.model(covered))[:, 1].numpy()
                total[:, top : top + 4, left : left + 4] += lost[:, None, None]
                count[top : top + 4, left : left + 4] += 1
    found = attribute(run, x, "occlusion", 1)
    np.testing.assert_allclose(found.values, total / count, atol=1e-5)


def test_deeplift_by_hand():
    class Late(nn.Module):
        def forward(self, x):
            return 4 * F.relu(x.flatten(1) - 0.25)

    # From 0 to 1 the relu's input goes from -0.25 to 0.75, its output from 0 to 0.75: a slope of 0.75, times 4, times 1.
    found = attribute(planted(OneClass(Late()), (1, 1, 1)), np.ones((1, 1, 1, 1), np.float32), "deeplift", 0)
    assert found.values.item() == pytest.approx(3)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Captum tells of its hooks
def test_guided_backpropagation_by_hand():
    # Hidden: h1 = relu(a), h2 = relu(b), h3 = relu(a - b); y = 2 h1 - 3 h2 + h3, maps are x itself (1x1, weight 1).
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = nn.Conv2d(1, 1, 1, bias=False)
            self.maps.weight.data[:] = 1

        def forward(self, x):
            a, b = self.maps(x).flatten(1).unbind(1)
            return (2 * F.relu(a) - 3 * F.relu(b) + F.relu(a - b))[:, None]

    # a = 0.8, b = 0.2: all relus are open. The plain gradient is (3, -4); guided, -3 does not come through h2: (3, -1).
    model = planted(OneClass(Hidden()), (1, 1, 2)).model
    copied = unrolled(model, GUIDED)
    assert copied.ruled == 3
    import captum.attr

    x = torch.tensor([[[[0.8, 0.2]]]])
    guided = captum.attr.GuidedBackprop(Output(copied.model))
    found = guided.attribute(x, additional_forward_args=(torch.tensor([[1.0, 0.0]]),))
    np.testing.assert_allclose(found.detach(), [[[[3, -1]]]], rtol=1e-6)


# --- laws and second sources -----------------------------------------------------------------------------------------


def test_gradients_are_those_of_the_definitions(run, x):
    targets = [1, 5, 0, 9, 9, 2]
    told = replay(run.model, x)
    dy = np.zeros((6, 10), np.float32)
    dy[range(6), targets] = 1
    slopes = told.gradients(told.output, dy)[told.input]
    np.testing.assert_allclose(attribute(run, x, "saliency", targets).values, np.abs(slopes), atol=1e-4)
    np.testing.assert_allclose(attribute(run, x, "input-x-gradient", targets).values, x * slopes, atol=1e-4)


def test_integrated_gradients_are_the_mean_of_the_definitions_gradients(run, x):
    steps, total = 200, 0
    for t in (np.arange(steps) + 0.5) / steps:
        told = replay(run.model, (t * x[:1]).astype(np.float32))
        total = total + told.gradients(told.output, np.eye(10, dtype=np.float32)[[8]])[told.input]
    expected = x[:1] * total / steps
    found = attribute(run, x[:1], "integrated-gradients", 8)
    # Both are sums over steps of a function with kinks.
    assert np.corrcoef(found.values.ravel(), expected.ravel())[0, 1] > 0.999
    np.testing.assert_allclose(found.values, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize(("method", "off"), [("integrated-gradients", 0.005), ("deeplift", 1e-3)])
def test_what_is_attributed_adds_up_to_what_the_output_gains(run, x, method, off):
    found = attribute(run, x, method, [0, 1, 2, 3, 4, 5], contrast=[1, 2, 3, 4, 5, 6])
    with torch.no_grad():
        logits = run.model(torch.cat([torch.from_numpy(x), torch.zeros(1, *x.shape[1:])])).numpy()
    gap = logits[range(6), range(6)] - logits[range(6), range(1, 7)] - (logits[6, :6] - logits[6, 1:7])
    np.testing.assert_allclose(found.values.sum((1, 2, 3)), gap, rtol=off, atol=1e-4)


class Reused(nn.Module):
    """One ReLU twice in a row and on both sides of a shortcut, others in place; windows that overlap."""

    def __init__(self, *, modules: bool):
        super().__init__()
        self.a, self.b, self.c = (
            nn.Conv2d(1, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Linear(4 * 12, 2),
        )
        self.relu, self.sum, self.six = nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(inplace=True)
        self.pool, self.last = nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(1)
        self.modular = modules

    def forward(self, x):
        if self.modular:
            y = self.relu(self.relu(self.a(x)))
            return self.c(self.last(self.six(60 * self.pool(self.sum(self.b(y) + y)))).flatten(1))
        y = F.relu(torch.relu(self.a(x)))
        return self.c(
            F.max_pool2d(
                F.relu6(60 * F.max_pool2d((self.b(y) + y).relu(), 3, stride=2, padding=1)), 1
            ).flatten(1)
        )


@pytest.mark.parametrize("modules", [True, False])
def test_deeplift_adds_up_where_steps_are_functions_reused_or_in_place(modules):
    torch.manual_seed(3)
    network = Reused(modules=modules)
    x = torch.rand(5, 1, 6, 8)
    held = {name: value.clone() for name, value in network.state_dict().items()}
    run = planted(network, (1, 6, 8), mirror=True)
    with torch.no_grad():
        assert (60 * F.max_pool2d(F.relu(network.b(y := F.relu(network.a(x))) + y), 3, 2, 1) > 6).any()
    found = attribute(run, x, "deeplift", [0, 1, 1, 0, 1])
    assert found.incomplete.max() < 1e-4
    assert all(torch.equal(value, held[name]) for name, value in network.state_dict().items())
    assert unrolled(run.model, RESCALED).ruled == 2 * 6


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "ceil"),
    [
        ((3, 2), (2, 3), (1, 0), False),
        (3, 2, 0, True),
        (3, 2, 1, True),
        ((2, 4), (3, 5), (1, 2), True),
        (2, 2, 0, True),
    ],
)
def test_pooling_by_windows_taken_apart_is_pooling(kernel, stride, padding, ceil):
    pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
    x = (
        torch.randn(2, 3, 8, 11, generator=torch.Generator().manual_seed(1)) - 2
    )  # padding with 0 would be the largest
    copied = unrolled(planted(pool, (3, 8, 11)).model, RESCALED)
    assert torch.equal(copied.model(x), pool(x)) and copied.strange == ()


def test_how_a_network_is_written_does_not_change_what_is_found():
    torch.manual_seed(3)
    one = Reused(modules=True)
    other = Reused(modules=False)
    other.load_state_dict(one.state_dict())
    x = torch.rand(4, 1, 6, 8)
    for method in ("deeplift", "guided-grad-cam", "grad-cam"):
        layer = "a" if METHODS[method].looks else None
        a, b = (attribute(planted(n, (1, 6, 8)), x, method, 1, layer=layer).heat for n in (one, other))
        assert np.abs(a).max() > 0
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(a).max())


@pytest.mark.filterwarnings("ignore::UserWarning")  # Captum tells of its hooks
def test_guided_grad_cam_is_captums_where_captum_can():
    import captum.attr

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 35, 2),
    )
    run, x = planted(network, (2, 5, 7)), torch.rand(3, 2, 5, 7)
    expected = captum.attr.GuidedGradCam(run.model, network[2]).attribute(
        x, target=1
    )  # maps of the picture's size
    found = attribute(run, x, "guided-grad-cam", 1, layer="2")
    assert np.abs(found.values).max() > 0
    np.testing.assert_allclose(found.values, expected.detach(), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_its_pictures_one_by_one_and_nothing_is_left_behind(run, x, method):
    targets = [1, 5, 0, 9, 9, 2]
    together = attribute(run, torch.from_numpy(x), method, targets)
    alone = [attribute(run, x[n : n + 1], method, targets[n]).heat[0] for n in range(6)]
    np.testing.assert_allclose(together.heat, np.stack(alone), atol=0.02 * np.abs(together.heat).max())
    assert together.heat.shape == (6, *x.shape[2:]) and together.heat.dtype == np.float32
    for module in run.model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks and not module._backward_hooks
    assert all(p.requires_grad and p.grad is None for p in run.model.parameters())


def test_a_contrast_is_a_difference(run, x):
    a, b, both = (attribute(run, x, "input-x-gradient", 3, contrast=c) for c in (None, None, 8))
    b = attribute(run, x, "input-x-gradient", 8)
    np.testing.assert_allclose(both.values, a.values - b.values, atol=1e-5)
    np.testing.assert_allclose(both.output, a.output - b.output, atol=1e-5)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_mean_is_what_normalising_makes_0(order):
    run = planted(linear(torch.ones(2, 3, 2, 2)), (3, 2, 2), mean=(0.1, 0.5, 0.7), std=(1, 2, 3), order=order)
    assert run.model.normalized(mean(run, torch.rand(2, 3, 2, 2))).abs().max() < 1e-6


def test_numbers_in_a_row_are_explained_without_maps():
    w = torch.tensor([[2.0, -1, 0.5], [0, 0, 0]])
    network = nn.Linear(3, 2)
    network.weight.data, network.bias.data = w, torch.zeros(2)
    run = planted(network, (3,), mean=(10, 20, 30), std=(1, 2, 3))
    x = np.float32([[11, 24, 27]])  # 1, 2 and -1 deviations from the mean row, where counting begins
    for method in ("integrated-gradients", "deeplift", "occlusion"):
        np.testing.assert_allclose(attribute(run, x, method, 0).heat, [[2, -2, -0.5]], rtol=1e-4)


# --- what cannot be asked ----------------------------------------------------------------------------------------------


def test_deeplift_says_which_steps_have_no_rule():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.soft = nn.Conv2d(1, 2, 3), nn.GELU()

        def forward(self, x):
            y = self.a(x)
            return (self.soft(y) * y).mean((2, 3))

    x = torch.rand(1, 1, 4, 5)
    run = planted(Gated(), (1, 4, 5))
    with pytest.raises(
        InputError, match=r"deeplift has no rule for soft, multiply of planted.*integrated-gradients"
    ):
        attribute(run, x, "deeplift", 0)
    with pytest.raises(InputError, match="has no ReLU"):
        attribute(run, x, "guided-grad-cam", 0)
    whole = planted(nn.Sequential(nn.AdaptiveMaxPool2d(3), nn.Flatten(), nn.Linear(9, 2)), (1, 4, 5))
    with pytest.raises(InputError, match="adaptive max pooling of 4x5 to 3x3"):
        attribute(whole, x, "deeplift", 0)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in whole.model.modules())


def test_a_square_is_not_taken_for_a_factor():
    class Squared(nn.Module):
        def forward(self, x):
            return (x * x).mean((2, 3)) / 2

    assert unrolled(planted(Squared(), (2, 2, 3)).model, RESCALED).strange == ("multiply",)


def test_wrong_questions_are_refused(run, x):
    with pytest.raises(UnknownName, match=r"no method named 'gradcam'. Did you mean 'grad-cam'"):
        attribute(run, x, "gradcam", 0)
    with pytest.raises(ShapeError, match=r"the run takes \(1, 8, 8\) each, got an array of \(6, 8\)"):
        attribute(run, x[:, 0, 0], "saliency", 0)
    with pytest.raises(InputError, match="no class of number 10: the run has 10, from 0"):
        attribute(run, x, "saliency", 10)
    with pytest.raises(InputError, match="no class of number -1"):
        attribute(run, x, "saliency", -1)
    with pytest.raises(ShapeError, match="6 inputs and 2 classes"):
        attribute(run, x, "saliency", [0, 1])
    with pytest.raises(InputError, match="saliency looks at the input, not at a layer"):
        attribute(run, x, "saliency", 0, layer="features.0")


def test_without_captum_the_line_that_installs_it_is_given_and_grad_cam_goes_on(run, x, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtra, match=r"--method saliency needs captum.*\.\[explain\]"):
        attribute(run, x, "saliency", 0)
    assert attribute(run, x, "grad-cam", 0).heat.any()


# --- findings --------------------------------------------------------------------------------------------------------


def test_a_finding_holds_the_best_classes_with_their_heat(run, x, items):
    findings = list(explain(run, items, Question(top=3), method="occlusion"))
    assert [f.name for f in findings] == [item.name for item in items]
    p = run.probabilities(run.dataset().test.inputs[:6])
    for row, finding in enumerate(findings):
        best = np.argsort(-p[row])[:3]
        assert list(finding.arrays) == [run.classes[k] for k in best]
        for k in best:
            told = finding.numbers[run.classes[k]]
            assert told["p"] == pytest.approx(p[row, k], abs=1e-4)
            expected = attribute(run, x[row : row + 1], "occlusion", int(k)).heat[0]
            np.testing.assert_allclose(finding.arrays[run.classes[k]], expected, atol=1e-5)
            assert told["max"] == pytest.approx(expected.max(), abs=1e-5)


def test_classes_are_named_and_a_contrast_is_one(run, items):
    (finding,) = explain(run, items[:1], Question(classes=("7", "2"), top=1), method="saliency")
    assert list(finding.arrays) == ["7", "2"]
    told = []
    (finding,) = explain(
        run,
        items[:1],
        Question(contrast=("7", "2"), progress=lambda *done: told.append(done)),
        method="saliency",
    )
    assert list(finding.arrays) == ["7 rather than 2"] and told == [(1, 1)]
    logits = run.logits(run.dataset().test.inputs[:1])[0]
    expected = 1 / (1 + np.exp(logits[2] - logits[7]))
    assert finding.numbers["7 rather than 2"]["p"] == pytest.approx(expected, abs=1e-4)


def test_a_wrong_class_is_refused(run, items):
    for question, error, said in (
        (Question(classes=("ten",)), UnknownName, "no class named 'ten'"),
        (Question(contrast=("1", "1")), InputError, "between two classes"),
        (Question(contrast=("1", "2"), classes=("3",)), InputError, "leave --class out"),
    ):
        with pytest.raises(error, match=said):
            next(explain(run, items, question, method="grad-cam"))


def test_a_regression_is_asked_by_the_number_of_its_output():
    w = torch.zeros(2, 3)
    w[1, 2] = 5.0
    network = nn.Linear(3, 2, bias=False)
    network.weight.data = w
    run = planted(network, (3,), (), task="regress", outputs=2, columns=("age", "size", "rooms"))
    item = Item("row 1", np.float32([1, 2, 3]))
    (finding,) = explain(run, [item], Question(classes=("1",), check=True), method="input-x-gradient")
    assert finding.arrays["output 1"].tolist() == [0, 0, 15]
    assert np.isnan(finding.numbers["output 1"]["p"]) and finding.image.width > 600
    with pytest.raises(InputError, match="this run gives 2 numbers, named from 0, not 5"):
        next(explain(run, [item], Question(classes=("5",)), method="saliency"))


def test_without_evidence_nothing_is_coloured():
    run = planted(linear(torch.zeros(2, 1, 3, 4)), (1, 3, 4))
    (finding,) = explain(
        run, [Item("flat", np.full((1, 3, 4), 0.5, np.float32))], Question(check=True), method="saliency"
    )
    assert not finding.arrays["a"].any()
    colours = np.unique(np.asarray(finding.image).reshape(-1, 3), axis=0).astype(int)
    assert finding.numbers["deletion"]["better than random"] is False
    assert len(colours) > 2


def test_targets_become_weights_of_logits(run):
    assert asked(run, 2, [1, 0], 3).tolist() == [[0, 1, 0, -1, *[0] * 6], [1, 0, 0, -1, *[0] * 6]]
