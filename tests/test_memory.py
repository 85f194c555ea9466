"""Memory that runs out: told from other errors, by smaller pieces where that helps."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from faults import command

from hubel.errors import OutOfMemory
from hubel.memory import in_pieces, let_go, ran_out

ON_LINUX = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to ..."


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((2, 3), np.dtype("f4")), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError(ON_LINUX), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_what_memory_says_is_known(error, is_it):
    assert ran_out(error) is is_it


def test_pytorch_still_says_it_in_these_words():
    """16 TB, more than any address space here would give."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 44, dtype=torch.uint8).fill_(1) if not torch.cuda.is_available() else torch.empty(
            1 << 44
        )
    assert ran_out(caught.value)


@pytest.mark.parametrize("holds", [1, 2, 3, 7, 100])
def test_every_item_is_met_once_and_in_order_whatever_fits(holds):
    met: list[int] = []
    sizes: list[int] = []

    def work(start, stop):
        sizes.append(stop - start)
        if stop - start > holds:
            raise MemoryError
        met.extend(range(start, stop))

    in_pieces(23, 10, work)
    assert met == list(range(23))
    assert max(sizes) == 10 and sizes[-1] <= holds


def test_where_not_one_item_fits_it_is_said():
    def work(start, stop):
        raise RuntimeError(ON_LINUX)

    with pytest.raises(OutOfMemory, match=r"does not hold one item.*a smaller network"):
        in_pieces(5, 4, work)


def test_other_errors_are_not_taken_for_it():
    def work(start, stop):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        in_pieces(5, 4, work)


def test_what_an_error_holds_is_given_back():
    """A frame that failed holds its arrays as long as the error is at hand; after let_go it does not."""
    seen = []

    def failing():
        held = np.zeros(10)
        seen.append(weakref.ref(held))
        raise MemoryError

    gc.disable()
    try:
        failing()
    except MemoryError as e:
        assert seen[0]() is not None
        let_go(e)
        assert seen[0]() is None
    finally:
        gc.enable()


def test_the_command_line_says_it_in_a_sentence(monkeypatch):
    def too_much(*_, **__):
        raise MemoryError

    monkeypatch.setattr("hubel.data.open_source", too_much)
    said = command("data", "digits")
    assert (
        said.code == 2 and said.out == "" and said.err.startswith("hubel: the memory is too small for this. ")
    )
    assert said.err.count("\n") == 1
