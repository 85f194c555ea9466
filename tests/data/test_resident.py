"""Decoded once: the cache finds what was decoded and nothing else; damage and denial cost only time."""

import os
import time

import numpy as np
import pytest
from making import flat, tree, zoo

from hubel.data import Dataset, Preprocess, Problem, open_source, pixels_cache, resident
from hubel.errors import DataError

AS_IS = Preprocess("picture", (1, 4, 6))


@pytest.fixture
def folder(tmp_path):
    return tree(tmp_path / "data", zoo("a", "b"))


@pytest.fixture
def decoded(monkeypatch):
    """Counts the pictures that are really decoded."""
    seen = []
    true = resident.decode_one
    monkeypatch.setattr(resident, "decode_one", lambda *a: seen.append(a[1]) or true(*a))
    return seen


def train(folder, prepare=AS_IS, **how):
    return Dataset(open_source(folder), prepare, **how).train


def kept(cache):
    return sorted((cache / "pixels").glob("*"))


def test_the_second_time_nothing_is_decoded(folder, decoded, own_cache):
    first = train(folder)
    assert len(decoded) == len(first) == 14
    again = train(folder)
    assert len(decoded) == 14 and np.array_equal(again.inputs, first.inputs) and again.items == first.items
    assert isinstance(again.inputs, np.memmap) and not again.inputs.flags.writeable
    (file,) = kept(own_cache)
    assert file.suffix == ".pixels" and file.stat().st_size == 4096 + 14 * 24 + len("[]")


def touch(folder):
    os.utime(folder / "a/00.png", ns=(1, 1))


def rewrite(folder):
    path = folder / "a/00.png"
    stat = path.stat()
    path.write_bytes(flat(77) + b"longer")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def rename(folder):
    (folder / "a/00.png").rename(folder / "a/xx.png")


@pytest.mark.parametrize("change", [touch, rewrite, rename])
def test_a_new_time_size_or_name_decodes_anew(folder, decoded, change):
    data = Dataset(open_source(folder), AS_IS, val=0)
    _ = data.train, data.test
    before = len(decoded)
    change(folder)
    again = Dataset(open_source(folder), AS_IS, val=0)
    _ = again.train, again.test
    assert len(decoded) > before


@pytest.mark.parametrize(
    "prepare",
    [
        Preprocess("picture", (1, 4, 6), "crop"),
        Preprocess("picture", (3, 4, 6)),
        Preprocess("picture", (1, 6, 4)),
    ],
)
def test_another_shape_or_resize_decodes_anew(folder, decoded, prepare):
    train(folder)
    before = len(decoded)
    assert train(folder, prepare).inputs.shape[1:] == prepare.shape and len(decoded) == before + 14


def test_mean_and_std_do_not_matter_to_the_pixels(folder, decoded):
    first = train(folder)
    train(folder, AS_IS.with_statistics(first.inputs))
    assert len(decoded) == 14


def test_another_folder_of_the_same_names_sizes_and_times_is_another(tmp_path, decoded):
    one, two = tree(tmp_path / "1", zoo("a", "b")), tree(tmp_path / "2", zoo("a", "b"))
    for path in [*one.rglob("*.png"), *two.rglob("*.png")]:
        os.utime(path, ns=(5, 5))
    train(one)
    train(two)
    assert len(decoded) == 28


DAMAGE = {
    "a byte of a pixel": lambda b: b[:4100] + bytes([b[4100] ^ 1]) + b[4101:],
    "cut short": lambda b: b[:-7],
    "empty": lambda b: b"",
    "another file": lambda b: b"hello" * 2000,
    "header": lambda b: b[:30] + b"}" + b[31:],
    "longer": lambda b: b + b"[]",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_made_again(folder, decoded, own_cache, damage):
    first = np.array(train(folder).inputs)
    (file,) = kept(own_cache)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    again = train(folder)
    assert len(decoded) == 28 and np.array_equal(again.inputs, first)
    train(folder)
    assert len(decoded) == 28, "and is whole now"


def test_without_a_place_to_write_all_is_the_same_in_memory(folder, tmp_path, monkeypatch, own_cache):
    (folder / "a/00.png").write_bytes(b"no picture")
    tree(folder, {f"b/x{n:02d}.png": flat(n) for n in range(60)})
    cached = Dataset(open_source(folder), AS_IS, val=0)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "file"))
    bare = Dataset(open_source(folder), AS_IS, val=0)
    for part in ("train", "test"):
        one, two = cached.part(part), bare.part(part)
        assert np.array_equal(one.inputs, two.inputs) and one.items == two.items
        assert not isinstance(two.inputs, np.memmap)
    assert cached.problems == bare.problems and [p.item for p in bare.problems] == ["a/00.png"]


def test_a_full_disk_is_decoded_in_memory(folder, monkeypatch, own_cache):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert len(train(folder)) == 14
    assert kept(own_cache) == [], "and no half a file is left"


def test_a_cache_that_fails_at_the_last_moment_costs_only_time(folder, monkeypatch, own_cache, decoded):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pixels_cache, "checksum", full)
    assert len(train(folder)) == 14 and len(decoded) == 28
    assert kept(own_cache) == []


def test_what_fits_nowhere_is_said_before_memory_is_taken(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(os, "sysconf", lambda name: 20)
    with pytest.raises(
        DataError, match=r"14 pictures of \(1, 9, 9\) need 0\.0 GB, .* Let HUBEL_CACHE name a folder"
    ):
        train(folder, Preprocess("picture", (1, 9, 9)))


def test_what_is_interrupted_leaves_nothing(folder, monkeypatch, own_cache):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(resident, "decode_one", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(folder)
    assert kept(own_cache) == []


def test_the_least_recently_used_go_first(tmp_path):
    for n, name in enumerate(["old", "used", "new"]):
        (tmp_path / f"{name}.pixels").write_bytes(bytes(100))
        os.utime(tmp_path / f"{name}.pixels", (n, n))
    (tmp_path / "abandoned.part").write_bytes(b"")
    os.utime(tmp_path / "abandoned.part", (0, 0))
    (tmp_path / "growing.part").write_bytes(b"")
    os.utime(tmp_path / "used.pixels")
    pixels_cache.make_room(tmp_path / "new.pixels", at_most=200)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["growing.part", "new.pixels", "used.pixels"]
    pixels_cache.make_room(tmp_path / "new.pixels", at_most=10)
    assert (tmp_path / "new.pixels").exists(), "the one just made stays, whatever its size"


def test_finding_a_file_counts_as_using_it(folder, own_cache):
    train(folder)
    (file,) = kept(own_cache)
    os.utime(file, (0, 0))
    train(folder)
    assert file.stat().st_mtime > time.time() - 3600


@pytest.mark.parametrize("threads", [1, 4])
def test_any_number_of_threads_gives_the_same(tmp_path, monkeypatch, threads):
    files = {f"{c}/{n:04d}.png": flat((n * 7 + k) % 256) for k, c in enumerate("ab") for n in range(500)}
    files["a/0003.png"] = b"bad"
    monkeypatch.setattr(resident, "WORTH_A_THREAD", 0 if threads > 1 else 1 << 30)
    monkeypatch.setattr(os, "cpu_count", lambda: threads)
    told = []
    data = Dataset(open_source(tree(tmp_path, files)), AS_IS, val=0, progress=lambda *p: told.append(p))
    found = {
        i: int(x[0, 0, 0]) for s in (data.train, data.test) for i, x in zip(s.items, s.inputs, strict=True)
    }
    expected = {f"{c}/{n:04d}.png": (n * 7 + k) % 256 for k, c in enumerate("ab") for n in range(500)}
    del expected["a/0003.png"]
    assert found == expected
    assert told[:2] == [(128, 800), (256, 800)] and (800, 800) in told and told[-1] == (200, 200)


# ---- what cannot be read ----


def many(bad):
    files = {f"{c}/{n:03d}.png": flat(n) for c in "ab" for n in range(100)}
    return files | {f"a/{n:03d}.png": b"bad" for n in bad}


def test_up_to_one_in_twenty_is_dropped_and_named(tmp_path):
    data = Dataset(open_source(tree(tmp_path, many(range(5)))), AS_IS, val=0)
    assert len(data.train) + len(data.test) == 195
    assert data.train.inputs.shape[0] == len(data.train.items) == len(data.train.targets)
    assert not {f"a/{n:03d}.png" for n in range(5)} & {*data.train.items, *data.test.items}
    reason = "is no picture, or damaged at its start (read are PNG, JPEG, WEBP, GIF, BMP, TIFF, PPM)"
    assert sorted(data.problems, key=lambda p: p.item) == [
        Problem(f"a/{n:03d}.png", reason) for n in range(5)
    ]
    # rows and labels still belong together: the level is the number in the name
    for split in (data.train, data.test):
        assert [f"{x[0, 0, 0]:03d}" for x in split.inputs] == [i[2:5] for i in split.items]
        assert [data.classes[t] for t in split.targets] == [i[0] for i in split.items]


def test_problems_grow_as_parts_are_decoded_and_are_the_same_from_the_cache(tmp_path):
    tree(tmp_path, many(range(5)))
    data = Dataset(open_source(tmp_path), AS_IS, val=0)
    assert data.problems == ()
    _ = data.train
    after = data.problems
    _ = data.test
    assert 0 < len(after) <= len(data.problems) == 5
    again = Dataset(open_source(tmp_path), AS_IS, val=0)
    _ = again.train, again.test
    assert again.problems == data.problems


def test_more_than_one_in_twenty_is_an_error(tmp_path):
    source = open_source(tree(tmp_path, many(range(30))))
    with pytest.raises(
        DataError,
        match=r"\d+ of the 160 items in the train part of \S+ cannot be read, more than 5%: a/0\d\d\.png \(is no picture"
        r".*\) and \d+ more\. Repair or remove them\.",
    ):
        _ = Dataset(source, AS_IS, val=0).train


def test_a_class_left_empty_is_an_error(tmp_path):
    files = many([]) | {"c/1.png": b"bad", "c/2.png": b"bad"}
    with pytest.raises(
        DataError,
        match=r"has no item of 'c' in train\. 1 items could not be read: c/\d\.png .*Add pictures",
    ):
        _ = Dataset(open_source(tree(tmp_path, files)), AS_IS).train
