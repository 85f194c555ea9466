"""fetch against a server of our own that can misbehave; what the server was asked is the oracle."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from misbehaving_server import (
    Answer,
    Asked,
    Site,
    breaks_off,
    fails,
    hangs_up,
    points_to,
    sends,
    serves,
    stalls,
    stays_silent,
)

from hubel.data import download
from hubel.data.download import Patience, cache_folder, fetch
from hubel.data.published import MANIFEST, Published
from hubel.errors import DataError, UnknownName

BODY = np.random.default_rng(0).bytes(200_003)  # several chunks, and not a whole number of them
WRONG = np.random.default_rng(1).bytes(len(BODY))
SUM = hashlib.sha256(BODY).hexdigest()
HALF = 100_001
EAGER = Patience(timeout=30, rounds=2, backoff=0)
STALL = 0.2  # seconds; only for servers that never say more, so a slow machine changes nothing


@pytest.fixture(autouse=True)
def a_plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "HUBEL_OFFLINE", "HUBEL_DATA"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    try:
        yield server
    finally:
        server.close()


def bring(folder: Path, *mirrors: str, patience: Patience = EAGER, **more: Any) -> bytes:
    """Fetches a data set of one file, BODY, and returns what lies there."""
    manifest = {"tiny": (Published("tiny.bin", len(BODY), SUM, mirrors),)}
    assert fetch("tiny", folder=folder, patience=patience, manifest=manifest, **more) == folder
    assert sorted(p.name for p in folder.iterdir()) == [
        download.LOCK,
        "tiny.bin",
    ]  # nothing half done is left
    return (folder / "tiny.bin").read_bytes()


def test_a_file_is_brought_with_one_plain_request_and_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    url = site.at("/a", serves(BODY))
    folder = tmp_path / "not" / "yet" / "there"
    assert bring(folder, url) == BODY
    assert bring(folder, url) == BODY
    assert site.asked == [Asked("/a")]


def test_several_files_count_as_one_sum_of_bytes(site: Site, tmp_path: Path) -> None:
    parts = {"one": BODY[:70_000], "two": BODY[70_000:]}
    files = tuple(
        Published(n, len(b), hashlib.sha256(b).hexdigest(), (site.at(f"/{n}", serves(b)),))
        for n, b in parts.items()
    )
    (tmp_path / "one").write_bytes(parts["one"])  # already here: counted, not fetched
    told: list[tuple[int, int]] = []
    fetch("pair", folder=tmp_path, progress=lambda *t: told.append(t), manifest={"pair": files})
    assert [a.path for a in site.asked] == ["/two"]
    assert (tmp_path / "two").read_bytes() == parts["two"]
    assert told == sorted(told) and told[0][0] > 70_000 and told[-1] == (len(BODY), len(BODY))


def test_a_file_with_other_bytes_is_replaced(site: Site, tmp_path: Path) -> None:
    (tmp_path / "tiny.bin").write_bytes(WRONG)
    assert bring(tmp_path, site.at("/a", serves(BODY))) == BODY


def test_a_redirect_is_followed_and_keeps_the_range(site: Site, tmp_path: Path) -> None:
    target = site.at("/b", breaks_off(BODY, HALF), serves(BODY))
    assert bring(tmp_path, site.at("/a", points_to(target))) == BODY
    rest = (f"bytes={HALF}-", '"1"')
    assert site.asked == [Asked("/a"), Asked("/b"), Asked("/a", *rest), Asked("/b", *rest)]


# ---- resuming ----


def test_a_broken_connection_goes_on_where_it_broke(site: Site, tmp_path: Path) -> None:
    assert bring(tmp_path, site.at("/a", breaks_off(BODY, HALF), serves(BODY))) == BODY
    assert site.asked == [Asked("/a"), Asked("/a", f"bytes={HALF}-", '"1"')]


def test_a_stalled_connection_is_dropped_and_resumed(site: Site, tmp_path: Path) -> None:
    """Each request begins where the last one was left; on a starved machine there may be more than two."""
    told = {0: 0}  # bytes in place by the end of request 1, 2, ...

    def note(done: int, total: int) -> None:
        told[len(site.asked)] = done

    url = site.at("/a", stalls(site, BODY, HALF), serves(BODY, etag=None))
    assert bring(tmp_path, url, patience=Patience(STALL, rounds=50, backoff=0), progress=note) == BODY
    assert len(site.asked) > 1
    for number, asked in enumerate(site.asked):
        have = max(done for n, done in told.items() if n <= number)
        assert asked == Asked("/a", f"bytes={have}-" if have else None)


def test_a_part_outlives_the_call_that_failed(site: Site, tmp_path: Path) -> None:
    url = site.at("/a", breaks_off(BODY, HALF), serves(BODY))
    with pytest.raises(DataError, match="broke off after 100,001 of 200,003 bytes"):
        bring(tmp_path, url, patience=Patience(rounds=1))
    assert bring(tmp_path, url) == BODY
    assert site.asked[1:] == [Asked("/a", f"bytes={HALF}-", '"1"')]


def test_an_interrupt_keeps_what_has_come(site: Site, tmp_path: Path) -> None:
    url = site.at("/a", serves(BODY))
    told: list[int] = []

    def interrupt(done: int, total: int) -> None:
        told.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(tmp_path, url, progress=interrupt)
    assert 0 < told[0] < len(BODY)
    assert (tmp_path / "tiny.bin.part").read_bytes() == BODY[: told[0]]
    assert bring(tmp_path, url) == BODY
    assert site.asked[1:] == [Asked("/a", f"bytes={told[0]}-", '"1"')]


def test_another_mirror_goes_on_without_the_first_one_s_tag(site: Site, tmp_path: Path) -> None:
    first, second = site.at("/a", breaks_off(BODY, HALF)), site.at("/b", serves(BODY, etag='"of b"'))
    assert bring(tmp_path, first, second) == BODY
    assert site.asked == [Asked("/a"), Asked("/b", f"bytes={HALF}-")]


def test_a_weak_tag_is_no_ground_for_if_range(site: Site, tmp_path: Path) -> None:
    assert bring(tmp_path, site.at("/a", breaks_off(BODY, HALF, etag='W/"1"'), serves(BODY))) == BODY
    assert site.asked[1] == Asked("/a", f"bytes={HALF}-", None)


def test_a_server_without_ranges_starts_over(site: Site, tmp_path: Path) -> None:
    told: list[int] = []
    url = site.at("/a", breaks_off(BODY, HALF), serves(BODY, ranges=False))
    assert bring(tmp_path, url, progress=lambda done, total: told.append(done)) == BODY
    assert len(site.asked) == 2
    assert told[-1] == len(BODY) and min(told[told.index(HALF) + 1 :]) < HALF


def test_a_file_that_changed_meanwhile_starts_over(site: Site, tmp_path: Path) -> None:
    assert bring(tmp_path, site.at("/a", breaks_off(WRONG, HALF), serves(BODY, etag='"2"'))) == BODY
    assert site.asked == [Asked("/a"), Asked("/a", f"bytes={HALF}-", '"1"')]


def test_a_wrong_part_costs_one_clean_request_and_not_the_mirror(site: Site, tmp_path: Path) -> None:
    """No tag tells, so the resumed file is whole and wrong: the part is at fault, not who completed it."""
    (tmp_path / "tiny.bin.part").write_bytes(WRONG[:HALF])
    assert bring(tmp_path, site.at("/a", serves(BODY, etag=None))) == BODY
    assert site.asked == [Asked("/a", f"bytes={HALF}-"), Asked("/a")]


@pytest.mark.parametrize(
    "answer",
    [
        sends(BODY[HALF + 1 :], status=206, Content_Range=f"bytes {HALF + 1}-{len(BODY) - 1}/{len(BODY)}"),
        sends(BODY[HALF:-1], status=206, Content_Range=f"bytes {HALF}-{len(BODY) - 2}/{len(BODY)}"),
        sends(BODY[HALF:], status=206, Content_Range=f"bytes {HALF}-{len(BODY) - 1}/{len(BODY) + 1}"),
        sends(BODY[HALF:], status=206, Content_Range="lines 1-2/3"),
        sends(BODY[HALF:], status=206),
        fails(416),
    ],
    ids=["other start", "other end", "other total", "other unit", "no Content-Range", "416"],
)
def test_only_the_range_that_was_asked_for_is_taken(site: Site, tmp_path: Path, answer: Answer) -> None:
    (tmp_path / "tiny.bin.part").write_bytes(BODY[:HALF])
    assert bring(tmp_path, site.at("/a", answer, serves(BODY))) == BODY
    assert site.asked == [Asked("/a", f"bytes={HALF}-"), Asked("/a")]


def test_a_whole_part_needs_only_its_name(site: Site, tmp_path: Path) -> None:
    (tmp_path / "tiny.bin.part").write_bytes(BODY)
    assert bring(tmp_path, site.at("/a", serves(BODY))) == BODY
    assert site.asked == []


@pytest.mark.parametrize("part", [WRONG, BODY + b"more"], ids=["wrong", "too long"])
def test_a_part_that_cannot_be_right_is_thrown_away(site: Site, tmp_path: Path, part: bytes) -> None:
    (tmp_path / "tiny.bin.part").write_bytes(part)
    assert bring(tmp_path, site.at("/a", serves(BODY))) == BODY
    assert site.asked == [Asked("/a")]


# ---- what goes wrong ----


LIES = {
    "announces less": (
        lambda s: sends(BODY, announces=HALF),
        "announces 100,001 bytes where 200,003 are missing",
    ),
    "announces more": (
        lambda s: sends(BODY, announces=len(BODY) + 9),
        "announces 200,012 bytes where 200,003 are missing",
    ),
    "sends more": (lambda s: sends(BODY + b"x"), "sends more than the 200,003 bytes of the file"),
    "sends wrong bytes": (
        lambda s: serves(WRONG),
        f"sent wrong bytes (SHA-256 {hashlib.sha256(WRONG).hexdigest()})",
    ),
    "has no such page": (lambda s: fails(404), "HTTP 404 Not Found"),
    "gives part of it unasked": (lambda s: sends(BODY, status=206), "HTTP 206 where 200 was due"),
    "leads nowhere": (lambda s: points_to("http://[/"), "Invalid IPv6 URL"),
    "leads to a file": (
        lambda s: points_to("file:///etc/hostname"),
        "HTTP 302 Found - Redirection to url 'file:///etc/hostname' is not allowed",
    ),
}
HICCUPS = {
    "sends less": (lambda s: sends(BODY[:HALF]), "broke off after 100,001 of 200,003 bytes"),
    "is out of order": (lambda s: fails(503), "HTTP 503 Service Unavailable"),
    "never answers": (stays_silent, f"sent nothing for {STALL} s"),
    "hangs up": (lambda s: hangs_up(), "Remote end closed connection without response"),
    "leads to FTP": (lambda s: points_to("ftp://127.0.0.1/a"), "unknown url type: ftp"),
}


@pytest.mark.parametrize(("answer", "reason"), LIES.values(), ids=LIES)
def test_a_mirror_that_lies_is_left_for_the_next_and_for_good(
    site: Site, tmp_path: Path, answer: Callable[[Site], Answer], reason: str
) -> None:
    bad, good = site.at("/bad", answer(site)), site.at("/good", serves(BODY))
    assert bring(tmp_path / "two", bad, good) == BODY
    assert [a.path for a in site.asked] == ["/bad", "/good"]
    with pytest.raises(DataError, match=re.escape(f"    {bad}: {reason}\n")):
        bring(tmp_path / "one", bad)
    assert [a.path for a in site.asked[2:]] == ["/bad"]
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == [download.LOCK]  # no byte of it is kept


@pytest.mark.parametrize(("answer", "reason"), HICCUPS.values(), ids=HICCUPS)
def test_a_mirror_that_fails_is_asked_once_a_round(
    site: Site, tmp_path: Path, answer: Callable[[Site], Answer], reason: str
) -> None:
    bad = site.at("/bad", answer(site))
    timeout = STALL if answer is stays_silent else EAGER.timeout
    with pytest.raises(DataError, match=re.escape(f"    {bad}: {reason}\n")):
        bring(tmp_path, bad, patience=Patience(timeout, rounds=3, backoff=0))
    assert [a.path for a in site.asked] == ["/bad"] * 3


def test_an_endless_answer_is_cut_at_the_size_of_the_file(site: Site, tmp_path: Path) -> None:
    told: list[int] = []
    with pytest.raises(DataError, match="sends more than"):
        bring(tmp_path, site.at("/a", sends(BODY * 50)), progress=lambda done, total: told.append(done))
    assert max(told) <= len(BODY)


def test_every_mirror_is_asked_before_any_is_asked_again(site: Site, tmp_path: Path) -> None:
    first, second = site.at("/a", fails(500), serves(BODY)), site.at("/b", fails(429))
    assert bring(tmp_path, first, second) == BODY
    assert [a.path for a in site.asked] == ["/a", "/b", "/a"]


def test_the_pause_doubles_from_round_to_round(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    with pytest.raises(DataError, match="HTTP 500"):
        bring(tmp_path, site.at("/a", fails(500)), patience=Patience(rounds=4, backoff=1.5))
    assert slept == [1.5, 3.0, 6.0]


def test_nobody_asked_is_not_success(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tiny could not be fetched"):
        bring(tmp_path, site.at("/a", serves(BODY)), patience=Patience(rounds=0))


def test_an_address_where_nobody_listens_says_so(tmp_path: Path) -> None:
    closed = Site()
    url = closed.at("/a", serves(BODY))
    closed.close()
    with pytest.raises(DataError, match=re.escape(f"{url}: Connection refused\n")):
        bring(tmp_path, url)


def test_the_error_names_file_sum_addresses_reasons_and_the_place(site: Site, tmp_path: Path) -> None:
    """The first file is here, the second cannot be had, the third is therefore not tried."""
    bad, busy, other = site.at("/bad", fails(404)), site.at("/busy", fails(503)), site.at("/c", serves(BODY))
    here, lost, later = (hashlib.sha256(b).hexdigest() for b in (b"here", b"lost", b"later"))
    files = (
        Published("a.gz", 4, here, (bad,)),
        Published("b.gz", 1234, lost, (bad, busy)),
        Published("c.gz", 5, later, (other,)),
    )
    (tmp_path / "a.gz").write_bytes(b"here")
    (tmp_path / "b.gz").write_bytes(b"packed by someone else")
    with pytest.raises(DataError) as caught:
        fetch("three", folder=tmp_path, patience=EAGER, manifest={"three": files})
    assert str(caught.value) == (
        "three could not be fetched. Missing:\n"
        f"  b.gz (1,234 bytes, SHA-256 {lost}; the file of this name there has other bytes)\n"
        f"    {bad}: HTTP 404 Not Found\n"
        f"    {busy}: HTTP 503 Service Unavailable\n"
        f"  c.gz (5 bytes, SHA-256 {later})\n"
        f"    {other}\n"
        f"Put what is missing into {tmp_path} or into $HUBEL_DATA/three/ and try again."
    )
    assert (tmp_path / "b.gz").read_bytes() == b"packed by someone else"  # replaced only by the right bytes


def test_offline_asks_nobody_and_says_what_to_bring(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBEL_OFFLINE", "1")
    url, folder = site.at("/a", serves(BODY)), tmp_path / "data"
    with pytest.raises(DataError) as caught:
        bring(folder, url)
    assert str(caught.value) == (
        "tiny is not all here, and HUBEL_OFFLINE forbids fetching it. Missing:\n"
        f"  tiny.bin (200,003 bytes, SHA-256 {SUM})\n"
        f"    {url}\n"
        f"Put what is missing into {folder} or into $HUBEL_DATA/tiny/ and try again."
    )
    assert site.asked == [] and not folder.exists()
    monkeypatch.setenv("HUBEL_OFFLINE", "0")
    assert bring(folder, url) == BODY
    monkeypatch.setenv("HUBEL_OFFLINE", "1")
    assert bring(folder, url) == BODY  # what is here may be used


def test_an_unknown_name_is_met_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"no data set to fetch named 'minst'\. Did you mean 'mnist'\?"):
        fetch("minst")


def test_a_place_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DataError, match=re.escape(f"cannot write tiny to {tmp_path / 'file' / 'x'}: Not a d")
    ):
        bring(tmp_path / "file" / "x", site.at("/a", serves(BODY)))


def test_a_closed_pipe_under_the_progress_bar_is_not_blamed_on_the_disk(site: Site, tmp_path: Path) -> None:
    def broken(done: int, total: int) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        bring(tmp_path, site.at("/a", serves(BODY)), progress=broken)


# ---- two at once ----


def test_a_second_process_waits_and_takes_what_the_first_one_brought(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """flock is held per opened file, so a thread stands in for a process."""
    url, at_the_lock, lock = site.at("/a", serves(BODY)), threading.Event(), download._lock
    brought: list[bytes] = []

    def announced(handle: int) -> None:
        at_the_lock.set()
        lock(handle)

    with download._alone(tmp_path / download.LOCK):
        monkeypatch.setattr(download, "_lock", announced)
        second = threading.Thread(target=lambda: brought.append(bring(tmp_path, url)))
        second.start()
        assert at_the_lock.wait(timeout=30)
        (tmp_path / "tiny.bin").write_bytes(BODY)
    second.join()
    assert brought == [BODY]
    assert site.asked == []


def test_data_sets_live_apart_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.platformdirs, "user_cache_path", lambda *_, **__: tmp_path)
    assert {n: cache_folder(n) for n in MANIFEST} == {n: tmp_path / "data" / n for n in MANIFEST}
