"""LSTM and GRU cells against PyTorch: one step, many steps, and what their gates are for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import assert_matches, assert_slopes

from hubel.definitions import (
    LSTMState,
    ShapeError,
    gru_cell,
    gru_cell_backward,
    lstm_cell,
    lstm_cell_backward,
)

rng = np.random.default_rng(23)
N, D, K = 3, 4, 2


def draw(gates, dtype=np.float64):
    shapes = [(N, D), (N, K), (N, K), (gates * K, D), (gates * K, K), (gates * K,), (gates * K,)]
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


def both(*arrays):
    """h' and c' as one array, so that the oracle can send a gradient into each."""
    return np.stack(lstm_cell(*arrays))


def both_backward(dy, *arrays):
    return lstm_cell_backward(LSTMState(dy[0], dy[1]), *arrays)


def fast_lstm(x, h, c, *weights):
    return torch.stack(torch._VF.lstm_cell(x, (h, c), *weights))


@pytest.mark.parametrize(("dtype", "tol"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_an_lstm_cell_is_pytorchs(dtype, tol):
    assert_matches(both, both_backward, fast_lstm, *draw(4, dtype), tol=tol)


def test_an_lstm_cell_without_biases():
    x, h, c, w_x, w_h, *_ = draw(4)
    assert_matches(both, lambda *a: both_backward(*a)[:5], fast_lstm, x, h, c, w_x, w_h)


def test_the_slopes_of_an_lstm_cell_are_its_differences():
    assert_slopes(both, both_backward, *draw(4))


@pytest.mark.parametrize(("dtype", "tol"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_a_gru_cell_is_pytorchs(dtype, tol):
    x, h, _, *weights = draw(3, dtype)
    assert_matches(gru_cell, gru_cell_backward, torch._VF.gru_cell, x, h, *weights, tol=tol)


def test_a_gru_cell_without_biases():
    x, h, _, w_x, w_h, *_ = draw(3)
    assert_matches(gru_cell, lambda *a: gru_cell_backward(*a)[:4], torch._VF.gru_cell, x, h, w_x, w_h)


def test_the_slopes_of_a_gru_cell_are_its_differences():
    x, h, _, *weights = draw(3)
    assert_slopes(gru_cell, gru_cell_backward, x, h, *weights)


def test_cells_run_over_time_like_pytorchs_layers():
    for gates, layer in ((4, torch.nn.LSTM(D, K).double()), (3, torch.nn.GRU(D, K).double())):
        weights = [p.detach().numpy() for p in layer.parameters()]
        xs, h, c = rng.standard_normal((5, N, D)), np.zeros((N, K)), np.zeros((N, K))
        want = layer(torch.tensor(xs))[0].detach().numpy()
        for x, y in zip(xs, want, strict=True):
            if gates == 4:
                h, c = lstm_cell(x, h, c, *weights)
            else:
                h = gru_cell(x, h, *weights)
            np.testing.assert_allclose(h, y, atol=1e-12)


def test_an_open_forget_gate_and_a_shut_input_gate_keep_the_memory():
    x, h, c, w_x, w_h, b, _ = draw(4)
    b[:] = np.repeat([-100, 100, 0, 0], K)  # i = 0, f = 1
    np.testing.assert_allclose(lstm_cell(x, h, c, 0 * w_x, 0 * w_h, b).c, c, rtol=1e-12)


def test_a_gru_whose_update_gate_is_open_stays_as_it_is():
    x, h, _, w_x, w_h, b, _ = draw(3)
    b[:] = np.repeat([0, 100, 0], K)  # z = 1
    np.testing.assert_allclose(gru_cell(x, h, 0 * w_x, 0 * w_h, b), h, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {0: np.zeros((2, D))},
            r"x and h must be \(N, D\) and \(N, K\) with one N, got \(2, 4\) and \(3, 2\)",
        ),
        ({0: np.zeros(D)}, r"got \(4,\) and \(3, 2\)"),
        ({1: np.zeros((N, K, 1))}, r"got \(3, 4\) and \(3, 2, 1\)"),
        (
            {0: np.zeros((N, 5))},
            r"for x \(3, 5\) and h \(3, 2\) the weights must be \((8|6), 5\) and \((8|6), 2\), got \((8|6), 4\) and \((8|6), 2\)",
        ),
        ({4: np.zeros((2, 2))}, r"the weights must be .* got \((8|6), 4\) and \(2, 2\)"),
        ({5: np.zeros(3)}, r"b must be \((8|6),\), got \(3,\)"),
    ],
)
def test_shapes_that_disagree_are_told(change, text):
    for gates, name in ((4, "lstm_cell"), (3, "gru_cell")):
        arrays = draw(gates)
        for place, array in change.items():
            arrays[place] = array
        if gates == 3:
            del arrays[2]
        with pytest.raises(ShapeError, match=text) as caught:
            (lstm_cell if gates == 4 else gru_cell)(*arrays)
        assert str(caught.value).startswith((name, "linear"))


def test_the_memory_must_be_as_the_answer():
    x, h, c, *weights = draw(4)
    with pytest.raises(
        ShapeError, match=r"lstm_cell: h and c must have one shape, got \(3, 2\) and \(3, 1\)"
    ):
        lstm_cell(x, h, c[:, :1], *weights)
