"""Files that mean harm: what the loaders promise of them, SECURITY.md has in words. benchmarks/fuzz_loaders.py has more."""

from __future__ import annotations

import ast
import io
import os
import pickle
import re
import struct
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import bombs
import hostile
import numpy as np
import pytest
from harm import sealed, spoilt_png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import flat, png, tree
from PIL import Image

import hubel
from hubel.data import npy, open_source, pickles, read_picture
from hubel.data.tar import Tape, entries
from hubel.errors import ArtifactError, DataError, HubelError, TooManyPixels
from hubel.stored import check_reach

PACKAGE = Path(hubel.__file__).parent
TARGETS = {target.name: target for target in hostile.targets()}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path_factory.mktemp("cache")))


# ---- every loader


@pytest.mark.parametrize("name", TARGETS)
def test_a_loader_reads_what_is_sound(name, tmp_path):
    """Else the harm would be done to files that are refused anyhow."""
    for n, sound in enumerate(TARGETS[name].sound):
        assert TARGETS[name].past(sound)
        TARGETS[name].load(tree(tmp_path / str(n), sound))


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_loader_reads_or_refuses_whatever_it_is_given(name, seed, tmp_path_factory):
    """Nothing but an error of errors.py, which names the reason in printable words; nothing outside the folder changes."""
    files = hostile.batch(TARGETS[name], seed)
    folder = tmp_path_factory.mktemp("hostile")
    inside = folder / "inside"
    try:
        tree(inside, files)
    except OSError:  # a name that this file system does not take
        return
    with warnings.catch_warnings(action="ignore"):
        try:
            TARGETS[name].load(inside)
        except HubelError as e:
            assert len(str(e)) > 20
    assert [p.name for p in folder.iterdir()] == ["inside"]


def test_most_harmful_files_pass_the_first_check():
    """What is refused at the first byte tests nothing."""
    warnings.simplefilter("ignore")  # of Pillow, about what was spoilt
    for target in TARGETS.values():
        past = sum(target.past(hostile.batch(target, n)) for n in range(60))
        assert past >= 30, target.name


# ---- bombs


@pytest.mark.parametrize("name", bombs.BOMBS)
def test_a_small_file_that_would_be_large_is_refused_before_it_takes_memory(name, tmp_path):
    bomb = bombs.BOMBS[name]
    cost = bombs.cost(bomb.make(tmp_path), bomb.way)
    assert bomb.said in cost.said
    assert cost.megabytes < 50


# ---- pictures


def test_only_decoders_that_we_name_are_asked():
    """An EPS starts Ghostscript; this one is sound, and PCX, ICO and TGA are formats of Pillow, too."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    others = [eps]
    for form in ("PCX", "ICO", "TGA"):
        out = io.BytesIO()
        Image.new("RGB", (16, 16)).save(out, form)
        Image.open(io.BytesIO(out.getvalue())).load()  # sound
        others.append(out.getvalue())
    for content in others:
        with pytest.raises(DataError, match="is no picture, or damaged at its start"):
            read_picture(content)


def test_a_progressive_jpeg_of_a_thousand_scans_is_refused():
    """Each scan is a pass over all of the picture: 38 kB would take seconds, a larger picture minutes."""
    out = io.BytesIO()
    Image.new("RGB", (2000, 2000)).save(out, "JPEG", progressive=True, quality=10)
    content = out.getvalue()
    scan = content[content.rindex(b"\xff\xda") : -2]
    assert read_picture(content + b"").size == (2000, 2000)
    # 20 x 56,000,000 pixels / 4,000,000 = 280 scans are allowed; the picture has about ten of its own
    assert read_picture(content[:-2] + 250 * scan + content[-2:]).size == (2000, 2000)
    with pytest.raises(TooManyPixels, match=r"JPEG of 2000 × 2000 pixels in 1,0\d\d scans"):
        read_picture(content[:-2] + 1000 * scan + content[-2:])


def test_a_long_thin_picture_is_refused():
    """Scaling 50,000,000 x 1 pixels would lay out 800 MB of tables."""
    thin = png(np.zeros((1, 70_000)))
    with pytest.raises(TooManyPixels, match=r"is 70000 × 1: a side of more than 65,535 pixels is not read"):
        read_picture(thin)
    assert read_picture(png(np.zeros((1, 65_535)))).size == (65_535, 1)


def test_large_pictures_come_out_as_small_ones_do():
    """Stripe by stripe: 2,100 x 2,000 pixels are two stripes, whose seam must not show."""
    rng = np.random.default_rng(3)
    colours = rng.integers(0, 256, (2000, 2100, 4), np.uint8)
    found = np.asarray(read_picture(png_of(Image.fromarray(colours, "RGBA"))), np.float64)
    alpha = colours[..., 3:] / 255
    wanted = colours[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(found - wanted).max() <= 1  # rounding
    deep = rng.integers(0, 65536, (2000, 2100), np.uint16)
    found = np.asarray(read_picture(png_of(Image.fromarray(deep))))
    np.testing.assert_array_equal(found, np.rint(deep / 257).astype(np.uint8))


def png_of(image):
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="is a pipe or a device, not a picture"):
        read_picture(tmp_path / "a.png")
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match="is a pipe or a device, not a data set"):
        open_source(tmp_path / "a.csv")
    tree(tmp_path / "set", {f"{c}/{n}.png": flat(n) for c in "ab" for n in range(9)})
    os.mkfifo(tmp_path / "set" / "a" / "x.png")
    assert len(open_source(tmp_path / "set").items) == 19  # named when it is decoded


def test_a_chunk_put_right_is_a_sound_png():
    """The harm to a PNG gets past its checksums: else nothing behind them would be tried."""
    content = flat(3)
    drawn = hostile.Draw(0)
    opened = 0
    for _ in range(50):
        with warnings.catch_warnings(action="ignore"):
            try:
                Image.open(io.BytesIO(spoilt_png(content, drawn)))
                opened += 1
            except Exception:
                continue
    assert opened > 20


# ---- tars


def test_our_tar_reader_reads_what_pythons_writes():
    """Names and sizes by the library's own words, in all of its formats."""
    import tarfile

    names = ["a.txt", "folder/" * 18 + "deep.png", "x" * 150 + ".png", "ü/ß.png", "long/" + "y" * 300]
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        chosen = names[:2] if form == tarfile.USTAR_FORMAT else names
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as archive:
            for n, name in enumerate(chosen):
                info = tarfile.TarInfo(name)
                info.size = 500 * n
                archive.addfile(info, io.BytesIO(bytes(info.size)))
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
        found = list(entries(Tape(io.BytesIO(out.getvalue()))))
        with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
            wanted = [(m.name, m.size, m.offset_data) for m in archive]
        assert [(e.name, e.size, e.at) for e in found] == wanted
        assert (found[-1].what, found[-1].target) == ("link", "/etc/passwd")


def test_a_tar_never_leads_back():
    """A size of 2^88 - 1, which the library takes for -1 and reads the same header for ever."""
    head = bytearray(512)
    head[:5], head[124:136], head[156:157], head[257:263] = b"a.png", b"\xff" * 12, b"0", b"ustar\0"
    sealed(head, 0)
    with pytest.raises(DataError, match="stands a number that is none"):
        list(entries(Tape(io.BytesIO(head + bytes(1024)))))
    head[124:136] = b"\x80" + b"\xff" * 11
    sealed(head, 0)
    with pytest.raises(DataError, match="at byte 0 it declares 309,485,009,821,345,068,724,781,055 bytes"):
        list(entries(Tape(io.BytesIO(head + bytes(1024)))))
    head[124:136] = b"\x80" + b"\0" * 6 + b"\xff" * 5
    sealed(head, 0)
    with pytest.raises(DataError, match="ends early"):
        list(entries(Tape(io.BytesIO(head + bytes(1024)))))


# ---- pickles, arrays


def test_a_pickle_is_weighed_as_python_would_build_it():
    """An object of n parts weighs n, however it is written; one that is shared counts as often as it is used."""
    shared = (1, 2, 3)
    for protocol in range(6):
        pickles.check(pickle.dumps({b"a": [1, 2.5, None, "x"], b"b": (shared, shared)}, protocol), DataError)
    nested = ()
    for _ in range(20):
        nested = (nested, nested)  # 2^20 parts: a million is allowed, 2^30 are not
    pickles.check(pickle.dumps(nested), DataError)
    for _ in range(10):
        nested = (nested, nested)
    with pytest.raises(DataError, match="would have more than 10,000,000 parts"):
        pickles.check(pickle.dumps(nested), DataError)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x80\x02]q\0h\0a.", "more than 10,000,000 parts"),  # a list that holds itself
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "asks for 2,147,483,647 places"),
        (b"\x80\x04\x8e" + b"\xff" * 8 + b"x.", "damaged at byte"),  # a text of 2^64 - 1 bytes
        (b"\x80\x02(0.", "damaged at byte"),
        (b"\x80\x02h\x05.", "damaged at byte"),  # what was never kept
        (b"", "damaged at byte 0"),
    ],
)
def test_a_pickle_that_asks_for_too_much_is_refused(content, said):
    with pytest.raises(DataError, match=said):
        pickles.check(content, DataError)


@pytest.mark.parametrize(
    ("descr", "shape", "held", "said"),
    [
        ("<U0", "(1000000000000,)", 0, "which is no array"),  # a billion texts of no letters fit into nothing
        ("|u1", "(-2, -3)", 6, "which is no array"),  # sides below zero whose product fits
        ("|u1", "(0, -5)", 0, "which is no array"),
        ("|V3", "(2,)", 6, "which is no array"),
        ("<f4", "(3,)", 6, "needs 12 bytes, the file declares 6: it is damaged"),
        ("O", "(1,)", 8, "holds Python objects"),
    ],
)
def test_an_array_is_what_its_file_has_room_for(descr, shape, held, said):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(held)
    with pytest.raises(DataError, match=said):
        npy.read_header(io.BytesIO(content), len(content), "x", DataError)


def test_items_of_a_packed_file_are_counted_before_they_are_named(tmp_path):
    rows = 300_000  # zeros pack to less than a byte for ten of them, 100,000 items are free
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((rows, 1), np.uint8), y=np.zeros(rows, np.uint8))
    packed = (tmp_path / "x.npz").stat().st_size
    assert 10 * packed < rows
    with pytest.raises(
        DataError,
        match=rf"x\.npz is refused as a decompression bomb: its {packed:,} bytes declare 300,000 items",
    ):
        open_source(tmp_path / "x.npz")


# ---- runs


def card(**said):
    """A card's JSON, with something else said."""
    import json

    told = {
        "format": 1, "task": "classify", "classes": ["a", "b"], "outputs": 2, "order": "rgb", "mirror": False,
        "network": {"name": "mlp", "arguments": {"hidden": [4]}},
        "preprocess": {"kind": "vector", "shape": [3], "resize": "letterbox", "mean": [], "std": [], "columns": []},
    }  # fmt: skip
    return json.dumps(told | said)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"task": "obey"}, "its task is 'obey', and should be classify or regress"),
        ({"outputs": True}, "its outputs is True, and should be a whole number from 1"),
        ({"outputs": 10**12}, "its outputs is 1000000000000, and should be a whole number from 1 to 1000000"),
        ({"classes": ["a", "a"]}, "should be a list of 2 different names"),
        ({"classes": "ab"}, "its classes is 'ab', and should be a list of texts"),
        ({"network": {"name": "mlp", "arguments": {"hidden": [10**9]}}}, "network.arguments.hidden is 1000000000"),
        ({"network": 3}, "its network is 3, and should be a table"),
        ({"order": "\x1b[2J"}, r"its order is '\\x1b\[2J', and should be rgb or bgr"),
        ({"preprocess": {"kind": "picture", "shape": [3, 60000, 60000]}}, "preprocess.shape is 60000, and should be a whole number from 1 to 4096"),
        ({"preprocess": {"kind": "vector", "shape": [3], "std": [1, 0, 1]}}, "should be a list of numbers above 0"),
        ({"format": 99}, "has format 99, this version of hubel reads up to"),
    ],
)  # fmt: skip
def test_a_card_says_what_a_card_can_say(said, message):
    from hubel.run import Card

    assert Card.from_json(card(), Path("m")).classes == ("a", "b")
    with pytest.raises(ArtifactError, match=message):
        Card.from_json(card(**said), Path("m"))


def test_a_network_beyond_its_weights_is_not_built(tmp_path):
    """A card that asks for 4 GB of weights, beside a file that has 100 bytes of them; refused at the first of them."""
    import torch
    from safetensors.torch import save

    network = hubel.create("mlp", 2, (3,), hidden=(4,))
    (tmp_path / "model.safetensors").write_bytes(save(network.state_dict(), {"hubel": card()}))
    assert hubel.load(tmp_path).parameters == sum(p.numel() for p in network.parameters())
    huge = card(network={"name": "mlp", "arguments": {"hidden": [30_000, 30_000]}})
    (tmp_path / "model.safetensors").write_bytes(save(network.state_dict(), {"hubel": huge}))
    with pytest.raises(
        ArtifactError,
        match=r"not of the network that it names: that has a weight of \(30000, 3\) in a Linear",
    ):
        hubel.load(tmp_path)
    assert isinstance(torch.nn.Linear(3, 30_000), torch.nn.Module)  # the guard is gone again


def test_a_layer_that_pads_without_end_is_not_run():
    """18 weights, but a picture of 8 × 8 would become two maps of 8 + 2 · 1500 - 2 = 3,006 on each side."""
    import torch

    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1500))
    with pytest.raises(
        ArtifactError,
        match=r"^m is damaged: its layer 0 pads by \(1500, 1500\) around a kernel that sees 3 × 3\. Take the file from",
    ):
        check_reach(network, "m")
    assert check_reach(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=66)), "m") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a." * 30_000 + "a=1",
            "has a line of more than 100 dots",
        ),  # seconds; twice as long, a minute and all memory
        ("a=" + "[" * 5000, "maximum recursion depth exceeded"),
        ("a='" + "x" * 70_000 + "'", "settings have at most 65,536"),
        ("recipe=5", "its recipe is 5, and should be a table"),
        ("[recipe]\nseed='x'", "its recipe.seed is 'x', and should be a whole number from 0"),
        ("set_by_user=[1]", "its set_by_user, entry 0 is 1, and should be a text"),
    ],
)
def test_settings_are_settings(tmp_path, text, message):
    from hubel.run import read_settings

    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_settings(tmp_path)


# ---- weights


def test_a_tensor_is_in_its_file_number_by_number(tmp_path):
    """One number that says it is a billion: a view without strides, which a copy would write out."""
    import torch

    from hubel.zoo import pth

    torch.save({"w": torch.zeros(1).expand(100_000, 10_000)}, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").stat().st_size < 10_000
    with pytest.raises(ArtifactError, match=r"its tensor w \(100000, 10000\) is not in it number by number"):
        pth.read(tmp_path / "w.pth")


# ---- ONNX


def test_the_operations_that_are_run_are_those_that_our_rules_write():
    from hubel.onnx import trusted

    source = (PACKAGE / "onnx" / "rules.py").read_text("utf-8")
    from onnx import defs

    known = {schema.name for schema in defs.get_all_schemas()}
    named = {
        n.value
        for n in ast.walk(ast.parse(source))
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }
    assert (named & known) | {"Identity"} == trusted.OPERATIONS


def test_an_onnx_file_that_reads_others_or_loops_is_not_run(tmp_path):
    from onnx import ModelProto

    from hubel.onnx.model import load

    (content,) = hostile.exported().values()

    def spoilt(change):
        model = ModelProto.FromString(content)
        change(model.graph)
        (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
        return tmp_path / "x.onnx"

    def outside(graph):
        graph.initializer[0].data_location = 1
        graph.initializer[0].external_data.add(key="location", value="/etc/passwd")

    def loops(graph):
        graph.node[0].op_type = "Loop"

    def pads(graph):
        found = next(s for s in graph.node[0].attribute if s.name == "pads")
        found.ints[:] = [30_000] * 4

    with pytest.raises(ArtifactError, match="its numbers lie in another file"):
        load(spoilt(outside))
    with pytest.raises(ArtifactError, match="it has the operation 'Loop'"):
        load(spoilt(loops))
    with pytest.raises(ArtifactError, match=r"its map \S+ would have 14,4\d\d,\d\d\d,\d\d\d numbers"):
        load(spoilt(pads))  # 4 maps of (8 + 2 x 30,000 - 2)^2 cells
    assert load(spoilt(lambda graph: None)).classes == ("cat", "dog", "cow")


def test_onnx_runtime_prints_nothing_of_a_file(tmp_path, capfd):
    """It would print a step's name as it is; and a file's own notes may be no text at all."""
    from onnx import ModelProto

    from hubel.onnx.model import load

    model = ModelProto.FromString(*hostile.exported().values())
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    gemm.name = "\x1b[31mred"
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == gemm.input[2])
    del bias.dims[:]
    bias.dims.extend((1, 1, 3))
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError) as said:
        load(tmp_path / "x.onnx").predict(np.zeros((2, 1, 8, 8), np.uint8))
    assert str(said.value).isprintable()
    assert capfd.readouterr() == ("", "")
    (content,) = hostile.exported().values()
    (tmp_path / "x.onnx").write_bytes(content.replace(b'"classes"', b'"cl\xff\xff\xffes"', 1))
    with pytest.raises(ArtifactError, match=r"x\.onnx"):
        load(tmp_path / "x.onnx")


# ---- what is printed


def test_one_module_writes_to_the_terminal():
    """Names are somebody else's. Whoever prints goes through cli/show.py, which writes out what could steer a terminal."""
    found = []
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("print", "sys.stdout.write", "sys.stderr.write"):
                found.append(f"{file.relative_to(PACKAGE)}: {ast.unparse(node)[:40]}")
    allowed = [f for f in found if f.startswith("cli/show.py") or "hubel {__version__}" in f]
    assert found == allowed
    assert len(allowed) >= 4


STEERING = "\x1b[31m\x9b2J\u202egnp\x7f\r\b\0"


def test_nothing_steers_the_terminal(capsys):
    from hubel.cli import left_out, show
    from hubel.data.records import Problem

    show.say(f"name {STEERING}")
    show.table([f"c{STEERING}"], [[STEERING]], title=f"[red]{STEERING}")
    show.as_json({"name": STEERING, "pair": "\U000e0001", "fine": "ü中🂡"})
    left_out.tell([Problem(STEERING, STEERING)])
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert text.replace("\n", "").isprintable()
    assert "[red]" in printed.out and "ü中🂡" in printed.out


def test_json_means_the_same_where_it_is_escaped(capsys):
    import json

    from hubel.cli import show

    value = {"a": STEERING, "b": ["\U000e0001", "x\ny", 1.5]}
    show.as_json(value)
    assert json.loads(capsys.readouterr().out) == value


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_name_that_means_harm_is_only_a_name(tmp_path, capsys, monkeypatch):
    """From a folder to the terminal: `hubel data` of classes that would colour it, draw a table, or run a formula."""
    from hubel.cli.main import main

    names = [
        "\x1b[31mred",
        "[bold]b",
        "=1+1",
        "$(touch owned)",
        "<script>alert(1)</script>".replace("/", "∕"),
        "a\nb",
    ]
    tree(tmp_path / "set", {f"{name}/{n}.png": flat(n) for name in names for n in range(4)})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hubel", "data", "set"])
    with suppress(SystemExit):
        main()
    printed = capsys.readouterr().out
    assert printed.replace("\n", "").isprintable() and "[bold]b" in printed and r"\x1b[31mred" in printed
    assert not (tmp_path / "owned").exists()


# ---- what is said


def test_every_refusal_of_the_loaders_says_what_and_where():
    """Each `raise` with a text of ours in what reads files: a sentence of some words that holds a value of the file."""
    files = [
        *(PACKAGE / "data").glob("*.py"),
        PACKAGE / "stored.py",
        PACKAGE / "run.py",
        *(PACKAGE / "onnx").glob("*.py"),
    ]
    files += [
        PACKAGE / "zoo" / "weights.py",
        PACKAGE / "zoo" / "pth.py",
        PACKAGE / "evaluation" / "predictions.py",
    ]
    short = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args):
                continue
            name = ast.unparse(node.exc.func)
            text = ast.unparse(node.exc.args[-1])
            if (
                re.fullmatch(r"[A-Z]\w*(Error|Pixels)", name)
                and text[:2] in ('f"', "f'")
                and len(text.split()) < 4
            ):
                short.append(f"{file.name}:{node.lineno} {text}")
    assert short == []
