"""Files taken apart into values, one value changed, and put together in a container that is whole.

So a mutation gets past checksums and parsers, to the code that uses the values.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import yaml


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
