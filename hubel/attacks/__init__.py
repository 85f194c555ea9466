"""Inputs changed a little so that a network errs: for questions to a network, and for training against them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hubel.attacks.settings import METHODS as METHODS
from hubel.attacks.settings import Attack as Attack
from hubel.attacks.settings import usual_eps as usual_eps

if TYPE_CHECKING:
    from hubel.attacks.methods import Ball as Ball
    from hubel.attacks.methods import Model as Model
    from hubel.attacks.methods import attacked as attacked
    from hubel.attacks.methods import deepfool as deepfool
    from hubel.attacks.methods import fgsm as fgsm
    from hubel.attacks.methods import pgd as pgd

# Loaded when first used: a training is decided, and the command line helps, without importing torch.
_LATER = ("Ball", "Model", "attacked", "deepfool", "fgsm", "pgd")
__all__ = ["METHODS", "Attack", "Ball", "Model", "attacked", "deepfool", "fgsm", "pgd", "usual_eps"]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'hubel.attacks' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module("hubel.attacks.methods"), name)
