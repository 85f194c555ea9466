"""What a kernel does to waves: by formula, by energy, and by what becomes of a single wave."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import planted
from torch import nn

from hubel.errors import InputError
from hubel.explanation import frequency
from hubel.explanation.finding import Item, Question
from hubel.explanation.frequency import Spectrum

rng = np.random.default_rng(0)


def ask(run, given=(), **question):
    (found,) = frequency.explain(run, given, Question(**question))
    return found


def convolution(kernel: np.ndarray, stride: int = 1) -> nn.Module:
    """(O, C, U, V), without a bias, before a head that nobody asks."""
    conv = nn.Conv2d(kernel.shape[1], len(kernel), kernel.shape[2:], stride=stride, bias=False)
    conv.weight.data[:] = torch.from_numpy(kernel)
    return nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(len(kernel), 2))


def wave(f: float, size: tuple[int, int] = (20, 40)) -> Item:
    """cos along the columns, f cycles per pixel, around one half."""
    columns = np.cos(2 * np.pi * f * np.arange(size[1])) / 2 + 0.5
    return Item("wave", np.broadcast_to(columns, (1, *size)).astype(np.float32).copy())


def test_a_difference_of_neighbours_passes_a_wave_by_the_size_of_1_less_e_to_the_minus_iw():
    found = frequency.response(np.array([[[[1.0, -1.0]]]]))[0]
    rows, columns = Spectrum(found).frequencies
    expected = np.abs(1 - np.exp(-2j * np.pi * columns))  # along the columns; the same in every row
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-12)
    assert rows.shape == (64, 1) and columns.min() == -0.5
    assert frequency.peak(found) == 0.5


def test_channels_count_as_a_length():
    kernel = np.zeros((1, 2, 3, 3))
    kernel[0, :, 1, 1] = 3.0, 4.0  # a single cell passes every wave alike
    np.testing.assert_allclose(frequency.response(kernel), 5.0)


def test_a_kernel_that_is_larger_than_the_grid_is_not_cut():
    kernel = rng.standard_normal((1, 1, 3, 70))
    found = frequency.response(kernel)
    assert found.shape == (1, 70, 70)
    assert found[0, 35, 35] == pytest.approx(abs(kernel.sum()))  # frequency 0


def test_the_power_of_a_spectrum_is_that_of_the_pictures():
    images = rng.standard_normal((5, 3, 6, 9)) + 4
    plain = images - images.mean((2, 3), keepdims=True)
    found = frequency.mean_power(images)
    assert found.sum() == pytest.approx(np.square(plain).sum((2, 3)).mean())
    assert found[3, 4] == pytest.approx(0, abs=1e-20)  # the mean is taken off


def test_a_wave_stands_at_its_frequency_before_the_layer_and_after_it():
    run = planted(convolution(np.ones((1, 1, 1, 1), np.float32)), (1, 20, 40))
    found = ask(run, [wave(0.1)])
    before = Spectrum(found.arrays["before"])
    assert found.arrays["before"].shape == found.arrays["after"].shape == (20, 40)
    assert frequency.peak(before.values) == pytest.approx(0.1)
    np.testing.assert_allclose(found.arrays["after"], found.arrays["before"], atol=1e-5)
    # cos of size 1/2 over 800 pixels is two lines of |X| = 800/4, and 200² / 800 = 50
    assert before.values.max() == pytest.approx(np.sqrt(50), rel=1e-4)


def test_with_a_stride_a_fine_wave_is_folded_onto_a_coarse_one():
    run = planted(convolution(np.ones((1, 1, 1, 1), np.float32), stride=2), (1, 20, 40))
    inside_after = ask(run, [wave(0.4)]).arrays["after"]
    after = Spectrum(inside_after, (2, 2))
    radius = np.hypot(*np.broadcast_arrays(*after.frequencies))
    best = radius[inside_after >= inside_after.max() * 0.999]
    np.testing.assert_allclose(best, 0.1)  # every second pixel: 0.4 looks like 0.5 - 0.4


def test_a_flat_spectrum_is_flat_over_all_directions():
    at, values = Spectrum(np.full((64, 48), 3.0), (2, 1)).by_ring()
    np.testing.assert_allclose(values, 3.0)
    assert at.max() < 0.25 and at.min() > 0  # no finer than what the coarser axis holds


def test_a_kernel_of_zeros_passes_nothing_best():
    kernel = np.stack([np.zeros((1, 3, 3)), np.ones((1, 3, 3))]).astype(np.float32)
    found = ask(planted(convolution(kernel), (1, 9, 6)))
    assert np.isnan(found.numbers["best frequency"][0]) and found.numbers["best frequency"][1] == 0
    assert found.caption.startswith("1 of 2 kernels pass coarse waves best") and "1 are 0" in found.caption
    assert list(found.arrays) == ["responses"]  # no data, no spectra


def test_rows_of_numbers_have_no_frequencies():
    with pytest.raises(InputError, match="rows of 5 numbers"):
        ask(planted(nn.Sequential(nn.Linear(5, 2)), (5,)))
