"""Exported networks: every one of the zoo and every rule against PyTorch, in ONNX Runtime; what a file holds and refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper
from torch import nn
from torch.nn import functional as F

import hubel
from hubel import zoo
from hubel.data import Preprocess
from hubel.errors import ArtifactError, InputError, MissingExtra
from hubel.export import NEWEST, OPSET, differences, export, written
from hubel.onnx import rules
from hubel.onnx.model import CARD, load, opened
from hubel.onnx.writer import graph_of
from hubel.run import Card, Network, Run

FULL = [
    name for name in zoo.names() if zoo.ZOO[name].parameters < 30_000_000 and max(zoo.ZOO[name].input) > 64
]


def unsettled(network: nn.Module) -> nn.Module:
    """Numbers everywhere: norms that do nothing yet, and biases that are 0, would hide what was forgotten."""
    drawn = torch.Generator().manual_seed(1)
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if name.endswith("running_var") or (tensor.dim() == 1 and name.endswith("weight")):
            tensor.data.copy_(0.5 + torch.rand(tensor.shape, generator=drawn))
        elif tensor.dim() == 1 and tensor.is_floating_point():
            tensor.data.copy_(torch.randn(tensor.shape, generator=drawn) / 10)
    return network.eval()


def made(network: nn.Module, shape: Sequence[int], classes: int, **card) -> Run:
    """A run of a network that is in hand."""
    order, mirror = card.pop("order", "rgb"), card.pop("mirror", False)
    names = tuple(map(str, range(classes)))
    kind = "picture" if len(shape) == 3 else "vector"
    prepared = Preprocess(kind, tuple(shape), **card)
    card = Card("classify", names, classes, Network("lenet5"), prepared, order, mirror)
    return Run(Path("run"), card, card.wrap(network), {})


def session_of(network: nn.Module, shape: Sequence[int], opset: int = OPSET) -> onnxruntime.InferenceSession:
    ids = [helper.make_opsetid("", opset)]
    version = helper.find_min_ir_version_for(ids)
    model = helper.make_model(graph_of(network, shape, "x", "y"), opset_imports=ids, ir_version=version)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString())


def assert_equal(network: nn.Module, shape: Sequence[int], opset: int = OPSET) -> None:
    """ONNX Runtime's answer is PyTorch's, for one and for three items, to 1e-5 of the largest number."""
    session = session_of(network.eval(), shape, opset)
    for items in (1, 3):
        x = torch.randn(items, *shape, generator=torch.Generator().manual_seed(items))
        with torch.no_grad():
            wanted = network(x.clone()).numpy()
        (found,) = session.run(None, {"x": x.numpy()})
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


# ---- networks


@pytest.mark.parametrize("name", zoo.names())
def test_every_network_answers_in_onnx_runtime_as_in_pytorch(name):
    torch.manual_seed(0)
    network, shape = zoo.small(name)
    classes = zoo.ZOO[name].small.get("classes", zoo.ZOO[name].classes)
    run = made(unsettled(network), shape, classes)
    rest = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    difference, largest = differences(run, opened(written(run), Path("x.onnx")), rest)
    assert largest > 0 and difference <= 1e-4 * largest


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_networks_of_full_size_do_too(name):
    torch.manual_seed(0)
    entry = zoo.ZOO[name]
    run = made(unsettled(zoo.create(name)), entry.input, entry.classes)
    rest = np.random.default_rng(0).integers(0, 256, (3, *entry.input), np.uint8)
    difference, largest = differences(run, opened(written(run), Path("x.onnx")), rest)
    assert largest > 0 and difference <= 1e-4 * largest


@pytest.mark.parametrize("opset", [OPSET, 21, NEWEST])
@pytest.mark.parametrize(
    "line",
    [
        "conv8x3+same bn leaky pool3/2+1 res(conv8x4+same~2 silu) gmp fc",
        "conv6x2x3/2x1+1x0 gelu lrn avgpool3/2+1 inc(conv4x1|conv4x3+1%2 sigmoid|avgpool3/1+1|pool3/1+1) tanh fc9 drop0.5 relu fc",
        "avgpool2+1 3*(conv6x3~2+same%3 bn) gap flatten fc",
    ],
)  # fmt: skip
def test_every_word_of_the_grammar_is_written_in_every_operator_set(line, opset):
    torch.manual_seed(0)
    assert_equal(unsettled(zoo.create(line, 5, (6, 13, 18))), (6, 13, 18), opset)


# ---- rules


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),       # 9 -> 5, 14 -> 8: the last window reaches over the border
        nn.MaxPool2d((2, 3), (3, 4), ceil_mode=True),
        nn.MaxPool2d(2, 1, 1, dilation=(3, 2)),
        nn.AvgPool2d(3, 2, ceil_mode=True),          # what reaches over the border does not count
        nn.AvgPool2d(4, 3, 1, ceil_mode=True),       # the padding counts, what is behind it does not
        nn.AvgPool2d(4, 3, 1, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d((2, 3), (1, 2), (1, 0)),
        nn.AdaptiveAvgPool2d((4, 5)),                # 9 to 4, 14 to 5: windows of several sizes that overlap
        nn.AdaptiveAvgPool2d((11, None)),            # more cells than there are
        nn.AdaptiveMaxPool2d((3, 7)),
        nn.AdaptiveMaxPool2d(1),
        nn.ZeroPad2d((1, 0, 2, 3)),
        nn.ZeroPad2d((-1, 2, 0, -3)),                # cut off
        nn.Conv2d(4, 6, (2, 4), padding="same", dilation=(1, 3)),
        nn.Conv2d(4, 6, 3, (2, 3), (0, 2), (2, 1), 2, bias=False),
        nn.BatchNorm2d(4, affine=False),
        nn.LayerNorm((9, 14), elementwise_affine=False),
        nn.LayerNorm(14, bias=False),
        nn.LocalResponseNorm(3, alpha=0.3, beta=0.6, k=1.5),
        nn.Linear(14, 3),
        nn.Linear(14, 3, bias=False),
        nn.LeakyReLU(0.3),
        nn.ReLU6(),
        nn.Flatten(2),
    ],
    ids=str,
)  # fmt: skip
def test_a_layer_is_what_pytorch_has(layer):
    assert_equal(unsettled(nn.Sequential(layer, nn.Tanh())), (4, 9, 14))


class Moving(nn.Module):
    """Tensors turned, cut and put together, with sizes taken from the input."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.kernel = nn.Parameter(torch.randn(4, 3, 3, 3))

    def forward(self, x):  # (N, 3, 5, 6)
        x = F.relu(F.conv2d(x, (self.kernel * 2)[1:], padding=1)) - torch.sigmoid(x).tanh() + torch.relu(x)
        x = F.avg_pool2d(x.flip(2, 3) - x / 2, (3, 1), 1, (1, 0))
        tokens = x.transpose(1, 2).reshape(x.shape[0], -1, 6)  # (N, 15, 6)
        tokens = torch.cat([tokens, self.token.expand(x.shape[0], -1, -1)], 1)  # (N, 16, 6)
        q, k = tokens.view(x.shape[0], 2, 8, 6).permute(1, 0, 2, 3)  # (N, 8, 6) each
        y = F.scaled_dot_product_attention(q, k, -k)
        return y[:, 2].unsqueeze(1).square().sum((1,), keepdim=True) + y[:, -1].unsqueeze(2).flatten(1).view(
            -1, 1, 6
        )


def test_what_is_moved_and_put_together_is_what_pytorch_has():
    torch.manual_seed(0)
    assert_equal(Moving(), (3, 5, 6))


class Asks(nn.Module):
    def __init__(self, what) -> None:
        super().__init__()
        self.what = what

    def forward(self, x):
        return self.what(x)


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (Asks(lambda x: x.cumsum(1)), "the step 'cumsum' cannot be written to ONNX: there is no rule for the method cumsum"),
        (Asks(lambda x: torch.sinh(x)), "there is no rule for the function sinh"),
        (Asks(lambda x: x[:, 1:]), r"the step 'select' cannot be written to ONNX: an indexing by slice\(1, None, None\)"),
        (Asks(lambda x: x + x.ndim), "there is no rule for the attribute ndim"),
        (nn.Sequential(nn.Hardswish()), "the step '0' cannot be written to ONNX: there is no rule for the layer type Hardswish"),
        (nn.Sequential(nn.ReLU(), nn.LocalResponseNorm(4)), "the step '1' .* over 4 maps"),
        (nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect"), "padded by 'reflect'"),
        (nn.GELU("tanh"), "a GELU approximated by tanh"),
        (nn.AdaptiveMaxPool2d((2, 3)), r"\(9, 14\) to \(2, 3\), windows of several sizes"),
        (nn.AvgPool2d(2, divisor_override=3), "a divisor of its own"),
        (nn.BatchNorm2d(4, track_running_stats=False), "keeps no statistics"),
    ],
)  # fmt: skip
def test_what_has_no_rule_is_named(network, text):
    with pytest.raises(InputError, match=text):
        graph_of(network.eval(), (4, 9, 14), "x", "y")


# ---- runs


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return hubel.train(
        "digits",
        network="fast-digits",
        epochs=1,
        precision="fp32",
        out=tmp_path_factory.mktemp("runs") / "run",
    )


def linear(rows: Sequence[Sequence[float]], shape: Sequence[int], **card) -> Run:
    """A run whose logits are sums by hand."""
    layer = nn.Linear(len(rows[0]), len(rows))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows)), layer.bias.zero_()
    return made(nn.Sequential(nn.Flatten(), layer), shape, len(rows), **card)


def test_normalisation_order_and_mirror_are_inside():
    # Channels r g b of one row of two pixels; the first output reads the left pixel of the first channel, which for
    # order bgr is blue: (0.8 - 0.2) / 0.5 = 1.2, and of the mirror image (0.6 - 0.2) / 0.5 = 0.8, their mean 1.0.
    # The second reads the right pixel of the last channel: red, (0.3 - 0.1) / 2 = 0.1 and (0.5 - 0.1) / 2 = 0.2: 0.15.
    rows = [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]]
    settled = {"mean": (0.2, 0.0, 0.1), "std": (0.5, 1.0, 2.0), "order": "bgr", "mirror": True}
    session = onnxruntime.InferenceSession(written(linear(rows, (3, 1, 2), **settled)))
    pixels = np.array([[[[0.5, 0.3]], [[9.0, 9.0]], [[0.8, 0.6]]]], np.float32)
    (logits,) = session.run(["logits"], {"pixels": pixels})
    np.testing.assert_allclose(logits, [[1.0, 0.15]], atol=1e-6)


def test_the_file_says_what_goes_in_and_what_comes_out(digits, tmp_path):
    told = export(digits, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(told.file)
    (given,), (gives,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("pixels", ["N", 1, 8, 8], "tensor(float)")
    assert (gives.name, gives.shape) == ("logits", ["N", 10])
    metadata = session.get_modelmeta().custom_metadata_map
    card = Card.from_json(metadata["hubel"], tmp_path)
    assert card == digits.card and set(json.loads(metadata["versions"])) == {
        "python",
        "hubel",
        "torch",
        "onnx",
    }
    assert (told.input_shape, told.output_shape) == (("N", 1, 8, 8), ("N", 10))
    assert told.bytes == (tmp_path / "model.onnx").stat().st_size and told.opset == OPSET
    assert told.compared == "test pictures of digits" and told.note == ""


def test_nodes_are_named_as_the_layers_and_have_their_shapes(digits):
    model = onnx.load_from_string(written(digits))
    names = {node.name for node in model.graph.node}
    assert {row.name for row in digits.layers() if row.type not in ("Dropout", "Identity")} <= names
    shapes = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in model.graph.value_info
    }
    told = {row.name: ["N", *row.output] for row in digits.layers() if row.name in shapes}
    assert len(told) > 5 and {name: shapes[name] for name in told} == told
    stored = {f"network.{tensor.name}" for tensor in model.graph.initializer}
    assert {name for name, _ in digits.model.named_parameters()} <= stored


def test_equal_runs_are_equal_bytes_without_a_place_or_a_time(digits, tmp_path):
    other = hubel.load(digits.path)
    assert written(digits) == written(other)
    content = export(digits, tmp_path / "a.onnx").file.encode()
    assert (
        content not in (tmp_path / "a.onnx").read_bytes()
        and b"/run" not in (tmp_path / "a.onnx").read_bytes()
    )


def test_layers_that_are_met_twice_are_stored_once(digits):
    mirrored = Run(
        digits.path, Card(**{**vars(digits.card), "mirror": True}), digits.card.wrap(digits.model.network), {}
    )
    mirrored.model.mirror = True
    assert len(written(mirrored)) < len(written(digits)) + 10_000


def test_a_row_of_numbers_and_a_regression(tmp_path):
    run = hubel.train("points", network="mlp", epochs=1, out=tmp_path / "run")
    told = export(run, tmp_path / "model.onnx")
    assert (told.input, told.input_shape, told.compared) == ("numbers", ("N", 2), "test vectors of points")
    (tmp_path / "line.csv").write_text("x,y\n" + "".join(f"{k},{2 * k + 1}\n" for k in range(60)))
    run = hubel.train(tmp_path / "line.csv", network="mlp", epochs=1, out=tmp_path / "line", task="regress")
    told = export(run, tmp_path / "line.onnx")
    assert told.output == "values"
    rows = np.array([[3.0], [-1.0]], np.float32)
    np.testing.assert_allclose(load(told.file).logits(rows), run.logits(rows), rtol=1e-5, atol=1e-5)


def test_where_the_data_are_gone_noise_is_compared_and_that_is_said(digits, tmp_path):
    settings = {**digits.settings, "data": {"location": str(tmp_path / "gone")}}
    told = export(Run(digits.path, digits.card, digits.model, settings), tmp_path / "model.onnx")
    assert told.compared == "noise" and "the run's data cannot be opened" in told.note and "gone" in told.note


def test_a_file_that_would_answer_otherwise_is_not_written(digits, tmp_path, monkeypatch):
    monkeypatch.setitem(rules.MODULES, nn.ReLU, rules.MODULES[nn.Sigmoid])
    with pytest.raises(
        ArtifactError, match=r"ONNX Runtime's logits differ from PyTorch's by .* was not written"
    ):
        export(digits, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_in_the_batch_axis_alone_is_found(digits, tmp_path, monkeypatch):
    # Of one item the sum over the batch is the item itself.
    def summed(w, m, x):
        return w.add("Add", w.add("Mul", x, 0.0), w.add("ReduceSum", x, np.array([0]), keepdims=1))

    monkeypatch.setitem(rules.MODULES, nn.ReLU, summed)
    with pytest.raises(ArtifactError, match="differ"):
        export(digits, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("name", "opset", "text"),
    [
        ("taken.onnx", OPSET, r"taken.onnx exists: name another file with -o, or move it away. Nothing was changed"),
        ("model.pb", OPSET, r"the file must end in .onnx"),
        ("model.onnx", 16, "--opset must be 17 to 26, got 16"),
        ("model.onnx", NEWEST + 1, "--opset must be"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_told(digits, tmp_path, name, opset, text):
    (tmp_path / "taken.onnx").write_text("mine")
    with pytest.raises(InputError, match=text):
        export(digits, tmp_path / name, opset=opset)
    assert [p.name for p in tmp_path.iterdir()] == ["taken.onnx"]
    assert (tmp_path / "taken.onnx").read_text() == "mine"


def test_weights_that_one_file_cannot_hold_are_refused(tmp_path):
    with torch.device("meta"):
        network = nn.Sequential(nn.Flatten(), nn.Linear(30_000, 20_000))
    run = made(network, (3, 100, 100), 20_000)
    with pytest.raises(
        InputError, match=r"the weights are 2,400,080,000 bytes, and one ONNX file holds at most"
    ):
        export(run, tmp_path / "model.onnx")


def test_the_extra_is_named_where_it_is_missing(digits, tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name)
    )
    with pytest.raises(InputError, match=r'export to ONNX needs onnxruntime, .* pip install .*"\.\[onnx\]"'):
        export(digits, tmp_path / "model.onnx")


# ---- answering by a file


def test_a_file_answers_as_its_run(digits, tmp_path):
    model = load(export(digits, tmp_path / "model.onnx").file)
    inputs = digits.dataset().test.inputs[:700]  # more than go through at once
    told = []
    np.testing.assert_allclose(
        model.logits(inputs, progress=lambda *at: told.append(at)),
        digits.logits(inputs),
        rtol=1e-4,
        atol=1e-4,
    )
    assert told[-1] == (len(inputs), len(inputs)) and model.classes == digits.classes
    picture = inputs[3].transpose(1, 2, 0)
    mine, its = model.predict([picture], top=10)[0], digits.predict([picture], top=10)[0]
    assert mine.answer == its.answer and [c for c, _ in mine.top] == [c for c, _ in its.top]
    assert model.logits(inputs[:0]).shape == (0, 10)


def test_answering_names_the_extra_too(digits, monkeypatch):
    content = written(digits)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r'answering by an ONNX file needs onnxruntime, .*"\.\[onnx\]"'):
        opened(content, Path("x.onnx"))


def test_files_of_others_and_damaged_ones_are_refused(digits, tmp_path):
    node = helper.make_node("Identity", ["x"], ["y"])
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "other.onnx",
    )
    with pytest.raises(ArtifactError, match="it was not written by `hubel export`"):
        load(tmp_path / "other.onnx")
    (tmp_path / "cut.onnx").write_bytes(written(digits)[:5000])
    with pytest.raises(ArtifactError, match=r"it is no ONNX file, or damaged .* Export the run again"):
        load(tmp_path / "cut.onnx")
    with pytest.raises(
        InputError, match=r"No such file or directory. `hubel export RUN -o .*gone.onnx` writes one"
    ):
        load(tmp_path / "gone.onnx")
    with pytest.raises(
        InputError, match=r"is an ONNX file, which only answers .* name the run that it was exported from"
    ):
        hubel.load(tmp_path / "other.onnx")


def with_card(content: bytes, **changes: object) -> bytes:
    """The same file with other values in its card."""
    model = onnx.load_from_string(content)
    (card,) = [prop for prop in model.metadata_props if prop.key == CARD]
    told = json.loads(card.value)
    told["preprocess"] |= changes.pop("preprocess", {})
    card.value = json.dumps(told | changes)
    return model.SerializeToString()


def test_a_card_that_is_not_of_its_file_is_damage(digits):
    content, path = written(digits), Path("x.onnx")
    with pytest.raises(
        ArtifactError,
        match=r"^x\.onnx is damaged: it takes \(1, 8, 8\), where its card says \(1, 9, 7\)\. Export the run again$",
    ):
        opened(with_card(content, preprocess={"shape": [1, 9, 7]}), path)
    model = opened(with_card(content, outputs=9, classes=list("abcdefghi")), path)
    with pytest.raises(
        ArtifactError,
        match=r"^x\.onnx is damaged: it answers 3 items with \(3, 10\), where its card says \(3, 9\)\. Export the run",
    ):
        model.logits(np.zeros((3, 1, 8, 8), np.uint8))


def test_checking_a_file_names_the_extra_too(digits, monkeypatch):
    content = written(digits)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r'answering by an ONNX file needs onnx, .*"\.\[onnx\]"'):
        opened(content, Path("x.onnx"))
