"""Parquet files with pictures: as the Hub writes them, in any number of row groups, here and elsewhere."""

from __future__ import annotations

import json

import fsspec
import numpy as np
import pytest
from making import flat

from hubel.data import Dataset, Preprocess, open_source
from hubel.data.packing import pack
from hubel.errors import DataError

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def written(path, levels, labels, *, struct=True, names=None, group=4):
    images = [{"bytes": flat(level), "path": f"{level}.png"} if struct else flat(level) for level in levels]
    table = pa.table({"id": list(levels), "image": images, "label": labels})
    if names:
        told = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(told)})
    parquet.write_table(table, path, row_group_size=group)


@pytest.fixture
def hub(tmp_path):
    """22 items of train in two files, 10 of test: item n is of grey level n and of class n % 2."""
    place = tmp_path / "hub"
    (place / "data").mkdir(parents=True)
    for name, levels in (
        ("train-00000-of-00002", range(12)), ("train-00001-of-00002", range(12, 22)), ("test-00000-of-00001", range(30, 40)),
    ):  # fmt: skip
        written(place / "data" / f"{name}.parquet", levels, [n % 2 for n in levels], names=["even", "odd"])
    return place


def test_what_the_hub_wrote_is_read(hub):
    source = open_source(hub)
    assert source.classes == ("even", "odd") and source.shape == (1, 4, 6)
    assert {p: sum(c.values()) for p, c in source.counts().items()} == {"train": 22, "test": 10}
    data = Dataset(source, Preprocess("picture", (1, 4, 6)))
    for part, levels in (("train", {*range(22)}), ("val", {*range(22)}), ("test", {*range(30, 40)})):
        split = data.part(part)
        seen = split.inputs[:, 0, 0, 0]
        assert {*seen.tolist()} <= levels and np.array_equal(seen % 2, split.targets)
    assert len(data.train) + len(data.val) == 22


def test_rows_come_in_the_order_asked_for_whatever_the_groups(hub):
    rows = open_source(hub).rows
    found = dict(rows.stream(np.array([25, 3, 31, 3, 14])))
    # Files by name: test first (10 items), then train.
    assert [found[k] for k in range(5)] == [flat(15), flat(33), flat(21), flat(33), flat(4)]


@pytest.mark.parametrize("struct", [True, False])
@pytest.mark.parametrize("text", [True, False])
def test_plain_columns_are_read(tmp_path, struct, text):
    levels = range(8)
    written(
        tmp_path / "x.parquet", levels, [("b", "a")[n % 2] if text else n % 2 for n in levels], struct=struct
    )
    source = open_source(tmp_path / "x.parquet")
    assert source.classes == (("a", "b") if text else ("0", "1"))
    assert source.targets.tolist() == [(n + text) % 2 for n in levels]


def test_they_can_be_packed(hub, tmp_path):
    source = open_source(hub)
    made = pack(source, tmp_path / "shards")
    again = open_source(made.folder)
    name = {source.items[k]: (int(source.targets[k]), c) for k, c in source.rows.stream(np.arange(32))}
    contents = map(bytes, again.rows.read(np.arange(32)))
    assert {k: (int(t), c) for k, t, c in zip(again.items, again.targets, contents, strict=True)} == name
    assert [*again.items] != sorted(again.items)


def test_elsewhere(hub, tmp_path):
    fs = fsspec.filesystem("memory")
    for file in hub.rglob("*.parquet"):
        fs.pipe_file(f"/{tmp_path.name}/{file.name}", file.read_bytes())
    for place, count in (
        (f"memory://{tmp_path.name}", 32),
        (f"memory://{tmp_path.name}/test-00000-of-00001.parquet", 10),
    ):
        source = open_source(place)
        assert len(source) == count and dict(source.rows.stream(np.array([1])))[0] == flat(31)


def test_what_is_no_picture_data_is_told(tmp_path):
    parquet.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"no column of pictures .* its columns: 'a', 'b'"):
        open_source(tmp_path / "x.parquet")
    parquet.write_table(pa.table({"image": [b"x"]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="no column label or"):
        open_source(tmp_path / "x.parquet")
    written(tmp_path / "x.parquet", [1, 2], [0, None])
    with pytest.raises(DataError, match="row 1 has the label None"):
        open_source(tmp_path / "x.parquet")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match=r"x.parquet cannot be read"):
        open_source(tmp_path / "x.parquet")


def test_there_is_no_regression_of_them(hub):
    with pytest.raises(DataError, match=r"hub holds pictures with classes; .*: leave out --task regress"):
        open_source(hub, task="regress")
