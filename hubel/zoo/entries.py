"""The list: every network with what it claims to be. Importing this does not import torch.

tests/zoo/test_zoo.py holds each claim. To add a network: a file beside this one, a line below.
"""

from __future__ import annotations

from hubel.zoo.entry import Entry, as_it_is, pictures, sized, within

# One cycle of Nesterov's descent with late weights averaged; the augmentation that digits bear.
FAST = {
    "optimizer": "nesterov", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch": 128, "epochs": 6,
    "schedule": "one-cycle", "warmup": 0.2, "label_smoothing": 0.05, "ema": 0.99,
}  # fmt: skip
DIGITS = {**FAST, "rotate": 8.0, "scale": 0.1, "shift": 1.5}
# No mirroring by default: it would take a sign that points left for one that points right.
COLOUR = {**FAST, "lr": 0.15, "label_smoothing": 0.1, "epochs": 22, "rotate": 8.0, "scale": 0.1, "shift": 2.0}

# What the lectures train their Keras network with; also a fair default for the historical networks.
KERAS = {
    "optimizer": "rmsprop",
    "lr": 1e-3,
    "batch": 32,
    "epochs": 2,
    "schedule": "constant",
    "weight_decay": 0.0,
}
PLAIN = {
    "optimizer": "adam",
    "lr": 1e-3,
    "batch": 128,
    "epochs": 12,
    "schedule": "cosine",
    "weight_decay": 0.0,
}

# Residual networks on small data: as COLOUR, in fewer epochs, as each costs more.
RESIDUAL = {**COLOUR, "lr": 0.05, "batch": 64, "epochs": 15}

ZOO: dict[str, Entry] = {
    "fast-digits": Entry(
        "fast:FastDigits", (1, 28, 28), 70_586, "ours",
        "the default for small grey pictures", within(4, 128), DIGITS,
        {"fast": {"epochs": 1, "batch": 64, "lr": 0.2, "weight_decay": 1e-3, "rotate": 0.0, "scale": 0.0, "shift": 0.0}}, bf16=True, few=True,
    ),
    "fast-pictures": Entry(
        "fast:FastPictures", (3, 32, 32), 292_954, "ours",
        "the default for all other pictures, seen at up to 128 pixels", within(8, 128), COLOUR, bf16=True, few=True,
    ),
    "mlp": Entry(
        "mlp:MLP", (1, 28, 28), 79_510, "Rumelhart, Hinton, Williams 1986, doi:10.1038/323533a0",
        "fully connected layers; one neuron with --hidden none", as_it_is,
        {**PLAIN, "epochs": 20},
    ),
    "lenet5": Entry(
        "lenet5:LeNet5", (1, 32, 32), 61_706, "LeCun et al. 1998, doi:10.1109/5.726791",
        "LeNet-5 in its common modern form", sized(32, 32), PLAIN,
    ),
    "lenet5-1998": Entry(
        "lenet5:LeNet5Of1998", (1, 32, 32), 60_000, "LeCun et al. 1998, doi:10.1109/5.726791",
        "LeNet-5 as published: C3 table, trainable subsampling, RBF output", sized(32, 32), {**PLAIN, "lr": 2e-3},
    ),
    "lenet5-simplified": Entry(
        "lenet5_simplified:SimplifiedLeNet5", (1, 29, 29), 134_066, "Simard, Steinkraus, Platt 2003, doi:10.1109/ICDAR.2003.1227801",
        "two strided convolutions without pooling, 29x29", sized(29, 29), PLAIN,
    ),
    "lenet-keras": Entry(
        "lenet_keras:LeNetKeras", (1, 28, 28), 931_080, "the lectures' Keras program",
        "conv 20, pool, conv 50, pool, 500", pictures, KERAS, normalize=False,
    ),
    "lenet-tf": Entry(
        "lenet_tf:LeNetTF", (1, 28, 28), 3_274_634, "TensorFlow 1 tutorial \"Deep MNIST for experts\"",
        "conv 32, pool, conv 64, pool, 1024", pictures,
        {"optimizer": "adam", "lr": 1e-4, "batch": 50, "epochs": 18, "schedule": "constant", "weight_decay": 0.0},
        normalize=False,
    ),
    # ---- residual networks
    "resnet18": Entry(
        "resnet:ResNet18", (3, 224, 224), 11_689_512, "He et al. 2015, arXiv:1512.03385",
        "18 layers, two 3x3 a unit; --arg stem=small for 32x32", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=1_814_000_000, year=2015, published="27.88 % top-1 (10 crops)",
        small={"input": (3, 33, 35), "width": 0.125, "blocks": (1, 2, 1, 1), "classes": 5},
    ),
    "resnet34": Entry(
        "resnet:ResNet34", (3, 224, 224), 21_797_672, "He et al. 2015, arXiv:1512.03385",
        "34 layers, two 3x3 a unit", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=3_664_000_000, year=2015, published="24.52 % top-1, 7.46 % top-5 (10 crops)",
        small={"input": (3, 33, 35), "width": 0.125, "blocks": (1, 2, 1, 1), "classes": 5},
    ),
    "resnet50": Entry(
        "resnet:ResNet50", (3, 224, 224), 25_557_032, "He et al. 2015, arXiv:1512.03385",
        "50 layers, bottlenecks", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=4_090_000_000, year=2015, published="22.85 % top-1, 6.71 % top-5 (10 crops)",
        small={"input": (3, 33, 35), "width": 0.125, "blocks": (1, 2, 1, 1), "classes": 5},
    ),
    "resnet101": Entry(
        "resnet:ResNet101", (3, 224, 224), 44_549_160, "He et al. 2015, arXiv:1512.03385",
        "101 layers, bottlenecks", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=7_800_000_000, year=2015, published="21.75 % top-1, 6.05 % top-5 (10 crops)",
        small={"input": (3, 33, 35), "width": 0.125, "blocks": (1, 1, 2, 1), "classes": 5},
    ),
    "resnet152": Entry(
        "resnet:ResNet152", (3, 224, 224), 60_192_808, "He et al. 2015, arXiv:1512.03385",
        "152 layers, bottlenecks", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=11_510_000_000, year=2015, published="21.43 % top-1, 5.71 % top-5 (10 crops); 3.57 % (six networks)",
        small={"input": (3, 33, 35), "width": 0.125, "blocks": (1, 1, 2, 1), "classes": 5},
    ),
}  # fmt: skip
