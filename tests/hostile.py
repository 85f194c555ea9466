"""Files that mean harm: sound ones of every kind that is read, and ways to spoil them that get past the first check.

A Target is a loader under fire. benchmarks/fuzz_loaders.py throws thousands at each, tests/test_hostile.py a few.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from harm import (
    Draw,
    Files,
    each,
    plainly,
    spoilt_csv,
    spoilt_folder,
    spoilt_gzip,
    spoilt_idx,
    spoilt_json,
    spoilt_lines,
    spoilt_npy,
    spoilt_onnx,
    spoilt_pickle,
    spoilt_picture,
    spoilt_pth,
    spoilt_safetensors,
    spoilt_sqlite,
    spoilt_tar,
    spoilt_toml,
    spoilt_zip,
)
from making import idx, png, tree, zoo
from PIL import Image


@dataclass(frozen=True)
class Target:
    """A loader under fire.

    sound: files by their names, in several variants   harm: spoils a copy of one of them
    past: whether such files pass the first check of their kind   load: reads them, from the folder that they lie in
    source: the modules whose lines are to be covered
    """

    name: str
    sound: Sequence[Files]
    harm: Callable[[Files, Draw], Files]
    past: Callable[[Files], bool]
    load: Callable[[Path], object]
    source: tuple[str, ...]


# ---- sound files


def pictures() -> list[Files]:
    """Every format, in several modes."""
    draw, made = Draw(1), []
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"):
        for mode, size in (
            ("L", (28, 28)),
            ("RGB", (33, 17)),
            ("P", (20, 40)),
            ("RGBA", (9, 12)),
            ("I;16", (8, 8)),
        ):
            picture = Image.frombytes("L", size, draw.randbytes(size[0] * size[1]))
            picture = (
                Image.fromarray(np.asarray(picture, np.uint16) * 257)
                if mode == "I;16"
                else picture.convert(mode)
            )
            if mode in ("P", "RGBA", "I;16") and kind not in ("PNG", "TIFF"):
                picture = picture.convert("RGB")
            out = io.BytesIO()
            more: dict[str, Any] = (
                {"save_all": True, "append_images": [picture.rotate(90)]} if kind in ("GIF", "TIFF") else {}
            )
            if kind == "JPEG":
                exif = Image.Exif()
                exif[0x0112] = 6
                more = {"exif": exif, "progressive": mode == "P"}
            if kind == "TIFF":
                more["compression"] = {"L": "tiff_lzw", "RGB": "tiff_deflate", "P": "packbits"}.get(
                    mode, "raw"
                )
            picture.save(out, kind, **more)
            made.append({"x.bin": out.getvalue()})
    return made


def packed(kind: str) -> Files:
    """An archive of class folders."""
    out, files = io.BytesIO(), {**zoo("cat", "dog", each=5), "README": b"hello"}
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(
            fileobj=out, mode="w:gz" if kind.endswith("gz") else "w", format=tarfile.PAX_FORMAT
        ) as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return {f"x.{kind}": out.getvalue()}


def in_memory(make: Callable[[Path], object]) -> Files:
    """The files that `make` leaves in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        return {
            str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()
        }


def four_idx(ending: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for part, n in (("train", 12), ("t10k", 6)):
            idx(
                folder / f"{part}-images-idx3-ubyte{ending}",
                np.arange(n * 30, dtype=np.uint8).reshape(n, 6, 5),
            )
            idx(folder / f"{part}-labels-idx1-ubyte{ending}", np.arange(n, dtype=np.uint8) % 3)

    return make


def arrays(**more: np.ndarray) -> Files:
    out = io.BytesIO()
    np.savez_compressed(out, **more)
    return {"x.npz": out.getvalue()}


def cifar() -> Files:
    names = [f"cifar-10-batches-py/{n}" for n in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")]
    held = {b"labels": [*range(10)] * 2, b"data": np.zeros((20, 3072), np.uint8), b"filenames": [b"a"] * 20}
    return {name: pickle.dumps(held, 2) for name in names}


def numbers() -> Files:
    rows = "\n".join(f"{n},{n * 0.5},{'ab'[n % 2]},{('train', 'val', 'test')[n % 3]}" for n in range(24))
    return {"x.csv": f"width,height,label,split\n{rows}\n".encode()}


def manifest() -> Files:
    files = zoo("cat", "dog", each=6)
    rows = "\n".join(f"{name},{name.split('/')[0]}" for name in files)
    return {"x.csv": f"path,label\n{rows}\n".encode(), **files}


def feedback() -> Files:
    from hubel.data.feedback import Correction, Store

    def make(folder: Path) -> None:
        store = Store(str(folder), make=True)
        for n in range(3):
            store.keep(Correction(png(np.full((4, 4), n)), "cat", "dog", "m"))
        store.close()

    return in_memory(make)


def cache() -> Files:
    from hubel.data import pixels_cache
    from hubel.data.records import Problem

    def make(folder: Path) -> None:
        os.environ["HUBEL_CACHE"] = str(folder)
        draft = pixels_cache.Draft("k", (5, 1, 3, 4))
        draft.pixels[:] = 7
        draft.keep([(1, Problem("a", "b"))])

    return in_memory(make)


def run_folder(line: str = "conv4x3 relu gap fc", shape: tuple[int, ...] = (1, 8, 8)) -> Files:
    """A run as `train` and `evaluate` leave it, not trained."""
    from hubel import zoo as networks
    from hubel.data import Preprocess
    from hubel.evaluation.predictions import Predictions
    from hubel.run import Card, Network, save_model, write_settings

    classes = ("cat", "dog", "cow")
    arguments = {} if len(shape) == 3 else {"hidden": [5]}
    card = Card(
        "classify",
        classes,
        3,
        Network(line, arguments),
        Preprocess("picture" if len(shape) == 3 else "vector", shape),
    )

    def make(folder: Path) -> None:
        given = {name: tuple(v) for name, v in arguments.items()}
        save_model(folder, card, networks.create(line, 3, shape, **given))
        told = {
            "format": 1, "task": "classify", "set_by_user": ["lr"], "asked": {}, "data": {"location": "digits", "name": "digits", "train": 5},
            "network": {"name": line, "arguments": {}, "input": list(shape)}, "recipe": {"epochs": 2, "lr": 0.1, "seed": 0, "milestones": [0.5]},
            "versions": {"python": "3.11"},
        }  # fmt: skip
        write_settings(folder, told)
        rows = [
            {
                "epoch": n,
                "lr": 0.1,
                "train_loss": 1 / n,
                "val_loss": 1.1 / n,
                "train_accuracy": 0.5,
                "val_accuracy": 0.4,
            }
            for n in (1, 2, 3)
        ]
        (folder / "history.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        rows = [{"epoch": n, "seconds": 1.5, "images_per_second": 100.0} for n in (1, 2, 3)]
        (folder / "timing.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        Predictions.from_logits([f"i{n}" for n in range(9)], np.arange(9) % 3, np.eye(9, 3), classes).save(
            folder
        )

    return in_memory(make)


def weights() -> list[Files]:
    """Of the network that load_weights builds, in every form that is read."""
    import torch
    from safetensors.torch import save

    state = plain_network().state_dict()
    made: list[Files] = [{"w.safetensors": save({k: v.contiguous() for k, v in state.items()})}]
    for new in (True, False):
        out = io.BytesIO()
        torch.save({"state_dict": state, "epoch": 3}, out, _use_new_zipfile_serialization=new)
        made.append({"w.pth": out.getvalue()})
    out = io.BytesIO()
    np.savez_compressed(out, **{k: v.numpy() for k, v in state.items()})
    made.append({"w.npz": out.getvalue()})
    parts: dict[str, np.ndarray] = {}
    for n, (rows, columns) in enumerate(((5, 4), (3, 5))):
        parts |= {
            f"{n:02d}.weight_q": np.ones((rows, columns), np.uint8),
            f"{n:02d}.scale": np.ones((rows, 1), np.float32),
        }
        parts |= {f"{n:02d}.zero": np.zeros((1, 1), np.float32), f"{n:02d}.bias": np.zeros(rows, np.float32)}
    out = io.BytesIO()
    np.savez_compressed(out, **parts)
    return [*made, {"w.npz": out.getvalue()}]


def plain_network() -> Any:
    import hubel

    return hubel.create("mlp", 3, (4,), hidden=(5,))


def exported() -> Files:
    from hubel.export import written
    from hubel.run import load

    with tempfile.TemporaryDirectory() as folder:
        return {"x.onnx": written(load(tree(Path(folder), run_folder())))}


def bodies() -> list[Files]:
    import base64

    coded = base64.b64encode(png(np.zeros((8, 8)))).decode()
    said = [
        {"image": coded, "top": 3},
        {"images": [coded] * 2},
        {"pixels": [[0, 255], [7, 9]]},
        {"sample": 1, "eps": 0.1},
    ]
    return [{"body.json": json.dumps(one).encode()} for one in said]


def forms() -> Files:
    head = b'--x\r\nContent-Disposition: form-data; name="a"; filename="p.png"\r\nContent-Type: image/png\r\n\r\n'
    field = b'\r\n--x\r\nContent-Disposition: form-data; name="top"\r\n\r\n3\r\n--x--\r\n'
    return {"body.form": head + png(np.zeros((8, 8))) + field}


# ---- how they are read


def read_picture(folder: Path) -> None:
    from hubel.data import Preprocess
    from hubel.data.pictures import header

    content = (folder / "x.bin").read_bytes()
    header(content)
    Preprocess("picture", (3, 16, 16)).picture(content)


def learnt(folder: Path) -> None:
    """Every part of a data set, in hand."""
    from hubel.data import Dataset, Preprocess, open_source
    from hubel.data.survey import survey

    os.environ["HUBEL_CACHE"] = str(folder / "cache")
    inside = [p for p in folder.iterdir() if p.name != "cache"]
    place = inside[0] if len(inside) == 1 else next((p for p in inside if p.suffix == ".csv"), folder)
    source = open_source(place)
    survey(source)
    shape = (source.shape[0], 16, 16) if source.kind == "picture" else source.shape
    data = Dataset(source, Preprocess(source.kind, shape))
    for part in ("train", "val", "test"):
        data.part(part)


def learnt_corrections(folder: Path) -> None:
    from hubel.data import Preprocess
    from hubel.data.feedback import learnt_from

    learnt_from(str(folder), ("cat", "dog"), Preprocess("picture", (1, 8, 8)))


def found_in_cache(folder: Path) -> None:
    from hubel.data import pixels_cache

    os.environ["HUBEL_CACHE"] = str(folder)
    pixels_cache.find("k")


def answered(folder: Path) -> None:
    """A run that is loaded, asked and told of."""
    import hubel

    run = hubel.load(folder)
    run.predict(
        np.zeros((2, *run.preprocess.shape), np.uint8 if run.preprocess.kind == "picture" else np.float32)
    )
    _ = run.history, run.timing, run.seed, run.recipe, run.versions, run.set_by_user


def compared(folder: Path) -> None:
    """With itself, as if it were another: what `hubel compare` prints and writes."""
    import hubel
    from hubel.evaluation.compare import compare
    from hubel.evaluation.curves import charts, page, plain
    from hubel.run import Run

    run = hubel.load(folder)
    found = compare([run, Run(folder / "beside", run.card, run.model, run.settings)])
    json.dumps(found.to_dict())
    for chart in charts(found.sides):
        plain(chart, width=78)
    page(found)


def load_weights(folder: Path) -> None:
    from hubel.zoo.weights import load

    (file,) = folder.iterdir()
    load(plain_network(), file)


def answered_by_onnx(folder: Path) -> None:
    from hubel.onnx.model import load

    model = load(folder / "x.onnx")
    model.predict(np.zeros((2, *model.preprocess.shape), np.uint8))


def read_recipe(folder: Path) -> None:
    from hubel.training.recipe import read_recipe

    read_recipe(folder / "run.toml")


def read_rows(folder: Path) -> None:
    from hubel.cli.predict import _rows

    list(_rows([str(folder / "x.csv")]))


def walked(folder: Path) -> None:
    from hubel.cli.walk.numbers import _file

    (file,) = folder.iterdir()
    _file(file, "--x")


def asked_by_json(folder: Path) -> None:
    """As a request's body, of a service whose samples are two."""
    from hubel.data import Preprocess
    from hubel.serving import inputs
    from hubel.serving.limits import Limits, Refused

    class Samples:
        split = SimpleNamespace(items=("a", "b"))

        def input(self, number: int) -> np.ndarray:
            if not 0 <= number < 2:
                raise Refused(404, "sample", "there is no such sample")
            return np.zeros((1, 8, 8), np.uint8)

    run = SimpleNamespace(prepared=Preprocess("picture", (1, 8, 8)).picture)
    served: Any = SimpleNamespace(limits=Limits(), run=run, samples=Samples())
    said = inputs.json_object((folder / "body.json").read_bytes(), Limits())
    asked = inputs._json(served, said, {})
    asked.number("eps", 0.1, 0, 1), asked.whole("top", 3, 1, 10), asked.text("layer")


def asked_by_form(folder: Path) -> None:
    from starlette.requests import Request

    from hubel.data import Preprocess
    from hubel.serving import inputs
    from hubel.serving.limits import Limits

    sent = [{"type": "http.request", "body": (folder / "body.form").read_bytes(), "more_body": False}]

    async def receive() -> Any:
        return sent.pop()

    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
    }
    files, fields = asyncio.run(inputs._form(Request(scope, receive), Limits()))
    run = SimpleNamespace(prepared=Preprocess("picture", (1, 8, 8)).picture)
    inputs._files(SimpleNamespace(run=run, limits=Limits()), files, inputs.once(fields))  # type: ignore[arg-type]


# ---- whether they pass the first check


def first(check: Callable[[bytes], object]) -> Callable[[Files], bool]:
    """`check` neither fails nor gives something false for any of the files of the first one's ending."""

    def past(files: Files) -> bool:
        ending = Path(next(iter(files))).suffix
        try:
            return all(check(content) for name, content in files.items() if Path(name).suffix == ending)
        except Exception:
            return False

    return past


def is_picture(content: bytes) -> bool:
    from hubel.data.pictures import header

    return header(content) is not None


def is_tar(content: bytes) -> bool:
    from hubel.data.tar import Tape, entries

    return next(entries(Tape(io.BytesIO(content)))) is not None


def is_idx(content: bytes) -> bool:
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    return (
        content[:2] == b"\0\0" and content[2] in (8, 9, 11, 12, 13, 14) and len(content) >= 4 + 4 * content[3]
    )


def is_safetensors(content: bytes) -> bool:
    return bool(json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]]))


def is_onnx(content: bytes) -> bool:
    from onnx import ModelProto

    return bool(ModelProto.FromString(content).graph.node)


def is_zip(content: bytes) -> bool:
    return bool(zipfile.ZipFile(io.BytesIO(content)).infolist())


def is_pth(content: bytes) -> bool:
    return is_zip(content) if content.startswith(b"PK") else content.startswith(b"\x80\x02\x8a\nl\xfc\x9cF")


def is_weights(files: Files) -> bool:
    ways = {".safetensors": is_safetensors, ".npz": is_zip, ".pth": is_pth}
    return all(first(ways[Path(name).suffix])({name: content}) for name, content in files.items())


def is_run(files: Files) -> bool:
    import tomllib

    ways: Mapping[str, Callable[[bytes], object]] = {
        ".safetensors": is_safetensors, ".toml": lambda c: len(c) < 60_000 and tomllib.loads(c.decode()), ".jsonl": lambda c: json.loads(c.splitlines()[0]),
        ".csv": lambda c: c.startswith(b"item,label"), ".npy": lambda c: c.startswith(b"\x93NUMPY"),
    }  # fmt: skip
    return all(first(ways[Path(name).suffix])({name: content}) for name, content in files.items())


def is_text(content: bytes) -> bool:
    return len(content.decode("utf-8").splitlines()) > 1


def targets() -> list[Target]:
    """Every loader."""
    data = "hubel.data."
    tars, zips = each(tar=spoilt_tar, gz=spoilt_gzip(spoilt_tar)), each(zip=spoilt_zip(spoilt_picture))
    an_idx = each(gz=spoilt_gzip(spoilt_idx), _=spoilt_idx)
    some = np.arange(72, dtype=np.uint8).reshape(12, 3, 2)
    npz = [
        arrays(x=some, y=np.arange(12) % 3, classes=np.array(["a", "b", "c"])), arrays(x=np.ones((9, 2)), y=np.linspace(0, 1, 9)),
        arrays(x_train=some, y_train=np.arange(12) % 2, x_test=some, y_test=np.arange(12) % 2),
    ]  # fmt: skip
    a_run = each(safetensors=spoilt_safetensors, toml=spoilt_toml, jsonl=spoilt_lines)
    results = each(csv=spoilt_csv, npy=spoilt_npy, jsonl=spoilt_lines, toml=spoilt_toml)
    all_weights = each(safetensors=spoilt_safetensors, npz=spoilt_zip(spoilt_npy), pth=spoilt_pth)
    an_array = io.BytesIO()
    np.save(an_array, np.ones((3, 3), np.float32))
    walk: list[Files] = [{"x.npy": an_array.getvalue()}, {"x.csv": b"1,2\n3,4\n"}]
    runs = [run_folder(), run_folder("mlp", (4,))]
    stored = ("hubel.run", "hubel.stored", "hubel.files", "hubel.data.preprocess")
    return [
        Target("pictures", pictures(), each(bin=spoilt_picture), first(is_picture), read_picture, (data + "pictures",)),
        Target("class folders", [zoo("cat", "dog", each=6)], spoilt_folder, lambda _: True, learnt, (data + "folder", data + "layout", data + "resident")),
        Target("tar", [packed("tar"), packed("tar.gz")], tars, first(lambda c: is_tar(gzip.decompress(c) if c[:1] == b"\x1f" else c)), learnt, (data + "tar", data + "archive")),
        Target("zip", [packed("zip")], zips, first(is_zip), learnt, (data + "archive",)),
        Target("idx", [in_memory(four_idx("")), in_memory(four_idx(".gz"))], an_idx, first(is_idx), learnt, (data + "idx",)),
        Target("npz", npz, each(npz=spoilt_zip(spoilt_npy)), first(is_zip), learnt, (data + "npz", data + "npy", data + "labels")),
        Target("cifar", [cifar()], lambda f, d: {**f, (n := d.choice(sorted(f))): spoilt_pickle(f[n], d)}, first(lambda c: c[:1] == b"\x80"), learnt, (data + "cifar", data + "pickles")),
        Target("numbers", [numbers()], each(csv=spoilt_csv), first(is_text), learnt, (data + "table",)),
        Target("manifest", [manifest()], each(csv=spoilt_csv), first(is_text), learnt, (data + "table",)),
        Target("feedback", [feedback()], spoilt_sqlite, first(lambda c: c.startswith(b"SQLite format 3")), learnt_corrections, (data + "feedback",)),
        Target("pixel cache", [cache()], plainly(keep=40), first(lambda c: c.startswith(b"hubel pixels")), found_in_cache, (data + "pixels_cache",)),
        Target("run", runs, a_run, is_run, answered, stored),
        Target("compare", runs, results, is_run, compared, (*stored, "hubel.evaluation.predictions")),
        Target("weights", weights(), all_weights, is_weights, load_weights, ("hubel.zoo.weights", "hubel.zoo.pth", data + "pickles")),
        Target("onnx", [exported()], each(onnx=spoilt_onnx), first(is_onnx), answered_by_onnx, ("hubel.onnx.model", "hubel.onnx.trusted")),
        Target("recipe", [{"run.toml": runs[0]["run.toml"]}], each(toml=spoilt_toml), is_run, read_recipe, ("hubel.data.sources",)),
        Target("rows", [{"x.csv": b"1,2,3\n4,5,6\n"}], each(csv=spoilt_csv), first(is_text), read_rows, ("hubel.data.records",)),
        Target("walk", walk, each(npy=spoilt_npy, csv=spoilt_csv), lambda f: is_run(f) or "x.csv" in f, walked, ("hubel.cli.walk.numbers",)),
        Target("json body", bodies(), each(json=spoilt_json), first(json.loads), asked_by_json, ("hubel.serving.inputs",)),
        Target("form body", [forms()], plainly(keep=40), first(lambda c: c.startswith(b"--x\r\n")), asked_by_form, ("hubel.serving.inputs",)),
    ]  # fmt: skip


def batch(target: Target, seed: int) -> Files:
    """Number `seed` of a target's harmful files."""
    draw = Draw(f"{target.name} {seed}")
    return target.harm(dict(draw.choice(target.sound)), draw)
