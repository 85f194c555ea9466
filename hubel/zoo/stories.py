"""The families of the zoo, and the story of each network in five sentences. Importing this does not import torch.

`hubel zoo` groups by these families, docs/networks.md tells these stories.
"""

from __future__ import annotations

from dataclasses import dataclass

from hubel.zoo.entries import ZOO
from hubel.zoo.entry import Entry


@dataclass(frozen=True)
class Story:
    """networks: whom it is about, members that differ in depth or size together; drawn: whose picture is shown."""

    title: str
    networks: tuple[str, ...]
    told: str
    drawn: str = ""

    @property
    def text(self) -> str:
        return " ".join(self.told.split())

    @property
    def shown(self) -> str:
        return self.drawn or self.networks[0]


@dataclass(frozen=True)
class Family:
    name: str
    stories: tuple[Story, ...]

    @property
    def networks(self) -> dict[str, Entry]:
        """Its members, in the order of the zoo."""
        named = {name for story in self.stories for name in story.networks}
        return {name: entry for name, entry in ZOO.items() if name in named}


def story_of(name: str) -> Story | None:
    """The story that a network is told in; None for a network in one line."""
    return next((s for family in FAMILIES for s in family.stories if name in s.networks), None)


OWN = Family("our own, the defaults", (
    Story("Our own for small pictures", ("fast-digits", "fast-pictures", "strong-pictures"), """
    Who comes with a folder of small pictures wants a good network in a minute or two, often without a graphics card.
    The first two are made for that: a stem, two or three stages of two 3×3 convolutions, each with batch norm and ReLU,
    and one linear layer. The pooling stands right behind a convolution, in front of norm and ReLU, which then touch a
    quarter of the numbers. Of each of the last maps only the largest value is kept, wherever it lies, so that a
    shifted picture gets nearly the same answer. The third takes its time, a quarter of an hour for 45,000 photographs
    of 32×32, and is right more often: wider stages behind a stem that whitens, whose kernels are the principal
    components of the pictures' smallest patches, found in the data before the first step.
    """),
    Story("Fully connected layers", ("mlp",), """
    One neuron draws a straight line between two classes, and a layer of hidden ones lets the line bend. How to tell a
    hidden neuron what it did wrong was for long the open question. Rumelhart, Hinton and Williams showed in 1986 how
    well the chain rule answers it, from the error back through layer after layer. To this network a picture is only a
    row of numbers: shuffle the pixels of all pictures in the same way, and it learns as well as before. What
    convolutions have over it is what they know about neighbours before the first step.
    """),
))  # fmt: skip

LENET = Family("LeNet", (
    Story("LeNet-5 as published", ("lenet5-1998",), """
    In the nineties networks of this kind read the cheques of banks, several million a day. Three ideas come together
    in it: small windows on neighbouring pixels, the same weights everywhere in the picture, and maps that become
    coarser from layer to layer. Subsampling is learnt, with a coefficient and a bias for each map, and a table says
    which maps each map of the third layer may see, so that they do not all learn the same. The ten outputs are
    distances to small drawn characters of 7×12 cells, and the nearest one is the answer. All of it has exactly 60,000
    trainable numbers, a quarter of a megabyte, and misreads fewer than one digit in a hundred.
    """),
    Story("LeNet-5 as it is written today", ("lenet5",), """
    A textbook that says LeNet-5 mostly means this: two convolutions, two poolings and three full layers. Time has made
    it simpler, for the third layer sees all maps of the second, and the pooling is a plain mean. The outputs are
    logits with a softmax behind them, so that it learns by the same loss as every later network. That costs 1,706
    parameters more than the published form has. It is a good first network to follow with a pencil, and `hubel walk`
    leads from any of its cells back to the pixels.
    """),
    Story("The simplified LeNet-5", ("lenet5-simplified",), """
    Simard, Steinkraus and Platt asked in 2003 how much of LeNet one can do without. They left out the pooling: a 5×5
    window that moves two cells at a time sees as much, and halves the map in the same step. More than by the network
    they gained by the data, each digit bent elastically as another hand might have written it. The lectures count its
    weights one by one, a bias for each slice of a kernel, and in that form it stands here. Its input has 29×29 pixels,
    a digit of 28×28 and one more row and column of zeros, because then both strides come out even.
    """),
    Story("The lectures' Keras program", ("lenet-keras",), """
    The first complete program of the lectures is this network, written in Keras in a dozen lines. It is LeNet grown
    with the years: 20 and 50 maps, ReLU for tanh, the maximum for the mean, and 500 hidden units. Nearly all of its
    parameters stand in one matrix, from the 1,800 numbers of the last maps to the hidden layer. Two epochs of RMSprop
    are enough to read about 99 of 100 digits. Its first convolution has no padding and the second has, an odd mixture
    that we keep because the published count depends on it.
    """),
    Story("TensorFlow's tutorial", ("lenet-tf",), """
    Many people met convolutions through a tutorial of the first TensorFlow, "Deep MNIST for experts". With 32 and 64
    maps and a hidden layer of 1,024 units it spends three million parameters on digits of 28×28 pixels. As it could
    learn so few pictures by heart, every second hidden unit is left out at random in each step of training. Biases
    begin slightly positive, so that no ReLU is silent from the first step on. The tutorial takes 20,000 steps of 50
    pictures with a small rate of Adam, and the recipe here is as long.
    """),
))  # fmt: skip

ALEXNET = Family("AlexNet, VGG", (
    Story("AlexNet", ("alexnet",), """
    In 2012 this network won the ImageNet contest by more than ten points, and within two years all of computer vision
    worked as it did. Few of its parts were new, but it was large, it learnt from more than a million pictures, and two
    graphics cards made that possible in a week. As neither card could hold all of it, its maps are split into two
    groups that meet in some of the layers only. ReLU let it learn several times faster than tanh would have, and
    dropout kept its two layers of 4,096 units from learning the pictures by heart. The paper says 224 pixels, but only
    227 give the 55 cells that its figure shows.
    """),
    Story("AlexNet in one column", ("alexnet-owt",), """
    Two years later Krizhevsky described AlexNet again, for a paper about something else. It asks how many graphics
    cards share the work best, and answers that convolutions should share the pictures and full layers the weights.
    The network in it is a single column without groups and without local normalisation, and has fewer maps in its
    first layers. Most libraries mean this one when they say AlexNet, and trained weights exist for it. Its last maps
    are averaged to 6×6 cells, so that it takes pictures of other sizes as well.
    """),
    Story("VGG", ("vgg11", "vgg13", "vgg16", "vgg19", "vgg11-bn", "vgg13-bn", "vgg16-bn", "vgg19-bn"), """
    Simonyan and Zisserman wanted to know what depth alone does, and kept everything else the same: windows of 3×3,
    poolings of 2×2, and twice as many maps after each halving, up to 512. Two such windows see what one of 5×5 sees
    and three what one of 7×7 sees, with fewer weights and one more ReLU each time. From 11 layers to 16 the error
    falls, and at 19 it hardly falls any more. In the contest of 2014 VGG came second, and yet its plain form made it
    the network from which others took features for years. Most of its parameters stand in the first full layer; in the
    members with `-bn` a batch norm behind each convolution makes the training easier.
    """, drawn="vgg16"),
))  # fmt: skip

INCEPTION = Family("Inception", (
    Story("GoogLeNet", ("googlenet",), """
    GoogLeNet won the contest of 2014, deeper than those before it and yet with far fewer parameters than AlexNet. Each
    of its nine modules does not choose a size of window but takes 1×1, 3×3, 5×5 and a pooling side by side, and puts
    their maps behind each other. In front of the larger windows a 1×1 convolution makes few maps of many, without which
    the sum could not be paid. Behind the last module each map is averaged to one number, and the huge layers of AlexNet
    and VGG are not needed. Two small classifiers on the way give early modules an error of their own while training,
    and are left out in use.
    """),
    Story("GoogLeNet with batch norm", ("googlenet-bn",), """
    The trained weights that can be had for GoogLeNet do not fit the network of the paper. They belong to a later form,
    in which a batch norm follows each convolution and the local normalisation is gone. Its third branch has a 3×3
    window where the paper has 5×5, a slip that was found when the weights were long in use. So the two forms stand
    here side by side, and the table shows what the slip costs and saves. With its norms this is also the easier one to
    train from the beginning.
    """),
    Story("Inception-v3", ("inception-v3",), """
    A year after GoogLeNet its authors asked of every multiplication what it was good for. They took windows apart: 5×5
    into two of 3×3, and n×n into 1×n and n×1 in a row, which see the same for a fraction of the cost. Where maps are
    halved, a pooling and a convolution do it side by side, so that nothing has to pass through a narrow place. A batch
    norm follows each convolution, and the labels are smoothed: the right class is asked for a little less than all of
    the probability. The network that was released is not quite that of the paper's table, and as all weights fit the
    released one, it is the one that stands here.
    """),
    Story("Inception-v4", ("inception-v4",), """
    By 2016 much in the Inception networks had historical reasons, as they had once been cut into pieces to be trained
    on many machines. New software did that without cuts, and version 4 could be drawn anew, larger and more regular.
    Already its stem forks, with pooling beside convolution and short ways beside long ones. Then come four modules at
    35×35 cells, seven at 17×17 and three at 8×8, with two between them that halve. The paper asks whether such networks
    need shortcuts, and this is the one without.
    """),
    Story("Inception-ResNet-v2", ("inception-resnet-v2",), """
    Residual networks had just won, when the authors of Inception put the same shortcuts around their own modules. Each
    module now computes what is added to its input, and a 1×1 convolution without ReLU brings it to the right number of
    maps. With very many maps such networks died early in training and answered zero from then on, until each addition
    was scaled down to a tenth or a few of them. It learns much faster than version 4 and ends only a little better:
    shortcuts help the training more than the answer. The released network is larger than the one in the paper, and
    stands here.
    """),
))  # fmt: skip

RESNET = Family("ResNet", (
    Story("ResNet", ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), """
    From some depth on, more layers make a plain network worse, even on the pictures that it learns from. He, Zhang, Ren
    and Sun let every two or three layers compute only a difference, which is added to their input. A unit that has
    nothing to say can answer zero, and the gradient has a way back on which no weight stands. From 50 layers on a unit
    is a bottleneck, with 1×1 convolutions that lead into few maps and out again, so that 152 layers cost less than the
    16 of VGG. With them the error in the contest fell below four percent in 2015, and hardly any deep network since has
    been without that sum.
    """, drawn="resnet50"),
    Story("ResNet with the norm in front", ("preact-resnet",), """
    The same authors then followed the identity through their network and found a ReLU in its way. They put norm and
    ReLU in front of each convolution, and now nothing at all happens to what is handed past. The input of any unit is a
    plain sum of what all units before have given, and its gradient goes back to each of them undivided. So they could
    train 1,001 layers on pictures of 32×32, and more depth was still better. Ours has 18 layers, a stem of 3×3 and no
    early pooling, which is about what small colour pictures need.
    """),
    Story("A course's ResNet-50", ("resnet50-course",), """
    A course of 2017 let its students write a residual network themselves, for pictures of hands that show 0 to 5. It is
    ResNet-50 for 64×64 pixels: the same stages, with a last pooling that leaves a single cell. Of the last stage the
    course's prose says one thing and its code another, and we follow the code. Keras counts 23,600,006 parameters, as
    it takes what the norms remember for some; those that learn are fewer. For a thousand or two of pictures it is a
    very large network, and so a good one to find out what augmentation is worth.
    """),
))  # fmt: skip

SMALL = Family("small and fast", (
    Story("SqueezeNet 1.1", ("squeezenet1_1",), """
    How small may a network be that answers as well as AlexNet? This one has a fiftieth of the parameters, and with
    compressed weights its authors stored it in half a megabyte. Its fire modules squeeze many maps into few by 1×1, and
    widen them again by 1×1 and 3×3 side by side. Version 1.1 pools earlier than 1.0 and begins with smaller windows,
    which makes it more than twice as cheap. It has no full layer at all: the last convolution gives a map for each
    class, and its mean is the answer.
    """),
    Story("MobileNet v1", ("mobilenet-v1",), """
    Howard and his colleagues wanted networks that answer on a telephone while somebody waits. They divide each
    convolution into two steps, a 3×3 filter on every map by itself and a 1×1 convolution that mixes the maps. That
    takes an eighth or a ninth of the multiplications and costs about one point of accuracy. Nearly all work is then in
    the 1×1 convolutions, which are plain products of matrices and fast on any machine. Two numbers make it smaller
    still: the width of its layers, as `--arg width=0.25`, and the size of the picture.
    """),
    Story("MobileNet v2", ("mobilenet-v2",), """
    Version 2 turns the bottleneck of ResNet inside out. Between its units there are few maps and inside six times as
    many, and the cheap filter on single maps works where they are many. The shortcuts join the narrow places, so that
    little has to be kept in memory. Behind the last convolution of a unit there is no ReLU, for what it would cut off
    in so few maps could not be found again elsewhere. With about half of the multiply-adds it makes fewer mistakes than
    version 1.
    """),
    Story("A course's first network", ("signs-cnn",), """
    A course of 2017 has this as its first exercise with convolutions, on pictures of hands that show 0 to 5. Two
    convolutions and two very large poolings leave 64 numbers of a picture, which one full layer turns into six logits.
    All of its parameters could be printed on a page or two. Trained for a hundred epochs of Adam it knows most of the
    signs that it has seen, and clearly fewer of those that it has not. So it shows what overfitting is before anyone
    had to wait for it.
    """),
))  # fmt: skip

OTHERS = Family("others", (
    Story("AlphaGo's policy network", ("alphago-policy",), """
    AlphaGo was the first program that won against a professional player of Go, and this network proposes its moves. It
    sees the board as a picture of 19×19 points in 48 planes: stones, liberties, ladders, how long ago a move was made.
    From 30 million positions of strong players it learnt to name the move that followed. No layer makes the maps
    smaller, as every point of the board counts, and the last convolution gives each point one logit with a bias of its
    own. Later it went on by playing against earlier versions of itself.
    """),
    Story("Vision Transformer", ("vit-tiny",), """
    In 2020 pictures were given to a network that had been made for sentences. A picture becomes 196 patches of 16×16
    pixels, each treated as a word, and twelve blocks of attention let each patch look at all others. Nothing in it
    knows what neighbours are: where a patch lies is a learnt vector, and from the first block on every token may depend
    on the whole picture. With a very large collection that is an advantage and with a small one a burden, until Touvron
    and his colleagues showed how augmentation lightens it. The tiny size has three heads in each block, and is the one
    that a small machine can train.
    """),
))  # fmt: skip

FAMILIES = (OWN, LENET, ALEXNET, INCEPTION, RESNET, SMALL, OTHERS)
