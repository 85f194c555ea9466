"""The questions that `hubel explain` can ask, by name. To add one: a function, and its line here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from hubel.errors import InputError, UnknownName
from hubel.explanation.finding import Finding, Item, Question
from hubel.run import Run

Asked = Callable[[Run, Sequence[Item], Question], Iterator[Finding]]


@dataclass(frozen=True)
class Method:
    """One question.

    title: over the page   summary: what it shows, after the name
    where: "module:function" below hubel.explanation   named: whether that function is told the method's name
    needs: "picture", its findings are of single items; "data", of many together; "either", of the network, with or
        without items
    answers: whether it asks for the evidence of a class, so that the network must have its last layer
    takes: which fields of a Question it heeds, beside the seed
    """

    title: str
    summary: str
    where: str
    needs: Literal["picture", "data", "either"] = "picture"
    named: bool = False
    answers: bool = False
    takes: tuple[str, ...] = ()


def _why(title: str, summary: str, *also: str) -> Method:
    takes = ("classes", "top", "contrast", "check", *also)
    return Method(title, summary, "attribution:explain", named=True, answers=True, takes=takes)


# Fields of a Question as the command line calls them.
OPTIONS = {
    "layer": "--layer",
    "map": "--map",
    "classes": "--class",
    "top": "--top",
    "contrast": "--contrast",
    "check": "--check",
}
MAPS = ("layer", "map")
METHODS = {
    "maps": Method("Feature maps", "the maps of every layer", "maps:explain", takes=MAPS),
    "filters": Method(
        "Filters", "first-layer kernels; by --layer what excites maps most", "filters:explain", "either", takes=MAPS
    ),
    "embed": Method(
        "Embedding", "many items in two dimensions, by their last features", "embed:explain", "data", takes=("layer",)
    ),
    "frequency": Method("Frequencies", "what the first layer lets pass", "frequency:explain", "either"),
    "saliency": _why("Saliency", "size of the gradient at each pixel"),
    "input-x-gradient": _why("Input × gradient", "gradient times pixel"),
    "integrated-gradients": _why("Integrated gradients", "gradients added up on the way from black"),
    "occlusion": _why("Occlusion", "what the answer loses where a patch is covered"),
    "grad-cam": _why("Grad-CAM", "where the last maps speak for the class", "layer"),
    "guided-grad-cam": _why("Guided Grad-CAM", "Grad-CAM with the detail of guided gradients", "layer"),
    "deeplift": _why("DeepLIFT", "contributions against black, where the network allows"),
}  # fmt: skip


def explain(run: Run, items: Any, method: str = "grad-cam", **asked: Any) -> list[Finding]:
    """Ask a trained network about pictures: what it sees in them, why it answers as it does.

    items: a path, bytes, Pillow picture or array, or a list of these; () where the method needs none
    method: one of METHODS   asked: fields of Question, as layer="features.3", top=3, contrast=("3", "8")
    A finding holds a picture, a caption, numbers and arrays; finding.write(findings, out, title) makes a page of them.
    Raises InputError for what the caller can mend.
    """
    listed = list(items) if isinstance(items, list | tuple) else [items]
    names = [str(item) if isinstance(item, str | Path) else f"{place}" for place, item in enumerate(listed)]
    named = [Item(name, run.pixels(item)[0]) for name, item in zip(names, listed, strict=True)]
    question = Question(**asked)
    must_take(method, question)
    return list(function(method)(run, named, question))


def method(name: str) -> Method:
    """Raises UnknownName, with all names."""
    if name not in METHODS:
        raise UnknownName("method", name, METHODS)
    return METHODS[name]


def must_take(name: str, question: Question) -> None:
    """Raises InputError where something is asked that the method would pass over."""
    usual = Question()
    for field, option in OPTIONS.items():
        if field not in method(name).takes and getattr(question, field) != getattr(usual, field):
            takers = ", ".join(other for other, known in METHODS.items() if field in known.takes)
            raise InputError(f"--method {name} takes no {option}: leave it out, or ask by {takers}")


def function(name: str) -> Asked:
    """What answers: (run, items, question) -> findings."""
    asked = method(name)
    module, _, called = asked.where.partition(":")
    found: Any = getattr(importlib.import_module(f"hubel.explanation.{module}"), called)
    return partial(found, method=name) if asked.named else found
