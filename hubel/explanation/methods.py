"""The questions that `hubel explain` can ask, by name. To add one: a function, and its line here."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from hubel.errors import MissingExtra, UnknownName
from hubel.explanation.finding import Finding, Item, Question
from hubel.run import Run

Asked = Callable[[Run, Sequence[Item], Question], Iterator[Finding]]


@dataclass(frozen=True)
class Method:
    """One question.

    where: "module:function" below hubel.explanation   named: whether that function is told the method's name
    needs: "picture", its findings are of single items; "data", of many together; "either", of the network, with or
        without items
    extra: the optional dependency that it stands on
    """

    summary: str
    where: str
    needs: Literal["picture", "data", "either"] = "picture"
    named: bool = False
    extra: str | None = None


WHY = "attribution:explain"
METHODS = {
    "maps": Method("feature maps of every layer", "maps:explain"),
    "filters": Method("first-layer kernels; with --layer what excites each map most", "filters:explain", "either"),
    "embed": Method("the test part in two dimensions: PCA and t-SNE of the last features", "embed:explain", "data"),
    "frequency": Method("what the first layer lets pass of each frequency", "frequency:explain", "either"),
    "saliency": Method("size of the gradient at each pixel", WHY, named=True, extra="explain"),
    "input-x-gradient": Method("gradient times pixel", WHY, named=True, extra="explain"),
    "integrated-gradients": Method("gradients along the way from a baseline", WHY, named=True, extra="explain"),
    "occlusion": Method("what the answer loses where a patch is covered", WHY, named=True, extra="explain"),
    "grad-cam": Method("where the last maps speak for the class", WHY, named=True, extra="explain"),
    "guided-grad-cam": Method("Grad-CAM at the detail of guided gradients", WHY, named=True, extra="explain"),
    "deeplift": Method("contributions against a baseline, where the network allows", WHY, named=True, extra="explain"),
}  # fmt: skip


def method(name: str) -> Method:
    """Raises UnknownName, with all names."""
    if name not in METHODS:
        raise UnknownName("method", name, METHODS)
    return METHODS[name]


def function(name: str) -> Asked:
    """What answers: (run, items, question) -> findings. Raises MissingExtra where what it needs is not installed."""
    asked = method(name)
    if asked.extra == "explain" and importlib.util.find_spec("captum") is None:
        raise MissingExtra("captum", asked.extra, f"--method {name}")
    module, _, called = asked.where.partition(":")
    found: Any = getattr(importlib.import_module(f"hubel.explanation.{module}"), called)
    return partial(found, method=name) if asked.named else found
