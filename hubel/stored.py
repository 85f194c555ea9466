"""What stored files say, looked at value by value before anything is built of it: a run's folder may be a stranger's.

A card (the metadata of model.safetensors) says which network is built, how large pictures become and what classes are
called; run.toml says what was asked for; the lines of .jsonl are numbers. What is not of the kind it should be, or
larger than anything that we write, is an ArtifactError that names the place, the value and what was expected.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.data.pictures import printable
from hubel.errors import ArtifactError, HubelError

if TYPE_CHECKING:
    from torch import nn

LARGEST = 64 << 10  # bytes of a TOML file; ours have one or two thousand
DOTS = 100  # in a line of it: the reader takes time and memory by the square of a key's parts, minutes for 100 KB
SIDE = 4096  # pixels of the network's input
COUNT = 1_000_000  # classes, columns; a setting of a network
SPARE = 64  # pixels of padding that a layer may have beyond its kernel's reach
EPOCHS = 10_000_000  # the last epoch of a training
LETTERS = 4_000  # of a name; a network in one line has as many
TABLES = ("asked", "data", "network", "recipe", "versions")


class Looked:
    """Values of one file, each asked for by its name and kind. where: the file   hint: what can be done, a sentence"""

    def __init__(self, where: Path | str, hint: str = "") -> None:
        self.where, self.hint = where, hint

    def refuse(self, name: str, value: Any, wanted: str) -> ArtifactError:
        said = (
            repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
        )
        said = f"{said[:57]}…" if len(said) > 60 else said
        return ArtifactError(
            f"{self.where} is damaged: its {printable(name)[:100]} is {printable(said)}, and should be "
            f"{wanted}{self.hint}"
        )

    def of(self, name: str, value: Any, kind: type, wanted: str) -> Any:
        """The value, if it is of that very type: True is no number."""
        if type(value) is not kind:
            raise self.refuse(name, value, wanted)
        return value

    def whole(self, name: str, value: Any, low: int, high: int) -> int:
        if type(value) is not int or not low <= value <= high:
            raise self.refuse(name, value, f"a whole number from {low} to {high}")
        return value

    def one_of(self, name: str, value: Any, known: Sequence[str]) -> str:
        if not isinstance(value, str) or value not in known:
            raise self.refuse(name, value, " or ".join(known))
        return value

    def text(self, name: str, value: Any) -> str:
        if not isinstance(value, str) or len(value) > LETTERS:
            raise self.refuse(name, value, f"a text of at most {LETTERS:,} letters")
        return value

    def texts(self, name: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) > COUNT:
            raise self.refuse(name, value, "a list of texts")
        return tuple(self.text(f"{name}, entry {n}", one) for n, one in enumerate(value))

    def numbers(self, name: str, value: Any, lengths: Sequence[int]) -> tuple[float, ...]:
        """A list of finite numbers, of one of these lengths."""
        fits = isinstance(value, list) and len(value) in lengths
        if not fits or not all(type(v) in (int, float) and abs(v) < 1e30 for v in value):
            raise self.refuse(name, value, f"a list of {' or '.join(map(str, lengths))} finite numbers")
        return tuple(map(float, value))

    def setting(self, name: str, value: Any, depth: int = 0) -> None:
        """A text, a number, yes or no, or lists of these, two deep."""
        if isinstance(value, list) and depth < 2 and len(value) <= 1000:
            for one in value:
                self.setting(name, one, depth + 1)
            return
        number = type(value) is bool or (type(value) in (int, float) and abs(value) < 2**63)
        if not number and not (isinstance(value, str) and len(value) <= LETTERS):
            raise self.refuse(name, value, "a text, a number, true or false, or a short list of these")

    def table(self, name: str, value: Any) -> dict[str, Any]:
        """A table of settings."""
        if not isinstance(value, dict) or not all(isinstance(key, str) and len(key) < 100 for key in value):
            raise self.refuse(name, value, "a table")
        for key, one in value.items():
            self.setting(f"{name}.{key}", one) if not isinstance(one, dict) else self.table(
                f"{name}.{key}", one
            )
        return value


def toml(file: Path, refuse: Callable[[str], HubelError]) -> dict[str, Any]:
    """What a TOML file says. Raises refuse(why) where it is none, or larger than settings are."""
    try:
        if file.stat().st_size > LARGEST:
            raise refuse(f"{file} has {file.stat().st_size:,} bytes; settings have at most {LARGEST:,}")
        text = file.read_text("utf-8")
        if any(line.count(".") > DOTS for line in text.splitlines()):
            raise refuse(f"{file} is damaged: it has a line of more than {DOTS} dots")
        return tomllib.loads(text)
    except (ValueError, RecursionError) as e:
        raise refuse(f"{file} is not TOML, or damaged: {printable(str(e))}") from e


def card(told: Any, where: Path | str) -> dict[str, Any]:
    """The values of a card, each of its kind and within reason; `told` is what its JSON says, the format aside."""
    look = Looked(where)
    look.of("card", told, dict, "a table")
    missing = {"task", "classes", "outputs", "network", "preprocess", "order", "mirror"} - told.keys()
    if missing:
        raise ArtifactError(f"{where} is damaged: its card says nothing of {', '.join(sorted(missing))}")
    task = look.one_of("task", told["task"], ("classify", "regress"))
    outputs = look.whole("outputs", told["outputs"], 1, COUNT)
    classes = look.texts("classes", told["classes"])
    wanted = outputs if task == "classify" else 0
    if len(classes) != wanted or len(set(classes)) != wanted or "" in classes:
        raise look.refuse("classes", told["classes"], f"a list of {wanted:,} different names")
    network = look.table("network", told["network"])
    look.text("network.name", network.get("name"))
    arguments = look.table("network.arguments", network.get("arguments"))
    for name, value in arguments.items():
        for one in value if isinstance(value, list) else [value]:
            if type(one) is int:
                look.whole(f"network.arguments.{name}", one, -1, COUNT)
    look.one_of("order", told["order"], ("rgb", "bgr"))
    look.of("mirror", told["mirror"], bool, "true or false")
    return {**told, "classes": classes, "preprocess": preprocess(told["preprocess"], look)}


def preprocess(told: Any, look: Looked) -> dict[str, Any]:
    """What becomes of a picture or a row; data.Preprocess itself knows which ways of resizing there are."""
    look.table("preprocess", told)
    kind = look.one_of("preprocess.kind", told.get("kind"), ("picture", "vector"))
    shape = told.get("shape")
    if not isinstance(shape, list) or len(shape) != (3 if kind == "picture" else 1):
        raise look.refuse(
            "preprocess.shape", shape, "channels, height and width" if kind == "picture" else "a count"
        )
    for size in shape:
        look.whole("preprocess.shape", size, 1, SIDE if kind == "picture" else COUNT)
    look.text("preprocess.resize", told.get("resize", ""))
    for name in ("mean", "std"):
        values = look.numbers(f"preprocess.{name}", told.get(name, []), (0, shape[0]))
        if name == "std" and not all(value > 0 for value in values):
            raise look.refuse("preprocess.std", told["std"], "a list of numbers above 0")
    columns = look.texts("preprocess.columns", told.get("columns", []))
    if columns and (kind == "picture" or len(columns) != shape[0]):
        raise look.refuse("preprocess.columns", told["columns"], f"a list of {shape[0]} names of columns")
    return dict(told)


def settings(told: dict[str, Any], where: Path | str) -> dict[str, Any]:
    """What run.toml says, where each table is one and each setting a plain value."""
    look = Looked(where, ". The model itself can still be loaded: name its model.safetensors")
    for name, value in told.items():
        if name in TABLES:
            look.table(name, value)
        else:
            look.setting(name, value)
    look.texts("set_by_user", told.get("set_by_user", []))
    look.whole("recipe.seed", told.get("recipe", {}).get("seed", 0), 0, 2**63 - 1)
    for name in ("name", "location"):
        look.text(f"data.{name}", told.get("data", {}).get(name, ""))
    return told


def rows(told: Sequence[Any], where: Path | str, needed: Sequence[str]) -> list[dict[str, Any]]:
    """The lines of a .jsonl: numbers by their names, nothing for NaN, and in each those that are needed."""
    look = Looked(where)
    for number, row in enumerate(told, 1):
        look.of(f"row {number}", row, dict, "numbers by their names")
        look.whole(f"epoch in row {number}", row.get("epoch", 0), 0, EPOCHS)
        for name, value in row.items():
            if value is not None and (type(value) not in (int, float) or not abs(value) < 1e30):
                raise look.refuse(f"{name} in row {number}", value, "a finite number")
        for name in needed:
            if type(row.get(name)) not in (int, float) or row[name] < 0:
                raise look.refuse(f"{name} in row {number}", row.get(name), "a number from 0")
    return list(told)


# ---- a network that a file names


@contextmanager
def no_larger_than(shapes: Mapping[str, tuple[int, ...]], where: Path | str) -> Iterator[None]:
    """While a network is built, its parameters must be among those of the file.

    A parameter is registered before its first numbers are drawn, and until then takes no memory: what a card asks for
    beyond the file's own weights is refused here, however large it is.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook

    sizes, left = set(shapes.values()), len(shapes)

    def registered(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal left
        if parameter is None:
            return
        left -= 1
        if tuple(parameter.shape) not in sizes or left < 0:
            raise ArtifactError(
                f"the weights in {where} are not of the network that it names: that has a {name} of "
                f"{tuple(parameter.shape)} in a {type(module).__name__}"
            )

    handle = register_module_parameter_registration_hook(registered)
    try:
        yield
    finally:
        handle.remove()


def check_reach(network: nn.Module, where: Path | str) -> None:
    """Raises ArtifactError where a layer would pad its input far beyond what its own kernel can see."""
    from torch import nn

    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and not isinstance(layer.padding, str):
            seen = [d * (k - 1) for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
            if any(p > s + SPARE for p, s in zip(layer.padding, seen, strict=True)) or max(seen) > SIDE:
                raise ArtifactError(
                    f"{where} is damaged: its layer {name} pads by {tuple(layer.padding)} around a kernel that sees "
                    f"{seen[0] + 1} × {seen[1] + 1}. Take the file from where it came once more"
                )
