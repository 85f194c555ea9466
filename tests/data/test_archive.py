"""Archives of class folders: the same items as the folder, in place; strangers' members skipped and named."""

import gzip
import io
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from making import flat, png, tar, tree, zipped, zoo

from hubel.data import Dataset, Preprocess, Problem, limits, open_source
from hubel.errors import DataError

AS_IS = Preprocess("picture", (1, 4, 6))
FILES = {f"{part}/{k}": v for part in ("train", "test") for k, v in zoo("dog", "cat").items()}
MAKERS = {
    "a.tar": tar, "a.zip": zipped,
    "a.tar.gz": lambda path, files: tar(path, files, "w:gz"),
    "a.TGZ": lambda path, files: tar(path, files, "w:gz"),
}  # fmt: skip


@pytest.fixture(params=MAKERS)
def make(request, tmp_path):
    return lambda files, name="": MAKERS[request.param](tmp_path / (name + request.param), files)


def levels(split):
    """Item -> the grey level that zoo() drew it in."""
    assert (split.inputs == split.inputs[:, :1, :1, :1]).all()
    return dict(zip(split.items, split.inputs[:, 0, 0, 0].tolist(), strict=True))


def test_an_archive_holds_what_the_folder_does(make, tmp_path):
    shuffled = dict(sorted(FILES.items(), key=lambda kv: hash(kv[1])))
    packed, folder = open_source(make(shuffled)), open_source(tree(tmp_path / "folder", FILES))
    assert packed.name == "a" and packed.shape == (1, 4, 6) and packed.uniform
    for field in ("items", "classes", "problems"):
        assert getattr(packed, field) == getattr(folder, field)
    assert (packed.targets == folder.targets).all() and (packed.parts == folder.parts).all()
    for part in ("train", "val", "test"):
        assert levels(Dataset(packed, AS_IS).part(part)) == levels(Dataset(folder, AS_IS).part(part))
    # dog is class 0 of the maker, cat its class 1: level 10 k + n
    assert levels(Dataset(packed, AS_IS).test)["test/cat/03.png"] == 13


def test_nothing_is_written_beside_an_archive(make, tmp_path):
    source = open_source(make(FILES))
    before = sorted(tmp_path.rglob("*"))
    assert len(Dataset(source, AS_IS).train) == 18
    assert sorted(tmp_path.rglob("*")) == before


def test_listing_looks_at_no_picture_of_the_test_part(make, tmp_path):
    other = {k: png(np.zeros((9, 9, 3))) for k in FILES if k.startswith("test/")}
    source = open_source(make(FILES | other))
    assert source.shape == (1, 4, 6) and source.uniform
    folder = tmp_path / "pair"
    folder.mkdir()
    for part in ("train", "test"):
        own = {k.removeprefix(f"{part}/"): v for k, v in (FILES | other).items() if k.startswith(part)}
        tar(folder / f"x-{part}.tgz", own, "w:gz")
    pair = open_source(folder)
    assert pair.shape == (1, 4, 6)
    assert {p.path.name: len(p.heads) for p in pair.rows.parts} == {"x-train.tgz": 20, "x-test.tgz": 0}


def test_a_large_test_part_in_front_hides_nothing(make):
    test = {f"test/{c}/{n:03d}.png": png(np.zeros((9, 9, 3))) for c in ("dog", "cat") for n in range(200)}
    source = open_source(make(test | {k: v for k, v in FILES.items() if k.startswith("train/")}))
    assert source.shape == (1, 4, 6) and source.uniform


BAD_NAMES = {
    "/etc/cat/1.png": "an absolute path",
    "C:\\cat\\1.png": "an absolute path",
    "cat/../../1.png": "a path that leaves the archive by '..'",
    "..\\cat\\1.png": "a path that leaves the archive by '..'",
}


def test_members_that_point_outside_are_skipped_and_named(make):
    source = open_source(make(zoo("a", "b", each=2) | dict.fromkeys(BAD_NAMES, flat(9))))
    assert len(source) == 4
    assert {p.item: p.reason for p in source.problems} == BAD_NAMES


def test_links_and_devices_in_a_tar_are_skipped_and_named(tmp_path):
    path = tar(tmp_path / "a.tar", zoo("a", "b", each=2))
    with tarfile.open(path, "a") as out:
        for kind, target in (
            (tarfile.SYMTYPE, "/etc/passwd"),
            (tarfile.LNKTYPE, "a/00.png"),
            (tarfile.CHRTYPE, ""),
        ):
            info = tarfile.TarInfo(f"a/kind{kind.decode()}.png")
            info.type, info.linkname = kind, target
            out.addfile(info)
    source = open_source(path)
    assert len(source) == 4
    assert source.problems == (
        Problem("a/kind2.png", "a link (to /etc/passwd)"),
        Problem("a/kind1.png", "a link (to a/00.png)"),
        Problem("a/kind3.png", "a device or another special file"),
    )


def test_links_and_locked_members_in_a_zip_are_skipped_and_named(tmp_path):
    path = zipped(tmp_path / "a.zip", zoo("a", "b", each=2))
    with zipfile.ZipFile(path, "a") as out:
        link = zipfile.ZipInfo("a/link.png")
        link.external_attr = 0o120777 << 16
        out.writestr(link, "/etc/passwd")
        out.writestr("b/locked.png", flat(1))
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the encryption bit of the last entry in the directory
    path.write_bytes(content)
    source = open_source(path)
    assert len(source) == 4
    assert set(source.problems) == {Problem("a/link.png", "a link"), Problem("b/locked.png", "encrypted")}


def test_the_last_member_of_a_name_counts(tmp_path):
    path = tar(tmp_path / "a.tar", zoo("a", "b", each=3))
    with tarfile.open(path, "a") as out:
        info = tarfile.TarInfo("a/00.png")
        info.size = len(flat(99))
        out.addfile(info, io.BytesIO(flat(99)))
    source = open_source(path)
    assert source.problems == (Problem("a/00.png", "twice in the archive: the last one counts"),)
    data = Dataset(source, AS_IS)
    found = levels(data.train) | levels(data.val) | levels(data.test)
    assert found["a/00.png"] == 99 and len(found) == 6


def test_a_damaged_archive_is_named(make):
    path = make(FILES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 - 100])
    with pytest.raises(DataError, match=r"the archive \S+a\.\S+ is damaged, or not what its name says: "):
        open_source(path)
    path.write_bytes(b"no archive at all " * 100)
    with pytest.raises(DataError, match=r"is damaged, or not what its name says: "):
        open_source(path)


def test_a_tar_gz_that_swells_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.tar.gz"
    monkeypatch.setattr(limits, "FREE", 1 << 20)
    with gzip.open(path, "wb") as out:  # zeros, packed a thousandfold, whose size is declared honestly
        info = tarfile.TarInfo("cat/1.png")
        info.size = 3 << 20
        out.write(info.tobuf() + bytes(3 << 20))
    with pytest.raises(
        DataError, match=r"refused as a decompression bomb: its [\d,]+ bytes unpack to more than 1,048,576"
    ):
        open_source(path)


def test_a_tar_gz_of_more_members_than_its_size_allows_is_refused(tmp_path, monkeypatch):
    # 2,000 empty files take 1 MB as a tar and, packed, about 9,000 bytes, which may hold 100 or 9,000 / 16.
    monkeypatch.setattr(limits, "ITEMS", 100)
    path = tar(tmp_path / "a.tar.gz", {f"cat/{n}.png": b"" for n in range(2000)}, "w:gz")
    packed = path.stat().st_size
    most = max(100, packed // 16)
    assert most < 2000
    with pytest.raises(
        DataError,
        match=rf"decompression bomb: its {packed:,} bytes hold more than {most:,} members\. If you trust it, unpack it",
    ):
        open_source(path)


@pytest.mark.parametrize("harm, said", [
    ("cut", "it ends early, in the header at byte 1,024"),
    ("size", r"at byte \d[\d,]* it declares a size that is no number"),
])  # fmt: skip
def test_a_tar_that_is_no_tar_further_on_says_where(tmp_path, harm, said):
    path = tmp_path / "a.tar"
    if harm == "cut":
        tar(path, {"cat/0.png": flat(1)[:500], "cat/1.png": flat(2)})  # a header and one block each
        path.write_bytes(path.read_bytes()[:1100])
    else:
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as out:
            info = tarfile.TarInfo("cat/1.png")
            info.pax_headers = {"size": "12x"}
            out.addfile(info)
    with pytest.raises(DataError, match=rf"a\.tar is damaged, or not what its name says: {said}"):
        open_source(path)


def test_a_zip_that_declares_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "FREE", 1 << 20)
    path = zipped(tmp_path / "a.zip", {f"cat/{n}.bmp": bytes(1 << 20) for n in range(3)})
    with pytest.raises(DataError, match=r"decompression bomb: its [\d,]+ bytes declare 3,145,728 unpacked"):
        open_source(path)


def test_a_zip_member_with_more_than_it_declares_is_dropped(tmp_path):
    files = zoo("a", "b", each=30)
    path = zipped(tmp_path / "a.zip", files)
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")  # the first entry in the directory: a/00.png
    content[entry + 24 : entry + 28] = struct.pack("<I", 5)  # its size unpacked
    path.write_bytes(content)
    data = Dataset(open_source(path), AS_IS, val=0)
    kept = [*data.train.items, *data.test.items]
    assert "a/00.png" not in kept and len(kept) == 59
    assert [p.item for p in data.problems] == ["a/00.png"] and "CRC" in data.problems[0].reason


def test_a_member_too_large_for_a_picture_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MEMBER_AT_MOST", 500)
    for name, maker in MAKERS.items():
        source = open_source(maker(tmp_path / name, zoo("a", "b", each=2) | {"a/big.bmp": bytes(501)}))
        assert source.problems == (
            Problem("a/big.bmp", "declares 501 bytes, more than the 500 that a picture may have"),
        )


def test_two_archives_are_train_and_test(tmp_path):
    folder = tmp_path / "things"
    folder.mkdir()
    tar(folder / "x-train.tar.gz", zoo("a", "b"), "w:gz")
    zipped(folder / "x-test.zip", zoo("b", "a", each=3))
    source = open_source(folder)
    assert source.name == "things" and source.classes == ("a", "b")
    assert source.counts() == {"train": {"a": 10, "b": 10}, "test": {"a": 3, "b": 3}}
    data = Dataset(source, AS_IS, seed=5)
    found = levels(data.train) | levels(data.val)
    assert found == {f"train/{c}/{n:02d}.png": 10 * k + n for k, c in enumerate("ab") for n in range(10)}
    assert levels(data.test) == {
        f"test/{c}/{n:02d}.png": 10 * k + n for k, c in enumerate("ba") for n in range(3)
    }
    mixed = np.array([25, 3, 21, 17])  # across both containers, out of order
    stream = dict(source.rows.stream(mixed))
    expected = [zoo("b", "a", each=3) | {}, zoo("a", "b")]
    for k, i in enumerate(mixed):
        part, name = source.items[i].split("/", 1)
        assert stream[k] == expected[part == "train"][name]


def test_a_folder_with_one_archive_is_that_archive(tmp_path):
    tree(tmp_path, {"README.md": b"", "LICENCE.txt": b""})
    tar(tmp_path / "signs-64.tar", FILES)
    assert open_source(tmp_path).name == "signs-64"
    tar(tmp_path / "other.tar", FILES)
    with pytest.raises(
        DataError, match=r"holds several data sets: 'other\.tar', 'signs-64\.tar'. Name one of them."
    ):
        open_source(tmp_path)
