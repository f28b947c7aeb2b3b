"""Checkpoints of TensorFlow, read without TensorFlow: `model.ckpt.index` and its data shards.

The index is a sorted table in LevelDB's format (leveldb, doc/table_format.md) from names to
`BundleEntryProto` (tensorflow/core/protobuf/tensor_bundle.proto); the shards hold raw tensors.
Every block and tensor has a CRC-32C (RFC 3720), which is compared. The one package that reads them
without TensorFlow, tensorflow-checkpoint-reader, cannot be installed: its setup lacks a file.
"""

from __future__ import annotations

import math
import struct
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from tlx.common.errors import WeightsError, first_line
from tlx.models.backbones.base import StateDict
from tlx.models.backbones.numpy_weights import LARGEST

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48  # bytes
# DataType of types.proto -> numpy's; others (texts, truths) are no weights and are left out.
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected
_LANES = 1024  # parts of a tensor whose checksums are computed side by side

Reader = Callable[[str], bytes]
"""Gives the content of a file that lies beside the index, by its name."""


def read_tf_checkpoint(path: Path) -> StateDict:
    """Every tensor of numbers by its name, of an `.index` file or an archive (.tar.gz) with one.

    Nothing is unpacked to disk. Raises `WeightsError` for what is damaged or holds no checkpoint.
    """
    try:
        if path.suffix == ".index":
            return _tensors(path.name, lambda name: (path.parent / name).read_bytes())
        with tarfile.open(path) as archive:
            files = {m.name: m for m in archive.getmembers() if m.isreg()}
            index = _index_among(list(files))

            def read(name: str) -> bytes:
                member = files[str(PurePosixPath(index).with_name(name))]
                if member.size > LARGEST:
                    raise ValueError(f"{name} unpacks to more than {LARGEST} bytes")
                content = archive.extractfile(member)
                assert content is not None
                return content.read()

            return _tensors(PurePosixPath(index).name, read)
    except Exception as error:  # of tarfile, zlib, struct and numpy, each in its own types
        raise WeightsError(
            f"{path} cannot be read as a checkpoint of TensorFlow: {first_line(error)}"
        ) from error


def _index_among(names: list[str]) -> str:
    found = [name for name in names if name.endswith(".index")]
    of_model = [name for name in found if PurePosixPath(name).name == "model.ckpt.index"]
    if len(chosen := of_model or found) != 1:
        raise ValueError(f"it holds {len(chosen)} files NAME.index, and one is needed")
    return chosen[0]


def _tensors(index: str, read: Reader) -> StateDict:
    """Args: index: the name of the index; read: see `Reader`."""
    rows = dict(_table(read(index)))
    header = _message(rows.pop(b""))  # BundleHeaderProto
    if header.get(2, [0]) != [0]:
        raise ValueError("its numbers are big-endian, which is not read")
    count = _number(header, 1)
    prefix = index.removesuffix(".index")
    shards = cache(lambda number: read(f"{prefix}.data-{number:05d}-of-{count:05d}"))
    found: StateDict = {}
    for key, value in rows.items():
        name, entry = key.decode(), _message(value)  # BundleEntryProto
        if 7 in entry:
            raise ValueError(f"{name} is stored in slices, which are not read")
        if (kind := _TYPES.get(_number(entry, 1))) is not None:
            found[name] = _tensor(name, entry, np.dtype(kind), shards(_number(entry, 3)))
    return found


def _tensor(name: str, entry: Message, kind: np.dtype, shard: bytes) -> torch.Tensor:
    shape_fields = _message(_bytes(entry, 2)).get(2, [])
    shape = [_number(_message(_is_bytes(dim)), 1) for dim in shape_fields]
    begin, size = _number(entry, 4), _number(entry, 5)
    content = shard[begin : begin + size]
    if len(content) != size or size != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{name} of shape {shape} is cut off, or its size is another")
    if crc32c(content) != _unmasked(_number(entry, 6)):
        raise ValueError(f"the checksum of {name} in it does not match")
    native = kind.newbyteorder("=")
    return torch.from_numpy(np.frombuffer(content, kind).astype(native).reshape(shape))


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every key and value of a table."""
    footer = content[-_FOOTER:]
    if len(footer) < _FOOTER or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise ValueError("its index does not end as one does")
    at = 0
    for _ in range(2):  # of the metadata's block, which is not needed
        _, at = _varint(footer, at)
    for _, handle in _block(content, footer, at):
        yield from _block(content, handle, 0)


def _block(content: bytes, handle: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the block that a handle (offset, size) is of."""
    begin, at = _varint(handle, at)
    size, _ = _varint(handle, at)
    block = content[begin : begin + size]
    kind, crc = struct.unpack_from("<BI", content, begin + size)
    if crc32c(block + bytes([kind])) != _unmasked(crc):
        raise ValueError("the checksum of a block of its index does not match")
    if kind != 0:
        raise ValueError("its index is compressed, which is not read")
    restarts = struct.unpack("<I", block[-4:])[0]
    end, place, key = len(block) - 4 * (restarts + 1), 0, b""
    while place < end:
        shared, place = _varint(block, place)
        rest, place = _varint(block, place)
        length, place = _varint(block, place)
        key = key[:shared] + block[place : place + rest]
        place += rest
        yield key, block[place : place + length]
        place += length


Message = dict[int, list["int | bytes"]]
"""The fields of a protocol buffer's message by number."""


def _message(content: bytes) -> Message:
    fields: Message = {}
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(content, at)
        elif tag & 7 == 2:
            length, at = _varint(content, at)
            value, at = content[at : at + length], at + length
        elif tag & 7 in (1, 5):
            width, form = (8, "<Q") if tag & 7 == 1 else (4, "<I")
            value, at = struct.unpack_from(form, content, at)[0], at + width
        else:
            raise ValueError("its index holds a message that cannot be read")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(message: Message, field: int) -> int:
    value = message.get(field, [0])[-1]
    if not isinstance(value, int):
        raise ValueError("its index holds a message of another kind")
    return value


def _bytes(message: Message, field: int) -> bytes:
    return _is_bytes(message.get(field, [b""])[-1])


def _is_bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("its index holds a message of another kind")
    return value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number in its index has no end")


def _unmasked(crc: int) -> int:
    """LevelDB masks stored checksums, so that one of data with checksums in it is a good one."""
    turned = (crc - 0xA282EAD8) & 0xFFFFFFFF
    return (turned >> 17 | turned << 15) & 0xFFFFFFFF


@cache
def _crc_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


def crc32c(content: bytes) -> int:
    """CRC-32C. Long contents are split, for Python is slow byte by byte: a CRC is linear, so that
    the register behind a part is what it was before, moved over as many zeros, plus the part's own.
    """
    table = _crc_table()
    values = np.frombuffer(content, np.uint8)
    length = len(values) // _LANES if len(values) >= 8 * _LANES else 0
    register = 0xFFFFFFFF
    for byte in values[_LANES * length :] if length == 0 else values[: len(values) % _LANES]:
        register = int(table[(register ^ int(byte)) & 255]) ^ register >> 8
    if length:
        parts = values[len(values) % _LANES :].reshape(_LANES, length)
        # One register for each part, and one for each bit that is moved over zeros.
        registers = np.zeros(_LANES + 32, np.uint32)
        registers[_LANES:] = 1 << np.arange(32, dtype=np.uint64)
        column = np.zeros(_LANES + 32, np.uint8)
        for place in range(length):
            column[:_LANES] = parts[:, place]
            registers = table[(registers ^ column) & 255] ^ registers >> 8
        moved = [int(value) for value in registers[_LANES:]]
        for part in registers[:_LANES].tolist():
            over = 0
            for bit in range(32):
                if register >> bit & 1:
                    over ^= moved[bit]
            register = over ^ part
    return register ^ 0xFFFFFFFF
