"""The list: every network with what it claims to be. Importing this does not import torch.

tests/zoo/test_zoo.py holds each claim. To add a network: a file beside this one, a line below.
"""

from __future__ import annotations

from hubel.zoo.entry import EVERYTHING, STEPS, Entry, Preset, as_it_is, in_steps, pictures, sized, within

# One cycle of Nesterov's descent with late weights averaged; the augmentation that digits bear.
FAST = {
    "optimizer": "nesterov", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch": 128, "epochs": 6,
    "schedule": "one-cycle", "warmup": 0.2, "label_smoothing": 0.05, "ema": 0.99,
}  # fmt: skip
DIGITS = {**FAST, "rotate": 8.0, "scale": 0.1, "shift": 1.5}
# No mirroring by default: it would take a sign that points left for one that points right.
COLOUR = {**FAST, "lr": 0.15, "label_smoothing": 0.1, "epochs": 22, "rotate": 8.0, "scale": 0.1, "shift": 2.0}

# After Jordan 2024 (arXiv:2404.00498), for a loss that is a mean: large steps of large batches; the shifts of norms,
# which no scale follows, learn 64 times as fast.
STRONG = {
    **COLOUR, "batch": 512, "lr": 0.75, "momentum": 0.85, "bias_lr": 64.0, "weight_decay": 1.33e-3, "warmup": 0.23,
    "label_smoothing": 0.2, "ema": 0.0, "epochs": 8,
}  # fmt: skip

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
# No norm keeps the rate in bounds here: Adam, and smaller steps.
SMALL = {
    **COLOUR,
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 1e-4,
    "batch": 64,
    "epochs": 20,
    "clip": 1.0,
}
ATTENTION = {**SMALL, "lr": 5e-4, "weight_decay": 0.05, "epochs": 40, "schedule": "cosine", "warmup": 0.1}

# The networks of ImageNet on small data: their own step of plain momentum would ask for a hundred passes.
LARGE = {
    "optimizer": "adamw", "lr": 2e-4, "batch": 32, "epochs": 20, "schedule": "cosine", "warmup": 0.1,
    "weight_decay": 0.05, "rotate": 8.0, "scale": 0.1, "shift": 4.0,
}  # fmt: skip
NORMED = {**LARGE, "lr": 1e-3}

ZOO: dict[str, Entry] = {
    "fast-digits": Entry(
        "fast:FastDigits", (1, 28, 28), 70_586, "ours",
        "the default for small grey pictures", within(4, 128), DIGITS,
        {
            "fast": Preset(
                {"epochs": 1, "batch": 128, "lr": 0.3, "weight_decay": 1e-3, "rotate": 0.0, "scale": 0.0, "shift": 0.0},
                {"width": 0.5},
            ),
            "accurate": Preset({"elastic": 0.5}, {"stride": 1, "stages": 3}, longer=13 / 6),
        }, bf16=True, few=EVERYTHING,
        year=2026,
    ),
    "fast-pictures": Entry(
        "fast:FastPictures", (3, 32, 32), 292_954, "ours",
        "the default for all other pictures, seen at up to 128 pixels", within(8, 128), COLOUR,
        {"accurate": Preset({}, {"width": 2.0})}, bf16=True, few=EVERYTHING,
        year=2026,
    ),
    "strong-pictures": Entry(
        "strong:StrongPictures", (3, 32, 32), 1_972_792, "ours",
        "for small colour pictures, where accuracy counts more than time", within(9, 64),
        STRONG, bf16=True, few=EVERYTHING,
        year=2026, small={"input": (3, 9, 11), "width": 0.125, "classes": 5},
    ),
    "mlp": Entry(
        "mlp:MLP", (1, 28, 28), 79_510, "Rumelhart, Hinton, Williams 1986, doi:10.1038/323533a0",
        "fully connected layers; one neuron with --hidden none", as_it_is,
        {**PLAIN, "epochs": 20},
        year=1986,
    ),
    "lenet5": Entry(
        "lenet5:LeNet5", (1, 32, 32), 61_706, "LeCun et al. 1998, doi:10.1109/5.726791",
        "LeNet-5 in its common modern form", sized(32, 32), PLAIN, few=STEPS,
        year=1998,
    ),
    "lenet5-1998": Entry(
        "lenet5:LeNet5Of1998", (1, 32, 32), 60_000, "LeCun et al. 1998, doi:10.1109/5.726791",
        "LeNet-5 as published: C3 table, trainable subsampling, RBF output", sized(32, 32), {**PLAIN, "lr": 2e-3}, few=STEPS,
        year=1998, published="0.95 % on MNIST; 0.8 % with distorted pictures added",
    ),
    "lenet5-simplified": Entry(
        "lenet5_simplified:SimplifiedLeNet5", (1, 29, 29), 134_066, "Simard, Steinkraus, Platt 2003, doi:10.1109/ICDAR.2003.1227801",
        "two strided convolutions without pooling, 29x29", sized(29, 29), PLAIN, few=STEPS,
        year=2003, published="0.4 % on MNIST (5 and 50 maps, elastic distortions)",
    ),
    "lenet-keras": Entry(
        "lenet_keras:LeNetKeras", (1, 28, 28), 931_080, "the lectures' Keras program",
        "conv 20, pool, conv 50, pool, 500", pictures, KERAS, normalize=False,
        published="0.88 % on MNIST (the lectures' run)",
    ),
    "lenet-tf": Entry(
        "lenet_tf:LeNetTF", (1, 28, 28), 3_274_634, "TensorFlow 1 tutorial \"Deep MNIST for experts\"",
        "conv 32, pool, conv 64, pool, 1024", pictures,
        {"optimizer": "adam", "lr": 1e-4, "batch": 50, "epochs": 18, "schedule": "constant", "weight_decay": 0.0},
        normalize=False,
        year=2015, published="0.8 % on MNIST",
    ),
    # ---- AlexNet, VGG, GoogLeNet, Inception
    "alexnet": Entry(
        "alexnet:AlexNet", (3, 227, 227), 60_965_224, "Krizhevsky et al. 2012, doi:10.1145/3065386",
        "the network of 2012: two groups, local response normalisation, dropout", within(67, 227), LARGE,
        classes=1000, multiply_adds=724_000_000, year=2012, published="40.7 % top-1, 18.2 % top-5 (one network, 10 crops, Table 2); 15.3 % top-5 on the test set (seven networks)",
        small={"input": (3, 67, 75), "width": 0.0625, "classes": 5},
    ),
    "alexnet-owt": Entry(
        "alexnet:AlexNetOWT", (3, 224, 224), 61_100_840, "Krizhevsky 2014, arXiv:1404.5997",
        "AlexNet in one column, which public weights fit", within(63, 224), LARGE,
        classes=1000, multiply_adds=714_000_000, year=2014, published="43.5 % top-1, 20.9 % top-5 (public weights, one crop)",
        small={"input": (3, 63, 107), "width": 0.0625, "classes": 5},
    ),
    "vgg11": Entry(
        "vgg:VGG11", (3, 224, 224), 132_863_336, "Simonyan, Zisserman 2015, arXiv:1409.1556",
        "11 layers, convolutions of 3x3 alone", within(32, 224), LARGE,
        classes=1000, multiply_adds=7_610_000_000, year=2014, published="29.6 % top-1, 10.4 % top-5 (one network, one scale, Table 3)",
        small={"input": (3, 64, 40), "width": 0.0625, "classes": 5},
    ),
    "vgg13": Entry(
        "vgg:VGG13", (3, 224, 224), 133_047_848, "Simonyan, Zisserman 2015, arXiv:1409.1556",
        "13 layers, convolutions of 3x3 alone", within(32, 224), LARGE,
        classes=1000, multiply_adds=11_310_000_000, year=2014, published="28.7 % top-1, 9.9 % top-5 (one network, one scale, Table 3)",
        small={"input": (3, 64, 40), "width": 0.0625, "classes": 5},
    ),
    "vgg16": Entry(
        "vgg:VGG16", (3, 224, 224), 138_357_544, "Simonyan, Zisserman 2015, arXiv:1409.1556",
        "16 layers, convolutions of 3x3 alone", within(32, 224), LARGE,
        classes=1000, multiply_adds=15_470_000_000, year=2014, published="25.6 % top-1, 8.1 % top-5 (one network, one scale, Table 3); 7.3 % top-5 on the test set (seven networks, Table 7)",
        small={"input": (3, 64, 40), "width": 0.0625, "classes": 5},
    ),
    "vgg19": Entry(
        "vgg:VGG19", (3, 224, 224), 143_667_240, "Simonyan, Zisserman 2015, arXiv:1409.1556",
        "19 layers, convolutions of 3x3 alone", within(32, 224), LARGE,
        classes=1000, multiply_adds=19_630_000_000, year=2014, published="25.5 % top-1, 8.0 % top-5 (one network, one scale, Table 3)",
        small={"input": (3, 64, 40), "width": 0.0625, "classes": 5},
    ),
    "vgg11-bn": Entry(
        "vgg:VGG11BN", (3, 224, 224), 132_868_840, "Simonyan, Zisserman 2015, arXiv:1409.1556",
        "11 layers, convolutions of 3x3 alone, with batch norm", within(32, 224), NORMED,
        classes=1000, multiply_adds=7_610_000_000, year=2014, published="29.6 % top-1, 10.2 % top-5 (public weights, one crop)",
        small={"input": (3, 64, 40), "width": 0.0625, "classes": 5},
    ),
    "vgg13-bn": Entry(
        "vgg:VGG13BN", (3, 224, 224), 133_053_736, "Simonyan, Zisserman 2015, arXiv:1409.1556",
        "13 layers, convolutions of 3x3 alone, with batch norm", within(32, 224), NORMED,
        classes=1000, multiply_adds=11_310_000_000, year=2014, published="28.4 % top-1, 9.6 % top-5 (public weights, one crop)",
        small={"input": (3, 64, 40), "width": 0.0625, "classes": 5},
    ),
    "vgg16-bn": Entry(
        "vgg:VGG16BN", (3, 224, 224), 138_365_992, "Simonyan, Zisserman 2015, arXiv:1409.1556",
        "16 layers, convolutions of 3x3 alone, with batch norm", within(32, 224), NORMED,
        classes=1000, multiply_adds=15_470_000_000, year=2014, published="26.6 % top-1, 8.5 % top-5 (public weights, one crop)",
        small={"input": (3, 64, 40), "width": 0.0625, "classes": 5},
    ),
    "vgg19-bn": Entry(
        "vgg:VGG19BN", (3, 224, 224), 143_678_248, "Simonyan, Zisserman 2015, arXiv:1409.1556",
        "19 layers, convolutions of 3x3 alone, with batch norm", within(32, 224), NORMED,
        classes=1000, multiply_adds=19_630_000_000, year=2014, published="25.8 % top-1, 8.2 % top-5 (public weights, one crop)",
        small={"input": (3, 64, 40), "width": 0.0625, "classes": 5},
    ),
    "googlenet": Entry(
        "googlenet:GoogLeNet", (3, 224, 224), 13_378_280, "Szegedy et al. 2015, arXiv:1409.4842",
        "Inception v1 as published, with both auxiliary classifiers", within(47, 224), LARGE,
        classes=1000, multiply_adds=1_580_000_000, year=2014, published="10.07 % top-5 (one network, one crop, Table 3); 6.67 % top-5 (seven networks, 144 crops)",
        small={"input": (3, 219, 211), "width": 0.125, "classes": 5},
    ),
    "googlenet-bn": Entry(
        "googlenet:GoogLeNetBN", (3, 224, 224), 13_004_888, "Szegedy et al. 2015, arXiv:1409.4842",
        "Inception v1 with batch norm, which public weights fit", within(47, 224), NORMED,
        classes=1000, multiply_adds=1_500_000_000, year=2014, published="30.2 % top-1, 10.5 % top-5 (public weights, one crop)",
        small={"input": (3, 80, 113), "width": 0.125, "classes": 5},
    ),
    "inception-v3": Entry(
        "inception_v3:InceptionV3", (3, 299, 299), 27_161_264, "Szegedy et al. 2016, arXiv:1512.00567",
        "windows taken apart into 1xn and nx1, with its auxiliary classifier", within(75, 299), NORMED,
        classes=1000, multiply_adds=5_710_000_000, year=2015, published="21.2 % top-1, 5.6 % top-5 (one network, one crop, Table 3); 17.2 % top-1, 3.58 % top-5 (four networks, 144 crops, Table 5)",
        small={"input": (3, 107, 123), "width": 0.125, "classes": 5},
    ),
    "inception-v4": Entry(
        "inception_v4:InceptionV4", (3, 299, 299), 42_679_816, "Szegedy et al. 2017, arXiv:1602.07261",
        "a stem with branches of its own, and more modules of each kind", within(75, 299), NORMED,
        classes=1000, multiply_adds=12_250_000_000, year=2016, published="20.0 % top-1, 5.0 % top-5 (one network, one crop, Table 2)",
        small={"input": (3, 91, 107), "width": 0.0625, "blocks": (1, 1, 1), "classes": 5},
    ),
    "inception-resnet-v2": Entry(
        "inception_v4:InceptionResNetV2", (3, 299, 299), 55_843_464, "Szegedy et al. 2017, arXiv:1602.07261",
        "Inception modules whose answers are added to their input", within(75, 299), NORMED,
        classes=1000, multiply_adds=13_150_000_000, year=2016, published="19.9 % top-1, 4.9 % top-5 (one network, one crop, Table 2)",
        small={"input": (3, 91, 107), "width": 0.0625, "blocks": (1, 1, 2), "classes": 5},
    ),
    # ---- residual networks
    "resnet18": Entry(
        "resnet:ResNet18", (3, 224, 224), 11_689_512, "He et al. 2015, arXiv:1512.03385",
        "18 layers, two 3x3 a unit; --arg stem=small for 32x32", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=1_814_000_000, year=2015, published="27.88 % top-1 (one network, 10 crops, Table 2, where shortcuts have no parameters)",
        small={"input": (3, 33, 35), "width": 0.125, "blocks": (1, 2, 1, 1), "classes": 5},
    ),
    "resnet34": Entry(
        "resnet:ResNet34", (3, 224, 224), 21_797_672, "He et al. 2015, arXiv:1512.03385",
        "34 layers, two 3x3 a unit", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=3_664_000_000, year=2015, published="24.52 % top-1, 7.46 % top-5 (one network, 10 crops, Table 3)",
        small={"input": (3, 33, 35), "width": 0.125, "blocks": (1, 2, 1, 1), "classes": 5},
    ),
    "resnet50": Entry(
        "resnet:ResNet50", (3, 224, 224), 25_557_032, "He et al. 2015, arXiv:1512.03385",
        "50 layers, bottlenecks", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=4_090_000_000, year=2015, published="22.85 % top-1, 6.71 % top-5 (one network, 10 crops, Table 3)",
        small={"input": (3, 33, 35), "width": 0.125, "blocks": (1, 2, 1, 1), "classes": 5},
    ),
    "resnet101": Entry(
        "resnet:ResNet101", (3, 224, 224), 44_549_160, "He et al. 2015, arXiv:1512.03385",
        "101 layers, bottlenecks", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=7_800_000_000, year=2015, published="21.75 % top-1, 6.05 % top-5 (one network, 10 crops, Table 3)",
        small={"input": (3, 33, 35), "width": 0.125, "blocks": (1, 1, 2, 1), "classes": 5},
    ),
    "resnet152": Entry(
        "resnet:ResNet152", (3, 224, 224), 60_192_808, "He et al. 2015, arXiv:1512.03385",
        "152 layers, bottlenecks", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=11_510_000_000, year=2015, published="21.43 % top-1, 5.71 % top-5 (one network, 10 crops, Table 3); 3.57 % top-5 on the test set (six networks, Table 5)",
        small={"input": (3, 33, 35), "width": 0.125, "blocks": (1, 1, 2, 1), "classes": 5},
    ),
    # ---- the lectures' own
    "resnet50-course": Entry(
        "resnet50_course:ResNet50OfTheCourse", (3, 64, 64), 23_546_886, "deeplearning.ai 2017, after He et al. 2015, arXiv:1512.03385",
        "ResNet-50 for 64x64 hand signs, as the course's code has it", within(37, 128),
        {**PLAIN, "batch": 32, "epochs": 20}, normalize=False, classes=6, year=2017,
        small={"input": (3, 37, 41), "width": 0.125, "blocks": (1, 2, 1, 2), "classes": 5},
    ),
    "signs-cnn": Entry(
        "signs_cnn:SignsCNN", (3, 64, 64), 1_286, "deeplearning.ai 2017, \"Convolutional neural networks\", week 1",
        "conv 8, pool 8, conv 16, pool 4, for hand signs", within(25, 128),
        {"optimizer": "adam", "lr": 0.009, "batch": 64, "epochs": 100, "schedule": "constant", "weight_decay": 0.0},
        classes=6, year=2017, published="18 % of the test signs, 6 % of the training signs",
    ),
    "alphago-policy": Entry(
        "alphago:AlphaGoPolicy", (48, 19, 19), 3_882_793, "Silver et al. 2016, doi:10.1038/nature16961",
        "5x5, eleven 3x3, 1x1 with a bias for each point of the board", pictures, {**PLAIN, "lr": 3e-4},
        classes=361, year=2016, published="44.6 % of experts' moves missed (192 maps, Extended Data Table 3); 43.0 % (256 maps, the board seen 8 ways)",
        small={"input": (4, 7, 6), "width": 0.0625, "classes": 42},
    ),
    "preact-resnet": Entry(
        "preact_resnet:PreActResNet", (3, 32, 32), 11_172_170, "He et al. 2016, arXiv:1603.05027",
        "18 layers, norm and ReLU first, for small colour pictures", within(8, 128), {**RESIDUAL, "lr": 0.1},
        year=2016, published="4.92 % on CIFAR-10 (1001 layers, Table 3)",
        small={"input": (3, 11, 14), "width": 0.125, "blocks": (1, 2, 1, 1), "classes": 5},
    ),
    # ---- for small machines
    "squeezenet1_1": Entry(
        "squeezenet:SqueezeNet11", (3, 224, 224), 1_235_496, "Iandola et al. 2016, arXiv:1602.07360",
        "fire modules: AlexNet's accuracy with a fiftieth of its parameters", within(64, 224), SMALL,
        classes=1000, multiply_adds=349_000_000, year=2016, published="42.5 % top-1, 19.7 % top-5 (version 1.0, Table 2)",
        small={"input": (3, 40, 47), "width": 0.125, "classes": 5},
    ),
    "mobilenet-v1": Entry(
        "mobilenet:MobileNetV1", (3, 224, 224), 4_231_976, "Howard et al. 2017, arXiv:1704.04861",
        "a filter on each map, then 1x1 across maps; --arg width=0.25 to 1", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=569_000_000, year=2017, published="29.4 % top-1 (Table 6)",
        small={"input": (3, 33, 40), "width": 0.125, "classes": 5},
    ),
    "mobilenet-v2": Entry(
        "mobilenet:MobileNetV2", (3, 224, 224), 3_504_872, "Sandler et al. 2018, arXiv:1801.04381",
        "inverted residuals: wide inside, narrow between", within(32, 224), RESIDUAL,
        classes=1000, multiply_adds=300_000_000, year=2018, published="28.0 % top-1 (Table 4)",
        small={"input": (3, 33, 40), "width": 0.125, "classes": 5},
    ),
    # ---- Transformers
    "vit-tiny": Entry(
        "vit:ViT", (3, 224, 224), 5_717_416, "Dosovitskiy et al. 2020, arXiv:2010.11929; Touvron et al. 2021, arXiv:2012.12877",
        "a Transformer over patches of the picture, 12 blocks of 3 heads", in_steps(16, 32, 224), ATTENTION,
        classes=1000, year=2020, published="27.8 % top-1 (DeiT-Ti of the second paper)",
        small={"input": (3, 16, 24), "patch": 8, "depth": 2, "heads": 2, "per_head": 6, "classes": 5},
    ),
}  # fmt: skip
