"""Writes checkpoints of TensorFlow from the formats' descriptions, with nothing of the reader."""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import numpy as np

_TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}


def crc32c(content: bytes) -> int:
    """Bit by bit (RFC 3720)."""
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(rows: list[tuple[bytes, bytes]]) -> bytes:
    """Rows of a block: keys without what they share with the one before."""
    out, before = b"", b""
    for key, value in rows:
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        before = key
    return out + struct.pack("<II", 0, 1)


def table(rows: list[tuple[bytes, bytes]], a_block: int, compression: int = 0) -> bytes:
    out, index = b"", []

    def append(content: bytes) -> bytes:
        nonlocal out
        handle = varint(len(out)) + varint(len(content))
        kind = bytes([compression])
        out += content + kind + struct.pack("<I", masked(crc32c(content + kind)))
        return handle

    for begin in range(0, len(rows), a_block):
        part = rows[begin : begin + a_block]
        index.append((part[-1][0], append(block(part))))
    handles = append(block([])) + append(block(index))
    return out + handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def write_checkpoint(
    folder: Path, arrays: dict[str, np.ndarray], *, shards: int = 1, compression: int = 0,
    name: str = "model.ckpt",
) -> Path:  # fmt: skip
    """`NAME.index` and its shards; the index's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(b"", field(1, shards) + field(3, field(1, 1)))]
    data = [b""] * shards
    for place, (key, array) in enumerate(sorted(arrays.items())):
        content, shard = array.tobytes(), place % shards
        shape = b"".join(field(2, field(1, side) if side else b"") for side in array.shape)
        entry = field(1, _TYPES[array.dtype.name]) + field(2, shape) + field(3, shard)
        entry += field(4, len(data[shard])) + field(5, len(content))
        entry += varint(6 << 3 | 5) + struct.pack("<I", masked(crc32c(content)))
        rows.append((key.encode(), entry))
        data[shard] += content
    path = folder / f"{name}.index"
    path.write_bytes(table(rows, a_block=7, compression=compression))
    for number, content in enumerate(data):
        (folder / f"{name}.data-{number:05d}-of-{shards:05d}").write_bytes(content)
    return path


def write_archive(path: Path, folder: Path) -> Path:
    """The files of a folder as the model zoo packs them."""
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(folder.iterdir()):
            about = tarfile.TarInfo(f"ssd_some_net/{file.name}")
            about.size = file.stat().st_size
            archive.addfile(about, io.BytesIO(file.read_bytes()))
    return path
