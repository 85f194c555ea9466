"""The queue before a network: what goes together, what is refused, what is forgotten. The network is a stub that we hold."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from hubel.errors import DataError
from hubel.serving import batching
from hubel.serving.batching import LEAST, MOST, Batcher, Gone, Large, Work
from hubel.serving.limits import Limits, Refused
from hubel.serving.metrics import Metrics


class Held:
    """A network that answers (first pixel, batch size) when it is let."""

    def __init__(self, queue: int = 100, **limits: float) -> None:
        self.may, self.begun = threading.Event(), threading.Event()
        self.batches: list[int] = []
        self.decoded: list[tuple[bytes, bool]] = []
        self.may.set()
        work = Work(self.decode, self.logits, self.pack, queue, name="stub")
        self.batcher = Batcher(work, Limits(**{"batch": 4, **limits}), Metrics())

    def decode(self, body: bytes, quickly: bool) -> np.ndarray:
        self.decoded.append((body, quickly))
        if body.startswith(b"large") and quickly:
            raise Large
        if body.startswith(b"bad"):
            raise DataError("no picture")
        if body.startswith(b"bug"):
            raise ZeroDivisionError
        return np.full((1, 1, 1), body[-1], np.uint8)

    def logits(self, x: np.ndarray) -> np.ndarray:
        self.begun.set()
        self.may.wait()
        self.batches.append(len(x))
        if (x == 255).any():
            raise FloatingPointError("a bug in the network")
        return np.stack([x[:, 0, 0, 0], np.full(len(x), len(x))], 1).astype(np.float32)

    def pack(self, logits: np.ndarray) -> list[bytes]:
        return [b"%d of %d" % tuple(row) for row in logits.astype(int).tolist()]

    async def hold(self) -> asyncio.Future[bytes]:
        """A first picture is at work, and stays there until may.set()."""
        self.may.clear()
        first = self.batcher.put(bytes([0]), None)
        await asyncio.to_thread(self.begun.wait)
        return first


def played(work):
    """Run a coroutine in a loop of its own; nothing may take longer than a test should."""
    return asyncio.run(asyncio.wait_for(work, 20))


def test_an_idle_network_answers_at_once_and_alone():
    async def story():
        held = Held()
        return [await held.batcher.put(bytes([n]), None) for n in (7, 8)]

    assert played(story()) == [b"7 of 1", b"8 of 1"]


def test_what_comes_meanwhile_goes_together_in_order_and_no_more_than_a_batch():
    async def story():
        held = Held()
        first = await held.hold()
        rest = [held.batcher.put(bytes([n]), None) for n in range(1, 7)]
        held.may.set()
        return held, await first, await asyncio.gather(*rest)

    held, first, rest = played(story())
    assert held.batches == [1, 4, 2]
    assert first == b"0 of 1"
    assert rest == [b"1 of 4", b"2 of 4", b"3 of 4", b"4 of 4", b"5 of 2", b"6 of 2"]


def test_many_pictures_of_one_request_stay_together_and_get_their_own_numbers():
    async def story():
        held = Held()
        first = await held.hold()
        many = held.batcher.put(np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1), lambda z: z[:, 0].tolist())
        one = held.batcher.put(bytes([9]), None)
        held.may.set()
        return await first, await one, await many

    assert played(story()) == (b"0 of 1", b"9 of 4", [0, 1, 2])


@pytest.mark.parametrize("each, most", [
    (0.0025, 120),        # 0.3 s / 2.5 ms
    (1.0, LEAST),         # a slow network: a few may wait all the same
    (0.0001, MOST),       # 3,000 are too many in memory
])  # fmt: skip
def test_the_queue_holds_three_tenths_of_a_second_s_work_at_the_pace_of_the_last_batches(
    monkeypatch, each, most
):
    """The clock is the network's: it goes on by `each` for every picture."""
    clock = [0.0]
    monkeypatch.setattr(batching.time, "perf_counter", lambda: clock[0])

    async def story():
        held = Held(queue=0)
        answers = held.logits

        def logits(x):
            clock[0] += each * len(x)
            return answers(x)

        held.batcher.work.logits = logits
        while clock[0] < 6:  # seconds of work: what was guessed before is forgotten
            await held.batcher.put(np.zeros((64, 1, 1, 1), np.uint8), lambda z: z)
        return held.batcher.most()

    assert abs(played(story()) - most) <= 1


def test_one_batch_that_was_held_up_does_not_close_the_door():
    """1,200 pictures in half a second; one that took 0.4 s, as another program had the machine; 64 as before.

    The pictures before it fade by e^-1.333, then by e^-0.178: (1,200 x 0.264 + 1) x 0.837 + 64 = 330; their seconds are
    (0.5 x 0.264 + 0.4) x 0.837 + 0.053 = 0.499. So 330 / 0.499 x 0.3 s = 198 may wait. A mean of paces would let in 16.
    """
    batcher = Held(queue=0).batcher
    batcher._lately = 0.5, 1200.0
    batcher._timed(0.4, 1)
    batcher._timed(0.0533, 64)
    assert abs(batcher.most() - 198) <= 2
    assert batcher.most(waited=0.15) == pytest.approx(99, abs=1)  # it lay in its socket for half of the time
    batcher._late = 0.075  # and its answer will wait for another quarter
    assert batcher.most(waited=0.15) == pytest.approx(50, abs=1)
    assert batcher.most(waited=9) == pytest.approx(25, abs=1)  # an eighth: the network goes on


def test_over_the_queue_is_refused_at_once_with_when_to_come_again():
    async def story():
        held = Held(queue=2)
        first = await held.hold()
        waiting = [held.batcher.put(bytes([n]), None) for n in (1, 2)]
        with pytest.raises(Refused, match="2 pictures wait already; at most 2 may") as refused:
            held.batcher.put(bytes([3]), None)
        held.may.set()
        done = await asyncio.gather(first, *waiting)
        again = await held.batcher.put(bytes([4]), None)  # recovered at once
        return refused.value, done, again

    refused, done, again = played(story())
    assert (refused.http_status, refused.reason, refused.headers) == (503, "queue", {"Retry-After": "1"})
    assert done == [b"0 of 1", b"1 of 2", b"2 of 2"] and again == b"4 of 1"


def test_an_empty_queue_takes_more_pictures_than_may_wait():
    async def story():
        held = Held(queue=2)
        return await held.batcher.put(np.zeros((9, 1, 1, 1), np.uint8), lambda z: len(z))

    assert played(story()) == 9


def test_after_its_deadline_a_request_is_told_so_and_its_picture_is_not_computed():
    async def story():
        held = Held(deadline=0.01)
        first = await held.hold()
        late = held.batcher.put(bytes([1]), None)
        with pytest.raises(Refused, match=r"no answer within 0\.01 s") as refused:
            await late
        with pytest.raises(Refused):
            await first  # what is at work is late, too
        held.may.set()
        held.batcher.limits = Limits(deadline=60)
        await held.batcher.put(bytes([2]), None)  # after it nothing of what came before is left
        return held, refused.value

    held, refused = played(story())
    assert (refused.http_status, refused.reason) == (503, "deadline")
    assert held.batches == [1, 1]


def test_the_work_of_a_client_who_has_gone_is_dropped():
    async def story():
        held = Held()
        first = await held.hold()
        left = asyncio.Event()

        async def receive():
            await left.wait()
            return {"type": "http.disconnect"}

        gone = held.batcher.put(bytes([1]), None, receive)
        stays = held.batcher.put(bytes([2]), None)
        left.set()
        with pytest.raises(Gone):
            await gone
        held.may.set()
        return held, await first, await stays

    held, _, stays = played(story())
    assert held.batches == [1, 1] and stays == b"2 of 1"


def test_a_large_picture_is_decoded_aside_and_lets_others_pass():
    async def story():
        held = Held()
        both = held.batcher.put(b"large\x05", None), held.batcher.put(b"\x06", None)
        return held, await asyncio.gather(*both)

    held, found = played(story())
    assert [text.split()[0] for text in found] == [b"5", b"6"]
    assert (b"large\x05", True) in held.decoded and (b"large\x05", False) in held.decoded


@pytest.mark.parametrize("bad, error", [(b"bad", DataError), (b"bug", ZeroDivisionError)])
def test_one_bad_picture_spoils_no_other_of_its_batch(bad, error):
    async def story():
        held = Held()
        first = await held.hold()
        rest = [held.batcher.put(body, None) for body in (b"\x01", bad, b"\x02")]
        held.may.set()
        return await first, await asyncio.gather(*rest, return_exceptions=True)

    _, (one, wrong, two) = played(story())
    assert (one, two) == (b"1 of 2", b"2 of 2") and isinstance(wrong, error)


def test_a_bug_in_the_network_leaves_nobody_waiting():
    async def story():
        held = Held()
        with pytest.raises(FloatingPointError):
            await held.batcher.put(b"\xff", None)
        return await held.batcher.put(b"\x01", None)

    assert played(story()) == b"1 of 1"
