"""Ways to spoil a sound file so that it gets past the first check: what is packed is unpacked, spoilt and packed again.

Each takes the bytes and a random.Random, and gives other bytes.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import sqlite3
import struct
import tempfile
import tomllib
import warnings
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from making import png

Files = dict[str, bytes]
Draw = random.Random

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 1 << 24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
TEXTS = (
    "", " ", "=1+1", "-1", "1e39", "nan", "inf", "../../secret.png", "/etc/passwd", "C:\\x", "\x1b[31mred", "\x9b2J", "a\0b",
    "\u202egnp.exe", "<script>alert(1)</script>", "$\\frac{1}$", "x" * 5000, "[red]", "{{7*7}}", "%s%n", "٣", "1_000", "🂡", "'", '"',
    "train", "test", "2147483648", "\ufeff", "a,b", "a\nb",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 7, 65536, 2**31, 10**30, -0.5, 1e308, float("nan"), float("inf"), "", "x" * 5000, "rgb",
    "../../x", "\x1b[2J", [], {}, [[[]]], [1] * 3, [10**9], ["a"] * 3, {"a": {"b": 1}}, [0, -1], [True, None],
)  # fmt: skip


def spoilt(content: bytes, draw: Draw, keep: int = 0) -> bytes:
    """One to three kinds of harm to bytes, most often behind the first `keep`."""
    body = bytearray(content)
    keep = keep if draw.random() < 0.8 else 0
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(min(keep, len(body)), len(body)) if len(body) > keep else len(body)
        way = draw.randrange(6)
        if way == 0:
            del body[max(at, keep) :]
        elif way == 1:
            for _ in range(draw.randint(1, 12)):
                if len(body) > keep:
                    body[draw.randrange(keep, len(body))] ^= 1 << draw.randrange(8)
        elif way == 2:
            form = draw.choice(("<I", ">I", "<Q", ">H"))
            size = struct.calcsize(form)
            body[at : at + size] = struct.pack(form, draw.choice(NUMBERS) % 256**size)
        elif way == 3:
            body[at:at] = body[at : at + draw.randint(1, 200)] * draw.randint(1, 5)
        elif way == 4:
            begin = draw.randrange(len(body) + 1)
            body[at:] = body[begin : begin + 2000]
        else:
            body[at : at + draw.randint(1, 50)] = draw.randbytes(draw.randint(0, 50))
    return bytes(body)


def plainly(keep: int = 0) -> Callable[[Files, Draw], Files]:
    """Bytes of one of the files are spoilt."""

    def harm(files: Files, draw: Draw) -> Files:
        name = draw.choice(sorted(files))
        return {**files, name: spoilt(files[name], draw, keep)}

    return harm


def other_value(value: Any, draw: Draw) -> Any:
    """JSON-like values with one of them replaced, dropped or renamed, at any depth."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(sorted(value))
        if draw.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if draw.random() < 0.05:
            return {**value, draw.choice(TEXTS): value[key]}
        return {**value, key: other_value(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.6:
        at = draw.randrange(len(value))
        return [*value[:at], other_value(value[at], draw), *value[at + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and draw.random() < 0.4:
        return draw.choice((value + 1, -value, value * 1000, float(value), draw.choice(NUMBERS)))
    return draw.choice(VALUES) if draw.random() < 0.8 else draw.choice(TEXTS)


def spoilt_json(content: bytes, draw: Draw) -> bytes:
    if draw.random() < 0.1 or content[:1] not in (b"{", b"["):
        return draw.choice((b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000, b"\xff", b"null", b'{"a": NaN}'))
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # spoilt before
        return spoilt(content, draw)
    for _ in range(draw.randint(1, 3)):
        value = other_value(value, draw)
    return json.dumps(value).encode("utf-8", "replace") if draw.random() < 0.9 else spoilt(content, draw)


def spoilt_toml(content: bytes, draw: Draw) -> bytes:
    if draw.random() < 0.1:
        return draw.choice(
            (b"a." * 30_000 + b"a=1", b"a=" + b"[" * 60_000, b"a=1" + b"0" * 60_000, b"\xff", b"a=1\na=2")
        )
    if draw.random() < 0.2:
        return spoilt(content, draw)
    value = tomllib.loads(content.decode())
    for _ in range(draw.randint(1, 3)):
        value = other_value(value, draw)
    try:
        return tomli_w.dumps(value).encode("utf-8", "replace")
    except (TypeError, AttributeError, ValueError):  # what TOML has no word for
        return spoilt(content, draw)


def spoilt_lines(content: bytes, draw: Draw) -> bytes:
    """A .jsonl with a line that is another."""
    lines = content.splitlines()
    at = draw.randrange(len(lines))
    lines[at] = spoilt_json(lines[at], draw)
    return b"\n".join(lines) + b"\n"


def spoilt_csv(content: bytes, draw: Draw) -> bytes:
    if draw.random() < 0.15:
        return spoilt(content, draw)
    rows = [line.split(",") for line in content.decode("utf-8").splitlines()]
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(rows)) if draw.random() < 0.1 else draw.randrange(1, len(rows))
        if not rows[at]:
            continue
        column = draw.randrange(len(rows[at]))
        way = draw.random()
        if way < 0.7:
            said = draw.choice(TEXTS)
            rows[at][column] = '"' + said.replace('"', '""') + '"' if draw.random() < 0.8 else said
        elif way < 0.8:
            rows[at][column] = draw.choice(rows)[-1]
        elif way < 0.9:
            del rows[at][column]
        else:
            rows.insert(at, list(rows[at]))
    return "\r\n".join(",".join(row) for row in rows).encode("utf-8", "replace")


def spoilt_npy(content: bytes, draw: Draw) -> bytes:
    """Another header over the same numbers, or other numbers under the same header."""
    if draw.random() < 0.4:
        return spoilt(content, draw, keep=128)
    array = np.load(io.BytesIO(content))
    shape = list(array.shape)
    if shape and draw.random() < 0.7:
        shape[draw.randrange(len(shape))] = draw.choice((*NUMBERS, -1, -2, 3, 10**12))
    else:
        shape = draw.choice(([], [1], [0], [2, 2], [1] * 40, [10**6, 0]))
    kinds = (
        "<f4",
        "|u1",
        "<U0",
        "<U3",
        "|V3",
        "O",
        "<c8",
        ">i8",
        "<M8[s]",
        "|b1",
        "<f2",
        "|S0",
        "<u8",
        array.dtype.str,
    )
    header = {"descr": draw.choice(kinds), "fortran_order": draw.random() < 0.1, "shape": tuple(shape)}
    said = (
        repr(header)
        if draw.random() < 0.9
        else draw.choice(("{" * 9000, "(" * 9000, "{'descr': [('a', '<f4')], 'shape': (1,)}"))
    )
    text = said.encode() + b" " * 20 + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) & 0xFFFF) + text + array.tobytes()


def spoilt_zip(harm: Callable[[bytes, Draw], bytes]) -> Callable[[bytes, Draw], bytes]:
    """Harm inside of a zip that is whole itself, to its list of members, or to its bytes."""

    def spoil(content: bytes, draw: Draw) -> bytes:
        if draw.random() < 0.15:
            return spoilt(content, draw, keep=30)
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            members = [(info.filename, file.read(info)) for info in file.infolist()]
        at = draw.randrange(len(members))
        out = io.BytesIO()
        with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w") as file:
            for n, (name, inside) in enumerate(members):
                info = zipfile.ZipInfo(name)
                info.compress_type = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
                body = harm(inside, draw) if n == at and draw.random() < 0.8 else inside
                if n == at and draw.random() < 0.25:
                    info.filename = draw.choice(TEXTS) + name[-4:]
                    info.external_attr = draw.choice((0o120777, 0o010644, 0o100644)) << 16
                    info.compress_type = draw.choice((0, 8, 12, 14))
                file.writestr(info, body)
        whole = bytearray(out.getvalue())
        if draw.random() < 0.2:  # a number of the central directory: sizes, offsets, flags
            begin = whole.find(b"PK\x01\x02")
            place = begin + draw.randrange(6, 46)
            whole[place : place + 4] = struct.pack("<I", draw.choice(NUMBERS) & 0xFFFFFFFF)
        return bytes(whole)

    return spoil


def spoilt_tar(content: bytes, draw: Draw) -> bytes:
    """A field of a header with its checksum put right, headers of long names, or content."""
    body = bytearray(content)
    blocks = [at for at in range(0, len(body) - 511, 512) if body[at + 257 : at + 262] == b"ustar"]
    way = draw.random()
    if way < 0.2 or not blocks:
        return spoilt(bytes(body), draw, keep=512)
    at = draw.choice(blocks)
    if way < 0.7:
        begin, end = draw.choice(
            ((0, 100), (100, 108), (124, 136), (156, 157), (157, 257), (257, 265), (345, 500))
        )
        fields = (
            draw.choice(TEXTS).encode("utf-8", "surrogatepass"), draw.randbytes(end - begin), b"%o" % draw.choice(NUMBERS),
            draw.choice((b"x", b"L", b"K", b"g", b"S", b"1", b"2", b"3", b"5", b"7")), b"\x80" + b"\0" * 7 + b"\xff" * 4, b"\xff" * 12,
        )  # fmt: skip
        body[at + begin : at + end] = draw.choice(fields)[: end - begin].ljust(end - begin, b"\0")
        sealed(body, at)
    else:
        records = (
            "path=../../x",
            "path=" + "a/" * 300 + "1.png",
            "size=-1",
            "size=99999999999",
            "GNU.sparse.major=1",
            "linkpath=/x",
            "\x1b",
        )
        record = draw.choice(records)
        length = len(record) + 4 + draw.choice((0, 0, 0, 1, -3, 1000))
        text = f"{length} {record}\n".encode() if draw.random() < 0.9 else draw.randbytes(60)
        head = bytearray(bytes(body[at : at + 512]))
        head[124:136] = b"%011o\0" % draw.choice((len(text), len(text), 2**33 - 1, 10**6))
        head[156:157] = draw.choice((b"x", b"x", b"L", b"K", b"g"))
        sealed(head, 0)
        body[at:at] = (head + text.ljust(-(-len(text) // 512) * 512, b"\0")) * draw.choice((1, 1, 2, 30))
    return bytes(body)


def sealed(body: bytearray, at: int) -> None:
    """The checksum of the header at `at` put right."""
    body[at + 148 : at + 156] = b" " * 8
    body[at + 148 : at + 156] = b"%06o\0 " % sum(body[at : at + 512])


def spoilt_gzip(harm: Callable[[bytes, Draw], bytes]) -> Callable[[bytes, Draw], bytes]:
    def spoil(content: bytes, draw: Draw) -> bytes:
        if draw.random() < 0.2:
            return spoilt(content, draw, keep=10)
        return gzip.compress(harm(gzip.decompress(content), draw), mtime=0)

    return spoil


def spoilt_idx(content: bytes, draw: Draw) -> bytes:
    """Sizes of axes, or values."""
    body = bytearray(content)
    axes = body[3]
    if draw.random() < 0.6:
        at = 4 + 4 * draw.randrange(axes)
        body[at : at + 4] = struct.pack(">I", draw.choice((*NUMBERS, 100_001, 3, 5)) & 0xFFFFFFFF)
        if draw.random() < 0.2:
            body[2] = draw.choice((8, 9, 11, 12, 13, 14, 99))
        if draw.random() < 0.5:
            return bytes(body)
    return spoilt(bytes(body), draw, keep=4 + 4 * axes)


def spoilt_pickle(content: bytes, draw: Draw) -> bytes:
    """Operations put in, or bytes spoilt behind the first."""
    if draw.random() < 0.5:
        return spoilt(content, draw, keep=2)
    words = (
        b"cos\nsystem\n(S'touch owned'\ntR", b"c__builtin__\neval\n(S'1'\ntR", b"2", b"0", b"(", b"t", b"}", b"]", b"\x85\x86\x87", b"h\x00",
        b"r\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 8, b"\x8a\xff", b"Q", b"b", b"R", b"\x93", b"K\x01", b"X\xff\xff\xff\x7f", b"()" + b"2\x86" * 60, b"a", b"s",
    )  # fmt: skip
    at = draw.randrange(2, len(content))
    return content[:at] + b"".join(draw.choices(words, k=draw.randint(1, 4))) + content[at:]


def spoilt_png(content: bytes, draw: Draw) -> bytes:
    """A chunk with other content and its checksum put right; of a sound PNG."""
    chunks, at = [], 8
    while at < len(content):
        size = struct.unpack(">I", content[at : at + 4])[0]
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    n = draw.randrange(len(chunks))
    kind, body = chunks[n]
    if kind == b"IDAT" and draw.random() < 0.5:
        body = zlib.compress(spoilt(zlib.decompress(body), draw))
    elif draw.random() < 0.7 and body:
        place = draw.randrange(len(body))
        body = (
            body[:place]
            + struct.pack(">I", draw.choice((*NUMBERS, 5000)) & 0xFFFFFFFF)[: draw.randint(1, 4)]
            + body[place + 4 :]
        )
    else:
        kind = draw.choice((b"PLTE", b"tRNS", b"gAMA", b"iCCP", b"zTXt", b"eXIf", b"acTL", b"fcTL", b"IEND"))
        body = draw.choice(
            (body, draw.randbytes(20), b"x\0\0" + zlib.compress(bytes(5_000_000)), b"II*\0\x08\0\0\0\xff\xff")
        )
    chunks[n : n + 1] = [(kind, body)] * draw.choice((1, 1, 1, 2))
    return content[:8] + b"".join(
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
    )


def spoilt_picture(content: bytes, draw: Draw) -> bytes:
    if content.startswith(b"\x89PNG") and draw.random() < 0.7:
        with suppress(zlib.error, struct.error):  # spoilt before
            return spoilt_png(content, draw)
    return spoilt(content, draw, keep=draw.choice((8, 24, 60)))


def spoilt_safetensors(content: bytes, draw: Draw) -> bytes:
    """The header's JSON, or the card in it, and its length put right."""
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    told = header.get("__metadata__", {})
    if "hubel" in told and draw.random() < 0.75:
        told["hubel"] = spoilt_json(told["hubel"].encode(), draw).decode("utf-8", "replace")
    elif draw.random() < 0.7:
        header = other_value(header, draw)
    else:
        return content[: 8 + size] + spoilt(content[8 + size :], draw)
    text = json.dumps(header).encode("utf-8", "replace")
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


def spoilt_onnx(content: bytes, draw: Draw) -> bytes:
    """A field of the model, by protobuf's own means."""
    from onnx import ModelProto

    if draw.random() < 0.15:
        return spoilt(content, draw, keep=8)
    model = ModelProto.FromString(content)
    graph = model.graph
    for _ in range(draw.randint(1, 2)):
        node, tensor = draw.choice(graph.node), draw.choice(graph.initializer)
        way = draw.randrange(11)
        if way == 0:
            node.op_type = draw.choice(
                (
                    "Loop",
                    "If",
                    "Expand",
                    "Tile",
                    "Range",
                    "Relu",
                    "Reshape",
                    "Conv",
                    "Pad",
                    "Gemm",
                    "MatMul",
                    "\x1b",
                )
            )
        elif way == 1 and node.attribute:
            setting = draw.choice(node.attribute)
            setting.i = draw.choice(NUMBERS)
            for k in range(len(setting.ints)):
                setting.ints[k] = draw.choice((0, 1, 2, 3, -1, 1000, draw.choice(NUMBERS)))
        elif way == 2 and tensor.dims:
            tensor.dims[draw.randrange(len(tensor.dims))] = draw.choice((0, 1, -1, 7, *NUMBERS))
        elif way == 3:
            tensor.raw_data = spoilt(tensor.raw_data, draw)
        elif way == 4:
            tensor.data_location = 1
            tensor.external_data.add(key="location", value=draw.choice(("/etc/passwd", "../secret.png")))
        elif way == 5:
            place = draw.choice((graph.input, graph.output))[0].type.tensor_type.shape.dim
            draw.choice(place).dim_value = draw.choice((0, 1, 2, 9, *NUMBERS))
        elif way == 6 and node.input:
            node.input[draw.randrange(len(node.input))] = draw.choice(["", draw.choice(graph.node).output[0]])
        elif way == 7:
            kept = draw.choice(model.metadata_props)
            kept.value = spoilt_json(kept.value.encode(), draw).decode("utf-8", "replace")
        elif way == 8:
            graph.node.add().CopyFrom(node)
        elif way == 9:
            model.opset_import[0].version = draw.choice((0, 1, 7, 17, 99, 2**40))
        else:
            kept = next(k for k in model.metadata_props if k.key == "hubel")
            kept.value = spoilt_json(kept.value.encode(), draw).decode("utf-8", "replace")
    return model.SerializeToString()


def each(**ways: Callable[[bytes, Draw], bytes]) -> Callable[[Files, Draw], Files]:
    """One file is spoilt, in the way of its ending; `_` is that of all others."""
    by_ending = {"" if name == "_" else f".{name}": way for name, way in ways.items()}

    def harm(files: Files, draw: Draw) -> Files:
        ways = {
            name: next((by_ending[e] for e in by_ending if name.endswith(e)), None) for name in sorted(files)
        }
        name = draw.choice([name for name, way in ways.items() if way])
        way = ways[name]
        assert way is not None
        return {**files, name: way(files[name], draw)}

    return harm


def spoilt_folder(files: Files, draw: Draw) -> Files:
    """Names that mean harm where a file system takes them, and spoilt pictures."""
    made = dict(files)
    for _ in range(draw.randint(1, 3)):
        name = draw.choice(sorted(made))
        if draw.random() < 0.5:
            said = draw.choice(TEXTS).replace("\0", "").replace("/", "∕")[:60]
            parts = name.split("/")
            parts[draw.randrange(len(parts) - 1)] = said if said.strip(". ") else "x"
            made["/".join(parts)] = made.pop(name)
        else:
            made[name] = spoilt_picture(made[name], draw)
    return made


def spoilt_sqlite(files: Files, draw: Draw) -> Files:
    """A page of the file, or what a row holds."""
    (name, content), *_ = files.items()
    if draw.random() < 0.5:
        return {name: spoilt(content, draw, keep=100)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        path.write_bytes(content)
        with closing(sqlite3.connect(path)) as opened, opened:
            column = draw.choice(("picture", "label", "answer", "sample", "model"))
            value = draw.choice(
                (None, 7, b"\xff", "x", 1.5, spoilt_picture(png(np.zeros((4, 4))), draw), *TEXTS)
            )
            with suppress(sqlite3.Error):
                opened.execute(f"update corrections set {column} = ?", (value,))
            if draw.random() < 0.2:
                opened.execute("alter table corrections rename to a")
                opened.execute(
                    "create view corrections as with recursive x(n) as (select 1 union all select n + 1 from x) select n as id from x"
                )
        return {name: path.read_bytes()}


def spoilt_pth(content: bytes, draw: Draw) -> bytes:
    """The pickle of names and shapes, in the zip or at the beginning of an old file."""
    if not content.startswith(b"PK"):
        return (
            spoilt(content, draw, keep=300)
            if draw.random() < 0.5
            else content[:60] + spoilt_pickle(content[60:], draw)
        )
    return spoilt_zip(
        lambda inside, draw: spoilt_pickle(inside, draw) if inside[:1] == b"\x80" else spoilt(inside, draw)
    )(content, draw)
