"""The table of a network, against running it: shapes by hooks, receptive fields by where the gradient lies."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import hubel
from hubel import zoo
from hubel.errors import InputError
from hubel.shapes import Field
from hubel.zoo.describe import layers, parameters, settings
from hubel.zoo.entries import ZOO

# One-line networks with what the papers' do not have: rectangular windows, dilation, stride in a branch, nesting.
LINES = [
    "conv4x3x5/2x1+1x0 conv4x3~2 pool3x2/1x2 conv4x5x1/3+2x0 fc",
    "conv4x3+1 res(conv6x3/2+1 conv6x5+same) inc(conv4x1 | conv3x5+same | pool3/1+1 conv2x3+same | avgpool5/1+2) conv4x3/2 fc",
    "inc(inc(conv2x3+same | conv2x1x7+same) conv3x3 | conv3x3~1) conv4x3 gap fc4 fc",
    "conv3x7/4+3 2*(pool3/2 conv4x3+same) fc",
]  # fmt: skip


def positive(network: nn.Module) -> nn.Module:
    """A copy in which nothing cancels: positive weights, means for maxima, no activation, norms that only scale."""
    net = copy.deepcopy(network).double().eval()
    for path, module in list(net.named_modules()):
        parent = net.get_submodule(path.rpartition(".")[0])
        name = path.rpartition(".")[2]
        if isinstance(module, nn.MaxPool2d):
            setattr(
                parent,
                name,
                nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode),
            )
        elif isinstance(module, nn.AdaptiveMaxPool2d):
            setattr(parent, name, nn.AdaptiveAvgPool2d(module.output_size))
        elif type(module).__module__ == "torch.nn.modules.activation" or isinstance(
            module, nn.LocalResponseNorm
        ):
            setattr(parent, name, nn.Identity())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(
                (torch.rand(p.shape, generator=generator, dtype=torch.float64) + 0.5) / max(1, p[0].numel())
            )
    return net


def outputs(network: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each module gave, the last time it was met."""
    found: dict[str, torch.Tensor] = {}
    handles = [
        module.register_forward_hook(lambda _m, _i, y, name=name: found.update({name: y}))
        for name, module in network.named_modules()
        if name and not isinstance(module, nn.Sequential)
    ]
    network(x)
    for handle in handles:
        handle.remove()
    return found


def check_fields(network: nn.Module, shape: tuple[int, ...], most: int = 14) -> int:
    """Every claim about `most` layers against the support of the gradient of their first, middle and last cell.

    Where a field lies within the picture it must be met exactly. One that reaches over an edge may end earlier: pixels
    that no stride reaches are claimed for the padding behind them.
    """
    net = positive(network)
    claims = [row for row in layers(net, shape) if row.sees is not None and not row.idle]
    unknown = {row.type for row in claims if None in row.sees}
    assert unknown <= {"AdaptiveAvgPool2d"}  # where the sizes do not divide
    claims = [row for row in claims if None not in row.sees]
    x = torch.rand(
        1, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True
    )
    given = outputs(net, x)
    again = {
        row.name.partition("#")[0] for row in claims if "#" in row.name
    }  # of these the last output is given
    claims = [row for row in claims if row.name in given.keys() - again and len(row.output) in (1, 3)]
    claims = [row for row in claims if row.type != "ZeroPad2d"]  # a cell of padding sees nothing
    checked = 0
    for row in [*claims[:: max(1, len(claims) // most)], *claims[-3:]]:
        y = given[row.name]
        assert tuple(y.shape[1:]) == row.output
        sizes = y.shape[2:] if y.dim() == 4 else (1, 1)
        for i, j in {(0, 0), (sizes[0] // 2, sizes[1] // 2), (sizes[0] - 1, sizes[1] - 1)}:
            one = y[0, :, i, j].sum() if y.dim() == 4 else y.sum()
            (dx,) = torch.autograd.grad(one, x, retain_graph=True)
            for axis, place in ((0, i), (1, j)):
                met = dx[0].abs().sum((0, 2 - axis)).nonzero().flatten().tolist()
                field, side = row.sees[axis], shape[1 + axis]
                begin, end = (
                    field.offset + place * field.stride,
                    field.offset + place * field.stride + field.size,
                )
                assert met[0] == max(0, begin), (row, place)
                assert met[-1] < end and (end > side or met[-1] == end - 1 or field.stride == 0), (row, place)
                checked += 1
    return checked


@pytest.mark.parametrize("name", [n for n in hubel.names() if len(ZOO[n].input) == 3 and n != "mlp"])
def test_receptive_fields_are_where_the_gradient_lies(name):
    torch.manual_seed(0)
    net, shape = zoo.small(name)
    assert check_fields(net, shape) > 8


@pytest.mark.parametrize("line", LINES)
def test_receptive_fields_of_branches_and_rectangles(line):
    assert check_fields(zoo.create(line, 3, (2, 45, 38)), (2, 45, 38), most=40) > 8


def test_stacks_see_what_the_lectures_say():
    rows = {r.name: r for r in layers(zoo.create("3*(conv4x3+same relu) fc", 3, (1, 20, 30)), (1, 20, 30))}
    sizes = [rows[f"0.{n}.0"].sees[0].size for n in range(3)]
    assert sizes == [3, 5, 7]  # two 3x3 see 5x5, three 7x7
    assert rows["2"].sees == (Field(20, 0, 0), Field(30, 0, 0))


def test_a_join_sees_the_union_of_its_branches():
    # 3x3 begins at -1 and is 3 wide, 1x7 begins at -3 and is 7 wide: together 3 high and 7 wide
    net = zoo.create("inc(conv2x3+same | conv2x1x7+same) fc", 3, (1, 9, 9))
    cat = next(r for r in layers(net, (1, 9, 9)) if r.type == "cat")
    assert cat.sees == (Field(3, 1, -1), Field(7, 1, -3))


class Functions(nn.Module):
    """The same steps as layers and as functions, and one that no rule knows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 1, 3, 5))
        self.part = nn.Linear(4, 3)

    def forward(self, x):
        y = F.conv2d(x, self.weight, None, 2, (1, 2))
        y = F.avg_pool2d(F.max_pool2d(F.relu(y), 2), kernel_size=3, stride=1, padding=1)
        gate = torch.sigmoid(y.mean((2, 3), keepdim=True))
        return self.part((y * gate + y).amax(dim=(2, 3)))


def test_functions_are_rows_with_fields_and_work():
    net = Functions()
    rows = {r.name: r for r in layers(net, (1, 24, 20))}
    assert list(rows)[:2] == ["weight", "conv2d"]
    assert (rows["weight"].parameters, rows["weight"].sees) == (60, None)
    # conv: 3x5/2 from -1,-2; maximum of 2x2/2: + 1*2; mean of 3x3: + 2*4, begins 4 earlier
    assert rows["conv2d"].sees == (Field(3, 2, -1), Field(5, 2, -2))
    assert rows["max_pool2d"].sees == (Field(5, 4, -1), Field(7, 4, -2))
    assert rows["avg_pool2d"].sees == (Field(13, 4, -5), Field(15, 4, -6))
    (times,) = (r for r in rows.values() if r.type.startswith("mul"))
    assert times.sees == rows["part"].sees == (Field(24, 0, 0), Field(20, 0, 0))
    assert rows["conv2d"].multiply_adds == 60 * 12 * 10 and rows["conv2d"].inputs == ("input", "weight")
    assert rows["add"].inputs == (times.name, "avg_pool2d")
    assert sum(r.parameters for r in rows.values()) == parameters(net)


def test_what_no_rule_knows_is_not_guessed():
    class Turned(nn.Module):
        def forward(self, x):
            return x.flip(2) + x

    assert [r.sees for r in layers(Turned(), (1, 4, 6))] == [(None, None)] * 2


@pytest.mark.parametrize("name", hubel.names())
def test_the_rows_are_what_happens(name):
    net, shape = zoo.small(name)
    net.eval()
    given = outputs(net, torch.rand(1, *shape))
    rows = layers(net, shape)
    # A row without a module is a function; one whose module was used twice is called "name#2".
    shared = {r.name for r in rows if r.name in given} & {r.name.split("#")[0] for r in rows if "#" in r.name}
    assert {r.name: r.output for r in rows if r.name in given and r.name not in shared} == {
        r.name: tuple(given[r.name].shape[1:]) for r in rows if r.name in given and r.name not in shared
    }
    assert sum(r.parameters for r in rows) == parameters(net)
    assert net.training is False and not any(m._forward_hooks for m in net.modules())


@pytest.mark.parametrize("name", [n for n in hubel.names() if ZOO[n].multiply_adds])
def test_multiply_adds_are_the_published_ones(name):
    with torch.device("meta"):
        net = zoo.create(name)
    work = sum(r.multiply_adds for r in layers(net, ZOO[name].input))
    assert work == pytest.approx(ZOO[name].multiply_adds, rel=0.01)


def test_products_are_counted_once_per_position():
    def work(module, shape):
        return sum(r.multiply_adds for r in layers(nn.Sequential(module), shape))

    # weights 6*(4/2)*3*5 at (7-3+1)*(9-5+1) places;  a transposed one at each of the 7*9 cells that come in
    assert work(nn.Conv2d(4, 6, (3, 5), groups=2), (4, 7, 9)) == 180 * 5 * 5
    assert work(nn.ConvTranspose2d(4, 6, (3, 5), stride=2), (4, 7, 9)) == 360 * 63
    assert work(nn.Linear(4, 6), (5, 4)) == 24 * 5  # of five tokens each
    assert work(nn.BatchNorm2d(4), (4, 7, 9)) == 0

    class Pairs(nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x, x * 2, x * 3) + torch.matmul(
                torch.matmul(x, x.transpose(1, 2)), x
            )

    # 5 tokens of 4 numbers: 5*5 scores of 4 products, then 5*4 sums of 5 products; and by hand the same again
    assert work(Pairs(), (5, 4)) == 2 * (5 * 5 * 4 + 5 * 4 * 5)


def test_memory_is_what_is_written():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(70, 3)
    )
    memory = [r.memory for r in layers(net, (1, 7, 9))]
    assert memory == [
        4 * 2 * 5 * 7,
        0,
        4 * 70,
        0,
        0,
        12,
    ]  # in place, a view, and dropout in use write nothing


def test_nothing_is_computed():
    with torch.device("meta"):
        net = zoo.create("vgg16")
    rows = layers(net, (3, 224, 224))
    assert all(p.is_meta for p in net.parameters())
    assert rows[-1].output == (1000,) and sum(r.parameters for r in rows) == 138_357_544


def test_shared_weights_count_once():
    layer = nn.Linear(4, 4)
    rows = layers(nn.Sequential(layer, nn.ReLU(), layer), (4,))
    assert [r.parameters for r in rows] == [20, 0, 0] and rows[2].name == "0#2"


def test_parts_that_rest_in_use_have_their_row():
    net = zoo.create("googlenet", **zoo.ZOO["googlenet"].small)
    resting = [r for r in layers(net, zoo.small("googlenet")[1]) if r.idle]
    assert [r.name for r in resting] == ["aux1", "aux2"]
    assert [r.parameters for r in resting] == [parameters(net.aux1), parameters(net.aux2)]


@pytest.mark.parametrize(
    ("module", "said"),
    [(nn.Conv2d(1, 1, 3), "3x3"), (nn.Conv2d(4, 8, (1, 7), (2, 1), (0, 3), 2, 4), "1x7/2x1+0x3~2%4"),
     (nn.MaxPool2d(2), "2x2"), (nn.MaxPool2d(3, 2, 1), "3x3/2+1"), (nn.AvgPool2d(3, 1), "3x3/1"),
     (nn.Conv2d(1, 1, 3, padding="same"), "3x3+same"), (nn.ReLU(), "")],
)  # fmt: skip
def test_windows_are_said_in_the_words_of_a_line(module, said):
    assert settings(module) == said


def test_an_input_that_does_not_fit_is_named():
    with pytest.raises(InputError, match=r"the step '1' cannot take what arrives there \(2x5x7\)"):
        layers(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(4, 2)), (1, 7, 9))
