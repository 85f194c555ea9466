"""Shards: what is packed is what comes out, others' shards are read, wherever they lie; and each is read in pieces."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
from making import flat, png, tar, tree, zoo
from PIL import Image

from hubel.data import Dataset, Preprocess, open_source
from hubel.data.packing import Keys, bytes_of, filed, pack
from hubel.data.shards import MANIFEST, Shards, cached
from hubel.data.streams import Stream, alike
from hubel.errors import CannotWrite, DataError, InputError


def samples(*kinds: str, each: int = 6, label=str) -> dict[str, bytes]:
    """Members of a shard of other people's: class k in grey level 10 k + n, as `zoo` has it."""
    made = {}
    for k, kind in enumerate(kinds):
        for n in range(each):
            made |= {
                f"{kind}{n}.png": flat(10 * k + n),
                f"{kind}{n}.cls": label(k).encode(),
                f"{kind}{n}.txt": b"a caption",
            }
    return made


def jpeg(level: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (9, 7), (level, 0, 255 - level)).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def packed(tmp_path):
    """Two classes of 10 grey pictures of 4 × 6 in a folder, and the shards of it."""
    source = open_source(tree(tmp_path / "zoo", zoo("ant", "bee")))
    return source, pack(source, tmp_path / "shards", shard_size=6000)


def by_name(source) -> dict[str, tuple[str, str, bytes]]:
    """name without ending -> class, part, bytes: what must not be lost on the way."""
    index = np.arange(len(source))
    content = dict(source.rows.stream(index))
    read = {k: c if isinstance(c, bytes) else Path(c).read_bytes() for k, c in content.items()}
    parts = Dataset(source, Preprocess("picture", source.shape))._parts
    return {
        source.items[k].removesuffix(".png"): (source.classes[source.targets[k]], str(parts[k]), read[k])
        for k in index
    }


def test_what_is_packed_comes_out(packed):
    source, made = packed
    again = open_source(made.folder)
    assert by_name(again) == by_name(source)
    assert again.classes == ("ant", "bee") and again.shape == (1, 4, 6) and again.uniform
    assert {part: amount.pictures for part, amount in made.parts.items()} == {
        "train": 14,
        "val": 2,
        "test": 4,
    }
    assert made.parts["train"].tars > 1  # else the shards would not be told apart below


def test_packing_twice_gives_the_same_bytes_and_another_seed_another_order(packed, tmp_path):
    source, made = packed
    again = pack(source, tmp_path / "again", shard_size=6000)
    files = sorted(p.name for p in made.folder.iterdir())
    assert files == sorted(p.name for p in again.folder.iterdir())
    assert all((made.folder / name).read_bytes() == (again.folder / name).read_bytes() for name in files)
    other = pack(source, tmp_path / "other", seed=1)
    assert [*open_source(other.folder).items] != [*open_source(made.folder).items]


def test_neighbours_are_drawn_and_not_of_one_class(tmp_path):
    # 200 of a class in a row: of 398 pairs of neighbours in random order half are of two classes, sd about 10.
    source = open_source(tree(tmp_path / "zoo", zoo("ant", "bee", each=200)))
    targets = open_source(pack(source, tmp_path / "shards").folder).targets
    assert 130 < np.count_nonzero(np.diff(targets)) < 270


def test_everybodys_tar_reads_them_as_webdataset_has_it(packed):
    _, made = packed
    with tarfile.open(made.folder / "train-000000.tar") as file:
        members = {member.name: file.extractfile(member).read() for member in file}
    keys = {name.split(".")[0] for name in members}
    assert members.keys() == {f"{key}.{ending}" for key in keys for ending in ("cls", "png")}
    for key in keys:
        assert int(members[f"{key}.cls"]) == ("ant", "bee").index(key.split("/")[0])


def test_arrays_become_pnm_that_pillow_reads():
    rng = np.random.default_rng(0)
    for C in (1, 3):
        pixels = rng.integers(0, 256, (C, 5, 7), np.uint8)
        seen = np.asarray(Image.open(io.BytesIO(filed(pixels))))
        assert np.array_equal(seen if C == 3 else seen[..., None], pixels.transpose(1, 2, 0))
    large = rng.integers(0, 256, (3, 80, 90), np.uint8)
    assert filed(large).startswith(b"\x89PNG")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(filed(large)))), large.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("C", "shape"), [(1, (1, 5, 7)), (3, (3, 5, 7)), (1, (3, 8, 9)), (3, (1, 12, 6)), (1, (1, 3, 4))]
)
@pytest.mark.parametrize("resize", ["letterbox", "pad", "stretch", "crop"])
def test_raw_pictures_read_at_once_are_those_read_one_by_one(C, shape, resize):
    rng = np.random.default_rng(1)
    files = [filed(rng.integers(0, 256, (C, 5, 7), np.uint8)) for _ in range(6)]
    preprocess = Preprocess("picture", shape, resize)
    raw = alike(files)
    assert raw is not None and raw.shape == (6, C, 5, 7)
    assert np.array_equal(preprocess.pictures(raw), np.stack([preprocess.picture(f) for f in files]))


def test_what_is_not_alike_is_not_read_at_once():
    a, b = filed(np.zeros((1, 4, 6), np.uint8)), filed(np.zeros((1, 6, 4), np.uint8))
    assert len(a) == len(b) and alike([a, b]) is None  # equal length, another size
    assert alike([a, a + b"x"]) is None and alike([flat(3)] * 2) is None and alike([]) is None


def test_a_stream_is_what_the_memory_would_hold(packed):
    source, made = packed
    preprocess = Preprocess("picture", (3, 8, 8), "stretch")
    held, streamed = Dataset(source, preprocess), Dataset(open_source(made.folder), preprocess)
    for part in ("train", "val", "test"):
        a, b = held.part(part), streamed.part(part)
        assert isinstance(b.inputs, Stream) and b.inputs.shape == a.inputs.shape and b.inputs.ndim == 4
        place = {name.removesuffix(".png"): k for k, name in enumerate(a.items)}
        order = [place[name] for name in b.items]
        assert np.array_equal(np.asarray(b.inputs), a.inputs[order]) and np.array_equal(
            b.targets, a.targets[order]
        )
    b = streamed.train.inputs
    whole = np.asarray(b)
    assert np.array_equal(np.asarray(b[3:9]), whole[3:9]) and np.array_equal(b[5], whole[5])
    assert np.array_equal(np.asarray(b[np.array([7, 0, 7])]), whole[[7, 0, 7]])
    assert np.array_equal(np.asarray(streamed.train.items[3:5]), [streamed.train.items[k] for k in (3, 4)])


def test_neighbours_are_one_read_and_far_ones_are_not_read_along(packed, monkeypatch):
    from hubel.data import places

    _, made = packed
    rows = open_source(made.folder).rows
    assert isinstance(rows, Shards)
    asked = []
    original = places.ranges
    monkeypatch.setattr(
        places, "ranges", lambda place, spans: asked.append(list(spans)) or original(place, spans)
    )
    first = rows.shards[0].count
    assert rows.read(np.arange(first))[::-1] == rows.read(np.arange(first)[::-1])
    assert [len(spans) for spans in asked] == [1, 1]
    monkeypatch.setattr(places, "GAP", 0)
    found = rows.read(np.array([0, first - 1]))
    assert [stop - start for start, stop in asked[-1]] == [len(content) for content in found]


@pytest.mark.parametrize("how", ["cls", "names", "json"])
def test_shards_of_others_are_read(tmp_path, how):
    folder = tmp_path / "theirs"
    folder.mkdir()
    for n in range(2):
        made = samples("x", "y", label=str if how != "names" else ("ant", "bee").__getitem__)
        if how == "json":
            made = {
                name.replace(".cls", ".json"): json.dumps({"label": int(c), "w": 1}).encode()
                if "cls" in name
                else c
                for name, c in made.items()
            }
        tar(folder / f"some-{'train' if n else 'val'}-{n:04d}.tar", made)
    source = open_source(folder)
    assert source.classes == (("ant", "bee") if how == "names" else ("0", "1"))
    assert {p: sum(c.values()) for p, c in source.counts().items()} == {"train": 12, "val": 12}
    assert sorted(source.items)[0] == "some-train-0001/x0" and len(set(source.items)) == 24
    for k, (name, target) in enumerate(zip(source.items, source.targets, strict=True)):
        level = 10 * target + int(name[-1])
        assert source.rows.read(np.array([k])) == [flat(int(level))]
    assert sorted(p.name for p in folder.glob("*.index")) == [
        "some-train-0001.tar.index",
        "some-val-0000.tar.index",
    ]


def test_one_tar_of_shards_is_no_archive_of_folders(tmp_path):
    source = open_source(tar(tmp_path / "one.tar", samples("x", "y")))
    assert isinstance(source.rows, Shards) and len(source) == 12 and source.items[0] == "x0"
    folders = open_source(tar(tmp_path / "two.tar", zoo("ant", "bee")))
    assert not isinstance(folders.rows, Shards)


def test_an_index_that_cannot_lie_beside_lies_in_the_cache_and_is_found_there(
    tmp_path, monkeypatch, own_cache
):
    from hubel.data import places, shards

    folder = tmp_path / "theirs"
    folder.mkdir()
    tar(folder / "a.tar", samples("x", "y"))

    def refused(path, content, write=shards.write_atomically):
        if path.is_relative_to(folder):
            raise CannotWrite("read-only")
        write(path, content)

    monkeypatch.setattr(shards, "write_atomically", refused)
    assert len(open_source(folder)) == 12
    (found,) = places.listed(str(folder), ".tar")
    assert (
        cached(found).is_file()
        and cached(found).is_relative_to(own_cache)
        and not list(folder.glob("*.index"))
    )
    monkeypatch.setattr(shards, "indexed", None)  # would be called if it were made anew
    assert len(open_source(folder)) == 12


@pytest.mark.parametrize("harm", ["cut", "bits", "another"])
def test_an_index_that_is_wrong_is_made_anew(tmp_path, harm):
    folder = tmp_path / "theirs"
    folder.mkdir()
    tar(folder / "a.tar", samples("x", "y"))
    before = [*open_source(folder).items]
    index = folder / "a.tar.index"
    content = bytearray(index.read_bytes())
    if harm == "cut":
        index.write_bytes(content[:-3])
    elif harm == "bits":
        content[-1] ^= 1
        index.write_bytes(content)
    else:
        tar(folder / "a.tar", samples("x", "y", "zz"))
    assert [*open_source(folder).items][: len(before)] == before
    assert len(open_source(folder)) == (18 if harm == "another" else 12)


def test_pictures_without_a_class_are_passed_over_and_counted(tmp_path):
    made = samples("x", "y") | {
        "lonely.png": flat(3),
        "text.txt": b"x",
        "empty.png": flat(1),
        "empty.cls": b" ",
    }
    source = open_source(tar(tmp_path / "a.tar", made))
    assert len(source) == 12
    assert "3 samples without a picture or a class" in source.problems[0].reason


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_shards_elsewhere_are_read_through_fsspec(packed, kind, tmp_path):
    source, made = packed
    place = f"memory://{tmp_path.name}/shards" if kind == "memory" else f"file://{made.folder}"
    if kind == "memory":
        fs = fsspec.filesystem("memory")
        for file in made.folder.iterdir():
            fs.pipe_file(f"/{tmp_path.name}/shards/{file.name}", file.read_bytes())
    there = open_source(place)
    assert by_name(there) == by_name(source) and there.location == place and there.name == "shards"


def test_foreign_shards_elsewhere_are_indexed_in_the_cache(tmp_path, own_cache):
    fs = fsspec.filesystem("memory")
    content = tar(tmp_path / "x.tar", samples("x", "y")).read_bytes()
    fs.pipe_file(f"/{tmp_path.name}/theirs/x.tar", content)
    for place in (f"memory://{tmp_path.name}/theirs", f"memory://{tmp_path.name}/theirs/x.tar"):
        source = open_source(place)
        assert len(source) == 12 and source.rows.read(np.array([1])) == [flat(1)]
    assert len(list((own_cache / "shards").iterdir())) == 1
    assert [*fs.ls(f"/{tmp_path.name}/theirs", detail=False)] == [f"/{tmp_path.name}/theirs/x.tar"]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("memory://nothing/at/all", "holds no shards and no Parquet files"),
        ("nonesuch://x/y", "is no address that can be read|not installed"),
    ],
)
def test_an_address_without_shards_is_told(place, said):
    with pytest.raises(InputError, match=said):
        open_source(place)


def test_a_shard_that_is_missing_or_cut_is_named(packed):
    _, made = packed
    first = made.folder / "train-000000.tar"
    rows = open_source(made.folder).rows
    content = first.read_bytes()
    first.write_bytes(content[:700])
    with pytest.raises(DataError, match=r"train-000000.tar ends before a picture that its index names"):
        rows.read(np.array([0]))
    with pytest.raises(
        DataError, match=r"train-000000.tar has 700 bytes where .* were written: copy it again"
    ):
        open_source(made.folder)
    first.unlink()
    with pytest.raises(DataError, match=r"train-000000.tar is missing"):
        open_source(made.folder)
    (made.folder / MANIFEST).write_text("{")
    with pytest.raises(DataError, match=r"shards.json is damaged"):
        open_source(made.folder)


@pytest.mark.parametrize("wrong, said", [
    ({"format": 2}, r"shards was packed in format 2, this version of hubel reads 1: take the version that packed it, or"),
    ({"classes": ["ant"]}, r"a shard has the class '1', shards\.json has 1, from 0 on: pack the data again"),
])  # fmt: skip
def test_a_manifest_that_does_not_fit_is_told(packed, wrong, said):
    _, made = packed
    file = made.folder / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | wrong))
    with pytest.raises(DataError, match=said):
        open_source(made.folder)


def test_a_manifest_that_cannot_be_read_is_named(packed):
    _, made = packed
    (made.folder / MANIFEST).unlink()
    (made.folder / MANIFEST).mkdir()
    with pytest.raises(DataError, match=r"shards\.json cannot be read: Is a directory"):
        open_source(made.folder)


def test_a_shard_of_others_that_is_cut_is_named(tmp_path):
    path = tar(tmp_path / "a.tar", samples("x", "y"))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(
        DataError, match=r"^the shard .*a\.tar is damaged: it ends early, .*3,\d+\. Copy it again$"
    ):
        open_source(path)


def test_samples_without_a_class_are_no_data(tmp_path):
    made = {"x0.png": flat(1), "x0.cls": b" ", "x1.png": flat(2), "x1.cls": b""}
    with pytest.raises(
        DataError, match=r"a\.tar holds no picture with a class: a sample is KEY\.png .* KEY\.cls, or"
    ):
        open_source(tar(tmp_path / "a.tar", made))


def test_there_is_no_regression_of_shards(packed):
    _, made = packed
    with pytest.raises(DataError, match=r"shards holds pictures with classes; .*: leave out --task regress"):
        open_source(made.folder, task="regress")


def test_packing_leaves_out_and_names_what_cannot_be_read(tmp_path):
    files = zoo("ant", "bee", each=30) | {"ant/bad.png": b"no picture"}
    made = pack(open_source(tree(tmp_path / "zoo", files)), tmp_path / "shards")
    assert [p.item for p in made.problems] == ["ant/bad.png"] and len(open_source(made.folder)) == 60


def test_packing_that_fails_leaves_nothing(tmp_path, monkeypatch):
    from hubel.data import packing

    source = open_source(tree(tmp_path / "zoo", zoo("ant", "bee")))
    calls = []

    def full(*given):
        calls.append(given)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return packed(*given)

    packed = packing.packed
    monkeypatch.setattr(packing, "packed", full)
    with pytest.raises(CannotWrite, match="No space left on device"):
        pack(source, tmp_path / "shards", shard_size=6000)
    assert not (tmp_path / "shards").exists()


def test_what_cannot_be_packed_is_told(tmp_path):
    with pytest.raises(InputError, match="points holds vectors to classify"):
        pack(open_source("points"), tmp_path / "x")
    with pytest.raises(InputError, match=r"--shard-size is at least 512 bytes, got 100$"):
        pack(open_source("digits"), tmp_path / "x", shard_size=100)
    bad = {f"ant/{k}.png": b"x" for k in range(5)} | zoo("ant", "bee")
    with pytest.raises(DataError, match=r"pictures of zoo cannot be read, more than 5 %"):
        pack(open_source(tree(tmp_path / "zoo", bad)), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_formats_are_kept_and_named_by_what_they_are(tmp_path):
    files = {f"a/{n}.png": jpeg(n) for n in range(5)} | {
        f"b/{n}.v2.jpg": png(np.full((7, 9, 3), n)) for n in range(5)
    }
    made = pack(open_source(tree(tmp_path / "mixed", files)), tmp_path / "shards")
    names = []
    for path in made.folder.glob("*.tar"):
        with tarfile.open(path) as file:
            names += [name for name in file.getnames() if not name.endswith(".cls")]
    assert sorted(names) == sorted([f"a/{n}.jpg" for n in range(5)] + [f"b/{n}_v2.png" for n in range(5)])
    assert all(
        np.asarray(Dataset(open_source(made.folder), Preprocess("picture", (3, 7, 9))).train.inputs).any(
            (1, 2, 3)
        )
    )


def test_keys_are_unique():
    keys = Keys()
    assert [keys.of(name) for name in ("a/1.png", "a/1.jpg", "a/.png", "train/00017", "a.b/c.d.png", "a/1-2.gif")] == [
        "a/1", "a/1-2", "a/_png", "train/00017", "a.b/c_d", "a/1-2-2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "size"), [("256MB", 256 << 20), ("1.5 kb", 1536), ("1000", 1000), ("2G", 2 << 30)]
)
def test_sizes_are_read(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "x", "0", "-5MB", "nan", "inf", "1TB", "MB"])
def test_what_is_no_size_is_told(text):
    with pytest.raises(InputError, match="--shard-size"):
        bytes_of(text)


def test_a_picture_that_cannot_be_decoded_is_named_with_what_helps(tmp_path):
    made = samples("x", "y") | {"z.png": b"no picture", "z.cls": b"1"}
    source = open_source(tar(tmp_path / "a.tar", made))
    stream = Stream(source.rows, np.arange(len(source)), Preprocess("picture", (1, 4, 6)))
    with pytest.raises(DataError, match=r"^z is no picture.*`hubel data pack` leaves out"):
        np.asarray(stream)
    assert [p.item for p in pack(source, tmp_path / "clean").problems] == ["z"]
