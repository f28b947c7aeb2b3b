"""Mutations of a file: of its bytes, or of one value in it, in a container that is whole.

The second kind gets past checksums and parsers, to the code that uses the values.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import pickle
import random
import shutil
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from tlx.cli import run_program
from tlx.errors import TlxError

LIMIT_S = 20.0
BYTES = ("cut", "zero", "flip", "flip", "insert", "insert", "empty", "latin", "deep", "pickle",
         "folder", "loop")  # fmt: skip


@dataclass(frozen=True)
class Codec:
    """How a file is taken apart into lists, dicts and leaves, and put together again.

    Attributes:
        weird: leaves of this kind of file, beside those that any may hold.
        change: what changes a decoded value; None changes a place in lists and dicts.
    """

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    weird: tuple[Any, ...] = ()
    change: Callable[[Any, random.Random], str] | None = None


@dataclass(frozen=True)
class Target:
    """A file, and who reads it.

    Attributes:
        file: what is mutated, below the sample's folder.
        sample: lays the whole sample out in a folder.
        read: gets a copy of that folder; may raise a `TlxError`, and nothing else.
        codec: None mutates bytes only. quick, many: mutations in the default and the slow tier.
    """

    file: str
    sample: Callable[[Path], object]
    read: Callable[[Path], object]
    codec: Codec | None = None
    quick: int = 12
    many: int = 160


def content(file: str, text: bytes | str) -> Callable[[Path], object]:
    """A sample of one file."""

    def write(folder: Path) -> None:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    return write


def program(main: Callable[[list[str]], None], *arguments: object) -> None:
    """Run a program as its command line does; it may end with 0, or with words."""
    with argv([str(argument) for argument in arguments]):
        try:
            run_program(main, "help")
        except SystemExit:  # words, or an exit status that is documented
            return


class argv:
    """`sys.argv` of a program for the time being."""

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments

    def __enter__(self) -> None:
        self.before, sys.argv = sys.argv, ["program", *self.arguments]

    def __exit__(self, *_: object) -> None:
        sys.argv = self.before


# ----------------------------------------------------------------------------------------- codecs


def json_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def _load_torch(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True)


def _save_torch(value: Any) -> bytes:
    into = io.BytesIO()
    torch.save(value, into)
    return into.getvalue()


def _load_csv(data: bytes) -> Any:
    return [*csv.reader(io.StringIO(data.decode()))]


def _save_csv(rows: Any) -> bytes:
    into = io.StringIO()
    writer = csv.writer(into)
    for row in rows if isinstance(rows, list) else [rows]:
        writer.writerow(row if isinstance(row, list) else [row])
    return into.getvalue().encode(errors="surrogatepass")


def _load_safetensors(data: bytes) -> Any:
    (size,) = struct.unpack("<Q", data[:8])
    return {"header": json.loads(data[8 : 8 + size]), "size": [len(data) - 8 - size]}


def _save_safetensors(value: Any) -> bytes:
    header = json_bytes(value.get("header"))
    sizes = value.get("size")
    size = sizes[0] if isinstance(sizes, list) and sizes else 0
    count = size if isinstance(size, int) and 0 <= size < 10**7 else 0
    return struct.pack("<Q", len(header)) + header + bytes(count)


def _load_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _save_zip(value: Any) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for name, part in value.items():
            archive.writestr(str(name), part if isinstance(part, bytes) else str(part))
    return into.getvalue()


def _load_lines(data: bytes) -> Any:
    return [line.split(b" ") for line in data.split(b"\n")]


def _save_lines(rows: Any) -> bytes:
    def text(word: Any) -> bytes:
        return word if isinstance(word, bytes) else str(word).encode(errors="surrogatepass")

    return b"\n".join(
        b" ".join(map(text, row)) if isinstance(row, list) else text(row)
        for row in (rows if isinstance(rows, list) else [rows])
    )


def _load_onnx(data: bytes) -> Any:
    import onnx

    return onnx.ModelProto.FromString(data)


def _save_message(message: Any) -> bytes:
    return bytes(message.SerializePartialToString())


def _load_wandb(data: bytes) -> Any:
    """The records of a `.wandb` file: a header of 7 bytes, then LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    records, at, whole = [data[:_HEADER]], _HEADER, b""
    while at + _FRAME.size <= len(data):
        if _BLOCK - at % _BLOCK < _FRAME.size:
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = _FRAME.unpack_from(data, at)
        whole += data[at + _FRAME.size : at + _FRAME.size + length]
        at += _FRAME.size + length
        if kind in (1, 4):
            records.append(Record.FromString(whole))
            whole = b""
    return records


def _save_wandb(records: Any) -> bytes:
    out = bytearray(records[0])
    for record in records[1:]:
        left, first = _save_message(record), True
        while left or first:
            room = _BLOCK - len(out) % _BLOCK - _FRAME.size
            if room < 0:
                out += bytes(_BLOCK - len(out) % _BLOCK)
                continue
            part, left = left[:room], left[room:]
            kind = (1 if first else 4) if not left else (2 if first else 3)
            crc = zlib.crc32(part, zlib.crc32(bytes([kind])))
            out += _FRAME.pack(crc, len(part), kind) + part
            first = False
    return bytes(out)


def _change_wandb(records: Any, rng: random.Random) -> str:
    # Not the header; and rather what is small than one of many rows of figures.
    kinds = sorted({record.WhichOneof("record_type") for record in records[1:]})
    kind = rng.choice(kinds)
    chosen = rng.choice([r for r in records[1:] if r.WhichOneof("record_type") == kind])
    return f"{kind}: {change_message(chosen, rng)}"


def change_message(message: Any, rng: random.Random) -> str:
    """Change one field of a protobuf message, at any depth; a JSON text inside is changed too."""
    path = []
    while True:
        found = message.ListFields()
        if not found:
            return f"nothing in {'.'.join(path)}"
        field, value = rng.choice(found)
        path.append(field.name)
        many = not isinstance(value, (str, bytes)) and hasattr(value, "__len__")
        inner = rng.choice(value) if many and len(value) and not hasattr(value, "keys") else value
        if hasattr(inner, "ListFields") and rng.random() < 0.9:
            message = inner
            continue
        break
    if many and hasattr(value, "add") and rng.random() < 0.5:
        value.add().CopyFrom(inner)
        return f"doubled in {'.'.join(path)}"
    if isinstance(inner, str) and not many:
        setattr(message, field.name, _changed_text(inner, rng))
    elif isinstance(inner, bytes) and not many:
        setattr(message, field.name, rng.choice((b"", inner[: len(inner) // 2], b"\xff")))
    elif isinstance(inner, bool) and not many:
        setattr(message, field.name, not inner)
    elif isinstance(inner, int) and not many:
        for attempt in (rng.choice((0, -1, 2**31 - 1, 2**62, inner + 1)), 1, 2):
            try:
                setattr(message, field.name, attempt)
                break
            except ValueError:  # of an enumeration, or out of its range
                continue
    else:
        message.ClearField(field.name)
        path.append("cleared")
    return ".".join(path)


def _changed_text(text: str, rng: random.Random) -> str:
    try:
        return json.dumps(changed(json.loads(text), rng, ())[0])
    except ValueError:
        return str(rng.choice(("", "x" * 5000, "../../../x", text + "x", "\0", "[", "NaN")))


_HEADER, _BLOCK, _FRAME = 7, 32768, struct.Struct("<IHB")
ONNX = Codec(_load_onnx, _save_message, change=change_message)
WANDB = Codec(_load_wandb, _save_wandb, change=_change_wandb)
JSON = Codec(json.loads, json_bytes)
YAML = Codec(
    lambda data: yaml.safe_load(data.decode()),
    lambda value: yaml.safe_dump(value, sort_keys=False).encode(),
)
TORCH = Codec(
    _load_torch, _save_torch,
    (
        torch.zeros(0), torch.zeros(()), torch.full((2, 2), float("nan")), torch.ones(3).bool(),
        torch.zeros(1).expand(1 << 40), torch.ones(4, dtype=torch.int64), {1: {2: 3}},
    ),
)  # fmt: skip
CSV = Codec(_load_csv, _save_csv)
SAFETENSORS = Codec(_load_safetensors, _save_safetensors)
ZIP = Codec(_load_zip, _save_zip)
LINES = Codec(_load_lines, _save_lines)  # words of lines

WEIRD: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, 2**63, 1e308, float("nan"), float("inf"), "", "x" * 5000,
    "../../../x", "\ud800", "\0", "a\nb", [], {}, [[[]]], {"a": {"b": None}}, "${oc.env:HOME}",
    "1e999", [None] * 3, {"_target_": "os.getcwd"}, "/", "~", "nan", "%s %(", "[bold]", "-0",
)  # fmt: skip


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


# -------------------------------------------------------------------------------------- mutations


def mutate(path: Path, rng: random.Random, codec: Codec | None) -> str:
    """Change a file; returns what was done."""
    data = path.read_bytes()
    if codec is not None and rng.random() < 0.7:
        value = codec.decode(data)
        if codec.change is None:
            value, name = changed(value, rng, codec.weird)
        else:
            name = codec.change(value, rng)
        path.unlink()
        path.write_bytes(codec.encode(value))
        return name
    kind = rng.choice(BYTES)
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.write_bytes(_mutated(data, kind, path, rng))
    return kind


def _mutated(content: bytes, kind: str, path: Path, rng: random.Random) -> bytes:
    data = bytearray(content)
    at = rng.randrange(max(1, len(data)))
    if kind == "cut":
        del data[at:]
    elif kind == "zero":
        data[at:] = bytes(len(data) - at)
    elif kind == "flip":
        for _ in range(rng.choice((1, 8, 64))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "insert":
        data[at:at] = rng.choice(
            (b"\xff\xfe", b"\0\0", b"1e999", b"-", b"../../x", b"<", b"{", b"9" * 5000, b"\r\n\r")
        )
    elif kind == "empty":
        data = bytearray()
    elif kind == "latin":
        data[at:at] = "Zoë".encode("latin-1")
    elif kind == "deep":
        data = bytearray(b"[" * 100_000 if path.suffix != ".xml" else b"<a>" * 100_000)
    elif kind == "pickle":
        data = bytearray(pickle.dumps(Payload(path.parents[1] / "executed")))
    return bytes(data)


def changed(value: Any, rng: random.Random, weird: tuple[Any, ...]) -> tuple[Any, str]:
    """`value` with one thing in it taken away, doubled, renamed, moved or made something else."""
    parent, key, path = _walk(value, rng)
    if parent is None:
        return rng.choice(WEIRD), "all of it"
    kind = rng.choice(("value", "value", "value", "drop", "rename", "other", "wrap"))
    before = parent[key]
    if kind == "drop":
        del parent[key]
    elif kind == "rename" and isinstance(parent, dict):
        parent[rng.choice(("x", "", f"{key}x", "${x}", "__class__"))] = parent.pop(key)
    elif kind == "other":  # a value of another place
        other, name, _ = _walk(value, rng)
        parent[key] = copy.deepcopy(other[name]) if other is not None else None
    elif kind == "wrap":
        parent[key] = rng.choice(([before], {"a": before}, [before] * 3))
    else:
        kind, parent[key] = "value", rng.choice((*WEIRD, *weird, _nearly(before, rng)))
    now = str(parent[key])[:40] if kind == "value" else ""
    return value, f"{kind} of {path} {now!a}"


def _nearly(before: Any, rng: random.Random) -> Any:
    """A value of the same type."""
    if isinstance(before, bool):
        return not before
    if isinstance(before, int):
        return rng.choice((before + 1, -before, before * 1000, 0))
    if isinstance(before, float):
        return rng.choice((before * 1e30, -before, 0.0))
    if isinstance(before, str):
        return rng.choice((before[:-1], before + "/x", before.upper(), "none", "all"))
    if isinstance(before, bytes):
        return before[: len(before) // 2]
    if isinstance(before, torch.Tensor):
        return rng.choice((before * float("nan"), before[None], before.flatten(), before.to(int)))
    return None


def _walk(value: Any, rng: random.Random) -> tuple[Any, Any, str]:
    """A place in `value`: every level is as likely, however many values it has."""
    parent, key, path = None, None, []
    while isinstance(value, (dict, list)) and value:
        if path and rng.random() < 0.15:
            break
        parent = value
        key = rng.choice([*value]) if isinstance(value, dict) else rng.randrange(len(value))
        path.append(str(key))
        value = value[key]
    return parent, key, ".".join(path)


# ----------------------------------------------------------------------------------------- trials


def trial(target: Target, master: Path, name: str, number: int, folder: Path) -> str | None:
    """What a reader did wrong with mutation `number`, or None."""
    sample = folder / "sample"
    shutil.copytree(master, sample)
    kind = mutate(sample / target.file, random.Random(f"{name} {number}"), target.codec)
    fault = None
    started, worked = time.monotonic(), time.process_time()
    try:
        target.read(sample)
    except TlxError as error:
        if "Traceback" in str(error):
            fault = "a traceback in the message"
    except Exception as error:
        fault = f"{type(error).__name__}: {str(error)[:150]!a} at {_place(error)}"
    # Its own seconds, and a limit for one that waits: other tests run beside this one.
    seconds, own = time.monotonic() - started, time.process_time() - worked
    if own > LIMIT_S or seconds > 6 * LIMIT_S:
        fault = f"took {seconds:.0f} s, {own:.0f} s of a core"
    if outside := [p.name for p in folder.iterdir() if p != sample]:
        fault = f"wrote {outside} outside"
    shutil.rmtree(folder)
    return fault and f"{name} {number} ({kind}): {fault}"


def _place(error: BaseException) -> str:
    """The deepest line of our own code, and the deepest of all."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        lines.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    own = [line for line in lines if "/tlx/" in line or "/tools/" in line]
    return " <- ".join(dict.fromkeys([lines[-1], *own[-2:][::-1]]))


def faults(target: Target, master: Path, name: str, numbers: range, folder: Path) -> Iterator[str]:
    """What a reader did wrong with these mutations."""
    for number in numbers:
        if (fault := trial(target, master, name, number, folder / str(number))) is not None:
            yield fault
