"""Pictures and numbers in: a name or a path becomes a Source, a Source a Dataset of train, val and test."""

from hubel.data.dataset import Dataset as Dataset
from hubel.data.pictures import read_picture as read_picture
from hubel.data.preprocess import Preprocess as Preprocess
from hubel.data.records import Problem as Problem
from hubel.data.records import Source as Source
from hubel.data.records import Split as Split
from hubel.data.sources import open_source as open_source

__all__ = ["Dataset", "Preprocess", "Problem", "Source", "Split", "open_source", "read_picture"]
