"""How a network is trained, as data: every setting with its unit and reason.

A recipe is layered: these defaults, then what the network is best trained with, then what the data set suggests,
then a preset, then a TOML file, then the flags. What the user sets wins, always; the final values and the names of
those that the user set are written into run.toml. Importing this does not import torch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from hubel.errors import InputError, UnknownName

OPTIMIZERS = ("gd", "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")
LOSSES = ("auto", "cross-entropy", "bce", "mse")
SCHEDULES = ("constant", "step", "cosine", "one-cycle")
PRECISIONS = ("auto", "fp32", "bf16")
KEEPS = ("auto", "last", "best")
ENGINES = ("torch", "numpy")
ADVERSARIES = ("none", "fgsm", "pgd")

# Where the user names an optimizer and no learning rate, the recipe's own rate (for another optimizer) would be wrong.
USUAL_LR = {
    "gd": 0.1, "sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "rmsprop": 1e-3, "adam": 1e-3, "adamw": 1e-3,
}  # fmt: skip

# Shares that may be all: the others would leave nothing.
WHOLE = ("warmup", "brightness", "adversarial_eps", "adversarial_step", "adversarial_warmup")

# What the settings are about; the headings of `hubel train --help`.
LENGTH, OPTIMIZER, SCHEDULE, LOSS = "Length and order", "Optimizer", "Learning rate", "Loss"
KEPT, ARITHMETIC, AUGMENT, ANSWER = "Weights kept", "Arithmetic", "Augmentation", "Answering"
TRANSFER, ADVERSARIAL = "Transfer", "Against attacks"


def setting(default: Any, group: str, help: str) -> Any:  # noqa: A002
    """A field of Recipe with what `hubel train --help` says of it: meaning, unit, reason."""
    return dataclasses.field(default=default, metadata={"group": group, "help": help})


@dataclass(frozen=True)
class Recipe:
    """The settings of one training."""

    # fmt: off
    epochs: int = setting(12, LENGTH, "passes over the train part; 0 saves the fresh network")
    batch: int = setting(128, LENGTH, "items per step; 0 = the whole train part in one step")
    seed: int = setting(0, LENGTH, "fixes split, initial weights, shuffling, dropout and augmentation")
    shuffle: bool = setting(True, LENGTH, "a new order each epoch, else the data's own")

    optimizer: str = setting("adamw", OPTIMIZER, "gd (batch gradient descent), sgd, momentum, nesterov, rmsprop, adam, adamw")
    lr: float = setting(1e-3, OPTIMIZER, "peak learning rate, for a loss that is a mean over the batch")
    momentum: float = setting(0.9, OPTIMIZER, "of momentum and nesterov")
    beta1: float = setting(0.9, OPTIMIZER, "Adam's average of the gradient")
    beta2: float = setting(0.999, OPTIMIZER, "Adam's average of its square")
    rho: float = setting(0.9, OPTIMIZER, "RMSprop's average of the squared gradient")  # Tieleman and Hinton 2012
    bias_lr: float = setting(1.0, OPTIMIZER, "rate of the biases, those of norms too, as a multiple of lr")
    weight_decay: float = setting(0.0, OPTIMIZER, "L2, decoupled in adamw; biases and norms are left out")
    clip: float = setting(0.0, OPTIMIZER, "largest norm of the whole gradient; 0 = no limit")

    freeze: str = setting("none", TRANSFER, "which layers do not learn: backbone (all but the last), or the first so many with parameters; none")
    unfreeze_at: int = setting(0, TRANSFER, "epoch from which on all layers learn; 0 = what is frozen stays so")
    head_lr: float = setting(1.0, TRANSFER, "rate of the last layer, as a multiple of lr")

    schedule: str = setting("cosine", SCHEDULE, "constant, step, cosine, one-cycle")
    warmup: float = setting(0.0, SCHEDULE, "share of all steps in which the rate rises from 0")
    milestones: tuple[float, ...] = setting((0.5, 0.75), SCHEDULE, "of step: shares of training where the rate falls")
    gamma: float = setting(0.1, SCHEDULE, "of step: by what the rate is multiplied there")

    loss: str = setting("auto", LOSS, "cross-entropy, bce (a sigmoid per class), mse; auto = cross-entropy, mse for numbers")
    label_smoothing: float = setting(0.0, LOSS, "share of the target that is spread over all classes")
    balance: bool = setting(False, LOSS, "weigh each class by 1 / its frequency")

    patience: int = setting(0, KEPT, "stop after so many epochs without a better validation loss; 0 = never")
    keep: str = setting("auto", KEPT, "weights to keep: last, or best by validation loss; auto = best with patience, else last")
    ema: float = setting(0.0, KEPT, "decay per step of an average of the weights, which is kept instead; 0 = none")

    engine: str = setting("torch", ARITHMETIC, "torch, or numpy: every step by the definitions, on the processor")
    precision: str = setting("auto", ARITHMETIC, "fp32, bf16; auto = bf16 where the machine computes it natively and the network gains")
    device: str = setting("auto", ARITHMETIC, "cpu, cuda, cuda:1, mps; auto = the fastest there is")
    threads: int = setting(0, ARITHMETIC, "processor threads; 0 = the engine's choice")
    deterministic: bool = setting(False, ARITHMETIC, "equal bytes from an equal seed on a GPU, too, at the cost of time; a processor gives them anyway")
    sync_bn: bool = setting(False, ARITHMETIC, "of several processes: batch norm over the batch of all, not over each one's share")

    shift: float = setting(0.0, AUGMENT, "move by up to so many pixels each way")
    rotate: float = setting(0.0, AUGMENT, "turn by up to so many degrees each way")
    scale: float = setting(0.0, AUGMENT, "resize by up to this share each way")
    flip: bool = setting(False, AUGMENT, "mirror each picture left-right in every second epoch")
    crop: int = setting(0, AUGMENT, "mirror the edge outwards by so many pixels, cut the size at random")
    multiscale: float = setting(0.0, AUGMENT, "enlarge by up to this share, cut the size at random (VGG)")
    elastic: float = setting(0.0, AUGMENT, "bend smoothly: deviation of the displacements, in pixels")
    cutout: int = setting(0, AUGMENT, "side of a square that is blanked, in pixels")
    brightness: float = setting(0.0, AUGMENT, "add up to this share of the full scale each way")
    colour_pca: float = setting(0.0, AUGMENT, "shift colours along their principal components (AlexNet: 0.1)")

    adversarial: str = setting("none", ADVERSARIAL, "learn from attacked pictures: fgsm (one step, fast), pgd (Madry et al.); none")
    adversarial_eps: float = setting(8 / 255, ADVERSARIAL, "largest change of a pixel, of the full scale; by default 0.3 for one channel, 8/255 for colour")
    adversarial_steps: int = setting(7, ADVERSARIAL, "gradient steps of pgd per batch; each costs about as much as a step of learning")
    adversarial_step: float = setting(0.0, ADVERSARIAL, "length of one, of the full scale; 0 = 2.5 eps / steps, of fgsm 1.25 eps")
    adversarial_warmup: float = setting(0.3, ADVERSARIAL, "share of all steps in which eps rises from 0, as a network that meets all of it at once may learn nothing")

    mirror: bool = setting(False, ANSWER, "answer with the mean over a picture and its mirror image")
    # fmt: on

    def __post_init__(self) -> None:
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("loss", self.loss, LOSSES)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("keep", self.keep, KEEPS)
        _one_of("engine", self.engine, ENGINES)
        _one_of("adversarial", self.adversarial, ADVERSARIES)
        if self.freeze not in ("none", "backbone") and not (
            self.freeze.isascii() and self.freeze.isdigit() and int(self.freeze)
        ):
            raise InputError(f"freeze is none, backbone, or a count of layers from 1 on, got {self.freeze!r}")
        at_least = {
            "epochs": 0, "batch": 0, "seed": 0, "clip": 0, "patience": 0, "weight_decay": 0, "threads": 0, "lr": 0,
            "shift": 0, "rotate": 0, "scale": 0, "crop": 0, "cutout": 0, "brightness": 0, "colour_pca": 0, "multiscale": 0, "elastic": 0,
            "unfreeze_at": 0, "head_lr": 0, "bias_lr": 0, "adversarial_steps": 1,
        }  # fmt: skip
        for name, least in at_least.items():
            if not getattr(self, name) >= least:  # `not >=` also catches NaN
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in (
            "momentum",
            "beta1",
            "beta2",
            "rho",
            "ema",
            "label_smoothing",
            "warmup",
            "scale",
            "brightness",
            "adversarial_eps",
            "adversarial_step",
            "adversarial_warmup",
        ):
            if not 0 <= getattr(self, name) <= 1 or (name not in WHOLE and getattr(self, name) == 1):
                raise InputError(f"{name} is a share and must lie in [0, 1), got {getattr(self, name)}")
        if self.seed >= 2**63:
            raise InputError(f"seed must be under 2**63, got {self.seed}")
        if self.engine == "numpy":
            self._check_numpy()

    def _check_numpy(self) -> None:
        for name, taken, why in (
            ("precision", "fp32", "NumPy has no bfloat16"),
            ("device", "cpu", "NumPy computes on the processor"),
        ):
            value = getattr(self, name)
            if value not in ("auto", taken):
                raise InputError(
                    f"--engine numpy does not go with --{name} {value}: {why}. "
                    f"Leave one of the two out, or say --{name} {taken}"
                )
        for name, usual, why in (
            ("freeze", "none", "there all layers learn alike"),
            ("head_lr", 1.0, "there all layers learn alike"),
            ("adversarial", "none", "it would take minutes a step"),
        ):
            if getattr(self, name) != usual:
                raise InputError(
                    f"--engine numpy does not go with --{name.replace('_', '-')}: {why}. Leave one of the two out"
                )

    def to_dict(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


def compose(*layers: Mapping[str, Any], user: Mapping[str, Any]) -> Recipe:
    """One recipe from layers of defaults, later ones over earlier ones, and what the user set over all.

    Two settings follow the user's choice of another one, unless they are set too: the learning rate follows the
    optimizer, and `gd` (batch gradient descent) takes the whole train part.
    """
    settings: dict[str, Any] = {}
    for layer in layers:
        settings |= layer
    chosen = user.get("optimizer")
    if chosen is not None and chosen != settings.get("optimizer") and "lr" not in user:
        _one_of("optimizer", chosen, OPTIMIZERS)
        settings["lr"] = USUAL_LR[chosen]
    if chosen == "gd" and "batch" not in user:
        settings["batch"] = 0
    return Recipe(**checked(settings | dict(user)))


# What changes where a network learns from attacked pictures: they are harder than any augmentation makes them.
AGAINST: Mapping[str, Any] = {"label_smoothing": 0.0}

FEW = 6_000  # items in the train part under which its size decides about batch and length
ENOUGH = 1_700  # steps that our small networks take to learn such a set; measured on 1,258 digits and 1,486 hand signs


def for_few(items: int, side: int) -> dict[str, Any]:
    """What changes for our own networks where there are few items to learn from: smaller steps, more passes, and
    pictures that are moved about more. side: the longer one, in pixels. Nothing where there are enough."""
    if items >= FEW:
        return {}
    batch = 32
    epochs = min(200, max(10, math.ceil(ENOUGH / max(1, items // batch))))
    settings = {"batch": batch, "lr": 0.05, "epochs": epochs, "label_smoothing": 0.1, "shift": 0.1 * side}
    if side > 16:
        settings |= {"rotate": 15.0, "scale": 0.15, "brightness": 0.2}
    return settings


def checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings with every name known and every value of its type; InputError otherwise."""
    hints = get_type_hints(Recipe)
    made: dict[str, Any] = {}
    for name, value in settings.items():
        key = name.replace("-", "_")
        if key not in hints:
            raise UnknownName("setting", name, hints)
        made[key] = _as(key, value, hints[key])
    return made


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Settings from a TOML file: either flat, or under [recipe] as in a run's own run.toml."""
    path = Path(path)
    try:
        from hubel import stored  # imports NumPy, which the help of `hubel train` has no use for

        said = stored.toml(path, lambda why: InputError(f"the recipe {why}"))
    except OSError as e:
        raise InputError(f"the recipe {path} cannot be read: {e.strerror}") from e
    settings = said.get("recipe", said)
    if not isinstance(settings, dict):
        raise InputError(f"{path}: its recipe is {settings!r:.60}, and should be a table of settings")
    return checked(settings)


def _as(name: str, value: Any, kind: Any) -> Any:
    """value as the type of its field. An int serves as a float; nothing else is bent."""
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    if get_args(kind) and isinstance(value, list | tuple):
        return tuple(_as(name, v, get_args(kind)[0]) for v in value)
    wanted = getattr(kind, "__name__", str(kind))
    raise InputError(
        f"{name} must be {'a list of numbers' if get_args(kind) else f'of type {wanted}'}, got {value!r}"
    )


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UnknownName(what, value, known)
