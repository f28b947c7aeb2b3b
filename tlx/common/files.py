"""Write files so that a reader never meets half of one, whatever kills the writer."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf._utils import get_yaml_loader

from tlx.common.errors import StorageError, remedy

DEEPEST = 100  # levels of lists and objects: no file of ours has ten
_CONTAINERS = (dict, list, tuple)
_SMALL = 64  # bits of an integer; larger ones are damage, and overflow wherever they are used
# Characters that JSON and YAML can spell and no text file, path or terminal can hold.
_LONG = re.compile(r"[0-9]{19}")  # digits, so that an integer may be too large
_UNWRITABLE = re.compile(r"[\0\ud800-\udfff]")
_SPELLED = re.compile(r"\\u(?:0000|[dD][89abAB])|[\0\ud800-\udfff]")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a neighbouring file, flush it to disk, then put it in place of `path`.

    Raises:
        StorageError: the disk is full, the folder may not be written, …; `path` is as before.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}: {remedy(error)}"
        ) from error


def refuse_output(path: Path, *, folder: bool = False) -> None:
    """Before the work: find out whether a file, or a folder of files, can be written there.

    Raises:
        StorageError: something of another kind is in the way, or the rights are missing.
    """
    there = path if path.exists() else next(p for p in path.absolute().parents if p.exists())
    wanted_folder = folder or there is not path
    if there.is_dir() is not wanted_folder:
        kind = "a folder" if there.is_dir() else "a file"
        raise StorageError(f"{path} cannot be written: {there} is {kind}: give another place")
    if not os.access(there, os.W_OK):
        raise StorageError(
            f"{path} cannot be written: no right to write {there}: give another place"
        )


def remove_partials(folder: Path) -> None:
    """Delete what killed writers left below `folder`; nobody else may be writing there."""
    for partial in folder.rglob(".*.partial"):
        partial.unlink(missing_ok=True)


def read_json(path: Path, encoding: str = "utf-8") -> Any:
    """What a JSON file holds: numbers, texts, lists and objects that can be worked with.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, also where it is JSON: nested deeper than Python can follow,
            integers of more than 64 bits, characters that cannot be written.
    """
    return parse_json(path.read_text(encoding=encoding))


def parse_json(text: str) -> Any:
    """`read_json` of a text."""
    try:
        # The guard takes as long as all the rest: only where it can find something.
        value = json.loads(text, parse_int=_integer if _LONG.search(text) else None)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    _refuse_deep(value)
    if _SPELLED.search(text):  # rare: a look at each text is left out of most files
        _refuse_unwritable(value)
    return value


def read_yaml(path: Path) -> Any:
    """What a YAML file holds: plain values only, as OmegaConf types them, nothing executed.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or holds what `read_json` refuses or an alias: a few of these
            stand for more values than any memory holds. The message is one line.
    """
    try:
        value = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_loader())
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    check_plain(value)
    return value


def check_plain(value: Any) -> None:
    """Refuse values of a stranger's file that `read_json` refuses; raises `ValueError`."""
    _refuse_deep(value)
    _refuse_unwritable(value)


def _loader() -> Any:
    """A safe loader without aliases; `1e3` is a number, as in Hydra's files."""

    class Plain(get_yaml_loader()):  # type: ignore[misc]
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError(f"an alias in line {self.peek_event().start_mark.line + 1}")
            return super().compose_node(parent, index)

    return Plain


def _integer(digits: str) -> int:
    # The length first: Python takes minutes to convert millions of digits.
    if len(digits) > 20 or not -(2 ** (_SMALL - 1)) <= (value := int(digits)) < 2**_SMALL:
        raise ValueError(f"the integer {digits[:20]}… has more than {_SMALL} bits")
    return value


def _refuse_deep(value: Any) -> None:
    level = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(DEEPEST):
        level = [
            child
            for part in level
            for child in (part.values() if isinstance(part, dict) else part)
            if isinstance(child, _CONTAINERS)
        ]
        if not level:
            return
    raise ValueError("it is nested too deep")


def _refuse_unwritable(value: Any) -> None:
    if isinstance(value, str) and (found := _UNWRITABLE.search(value)):
        raise ValueError(f"it holds the character {found[0]!a}, which no text file can")
    if isinstance(value, int) and value.bit_length() > _SMALL:
        raise ValueError(f"an integer has more than {_SMALL} bits")
    if isinstance(value, _CONTAINERS):
        for part in value.items() if isinstance(value, dict) else value:
            for each in part if isinstance(part, tuple) else (part,):
                _refuse_unwritable(each)


def write_json(path: Path, value: Any) -> None:
    """JSON by the standard: NaN is refused, because other readers would choke on it."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda partial: _write_text(partial, text))


def write_text(path: Path, text: str) -> None:
    """A whole text file at once."""
    write_atomically(path, lambda partial: _write_text(partial, text))


def write_bytes(path: Path, content: bytes) -> None:
    """A whole binary file at once."""
    write_atomically(path, lambda partial: _write_bytes(partial, content))


def write_picture(image: Any, path: Path, **options: Any) -> None:
    """A PIL image at once, in the format of the path's ending.

    It is encoded in memory: where a disk is full, Pillow's JPEG writer leaves half a picture and
    says nothing.
    """
    from PIL import Image  # here: readers of JSON need no pictures

    into = io.BytesIO()
    format = Image.registered_extensions().get(path.suffix.lower())
    if format is None:
        raise StorageError(f"{path}: pictures are not written with this ending: .png, .jpg, …")
    image.save(into, format=format, **options)
    write_bytes(path, into.getvalue())


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def path_below(path: Path, root: Path) -> str:
    """`path` relative to `root`, in POSIX form; the absolute path where it lies elsewhere."""
    path, root = path.absolute(), root.absolute()
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def output_names(paths: Sequence[Path]) -> list[str]:
    """A file name NAME.png for each picture, told apart by a number where names repeat.

    Also where they repeat but for their case, for some file systems take these for one.
    """
    taken: set[str] = set()
    names = []
    for path in paths:
        candidates = (f"{path.stem}{f'-{n}' if n > 1 else ''}.png" for n in itertools.count(1))
        name = next(name for name in candidates if name.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names
