"""From data to a run: a recipe, a loop that yields epochs, a job that saves as it goes."""

from hubel.training.job import Job as Job
from hubel.training.job import prepare as prepare
from hubel.training.job import train as train
from hubel.training.recipe import Recipe as Recipe

__all__ = ["Job", "Recipe", "prepare", "train"]
