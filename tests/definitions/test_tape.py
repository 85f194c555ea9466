"""The tape: the chain rule, sums over ways, what it prints, and a whole network on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import hubel.definitions as d
from hubel.definitions import DefinitionError, ShapeError, Tape

rng = np.random.default_rng(43)


def test_the_graph_prints_each_value_and_its_derivative():
    tape = Tape()
    apple, count, tax = tape.leaf(10.0, "apple"), tape.leaf(2.0, "count"), tape.leaf(1.1, "tax")
    apples = tape.apply(d.multiply, apple, count, name="apples")
    paid = tape.apply(d.multiply, apples, tax, name="paid")
    tape.leaf(3.0, "not used")
    assert tape.table(paid).splitlines() == [
        "node    made by                 value  d paid / d node",
        "apple                           10     2.2",
        "count                           2      11",
        "tax                             1.1    20",
        "apples  multiply(apple, count)  20     1.1",
        "paid    multiply(apples, tax)   22     1",
    ]


def test_a_value_used_twice_gets_both_gradients():
    tape = Tape()
    x = tape.leaf(3.0)
    y = x * x + x
    assert (y.value, tape.gradients(y)[x]) == (12, 7)  # 2x + 1


def test_many_ways_add_up_without_writing_into_each_other():
    tape = Tape()
    a, b = tape.leaf(np.ones(3)), tape.leaf(np.ones(3))
    s = a + b
    y = tape.apply(d.total, s + a + a)
    found = tape.gradients(y)
    assert (
        found[a].tolist() == [3, 3, 3] and found[b].tolist() == [1, 1, 1] and found[s].tolist() == [1, 1, 1]
    )


@pytest.mark.parametrize(
    ("expression", "value", "slope"),
    [
        (lambda x: x + 2, 5, 1),
        (lambda x: 2 + x, 5, 1),
        (lambda x: x - 2, 1, 1),
        (lambda x: 2 - x, -1, -1),
        (lambda x: x * 2, 6, 2),
        (lambda x: 2 * x, 6, 2),
        (lambda x: x / 2, 1.5, 0.5),
        (lambda x: 2 / x, 2 / 3, -2 / 9),
        (lambda x: -x, -3, -1),
        (lambda x: x**2, 9, 6),
        (lambda x: np.float64(2) * x, 6, 2),
    ],
)
def test_a_node_calculates_like_a_number(expression, value, slope):
    tape = Tape()
    x = tape.leaf(3.0)
    y = expression(x)
    assert (y.value, tape.gradients(y)[x]) == pytest.approx((value, slope))


def test_an_array_on_the_left_asks_the_node():
    tape = Tape()
    x = tape.leaf(np.array([1.0, 2.0]))
    y = np.array([3.0, 4.0]) * x
    assert isinstance(y, d.Node) and y.value.tolist() == [3, 8]


def test_names():
    tape = Tape()
    x = tape.leaf(np.zeros((2, 3)))
    y = x * 2.5
    assert [n.name for n in tape.nodes] == ["leaf#0", "2.5", "multiply#2"]
    assert repr(y) == "<multiply#2: (2, 3) mean |.| 0>" and repr(tape.nodes[1]) == "<2.5: 2.5>"
    assert [n.number for n in tape.nodes] == [0, 1, 2] and y.operation is d.multiply and x.operation is None
    table = tape.table(y, np.ones((2, 3)))
    assert "multiply(leaf#0, 2.5)" in table and "(2, 3) mean |.| 2.5" in table


def test_settings_and_what_is_not_given_are_shown():
    tape = Tape()
    x, w = (
        tape.leaf(rng.standard_normal((1, 1, 4, 4)), "x"),
        tape.leaf(rng.standard_normal((1, 1, 3, 3)), "w"),
    )
    y = tape.apply(d.total, tape.apply(d.conv2d, x, w, None, stride=2, padding=1, name="c"))
    assert "conv2d(x, w, none, stride=2, padding=1)" in tape.table(y)
    found = tape.gradients(y)
    np.testing.assert_allclose(
        found[w], d.conv2d_backward(np.ones((1, 1, 2, 2)), x.value, w.value, None, 2, 1)[1]
    )


def test_what_was_not_used_has_no_gradient():
    tape = Tape()
    x, other = tape.leaf(1.0), tape.leaf(2.0)
    y = x * 3
    later = y * other
    assert set(tape.gradients(y)) == {x, y, tape.nodes[2]} and other not in tape.gradients(y)
    assert later in tape.gradients(later)


def test_labels_get_no_gradient():
    tape = Tape()
    ids, w = tape.leaf(np.array([1, 0])), tape.leaf(rng.standard_normal((3, 2)))
    found = tape.gradients(tape.apply(d.total, tape.apply(d.embedding, ids, w)))
    assert ids not in found and found[w].tolist() == [[1, 1], [1, 1], [0, 0]]


def test_an_upstream_gradient():
    tape = Tape()
    x = tape.leaf(np.array([1.0, 2.0]))
    y = x * x
    assert tape.gradients(y, np.array([10.0, 1.0]))[x].tolist() == [20, 4]


def test_dtype_is_kept():
    tape = Tape()
    x = tape.leaf(np.ones((2, 2), np.float32))
    y = tape.apply(d.total, tape.apply(d.relu, x * 2.0) / 3 + 1)
    assert {y.value.dtype, *(g.dtype for g in tape.gradients(y).values())} == {np.dtype(np.float32)}
    assert (tape.leaf(np.array([2])) / 4).value.tolist() == [0.5]  # whole numbers do not make the 4 whole
    assert (tape.leaf(np.array([2])) * 1.5).value.tolist() == [3]


def test_two_steps_of_an_lstm_walk_back_through_time():
    layer = nn.LSTM(3, 2).double()
    xs = rng.standard_normal((2, 4, 3))
    tape = Tape()
    weights = [tape.leaf(p.detach().numpy()) for p in layer.parameters()]
    h = c = tape.leaf(np.zeros((4, 2)))
    for x in xs:
        state = tape.apply(d.lstm_cell, x, h, c, *weights)
        h, c = tape.apply(d.part, state, index=0), tape.apply(d.part, state, index=1)
    found = tape.gradients(tape.apply(d.total, h * h))
    (layer(torch.tensor(xs))[0][-1] ** 2).sum().backward()
    for node, p in zip(weights, layer.parameters(), strict=True):
        np.testing.assert_allclose(found[node], p.grad.numpy(), atol=1e-12)
    with pytest.raises(ShapeError, match=r"'lstm_cell#.*' is several arrays; say dy, one for each"):
        tape.gradients(state)
    assert ", (4, 2) mean" in tape.table(h, np.ones((4, 2)))


def test_a_whole_network_on_the_tape_is_pytorchs():
    net = nn.Sequential(
        nn.Conv2d(1, 4, (3, 2), padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(4, 6, 3, stride=2, bias=False), nn.Tanh(), nn.Flatten(), nn.Linear(24, 5),
    ).double()  # fmt: skip
    x, labels = rng.standard_normal((3, 1, 11, 13)), np.array([4, 0, 1])
    loss = F.cross_entropy(net(torch.tensor(x)), torch.tensor(labels))
    loss.backward()

    tape = Tape()
    p = {n: tape.leaf(v.detach().numpy(), n) for n, v in net.named_parameters()}
    y = tape.apply(d.conv2d, x, p["0.weight"], p["0.bias"], padding=1)
    y = tape.apply(d.batch_norm, y, p["1.weight"], p["1.bias"])
    y = tape.apply(d.max_pool2d, tape.apply(d.relu, y), kernel=3, stride=2)
    y = tape.apply(d.tanh, tape.apply(d.conv2d, y, p["4.weight"], stride=2))
    y = tape.apply(d.linear, tape.apply(d.flatten, y), p["7.weight"], p["7.bias"])
    ours = tape.apply(d.cross_entropy_with_logits, y, d.one_hot(labels, 5))
    assert ours.value == pytest.approx(loss.item(), rel=1e-12)
    found = tape.gradients(ours)
    for name, v in net.named_parameters():
        np.testing.assert_allclose(found[p[name]], v.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_a_pair_of_ones_own_stands_on_the_tape():
    tape = Tape()
    x = tape.leaf(2.0)
    y = tape.apply(cube, x)
    assert (y.value, tape.gradients(y)[x]) == (8, 12)


def cube(x):
    return x**3


def cube_backward(dy, x):
    return (dy * 3 * x**2,)


def lonely(x):
    return x


def test_what_has_no_way_back_is_told_at_once():
    tape = Tape()
    with pytest.raises(
        DefinitionError, match="cannot walk back: there is no lonely_backward in the module of lonely"
    ):
        tape.apply(lonely, 1.0)
    with pytest.raises(DefinitionError, match="no sin_backward"):
        tape.apply(np.sin, 1.0)


def test_two_tapes_do_not_mix():
    one, other = Tape(), Tape()
    with pytest.raises(DefinitionError, match="add: node 'x' stands on another tape"):
        one.leaf(1.0) + other.leaf(2.0, "x")


def test_several_numbers_want_an_upstream_gradient():
    tape = Tape()
    x = tape.leaf(np.zeros((2, 3)), "x")
    with pytest.raises(ShapeError, match=r"gradients: 'x' is \(2, 3\); say dy, of that shape"):
        tape.gradients(x)
    assert tape.gradients(tape.leaf(np.zeros((1, 1))))  # one number, however it is wrapped


def test_several_arrays_of_different_shapes_are_a_leaf():
    leaf = Tape().leaf((np.zeros((2, 3)), np.zeros(4)))
    assert leaf.name == "leaf#0" and len(leaf.value) == 2
