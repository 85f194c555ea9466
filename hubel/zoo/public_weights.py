"""The public weights that Hubel knows by name: whose they are, what network they fit, how pixels become its input.

Files of PyTorch's model collection carry the first eight digits of their SHA-256 in their names; each whole sum here
begins with these, and stands so in two independent lists or as the comment says. Where the size is known a file is
fetched, else the message says from where. Archives come as folders, with weights.npz inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hubel.data.published import Published

PYTORCH = "https://download.pytorch.org/models/"
ARCHIVE = "weights.npz"  # the file of an archive that holds its numbers


@dataclass(frozen=True)
class PublicWeights:
    """Weights that someone published.

    network, arguments: of the zoo, and how it must be built to compute what the publisher's did
    file: name, size (0 where unknown), SHA-256, addresses (none for an archive)
    mean, std, order: how pixels 0..1 become input, as zoo.pixels.Pixels has them;  input: the shape trained on
    """

    network: str
    file: Published
    source: str
    licence: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    input: tuple[int, int, int] = (3, 224, 224)
    classes: int = 1000
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # of ImageNet's training pictures
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    order: str = "rgb"


_HALF = (0.5, 0.5, 0.5)  # pixels as -1..1, as TensorFlow's models are fed

# Network, SHA-256, size in bytes (0 where unknown), file. The sums of resnet101, resnet152, googlenet-bn and
# inception-v3 stand in one list that we know; all begin with the digits in their names.
_FILES = """
resnet18      f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec  46830571 resnet18-f37072fd.pth
resnet34      b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f  87319819 resnet34-b627a593.pth
resnet50      0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a 102530333 resnet50-0676ba61.pth
resnet101     63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a         0 resnet101-63fe2227.pth
resnet152     394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58         0 resnet152-394f9c45.pth
alexnet-owt   7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02 244408911 alexnet-owt-7be5be79.pth
vgg16         397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0 553433881 vgg16-397923af.pth
googlenet-bn  1378be20a8e875cf1568b8a71654e704449655e34711a959a38b04fb34905cef         0 googlenet-1378be20.pth
inception-v3  0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef 0 inception_v3_google-0cc3c7bd.pth
squeezenet1_1 b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b         0 squeezenet1_1-b8a52dc0.pth
mobilenet-v2  b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889         0 mobilenet_v2-b0353104.pth
"""

# What is not as the rest has it: how pixels become input, how the network must be built.
_OTHERWISE: dict[str, dict[str, Any]] = {
    "googlenet-bn": {"mean": _HALF, "std": _HALF},
    "inception-v3": {"mean": _HALF, "std": _HALF, "input": (3, 299, 299)},
    "squeezenet1_1": {"arguments": {"ceil": True}},
    "mobilenet-v2": {"arguments": {"padding": "symmetric"}},
}


def _pytorch(network: str, sha256: str, size: str, name: str) -> PublicWeights:
    return PublicWeights(
        network, Published(name, int(size), sha256, (PYTORCH + name,)), "PyTorch's model collection (torchvision)",
        "BSD-3-Clause; trained on ImageNet-1k", **_OTHERWISE.get(network, {}),
    )  # fmt: skip


def _tensorflow(network: str, sha256: str, side: int, **arguments: Any) -> PublicWeights:
    """The norms are folded into the convolutions; class 0 is the background, then come ImageNet's 1000."""
    return PublicWeights(
        network, Published(ARCHIVE, 0, sha256, ()), "Google's quantised TensorFlow Lite models (coral)",
        "Apache-2.0; trained on ImageNet-1k", {"padding": "tensorflow", "norm": False, **arguments}, (3, side, side),
        1001, _HALF, _HALF,
    )  # fmt: skip


# Caffe's way: blue, green, red from 0 to 255, less the mean of each.
SQUEEZENET = PublicWeights(
    "squeezenet1_1", Published(ARCHIVE, 0, "327d9a474f32f88a1fd634adcba61c04d5d20170c0e1f350f96f5a22b8041494", ()),
    "the authors' Caffe model by way of DeepCognition/keras-squeezenet", "BSD-2-Clause, MIT; trained on ImageNet-1k",
    {"ceil": False}, order="bgr", mean=(103.939 / 255, 116.779 / 255, 123.68 / 255), std=(1 / 255,) * 3,
)  # fmt: skip

V1_SMALL = "b93e03fdad5915f55866478e5ca4884b58bfa77b594b525597dca957c7e6d716"
V1 = "6d0d8753bec794ff6583c42b99730db848f6c8a21853a5284f904c78d629778e"
V2 = "3c900aa00e04f28cff5e23892c2083a0a209857e1be4eba45c03d0c6b76f0e2c"

PUBLIC: dict[str, PublicWeights] = {
    **{row.split()[0]: _pytorch(*row.split()) for row in _FILES.strip().splitlines()},
    "mobilenet_v1_0.25_128": _tensorflow("mobilenet-v1", V1_SMALL, 128, width=0.25),
    "mobilenet_v1_1.0_224": _tensorflow("mobilenet-v1", V1, 224),
    "mobilenet_v2_1.0_224": _tensorflow("mobilenet-v2", V2, 224),
    "squeezenet1_1_features": SQUEEZENET,
}

# Networks that repaint a picture in one style (style_transfer.py), by the style's name; archives as the others.
STYLE_SOURCE = "the checkpoint of reiinakano/fast-style-transfer-deeplearnjs, in PyTorch's order"
STYLES: dict[str, Published] = {
    "la_muse": Published(ARCHIVE, 0, "67edda2d0a70039e02a45e407adfdbbe099d5e5d622a83309fc526edc82d3c1c", ()),
    "wave": Published(ARCHIVE, 0, "18f7d4c256dfa010a25cfdb8204ec255c79cd1e7ec308fce83fd52379c6e623c", ()),
}
