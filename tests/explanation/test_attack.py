"""Pictures before and after: what is said of them agrees with what they are."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

import hubel
from hubel.attacks import Attack
from hubel.errors import InputError
from hubel.explanation.attack import amount, curve_finding, drawn, findings
from hubel.explanation.finding import Item
from hubel.explanation.robustness import Curve, Level


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return hubel.train("digits", network="fast-digits", epochs=4, out=folder, precision="fp32", threads=1)


@pytest.fixture(scope="module")
def items(run):
    test = run.dataset().test
    return [
        Item(f"{n}.png", test.inputs[n].astype(np.float32) / 255, run.classes[test.targets[n]])
        for n in range(3)
    ]


def said(run, x):
    with torch.no_grad():
        p = run.model(torch.from_numpy(np.asarray(x, np.float32))[None]).softmax(1)[0]
    return run.classes[int(p.argmax())], float(p.max())


def test_a_class_to_change_to_must_be_one_of_the_network(run, items):
    with pytest.raises(InputError, match=r"no class 10 to change to: the network has 10, 0 to 9$"):
        list(findings(run, items, Attack("targeted", 0.5, target=10)))


@pytest.mark.parametrize(
    "attack",
    [
        Attack("pgd", 0.4, steps=10),
        Attack("fgsm", 0.2),
        Attack("deepfool"),
        Attack("targeted", 0.5, target=8),
    ],
)
def test_the_numbers_are_those_of_the_pictures(run, items, attack):
    made = list(findings(run, items, attack))
    assert [f.name for f in made] == [item.name for item in items]
    for item, finding in zip(items, made, strict=True):
        n, after = finding.numbers, finding.arrays["after"]
        np.testing.assert_array_equal(finding.arrays["before"], item.x)
        assert (n["answer"], pytest.approx(n["p"], abs=1e-4)) == said(run, item.x)
        assert (n["after"], pytest.approx(n["p after"], abs=1e-4)) == said(run, after)
        assert n["linf"] == pytest.approx(np.abs(after - item.x).max())
        assert n["l2"] == pytest.approx(np.linalg.norm(after - item.x), rel=1e-5)
        wanted = n["after"] == "8" if attack.method == "targeted" else n["after"] != item.label
        assert n["flipped"] == wanted
        assert n["label"] == item.label and n["after"] in finding.title
        if attack.method != "deepfool":
            assert n["linf"] <= attack.eps and n["eps"] == attack.eps


def test_a_strong_attack_flips_every_picture_and_less_suffices(run, items):
    for finding in findings(run, items, Attack("pgd", 0.5, steps=10)):
        assert finding.numbers["flipped"] and 0 < finding.numbers["least"] < 0.5
        assert finding.image.width > finding.image.height  # four pictures side by side


def test_where_the_class_is_not_known_the_answer_is_left(run, items):
    nameless = [Item(item.name, item.x) for item in items]
    for finding in findings(run, nameless, Attack("pgd", 0.5, steps=10)):
        assert finding.numbers["after"] != finding.numbers["answer"] and "label" not in finding.numbers


def test_what_is_wrong_already_is_left_as_it_is(run, items):
    wrong = next(name for name in run.classes if name != items[0].label)
    (finding,) = findings(run, [Item("a.png", items[0].x, wrong)], Attack("pgd", 0.3, steps=3))
    assert finding.numbers["least"] == 0 and finding.numbers["linf"] == 0
    assert f"{items[0].label} without any change ({wrong} is right)" == finding.caption


def test_what_bears_everything_is_told(run, items):
    with torch.no_grad():
        kept = run.model.network.classifier.bias.clone()
        run.model.network.classifier.bias[int(items[0].label)] += 1e4
    try:
        (finding,) = findings(run, items[:1], Attack("fgsm", 0.3))
    finally:
        with torch.no_grad():
            run.model.network.classifier.bias.copy_(kept)
    assert finding.numbers["least"] is None and not finding.numbers["flipped"]
    assert "no change of any size was found" in finding.caption and f"{items[0].label} stays" in finding.title


def test_progress_is_told_on_the_way_and_modes_come_back(run, items):
    told = []
    for _ in findings(run, items, Attack("fgsm", 0.1), lambda done, of: told.append((done, of))):
        assert all(p.requires_grad for p in run.model.parameters())  # also while the caller looks at one
    done, of = zip(*told, strict=True)
    assert len(set(of)) == 1 and done[-1] == of[0]
    assert (
        list(done) == sorted(done) and len(done) > 10
    )  # after each attack of the search, not at its end alone


def test_the_curve_is_a_picture_and_numbers_and_the_same_each_time():
    found = Curve(Attack(eps=8 / 255), tuple(Level(k * 2 / 255, 100 - 20 * k, 100) for k in range(5)))
    finding = curve_finding(found, "signs", "about it")
    assert isinstance(finding.image, Image.Image) and finding.image.width > 600
    assert finding.numbers["accuracy at 4/255"] == pytest.approx(0.6)
    np.testing.assert_allclose(finding.arrays["accuracy"], [1, 0.8, 0.6, 0.4, 0.2])
    assert drawn(found) == drawn(found)


def test_the_curve_towards_a_class_shows_how_many_say_it():
    attack = Attack("targeted", 0.3, target=1)
    found = Curve(attack, tuple(Level(k / 10, 100 - 30 * k, 100, reached=20 * k) for k in range(4)))
    finding = curve_finding(found, "signs", "about it", "a $b$ <c>")
    assert finding.numbers["says a $b$ <c> at 0.2"] == pytest.approx(0.4)
    assert finding.numbers["accuracy at 0.2"] == pytest.approx(0.4)
    np.testing.assert_allclose(finding.arrays["says a $b$ <c>"], [0, 0.2, 0.4, 0.6])

    def orange(picture: bytes) -> int:
        r, g, b = np.moveaxis(np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int), 2, 0)
        return int(((r > 180) & (g < 130) & (b < 60)).sum())

    assert orange(drawn(found, "b")) > 500 and orange(drawn(found)) == 0


def test_sizes_are_told_as_they_were_asked_for():
    assert amount(8 / 255, 8 / 255) == "8/255" and amount(0.0123, 8 / 255) == "3.14/255"
    assert amount(0.2, 0.2) == "0.2" and amount(0.075, 0.3) == "0.075" and amount(0, 8 / 255) == "0"
