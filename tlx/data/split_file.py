"""Splits as a file that people review and commit: which picture is in which split.

`splits.csv`, a line a picture, sorted by name, so that a picture that moves is one changed line:

    picture,split,sha256
    images/0001.jpg,train,5f0c1e6a9d3b7a42

`picture` is a POSIX path relative to the data root. `sha256` (16 hex digits; may be empty, or the
column left out) finds a picture again that was renamed. A folder that holds no such file may hold
lists instead, as other programs write them: `train.txt`, `val.txt`, `test.txt`, a picture a line.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from tlx.common.errors import DataError
from tlx.common.files import path_below
from tlx.config.splits import LISTS, LONGEST, split_files
from tlx.data.formats.annotations import Annotation, Item

COLUMNS = ("picture", "split", "sha256")
SPLITS = ("train", "val", "test")
DIGITS = 16  # hex digits of a digest: 64 bits, without chance matches in any set of pictures


@dataclass(frozen=True)
class Line:
    """One picture's split; `where` is file and line, for messages."""

    picture: str
    split: str
    sha256: str
    where: str


def splits_text(splits: Mapping[str, Sequence[Item]], root: Path) -> str:
    """What the file holds, sorted by picture."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        sorted(
            (path_below(item.image, root), split, item.digest[:DIGITS])
            for split, items in splits.items()
            for item in items
        )
    )
    return text.getvalue()


def read_splits(where: str) -> list[Line]:
    """The lines of the files.

    Raises:
        ConfigError: there is no file.
        DataError: one cannot be read, a line means nothing, or names a picture for the second time.
    """
    lines: dict[str, Line] = {}
    for path in split_files(where):
        for line in _lines(path):
            if (known := lines.setdefault(line.picture, line)) is not line:
                told = f"in {known.split}" if known.split != line.split else "already"
                raise DataError(
                    f"{line.where}: {line.picture} is {told} by {known.where}: a picture is in one "
                    "split; delete one of the lines"
                )
    if not lines:
        raise DataError(f"data.splits={where} names no picture")
    return list(lines.values())


def _lines(path: Path) -> Iterator[Line]:
    try:
        if path.stat().st_size > LONGEST:
            raise DataError(f"{path} is larger than {LONGEST >> 20} MiB: that is no list of splits")
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.name in LISTS:
                for number, text in enumerate(file, start=1):
                    if name := text.strip():
                        yield Line(_posix(name), LISTS[path.name], "", f"{path}:{number}")
                return
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS[:2] if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{path}:1: no column {missing[0]}; the first line is {','.join(COLUMNS)}"
                )
            for row in reader:
                yield _row(row, f"{path}:{reader.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the splits of {path} cannot be read: {error}") from error


def _row(row: Mapping[str, str | None], where: str) -> Line:
    picture, split, sha256 = ((row.get(name) or "").strip() for name in COLUMNS)
    if not picture:
        raise DataError(f"{where}: no picture")
    if split not in SPLITS:
        raise DataError(f"{where}: split {split!r} is none of {', '.join(SPLITS)}")
    if sha256 and (len(sha256) < DIGITS or set(sha256.lower()) - set("0123456789abcdef")):
        raise DataError(f"{where}: sha256 {sha256[:80]!r} is not {DIGITS} or more hex digits")
    return Line(_posix(picture), split, sha256.lower()[:DIGITS], where)


def _posix(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).as_posix()


@dataclass(frozen=True)
class Assigned:
    """Annotations with the splits of a file.

    Attributes:
        annotations: of all pictures; one that no line names is `unlisted`.
        digests: what the file says of a picture's content, where it does.
        warnings: what to know of it.
    """

    annotations: list[Annotation]
    digests: Mapping[Path, str]
    warnings: list[str]

    def changed(self, items: Sequence[Item]) -> list[str]:
        """A warning where pictures have other contents than the file says."""
        named = ((item, self.digests.get(item.image)) for item in items)
        others = [item.image for item, said in named if said and not item.digest.startswith(said)]
        if not others:
            return []
        return [
            f"{len(others)} picture(s) have other contents than data.splits says ({others[0]}): "
            "their splits are those of their names"
        ]


def assign(annotations: Sequence[Annotation], lines: Sequence[Line], root: Path) -> Assigned:
    """Give each picture the split that its line says.

    Args:
        annotations: of no split (`tlx.data.split.without_splits`).

    Raises:
        DataError: a line names no picture of the set, nor one by its content; two lines name one.
    """
    named = {path_below(a.image, root): a.image for a in annotations}
    by_picture: dict[Path, Line] = {}
    lost = []
    for line in lines:
        image = named.get(path_below(root / line.picture, root))
        if image is None:
            lost.append(line)
        elif (known := by_picture.setdefault(image, line)) is not line:
            raise DataError(f"{line.where}: {line.picture} is the picture of {known.where} too")
    renamed = _by_content(lost, [i for i in named.values() if i not in by_picture])
    for line in lost:
        if line not in renamed:
            raise DataError(_no_picture(line, list(named), root))
    for line, image in renamed.items():
        by_picture[image] = line
    warnings = []
    if renamed:
        line, image = next(iter(renamed.items()))
        warnings.append(
            f"{len(renamed)} picture(s) of data.splits have another name now, and were found by "
            f"their content ({line.picture} is {path_below(image, root)})"
        )
    given, left_out = [], set()
    for annotation in annotations:
        found = by_picture.get(annotation.image)
        if found is not None:
            annotation = replace(annotation, split=found.split)
        elif annotation.unused is None:
            left_out.add(annotation.image)
            annotation = replace(annotation, split=None, unused="unlisted", remarks=())
        given.append(annotation)
    if left_out:
        warnings.append(
            f"{len(left_out)} picture(s) of the set are named by no line of data.splits, and left "
            f"out ({path_below(min(left_out), root)})"
        )
    digests = {image: line.sha256 for image, line in by_picture.items() if line.sha256}
    return Assigned(given, digests, warnings)


def _by_content(lines: Sequence[Line], images: Sequence[Path]) -> dict[Line, Path]:
    """The pictures of lines whose names fit nothing; of byte-identical ones each once."""
    if not any(line.sha256 for line in lines):
        return {}
    found: dict[str, list[Path]] = {}
    for image in sorted(images, reverse=True):
        try:
            digest = hashlib.sha256(image.read_bytes()).hexdigest()
        except OSError:
            continue  # the check says so
        found.setdefault(digest[:DIGITS], []).append(image)
    return {line: found[line.sha256].pop() for line in lines if found.get(line.sha256)}


def _no_picture(line: Line, names: Sequence[str], root: Path) -> str:
    close = get_close_matches(line.picture, names, n=1)
    if not close:
        tails = {PurePosixPath(name).name: name for name in names}
        close = [tails[tail] for tail in get_close_matches(PurePosixPath(line.picture).name, tails)]
    nearest = f"the nearest is {close[0]}: correct" if close else "correct"
    content = ", nor one of its content" if line.sha256 else ""
    return (
        f"{line.where}: {root} has no picture {line.picture}{content}; {nearest} or delete the line"
    )
