"""Each cell's working comes to what stands in the node, and says which numbers went in."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hubel import definitions
from hubel.definitions import ShapeError, Tape
from hubel.replay.cells.rules import RULES, cell

draw = np.random.default_rng(5)


def some(*shape):
    return draw.standard_normal(shape)


def positive(*shape):
    return draw.uniform(0.1, 2.0, shape)


def shares(*shape):
    x = positive(*shape)
    return x / x.sum(-1, keepdims=True)


TIED = np.array([[[[1.0, 3.0, 3.0, 0.0], [3.0, 2.0, 3.0, -1.0]]]])
X, ROW = some(2, 4, 6, 5), some(2, 4, 9)
# operation -> (arrays, settings) ...: H != W, strides that do not divide, sides of padding that differ, groups.
CASES = {
    "conv2d": [
        ((X, some(6, 2, 3, 2), some(6)), {"stride": (2, 3), "padding": ((1, 0), (2, 1)), "groups": 2}),
        ((X, some(3, 4, 2, 3)), {"dilation": (3, 2), "padding": 1}),
    ],
    "convolve2d": [((X, some(3, 4, 3, 2), some(3)), {"stride": 2, "padding": (1, 0)})],
    "conv1d": [((ROW, some(6, 2, 3), some(6)), {"stride": 2, "padding": (2, 1), "dilation": 2, "groups": 2})],
    "convolve1d": [((ROW, some(3, 4, 4)), {"padding": 3})],
    "conv_transpose2d": [
        ((X, some(4, 3, 3, 2), some(6)), {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 0), "groups": 2}),
        ((X, some(4, 3, 2, 2)), {"stride": 3, "dilation": 2, "padding": ((1, 0), (0, 1))}),
    ],
    "partial_conv2d": [((X, some(5, 3, 2), some(3)), {"table": ((0, 2), (3,), (1, 3))})],
    "max_pool2d": [
        ((X,), {"kernel": (3, 2), "stride": 2, "padding": (1, 0), "ceil": True}),
        ((TIED,), {"kernel": 2, "stride": 1}),
        ((X,), {"kernel": 2, "dilation": 2}),
    ],
    "avg_pool2d": [
        ((X,), {"kernel": (3, 2), "stride": 2, "padding": (1, 1), "ceil": True}),
        ((X,), {"kernel": 3, "stride": 2, "padding": 1, "ceil": True, "count_padding": False}),
    ],
    "max_pool1d": [((ROW,), {"kernel": 3, "stride": 2, "padding": 1})],
    "avg_pool1d": [((ROW,), {"kernel": 3, "stride": 2, "padding": 1})],
    "sum_pool2d": [((X,), {"kernel": 2})],
    "subsample": [((X, some(4), some(4)), {"kernel": 2})],
    "global_avg_pool2d": [((X,), {})],
    "adaptive_avg_pool2d": [((X,), {"out": (4, 2)})],
    "adaptive_max_pool2d": [((X,), {"out": (4, 2)})],
    "max_over_time": [((ROW,), {})],
    "linear": [((some(3, 5), some(4, 5), some(4)), {}), ((some(2, 3, 5), some(4, 5)), {})],
    "matmul": [
        ((some(2, 1, 3, 4), some(3, 4, 2)), {}), ((some(3, 4), some(4, 2)), {}),
        ((some(4), some(4)), {}), ((some(2, 3, 4), some(4)), {}), ((some(4), some(2, 4, 3)), {}),
    ],
    "rbf": [((some(3, 5), some(4, 5)), {})],
    "dropout": [((X, (draw.random(X.shape) > 0.3).astype(float)), {"p": 0.3})],
    "softmax": [((X,), {"axis": 1}), ((some(3, 4) * 50,), {})],
    "log_softmax": [((X,), {"axis": -2}), ((some(3, 4) * 50,), {})],
    "batch_norm": [((X, some(4), some(4)), {"eps": 1e-3}), ((some(5, 3),), {})],
    "instance_norm": [((X, some(4), some(4)), {})],
    "layer_norm": [((X, some(6, 5), some(6, 5)), {"axes": 2}), ((X,), {})],
    "group_norm": [((X, some(4), some(4)), {"groups": 2}), ((ROW,), {"eps": 0.1})],
    "rms_norm": [((X, some(6, 5)), {"axes": 2, "eps": 0.2}), ((X,), {})],
    "batch_norm_inference": [((X, some(4), positive(4), some(4), some(4)), {"eps": 1e-3}), ((X, some(4), positive(4)), {})],
    "local_response_norm": [((X,), {"size": 3, "alpha": 0.5, "k": 2.0}), ((X,), {"size": 2, "alpha": 0.3, "beta": 0.5})],
    "mean_squared_error": [((some(3, 4), some(3, 4)), {})],
    "cross_entropy": [((shares(3, 4), shares(3, 4)), {}), ((np.eye(2), np.eye(2)[::-1]), {"clip": 1e-3})],
    "cross_entropy_with_logits": [((some(3, 4) * 9, shares(3, 4)), {})],
    "binary_cross_entropy": [((shares(3, 4), shares(3, 4)), {}), ((np.eye(2), 1 - np.eye(2)), {"clip": 1e-3})],
    "binary_cross_entropy_with_logits": [((some(3, 4) * 9, shares(3, 4)), {})],
    "leaky_relu": [((X,), {"slope": 0.2})],
    "power": [((positive(3, 2),), {"exponent": 1.5})],
    "clip": [
        ((X,), {"low": -0.3, "high": 0.8}), ((X,), {"low": -0.3}), ((X,), {"high": 0.8}),
    ],
    "softplus": [((X,), {"beta": 2.0})],
    "prelu": [((X, some(4)), {}), ((ROW, some(1)), {})],
    "total": [((X,), {}), ((X,), {"axes": (0, 2)}), ((X,), {"axes": (-1,), "keepdims": True})],
    "mean": [((X,), {}), ((X,), {"axes": (3, 1)}), ((X,), {"axes": 2, "keepdims": True})],
    "log": [((positive(3, 2),), {})],
    "sqrt": [((positive(3, 2),), {})],
    "add": [((X, some(4, 1, 5)), {})],
    "divide": [((X, positive(1, 4, 1, 1)), {})],
    "reshape": [((X,), {"shape": (4, -1)})],
    "flatten": [((X,), {})],
    "transpose": [((X,), {"axes": (2, 0, 3, 1)})],
    "flip": [((X,), {"axes": (3,)})],
    "select": [((X,), {"key": (slice(None), 2, [0, 3, 3])})],
    "broadcast": [((some(4, 1, 5),), {"shape": (2, 4, 3, 5)})],
    "pad": [
        ((X,), {"widths": ((0, 0), (0, 0), (1, 2), (0, 1)), "fill": 2.5}),
        ((X,), {"widths": ((0, 0), (0, 0), (1, 2), (0, 1)), "mode": "reflect"}),
    ],
    "concatenate": [((X, some(2, 1, 6, 5)), {})],
    "stack": [((ROW, some(2, 4, 9)), {"axis": 1})],
    "where": [((some(4, 6, 5) > 0, X, some(6, 1)), {}), ((some(2, 1, 6, 5) > 0, some(4, 1, 1), X), {})],
    "embedding": [((np.array([[3, 0, 3]]), some(4, 2)), {})],
    "part": [(((some(2, 3), some(2, 2)),), {"index": 1})],
    "upsample_nearest": [((X,), {"size": (9, 11)})],
    "scaled_dot_product_attention": [
        ((some(1, 2, 3), some(1, 4, 3), some(1, 4, 2)), {}),
        ((some(2, 3, 2, 3), some(2, 3, 4, 3), some(2, 3, 4, 2), some(2, 1, 1, 4)), {}),
    ],
    # Without a rule of their own: answered by their slopes.
    "gru_cell": [((some(2, 3), some(2, 2), some(6, 3), some(6, 2)), {})],
    "lstm_cell": [((some(2, 3), some(2, 2), some(2, 2), some(8, 3), some(8, 2), some(8), some(8)), {})],
    "variance": [((X,), {"axes": (0, 2)})],
}  # fmt: skip
ELEMENTWISE = set(RULES) - set(CASES) - {"part"}
EVERY = [(name, case) for name, cases in CASES.items() for case in cases]
EVERY += [
    (name, ((X,), {})) for name in ELEMENTWISE if name not in ("subtract", "multiply", "maximum", "minimum")
]
EVERY += [(name, ((X, some(4, 1, 5)), {})) for name in ("subtract", "multiply", "maximum", "minimum")]
KNOWN = [(name, *case) for name, case in EVERY if hasattr(definitions, name)]


def made(name, arrays, settings, dtype=np.float64):
    """The node of one operation on a fresh tape."""

    def cast(a):
        return tuple(map(cast, a)) if isinstance(a, tuple) else a.astype(dtype) if a.dtype.kind == "f" else a

    tape = Tape()
    leaves = [tape.leaf(cast(a), f"in{i}") for i, a in enumerate(arrays)]
    return tape.apply(getattr(definitions, name), *leaves, name=name, **settings)


def indices(node):
    if isinstance(node.value, tuple):
        return [(i, *at) for i, v in enumerate(node.value) for at in np.ndindex(v.shape)]
    return list(np.ndindex(np.shape(node.value)))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "arrays", "settings"), KNOWN, ids=[k[0] for k in KNOWN])
def test_the_working_comes_to_the_value_of_the_node(name, arrays, settings, dtype):
    node = made(name, arrays, settings, dtype)
    close = 1e-12 if dtype is np.float64 else 2e-5
    some_of_them = indices(node)[:: max(1, len(indices(node)) // 40)] + indices(node)[-3:]
    for index in some_of_them:
        found = cell(node, index)
        held = (
            node.value[index[0]][index[1:]]
            if isinstance(node.value, tuple)
            else np.asarray(node.value)[index]
        )
        assert found.value == held and found.index == index and found.operation == name
        np.testing.assert_allclose(found.computed, found.value, rtol=close, atol=close)
        if found.products is not None and not found.steps:
            np.testing.assert_allclose(found.sum, found.value, rtol=close, atol=close)
        if found.steps:
            np.testing.assert_allclose(found.steps[-1].value, found.value, rtol=close, atol=close)


@pytest.mark.parametrize(
    "name", ["group_norm", "rms_norm", "prelu", "total", "mean", "clip", "matmul", "where"]
)
def test_the_working_is_in_words_and_not_in_slopes(name):
    for arrays, settings in CASES[name]:
        node = made(name, arrays, settings)
        found = cell(node, indices(node)[-1])
        assert found.steps or found.products is not None
        assert found.reads and all(read.slopes is None for read in found.reads)


def test_the_working_of_a_mean_and_of_a_norm_by_hand():
    node = made("mean", (np.array([[1.0, 2.0], [3.0, 6.0]]),), {"axes": 0})
    assert cell(node, (1,)).steps[0].text == "8 / 2"
    # mean of 3^2 and 4^2 is 12.5; with eps 12.5 the root is 5, and 2 * 4 / 5 = 1.6
    node = made("rms_norm", (np.array([[3.0, 4.0]]), np.array([1.0, 2.0])), {"eps": 12.5})
    found = cell(node, (0, 1))
    assert [s.text for s in found.steps[1:]] == ["sqrt(12.5 + 12.5)", "4 / 5", "2 * 0.8"]
    assert found.computed == 1.6


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"low": 0.5}, "max(-2, 0.5)"), ({"high": 1}, "min(-2, 1)"), ({"low": 0, "high": 1}, "min(max(-2, 0), 1)"),
    ],
)  # fmt: skip
def test_a_clipping_shows_the_limits_that_there_are(settings, text):
    assert cell(made("clip", (np.array([-2.0]),), settings), (0,)).steps[0].text == text


def test_a_choice_reads_the_mask_and_the_side_that_it_says():
    node = made("where", (np.array([True, False]), np.array([2.0, 3.0]), np.array([5.0])), {})
    assert [[r.argument for r in cell(node, (i,)).reads] for i in (0, 1)] == [["mask", "a"], ["mask", "b"]]
    assert [cell(node, (i,)).steps[0].text for i in (0, 1)] == [
        "2 (the mask is true)",
        "5 (the mask is false)",
    ]


def test_attention_says_how_its_mask_acts():
    q, k, v = some(2, 3), some(4, 3), some(4, 2)
    told = [
        cell(made("scaled_dot_product_attention", (q, k, v, *mask), {}), (1, 0)).formula.partition("sqrt(E)")[
            2
        ]
        for mask in ((), (some(2, 4),), (some(2, 4) > -9,))
    ]
    assert told == ["", " + mask[i,s]", " where the mask allows s"]


def test_every_rule_is_tried():
    assert set(RULES) & set(definitions.__all__) <= {name for name, *_ in KNOWN}


# What looks at more than its slopes say: maxima, also at numbers that lost.
BY_PLACE = [
    k
    for k in KNOWN
    if k[0] not in ("embedding", "where", "part", "lstm_cell", "dropout", "scaled_dot_product_attention")
]


# Computed by a matrix with noughts, which a NaN would come through: there a large number tells.
BY_MATRIX = ("local_response_norm", "adaptive_avg_pool2d", "partial_conv2d")


@pytest.mark.parametrize(("name", "arrays", "settings"), BY_PLACE, ids=[k[0] for k in BY_PLACE])
def test_what_was_read_is_what_a_nan_comes_through_from(name, arrays, settings):
    """An independent answer: where x is poisoned, exactly the cells that looked there are."""
    node = made(name, arrays, settings)
    x = np.array(arrays[0])
    for at in list(np.ndindex(x.shape))[:: max(1, x.size // 12)]:
        poisoned = x.copy()
        poisoned[at] = 1e3 if name in BY_MATRIX else np.nan
        with np.errstate(invalid="ignore"):
            after = np.asarray(getattr(definitions, name)(poisoned, *arrays[1:], **settings))
        for index in indices(node)[:: max(1, node.value.size // 25)]:
            reads = [r for r in cell(node, index).reads if r.node == node.inputs[0].name]
            cells = {tuple(c) for r in reads for c in r.cells.tolist()}
            changed = after[index] != np.asarray(node.value)[index]  # NaN differs from everything
            assert (at in cells) == bool(changed), (at, index)


def test_the_values_that_were_read_stand_where_it_says():
    node = made("conv2d", *CASES["conv2d"][0])
    (read,) = cell(node, (1, 4, 0, 1)).reads
    assert read.argument == "x" and len(read.values)
    assert [X[tuple(c)] for c in read.cells] == read.values.tolist()


def test_a_cell_of_the_lectures_convolution():
    # Input and kernel of the lectures, padding 1: y[1,2] = 2*2 + 0*3 + 1*0 + 0*1 + 1*2 + 2*3 + 1*0 + 0*1 + 2*2 = 16
    x = np.array([[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]], float)[None, None]
    w = np.array([[2, 0, 1], [0, 1, 2], [1, 0, 2]], float)[None, None]
    found = cell(made("conv2d", (x, w), {"padding": 1}), (0, 0, 1, 2))
    assert found.inputs.tolist() == [[[2, 3, 0], [1, 2, 3], [0, 1, 2]]]
    assert found.weights.tolist() == w[0].tolist()
    assert found.products.tolist() == [[[4, 0, 0], [0, 2, 6], [0, 0, 4]]]
    assert found.window.positions == ((0, 1, 2), (1, 2, 3)) and found.window.inside.all()
    assert (found.sum, found.value, found.bias) == (16, 16, None)


def test_a_window_in_the_corner_says_what_is_padding():
    node = made(
        "conv2d",
        (np.ones((1, 1, 3, 4)), np.ones((1, 1, 2, 3)), np.array([0.5])),
        {"padding": ((1, 0), (2, 0))},
    )
    found = cell(node, (0, 0, 0, 0))  # rows -1, 0; columns -2, -1, 0: one cell of six is the picture's
    assert found.window.positions == ((-1, 0), (-2, -1, 0))
    assert found.window.inside.tolist() == [[False, False, False], [False, False, True]]
    assert (found.products.sum(), found.bias, found.value) == (1, 0.5, 1.5)
    assert found.reads[0].cells.tolist() == [[0, 0, 0, 0]]


def test_of_tied_cells_the_first_wins_as_in_the_backward():
    node = made("max_pool2d", (TIED,), {"kernel": 2, "stride": 1})
    # windows [1 3; 3 2], [3 3; 2 3], [3 0; 3 -1]: the first 3 in reading order
    assert [cell(node, (0, 0, 0, j)).winner for j in range(3)] == [(0, 0, 1), (0, 0, 0), (0, 0, 0)]


def test_a_true_convolution_shows_its_kernel_flipped():
    node = made("convolve1d", (np.array([[[1.0, 2, 3]]]), np.array([[[10.0, 20]]])), {})
    found = cell(node, (0, 0, 0))
    assert found.weights.tolist() == [[20, 10]] and found.value == 40  # 1*20 + 2*10


def test_a_stamp_that_skips_a_cell_leaves_it_empty():
    node = made("conv_transpose2d", (np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1))), {"stride": 2})
    found = cell(node, (0, 0, 0, 1))  # columns 0 and 2 are stamped, 1 by nobody
    assert found.products.size == 0 and found.value == 0 and len(found.reads[0].cells) == 0


def test_an_operation_without_a_rule_is_answered_by_its_slopes():
    node = made("variance", (np.array([1.0, 2.0, 6.0]),), {})
    (read,) = cell(node, ()).reads  # 2 (a - 3) / 3
    assert read.values.tolist() == [1, 2, 6]
    np.testing.assert_allclose(read.slopes, [-4 / 3, -2 / 3, 2])


def test_a_leaf_was_given():
    leaf = Tape().leaf(np.array([1.0, 2.0]), "x")
    assert cell(leaf, (-1,)).value == 2 and cell(leaf, (1,)).reads == ()


@pytest.mark.parametrize(("name", "arrays", "settings"), KNOWN, ids=[k[0] for k in KNOWN])
def test_every_cell_can_be_said_in_json(name, arrays, settings):
    node = made(name, arrays, settings, np.float32)
    stored = json.loads(json.dumps(cell(node, indices(node)[0]).to_dict(), allow_nan=False))
    assert stored["operation"] == name and stored["index"] == list(indices(node)[0])


def test_what_is_not_there_is_said():
    node = made("flatten", (X,), {})
    with pytest.raises(ShapeError, match=r"cell: 'flatten' is \(2, 120\) and has no cell \(0, 120\)"):
        cell(node, (0, 120))
    with pytest.raises(ShapeError, match=r"has no cell \(0,\)"):
        cell(node, (0,))
