"""The opened network: what its maps, cells, lessons and changes say is held against PyTorch and the replay."""

from __future__ import annotations

import base64
import copy

import numpy as np
import pytest
import torch
from online import told
from planted import planted
from torch import nn
from torch.nn import functional as F

from hubel import zoo
from hubel.data import Preprocess
from hubel.errors import InputError, UnknownName
from hubel.replay import Program, replay
from hubel.run import Card, Network, Run
from hubel.serving.document import ABOUT
from hubel.serving.opened import cells, drawing, lessons, network, questions
from hubel.serving.opened.network import Opened, Wanted

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Strides that do not divide, more columns than rows, three channels, a residual sum among the small twins' own."""
    card = Card(
        "classify", ("ant", "bee", "cow"), 3, Network("conv5x3/2 bn relu pool2 conv4x3+1 relu fc"),
        Preprocess("picture", (3, 15, 22), mean=(0.3, 0.4, 0.5), std=(0.2, 0.25, 0.3)),
    )  # fmt: skip
    torch.manual_seed(5)
    return Run(tmp_path_factory.mktemp("none"), card, card.wrap(card.build()), {})


@pytest.fixture
def opened(run):
    return Opened(run)


@pytest.fixture
def picture():
    return RNG.integers(0, 256, (3, 15, 22), dtype=np.uint8)


def unpacked(packed):
    kind = "<f4" if packed["kind"] == "float32" else np.uint8
    return np.frombuffer(base64.b64decode(packed["data"]), kind).reshape(packed["shape"])


def hooked(run, picture):
    """What each module of the network gives, by PyTorch's own hooks, and the logits."""
    seen, handles = {}, []
    for name, module in run.model.network.named_modules():
        if not any(module.children()):
            handles.append(
                module.register_forward_hook(lambda m, i, o, name=name: seen.setdefault(name, o.clone()))
            )
    with torch.no_grad():
        logits = run.model(torch.from_numpy(picture[None] / np.float32(255)))
    for handle in handles:
        handle.remove()
    return {name: value[0].numpy() for name, value in seen.items()}, logits[0].numpy()


# ---- maps


def test_maps_are_what_the_modules_give_and_come_in_graph_order(run, opened, picture):
    seen, logits = hooked(run, picture)
    found = network.answered(opened, opened.look(picture), Wanted(exact=True))
    assert [layer["name"] for layer in found["layers"]] == ["input", *[row.name for row in run.layers()]]
    for layer in found["layers"][1:]:
        if layer["name"] in seen:
            np.testing.assert_allclose(unpacked(layer).ravel(), seen[layer["name"]].ravel(), atol=1e-6)
    np.testing.assert_allclose(found["answer"]["logits"], logits, atol=1e-6)
    assert sum(found["answer"]["probabilities"]) == pytest.approx(1, abs=1e-6)


def test_levels_are_within_half_a_step_of_the_numbers(opened, picture):
    looked = opened.look(picture)
    for layer in network.answered(opened, looked, Wanted())["layers"][1:]:
        value = network.as_maps(looked.values[layer["name"]])
        step = (layer["high"] - layer["low"]) / 255
        assert layer["low"] == pytest.approx(value.min()) and layer["high"] == pytest.approx(value.max())
        np.testing.assert_allclose(unpacked(layer) * step + layer["low"], value, atol=step / 2 + 1e-6)


def test_the_input_is_the_picture_level_for_level(opened, picture):
    (layer,) = network.answered(opened, opened.look(picture), Wanted(layers=("input",)))["layers"]
    assert (unpacked(layer) == picture).all()


def test_maps_can_be_thinned_and_counted(opened, picture):
    name = opened.names[0]
    looked = opened.look(picture)
    (whole,) = network.answered(opened, looked, Wanted(layers=(name,), exact=True))["layers"]
    (part,) = network.answered(opened, looked, Wanted((name,), first=1, count=2, side=4, exact=True))[
        "layers"
    ]
    # 7 x 10 cells of which about 4 along the longer side: every third
    assert whole["shape"] == [5, 7, 10] and part["step"] == 3 and part["of"] == [5, 7, 10]
    assert (unpacked(part) == unpacked(whole)[1:3, ::3, ::3]).all()


def test_numbers_that_are_not_finite_do_not_reach_json():
    packed = network.packed(
        np.array([[[np.nan, np.inf, 1.0, -3.0]]]), np.array([[[np.nan, np.inf, 1.0, -3.0]]])
    )
    assert (packed["low"], packed["high"]) == (-3, 1)
    assert unpacked(packed).tolist() == [[[0, 255, 255, 0]]]


def test_the_same_picture_is_looked_at_once(opened, picture):
    assert opened.look(picture) is opened.look(picture.copy())
    assert opened.look(255 - picture) is not opened.look(picture)


def test_kept_values_do_not_grow_without_end(opened, picture, monkeypatch):
    monkeypatch.setattr(network, "KEPT", opened.look(picture).bytes * 3)
    for level in range(10):
        opened.look(np.full_like(picture, level))
    assert len(opened._kept) == 3


# ---- cells


def test_a_cell_is_that_of_the_replay(run, opened, picture):
    looked, found = opened.look(picture), replay(run, picture.transpose(1, 2, 0))
    for row in opened.layers:
        at = [int(RNG.integers(n)) for n in row.output]
        cell = cells.answered(opened, looked, row.name, at)
        assert cell["value"] == pytest.approx(float(found.layers[row.name].value[(0, *at)]), abs=1e-6)
        if cell["weights"]:  # by hand: the products of what was sent, and the bias
            total = (np.array(cell["inputs"]) * np.array(cell["weights"])).sum() + (cell["bias"] or 0)
            assert total == pytest.approx(cell["value"], abs=1e-5)
        assert "products" not in cell and "sum" not in cell  # these are the page's own to work out


def test_one_step_alone_is_the_cell_of_the_whole_replay(opened, picture, monkeypatch):
    looked = opened.look(picture)
    places = [
        (row.name, [int(RNG.integers(n)) for n in row.output]) for row in opened.layers for _ in range(3)
    ]
    whole = [cells.answered(opened, looked, *place) for place in places]
    monkeypatch.setattr(network, "REPLAYED", -1)
    assert not opened.small
    for (name, at), one in zip(places, whole, strict=True):
        step = cells.answered(opened, looked, name, at)
        assert step["value"] == pytest.approx(one["value"], abs=1e-4)
        assert step["operation"] == one["operation"] and step["window"] == one["window"]
        # By the layers' fields alone, which at the border reach a little further than what padding leaves.
        for (low, high), (first, last) in zip(
            step["sees"]["input"][1:], one["sees"]["input"][1:], strict=True
        ):
            assert low <= first and last <= high


@pytest.mark.parametrize(
    "name", ["resnet18", "googlenet", "vit-tiny", "mobilenet-v2", "lenet5-1998", "vgg11"]
)
def test_a_program_gives_each_step_alone_as_in_a_whole_pass(name):
    torch.manual_seed(2)
    module, shape = zoo.small(name)
    program, x = Program(module.eval()), RNG.standard_normal((1, *shape)).astype(np.float32)
    found = program.run(x)
    known = {step: node.value for step, node in found.layers.items() if isinstance(node.value, np.ndarray)}
    for step in list(known)[:: max(1, len(known) // 12)]:
        # An addition in place is under its new value in `known`; each step is asked for from what others gave.
        np.testing.assert_allclose(program.step(step, x, known).value, known[step], rtol=1e-4, atol=1e-5)


def test_a_step_that_is_not_there_is_named():
    module, shape = zoo.small("lenet5")
    with pytest.raises(UnknownName, match="no layer named 'nowhere'"):
        Program(module).step("nowhere", np.zeros((1, *shape), np.float32), {})


def test_cells_that_are_not_there_are_refused(opened, picture):
    looked = opened.look(picture)
    with pytest.raises(InputError, match=r"is \(5, 7, 10\) and has no cell \(5, 0, 0\)"):
        cells.answered(opened, looked, opened.names[0], [5, 0, 0])
    with pytest.raises(InputError, match="has no cell"):
        cells.answered(opened, looked, opened.names[0], [0, 0, -1])
    with pytest.raises(UnknownName, match="no layer named 'x'"):
        cells.answered(opened, looked, "x", [0, 0, 0])


def test_a_kernel_is_the_modules_weights(run, opened):
    name = opened.names[0]
    found = network.kernel(opened, name, 3)
    module = dict(run.model.network.named_modules())[name]
    assert (unpacked(found) == module.weight[3].detach().numpy()).all()
    with pytest.raises(InputError, match="has kernels 0 to 4, not 5"):
        network.kernel(opened, name, 5)
    with pytest.raises(InputError, match="has no kernels; ask for one of"):
        network.kernel(opened, opened.names[2], 0)


# ---- lessons


def test_a_lesson_is_gradient_descent_on_a_copy(run, opened, picture):
    """The same steps by hand: a deep copy, PyTorch's autograd, w <- w - lr dw."""
    before = {name: p.clone() for name, p in run.model.state_dict().items()}
    looked = opened.look(picture)
    least = int(looked.logits.argmin())
    found = lessons.answered(opened, looked, str(least), [0.003, 0.002])
    other = copy.deepcopy(run.model)
    x, true = torch.from_numpy(picture[None] / np.float32(255)), torch.tensor([least])
    losses = []
    for rate in (0.003, 0.002, None):
        other.zero_grad()
        loss = F.cross_entropy(other(x), true)
        loss.backward()
        losses.append(loss.item())
        if rate is not None:
            with torch.no_grad():
                for p in other.parameters():
                    p -= rate * p.grad
    assert [one["loss"] for one in found["path"]] == pytest.approx(losses, rel=1e-5)
    assert losses[2] < losses[1] < losses[0]
    rows = {row["name"]: row for row in found["layers"]}
    for name, module in other.network.named_modules():
        if isinstance(module, nn.Conv2d):
            norms = module.weight.grad.flatten(1).norm(dim=1).tolist()
            assert rows[name]["kernels"] == pytest.approx(norms, rel=1e-4)
    assert all(torch.equal(p, before[name]) for name, p in run.model.state_dict().items())


def test_the_gradient_of_a_map_is_a_slope_of_the_loss(opened, picture):
    """Central difference at one cell of one layer: what follows is run from a moved value."""
    name, looked = opened.names[0], opened.look(picture)
    found = lessons.answered(opened, looked, "bee", [], [name])
    row = next(row for row in found["layers"] if row["name"] == name)
    slope = (row["gradient"]["high"] - row["gradient"]["low"]) / 255 * unpacked(row["gradient"]) + row[
        "gradient"
    ]["low"]
    behind = opened.inside.parts.behind(name).eval()
    at = np.unravel_index(np.abs(slope).argmax(), slope.shape)
    value = torch.from_numpy(looked.values[name])[None].double()
    behind = copy.deepcopy(behind).double()
    ends = []
    for shift in (1e-4, -1e-4):
        moved = value.clone()
        moved[(0, *at)] += shift
        ends.append(F.cross_entropy(behind(moved), torch.tensor([1])).item())
    assert slope[at] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=0.01)
    assert np.linalg.norm(slope) == pytest.approx(np.linalg.norm(row["maps"]), rel=0.02)


@pytest.mark.parametrize(
    ("rates", "text"),
    [
        ([0.0], "above 0 and up to 100, got 0$"),
        ([0.1, -1], "above 0 and up to 100, got -1$"),
        ([float("nan")], "above 0 and up to 100, got nan$"),
        ([1e9], r"above 0 and up to 100, got 1e\+09$"),
        ([0.1] * 51, "a lesson has at most 50 steps, got 51$"),
    ],
    ids=["0", "negative", "nan", "large", "many"],
)
def test_rates_that_are_none_are_refused(opened, picture, rates, text):
    with pytest.raises(InputError, match=text):
        lessons.answered(opened, opened.look(picture), "cow", rates)


# ---- networks that answer with numbers, or hold more than layers


class Shifted(nn.Module):
    """A picture and a number for each of its pixels, that it holds itself."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1, 3, 4))
        self.answer = nn.Linear(12, 1)

    def forward(self, x):
        return self.answer((x + self.shift).flatten(1))


@pytest.fixture(scope="module")
def measuring():
    return Opened(planted(Shifted(), (1, 3, 4), (), task="regress", outputs=1))


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda o, x: lessons.answered(o, x, "1", [0.1]), "gives numbers, not classes: lessons are for networks that name"),
        (lambda o, x: questions.explained(o, x, "integrated-gradients", None, None, None), "answers with numbers and has no classes: this question is about a class"),
        (lambda o, x: questions.changed(o, x, None), "answers with numbers and has no classes: this question is about a class"),
        (lambda o, x: questions.dreamt(o, "1", None, None, 1, 0), "answers with numbers and has no classes: name --layer and --map"),
        (lambda o, x: cells.answered(o, x, "shift", [0, 0, 0]), "shift is no step that computes: .* Ask about a layer that computes"),
    ],
    ids=["lesson", "evidence", "attack", "dream", "cell of a weight"],
)  # fmt: skip
def test_what_such_a_network_cannot_be_asked_is_said(measuring, ask, text):
    looked = measuring.look(RNG.integers(0, 256, (1, 3, 4), dtype=np.uint8))
    with pytest.raises(InputError, match=text):
        ask(measuring, looked)


# ---- slow questions


def test_the_smallest_change_changes_the_answer(opened, picture):
    looked = opened.look(picture)
    found = questions.changed(opened, looked, None)
    before, after = unpacked(found["before"]), unpacked(found["after"])
    assert (before == looked.x[0]).all() and after.min() >= 0 and after.max() <= 1
    assert found["changed"] and found["way"][0]["class"] != found["way"][-1]["class"]
    assert found["length"] == pytest.approx(np.linalg.norm(after - before), rel=1e-4)
    assert found["largest"] == pytest.approx(np.abs(after - before).max(), rel=1e-4)


def test_a_change_towards_a_class_ends_there(opened, picture):
    looked = opened.look(picture)
    wanted = opened.run.classes[int(looked.logits.argmin())]
    found = questions.changed(opened, looked, wanted)
    assert found["changed"] and found["way"][-1]["class"] == wanted
    with pytest.raises(InputError, match=r"answers .* already"):
        questions.changed(opened, looked, opened.run.classes[int(looked.logits.argmax())])


def test_a_dream_raises_its_class_and_is_the_same_for_the_same_seed(opened):
    one, two, three = (questions.dreamt(opened, "bee", None, None, 20, seed) for seed in (1, 1, 2))
    assert one["value"] > one["began"]
    assert one["picture"] == two["picture"] != three["picture"]
    with pytest.raises(InputError, match="name what to dream of"):
        questions.dreamt(opened, None, None, None, 5, 0)


def test_evidence_adds_up_to_the_output(opened, picture):
    """Integrated gradients are complete: they add up to y(x) - y(black)."""
    looked = opened.look(picture)
    found = questions.explained(opened, looked, "integrated-gradients", "cow", None, None)
    with torch.no_grad():
        black = opened.run.model(torch.zeros(1, 3, 15, 22))[0, 2].item()
    heat = unpacked(found["heat"])
    assert heat.shape == (15, 22)
    assert heat.sum() == pytest.approx(looked.logits[2] - black, rel=0.02, abs=0.01)


def test_halving_finds_the_change_that_trying_all_sizes_finds(opened, picture, monkeypatch):
    looked = opened.look(picture)
    least = opened.run.classes[int(looked.logits.argmin())]
    whole = questions.changed(opened, looked, least)
    monkeypatch.setattr(network, "REPLAYED", -1)  # as of a large network
    halved = questions.changed(opened, looked, least)
    assert whole["changed"] and halved["changed"] and halved["way"][-1]["class"] == least
    # Sizes are a factor of 2 ** (9 / 23) apart; where each began at random, neighbours may get there or not.
    assert abs(np.log2(halved["largest"] / whole["largest"])) < 2 * 9 / 23


def test_halving_ends_with_the_largest_change_where_none_gets_there(opened, picture):
    looked = opened.look(picture)
    x, label = torch.from_numpy(looked.x), torch.tensor([int(looked.logits.argmax())])

    def stubborn(x):  # always the first class, whatever is shown
        return torch.tensor([[1.0, 0.0]]) + 0 * x.flatten(1).sum(1, keepdim=True)

    found = questions.smallest(stubborn, x, label * 0, 1, 2, 0, together=False)
    assert float((found - x).abs().max()) > 0.5  # of 2 ** -9 … 1, where only 0 and 1 bound what moves


def test_slow_questions_leave_the_served_network_alone(run, opened, picture):
    looked = opened.look(picture)
    run.model.train()
    modes = [m.training for m in run.model.modules()]
    questions.changed(opened, looked, None)
    assert [m.training for m in run.model.modules()] == modes
    assert all(p.requires_grad for p in run.model.parameters())
    run.model.eval()


# ---- drawings


def test_ink_is_measured_on_the_data():
    """A bar of 5 x 3 pixels, all ink: its longer side is 5, its middle that of its corners."""
    pictures = np.zeros((40, 1, 12, 9), np.uint8)
    pictures[:, 0, 4:9, 2:5] = 255  # rows 4 to 8, columns 2 to 4
    found = drawing.ink_of(Preprocess("picture", (1, 12, 9)), pictures)
    assert found == drawing.Ink(5.0, (6.0, 3.0), 40)


def test_what_is_no_ink_on_black_has_none():
    grey = Preprocess("picture", (1, 12, 9))
    assert drawing.ink_of(grey, np.full((40, 1, 12, 9), 200, np.uint8)) is None
    assert drawing.ink_of(grey, np.zeros((40, 1, 12, 9), np.uint8)) is None
    assert drawing.ink_of(Preprocess("picture", (3, 12, 9)), np.zeros((4, 3, 12, 9), np.uint8)) is None
    assert drawing.ink_of(Preprocess("vector", (3,)), None) is None


def test_without_data_mnists_habits_are_taken_for_digits():
    dark = Preprocess("picture", (1, 28, 28), mean=(0.13,), std=(0.3,))
    assert drawing.ink_of(dark, None) == drawing.Ink(20.0, (13.5, 13.5), 0)
    assert drawing.ink_of(Preprocess("picture", (1, 28, 28), mean=(0.7,), std=(0.3,)), None) is None


# ---- over HTTP


def test_the_routes_answer_about_a_sample(client):
    facts = told(client.get("/v1/network"))
    assert facts["ink"]["measured"] > 100 and facts["samples"] > 100
    maps = told(client.post("/v1/maps", json={"sample": 3}))
    assert [layer["name"] for layer in maps["layers"]] == ["input", *[row["name"] for row in facts["layers"]]]
    first = facts["layers"][0]["name"]
    cell = told(client.post("/v1/cell", json={"sample": 3, "layer": first, "index": [1, 2, 3]}))
    level = next(layer for layer in maps["layers"] if layer["name"] == first)
    assert level["low"] <= cell["value"] <= level["high"]
    lesson = told(client.post("/v1/lessons", json={"sample": 3, "class": "1", "steps": [0.01]}))
    assert lesson["path"][1]["loss"] < lesson["path"][0]["loss"]
    assert told(client.get("/v1/kernel", params={"layer": first, "map": 0}))["layer"] == first
    assert told(client.post("/v1/attacks", json={"sample": 3}))["changed"]
    assert told(client.post("/v1/dreams", params={"class": "3", "steps": 3}))["of"] == "class 3"


def test_a_dream_s_options_are_said_in_json_or_in_the_query(client):
    said = {"class": 3, "steps": 3, "seed": 2}
    one, two = client.post("/v1/dreams", json=said), client.post("/v1/dreams", params=said)
    assert told(one) == told(two) and told(one)["of"] == "class 3"
    of_map = {"layer": told(client.get("/v1/network"))["layers"][0]["name"], "map": 1, "steps": 3}
    assert of_map["layer"] in told(client.post("/v1/dreams", json=of_map))["of"]
    other = told(client.post("/v1/dreams", json={**said, "seed": 1}))
    assert other["picture"] != told(one)["picture"]


@pytest.mark.parametrize(
    "route", ["predictions", "maps", "cell", "explanations", "attacks", "lessons", "dreams"]
)
def test_an_unknown_option_is_told_the_options_that_the_document_knows(client, route):
    said = {"zzz": 1} if route == "dreams" else {"sample": 1, "zzz": 1}
    options = ", ".join(ABOUT[f"/{route}"][0])
    assert told(client.post(f"/v1/{route}", json=said), 422) == f"no option named 'zzz'. Known: {options}."


def test_options_come_in_the_query_beside_raw_bytes(client):
    png = client.get("/v1/samples/3", headers={"Accept": "image/png"}).content
    one = told(
        client.post(
            "/v1/maps?layers=input&values=float32", content=png, headers={"Content-Type": "image/png"}
        )
    )
    other = told(client.post("/v1/maps", json={"sample": 3, "layers": ["input"], "values": "float32"}))
    assert one["layers"] == other["layers"]


def test_pictures_that_are_not_square_and_rows_of_numbers_are_opened_too(client):
    facts = told(client.get("/v1/models/oblong/network"))
    _, H, W = facts["input"]
    assert H != W
    maps = told(client.post("/v1/models/oblong/maps", json={"sample": 0}))
    assert maps["layers"][0]["shape"] == facts["input"]
    assert told(client.get("/v1/models/points/network"))["kind"] == "vector"
    row = told(client.post("/v1/models/points/maps", json={"row": [0.2, -0.4]}))
    assert row["layers"][0]["of"] == [2, 1, 1]


def test_rows_of_numbers_have_no_attacks(client):
    said = told(client.post("/v1/models/points/attacks", json={"row": [0.2, -0.4]}), 422)
    assert (
        said
        == "attacks change the pixels of a picture, and mlp takes rows of numbers: ask a network that takes pictures"
    )


@pytest.mark.parametrize(
    ("route", "said", "words"),
    [
        ("maps", {"samples": [1, 2]}, "about one picture, and 2 came"),
        ("maps", {"sample": 1, "layers": ["nothing"]}, "no layer named 'nothing'"),
        ("maps", {"sample": 1, "layers": [3]}, "layers must be a list of names"),
        ("maps", {"sample": 1, "count": -2}, "count must be a number"),
        ("maps", {"sample": 1, "values": "float64"}, "values must be one of uint8, float32"),
        ("cell", {"sample": 1}, "layer must be said"),
        ("cell", {"sample": 1, "layer": "x", "index": []}, "index must be whole numbers"),
        ("cell", {"sample": 1, "layer": "x", "index": [0.5]}, "index must be whole numbers"),
        ("cell", {"sample": 1, "layer": "x", "index": [[1]]}, "index must be a list of numbers"),
        ("lessons", {"sample": 1}, "class must name the true class"),
        ("lessons", {"sample": 1, "class": "eleven"}, "no class named 'eleven'"),
        ("lessons", {"sample": 1, "class": "1", "steps": "a,b"}, "steps must be a list of numbers"),
        ("lessons", {"sample": 1, "class": True}, "class must be a class"),
        ("explanations", {"sample": 1, "method": "tea leaves"}, "no method named 'tea leaves'"),
        (
            "explanations",
            {"sample": 1, "class": "3", "contrast": "3"},
            "the class is 3, and there is no evidence for it rather than for itself",
        ),
        ("attacks", {"sample": 1, "eps": 2}, "eps must be a number from 0 to 1"),
        ("attacks", {"sample": 1, "method": "magic"}, "no attack named 'magic'"),
        (
            "explanations",
            {"sample": 1, "label": "3"},
            "no option named 'label'. Did you mean 'layer'? Known: method, class, ",
        ),
        ("predictions", {"sample": 1, "tpo": 3}, "no option named 'tpo'. Did you mean 'top'? Known: top."),
        ("dreams", {"class": "3", "step": 3}, "no option named 'step'. Did you mean 'steps'?"),
        ("dreams", {"class": "3", "steps": 0}, "steps must be a number from 1 to 512"),
        ("dreams", {"class": "3", "map": 0.5}, "map must be a whole number"),
        ("dreams", ["3"], "must be an object, {…}, not list"),
        ("dreams", {}, "name what to dream of"),
    ],
)
def test_what_cannot_be_asked_is_answered_in_words(client, route, said, words):
    assert words in told(client.post(f"/v1/{route}", json=said), 422)
