"""Where the parts of a YOLO set lie: which text file is of which picture, which split that is of.

The rules are those of Ultralytics and Darknet (docs.ultralytics.com/datasets/detect), at any depth:
a text file lies beside its picture, or where its path has `labels` in place of `images`. Names that
files state are only ever compared with what is there, so that none can leave the data folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PureWindowsPath
from typing import Any

from tlx.common.errors import DataError
from tlx.data.formats.folders import (
    PICTURE_ENDINGS,
    SPLIT_OF_FOLDER,
    files_below,
    read_lines,
    split_folders,
    subfolder,
)
from tlx.data.formats.sniff import looks_like

NAMES = ("classes.txt", "obj.names")  # of Darknet and of labelling tools; none is an annotation
DARKNET = 10_000  # characters of a .data file that are looked at
Folder = tuple[str, ...]  # below the root, in lower case


@dataclass
class Layout:
    """A set's files.

    Attributes:
        texts: each picture that has a text file, and where it is or was to be expected.
        unlabelled: pictures without one.
        splits: {split: pictures} as the set's lists and folders name them; one picture may be in
            several. Empty where it names none.
        unknown: (list:line, what it says) of lines that fit no picture.
        listed: whether lists of pictures, and not folders, name the splits.
    """

    texts: dict[Path, Path]
    unlabelled: list[Path]
    splits: dict[str, list[Path]] = field(default_factory=dict)
    unknown: list[tuple[str, str]] = field(default_factory=list)
    listed: bool = False


def find_layout(root: Path, settings: Mapping[str, Any], base: Path) -> Layout:
    """The layout of the set in `root`.

    Args:
        settings: what its data.yaml says. base: the folder of that file, where paths in it begin.

    Raises:
        DataError: a split folder or a list without a picture, or a line that fits several.
    """
    files = list(files_below(root))
    pictures = [p for p in files if p.suffix.lower() in PICTURE_ENDINGS]
    stated_in = list(dict.fromkeys((base, root)))
    lists = _lists(stated_in, [*_entries(settings)]) or _lists(stated_in, _darknet(files))
    lists = lists or _lists_by_name(stated_in)
    known = {path for paths in lists.values() for path in paths}
    texts = {
        (_folder(path, root), path.stem): path
        for path in files
        if path.suffix.lower() == ".txt" and path.name not in NAMES and path not in known
    }
    layout = Layout({}, [])
    used: set[Path] = set()
    for picture in pictures:
        places = ((place, picture.stem) for place in _label_folders(_folder(picture, root)))
        text = next((texts[place] for place in places if place in texts), None)
        if text is None or text in used:
            layout.unlabelled.append(picture)
        else:
            layout.texts[picture] = text
            used.add(text)
    for (folder, stem), text in texts.items():
        if text not in used and ("labels" in folder or looks_like(text) == "yolo"):
            layout.texts[_expected(text, root, stem)] = text
    if lists:
        _split_by_lists(layout, lists, root)
    else:
        _split_by_folders(layout, stated_in, settings)
    return layout


def _folder(path: Path, root: Path) -> Folder:
    return tuple(part.lower() for part in path.parent.relative_to(root).parts)


def _label_folders(folder: Folder) -> Iterator[Folder]:
    """Where the text file of a picture in `folder` may lie."""
    yield folder
    for i in reversed(range(len(folder))):
        if folder[i] == "images":
            yield (*folder[:i], "labels", *folder[i + 1 :])
    yield (*folder, "labels")
    yield ("labels", *folder)


def _expected(text: Path, root: Path, stem: str) -> Path:
    """Where the missing picture of a text file would lie."""
    parts = list(text.parent.relative_to(root).parts)
    for i in reversed(range(len(parts))):
        if parts[i].lower() == "labels":
            parts[i] = "images"
            break
    return root.joinpath(*parts, f"{stem}.jpg")


def _lists(places: Sequence[Path], entries: Sequence[tuple[str, str]]) -> dict[str, list[Path]]:
    """{split: files that list its pictures} of the (split, path as written) that are lists.

    Args:
        places: the folder of data.yaml and the root.
    """
    stated: dict[str, list[Path]] = {}
    for split, entry in entries:
        path = _below(places, entry)
        if path is not None and path.is_file() and path.suffix.lower() == ".txt":
            stated.setdefault(split, []).append(path)
    return stated


def _lists_by_name(places: Sequence[Path]) -> dict[str, list[Path]]:
    """{split: files that list its pictures}: train.txt, … in the places."""
    found: dict[str, list[Path]] = {}
    for path in (path for place in places for path in sorted(place.glob("*.[tT][xX][tT]"))):
        if (named := SPLIT_OF_FOLDER.get(path.stem.lower())) and looks_like(path) is None:
            found.setdefault(named, []).append(path)
    return found


def _darknet(files: Sequence[Path]) -> list[tuple[str, str]]:
    """(split, path as written) of Darknet's obj.data: lines such as `valid = data/test.txt`."""
    able = [path for path in files if path.suffix.lower() == ".data"]
    for path in sorted(able, key=lambda path: len(path.parts)):
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                lines = file.read(DARKNET).splitlines()
        except OSError:  # none of the set's, as far as is known
            continue
        said = {key.strip(): value.strip() for key, _, value in (x.partition("=") for x in lines)}
        if entries := [*_entries(said)]:
            return entries
    return []


def _entries(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(split, path as written) of data.yaml, or of a file of Darknet."""
    for name, split in SPLIT_OF_FOLDER.items():
        stated = settings.get(name)
        for entry in stated if isinstance(stated, list) else [stated]:
            if isinstance(entry, str) and entry.strip():
                yield split, entry


def _parts(entry: str) -> list[str]:
    """The parts of a path of any system, without drive, root and dots."""
    path = PureWindowsPath(entry.strip().strip("\"'"))
    return [part for part in path.parts if part != path.anchor and part not in (".", "..")]


def _below(places: Sequence[Path], entry: str) -> Path | None:
    """What lies below a place where a path of another machine ends alike; the longest such end."""
    parts = _parts(entry)
    ends = (place.joinpath(*parts[i:]) for i in range(len(parts)) for place in places)
    try:
        return next((path for path in ends if path.exists()), None)
    except (OSError, ValueError):  # longer than a name may be, a zero byte, …
        return None


def _split_by_lists(layout: Layout, lists: Mapping[str, list[Path]], root: Path) -> None:
    layout.listed = True
    pictures = [*layout.texts, *layout.unlabelled]
    ends: dict[str, list[Path]] = {}
    for picture in pictures:
        ends.setdefault(picture.name, []).append(picture)
        ends.setdefault(picture.stem, []).append(picture)
    for split, paths in lists.items():
        found: dict[Path, None] = {}
        for path in paths:
            for number, line in read_lines(path):
                able = _listed(line, ends, root)
                if len(able) > 1:
                    raise DataError(
                        f"{path}:{number}: {line!r} may be {able[0]} or {able[1]}: write the "
                        "folder in front"
                    )
                if able:
                    found[able[0]] = None
                else:
                    layout.unknown.append((f"{path}:{number}", _unknown(line, ends)))
        if not found:
            first = next((f" ({w}: {d})" for w, d in layout.unknown if w.startswith(str(path))), "")
            raise DataError(
                f"{path} names no picture of the set{first}: fill it, or remove it to have {split} "
                "cut"
            )
        layout.splits[split] = list(found)


def _listed(line: str, ends: Mapping[str, list[Path]], root: Path) -> list[Path]:
    """The pictures that a line may mean by the end of a path."""
    parts = _parts(line)
    able = ends.get(parts[-1], []) if parts else []
    for length in range(2, len(parts) + 1):
        if len(able) < 2:
            break
        closer = [p for p in able if list(p.relative_to(root).parts[-length:]) == parts[-length:]]
        able = closer or able
    return able


def _unknown(line: str, ends: Mapping[str, list[Path]]) -> str:
    name = (_parts(line) or [line])[-1]
    nearest = get_close_matches(name, ends, n=1, cutoff=0.0)
    return (
        f"{line!r} is no picture of the set; the nearest is {nearest[0] if nearest else 'none'!r}"
    )


def _split_by_folders(layout: Layout, places: Sequence[Path], settings: Mapping[str, Any]) -> None:
    """By the folders that data.yaml names, as far as they are there; else by folders' names."""
    pictures = [*layout.texts, *layout.unlabelled]
    stated = [(split, _below(places, entry)) for split, entry in _entries(settings)]
    folders = [(split, path) for split, path in stated if path is not None and path.is_dir()]
    said = {split for split, _ in folders}
    named = []
    for place in places:
        named += split_folders(place)
        if images := subfolder(place, "images"):
            named += split_folders(images)
    for split, folder in [*folders, *(pair for pair in named if pair[0] not in said)]:
        members = [picture for picture in pictures if picture.is_relative_to(folder)]
        if not members:
            raise DataError(
                f"{folder} holds no picture, and so {split} is empty: fill it, or remove the "
                f"folder to have {split} cut"
            )
        layout.splits[split] = [*layout.splits.get(split, []), *members]
