"""Mutations of a file, of its bytes or of one value in it, and the trial of whoever reads it."""

from __future__ import annotations

import pickle
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.data.helpers_codecs import Codec, changed
from tlx.common.cli import run_program
from tlx.common.errors import TlxError

LIMIT_S = 20.0


BYTES = ("cut", "zero", "flip", "flip", "insert", "insert", "empty", "latin", "deep", "pickle",
         "folder", "loop")  # fmt: skip


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


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


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
