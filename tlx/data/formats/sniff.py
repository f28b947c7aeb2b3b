"""What a folder of strangers' files holds: for `data.format=auto`, and for messages.

What a format's files look like is stated where it is read (`registry.Sign`).
"""

from __future__ import annotations

import mmap
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from itertools import islice
from pathlib import Path

from tlx.common.errors import DataError
from tlx.data.formats.folders import PICTURE_ENDINGS, split_folders
from tlx.data.formats.registry import SIGNS

MOST_SEEN = 10_000  # files that a message counts
MOST_READ = 200  # files of one ending in one folder whose content is looked at
START = 4000  # bytes of a text that are looked at


def detect_format(root: Path) -> str:
    """The one format of which `root` holds annotations; raises `DataError` for none or several."""
    found: dict[str, list[Path]] = {}
    for paths in _by_folder(root, None).values():
        written = (path for path in paths if path.stat().st_size)  # many negatives may come first
        for path in islice(written, MOST_READ):
            if format := looks_like(path):
                found.setdefault(format, []).append(path)
    if len(found) == 1:
        return next(iter(found))
    if not found:
        if classes := class_folders(root):
            raise DataError(
                f"{root} holds no boxes, but pictures in {len(classes)} folders of classes "
                f"({', '.join(classes[:3])}{', …' if len(classes) > 3 else ''}): whole pictures "
                f"are classified with task=classify data.root={root}; if it has boxes, set "
                "data.root or data.format"
            )
        words = ", ".join(f"{name} ({sign.words})" for name, sign in SIGNS.items())
        raise DataError(
            f"{root} holds no annotations that are known: {seen(root)}; set data.root or "
            f"data.format; looked for {words}"
        )
    told = " and ".join(
        f"{format} ({paths[0].relative_to(root)}{', …' if len(paths) > 1 else ''})"
        for format, paths in found.items()
    )
    raise DataError(
        f"{root} holds annotations of {len(found)} formats, {told}: say which are meant with "
        f"{stating(next(iter(found)))}, or move the others away"
    )


def stating(format: str) -> str:
    """What to write on the command line for a format; one without names needs those too."""
    needs = SIGNS[format].needs if format in SIGNS else ""
    return f"data.format={format}{' ' if needs else ''}{needs}"


def seen(root: Path) -> str:
    """What a folder holds, for the message that the format looked for is not there."""
    found = sorted(_by_folder(root, MOST_SEEN).items(), key=lambda item: -len(item[1]))[:4]
    parts = [
        f"{len(files)} {ending or 'files without ending'} in {folder.relative_to(root)}/"
        f"{_told(looks_like(files[0]))}"
        for (ending, folder), files in found
    ]
    return f"it has {', '.join(parts)}" if parts else "it is empty"


def looks_like(path: Path) -> str | None:
    """The format that an annotation file seems to be of; None for any other file."""
    ending = path.suffix.lower()
    signs = {name: sign for name, sign in SIGNS.items() if ending in sign.endings}
    if not signs:
        return None
    try:
        content = _content(path, whole=ending == ".json")
    except (OSError, ValueError):
        return None
    return next((name for name, sign in signs.items() if sign.fits(content)), None)


def class_folders(root: Path) -> list[str]:
    """Names of the folders that hold pictures, of one level and below the split folders if there
    are any; fewer than two are no classes."""
    places = [folder for _, folder in split_folders(root)] or [root]
    names = {
        folder.name
        for place in places
        for folder in sorted(place.iterdir())
        if folder.is_dir() and not folder.name.startswith(".") and _holds_pictures(folder)
    }
    usual = {"images", "image", "data", "pictures", "jpegimages"}  # of sets of boxes
    return sorted(names) if len(names) > 1 and not usual & {n.lower() for n in names} else []


def first_lines(content: bytes, count: int = 3) -> list[list[str]]:
    """The words of the first lines that are not blank; the last one may be cut off."""
    lines = [line.split() for line in content.decode("utf-8", "replace").splitlines()]
    lines = [[word.strip("\ufeff") for word in words] for words in lines if words]
    return lines[:count]


def is_number(word: str) -> bool:
    """Whether a word is a number, NaN and infinity among them."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def _content(path: Path, *, whole: bool) -> bytes:
    """The start of a file, or (`whole`) all of it, without the zeros and the mark of UTF-16: the
    reader then says what encoding it needs.

    A large JSON file is a map of the file and not a copy in memory; it has `find` as bytes have.
    """
    with path.open("rb") as file:
        start = file.read(START)
        if whole and len(start) == START:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if b"\0" not in start:
                return mapped  # type: ignore[return-value]
            start = mapped[:]
    if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        start = start[2:]
    return start.replace(b"\0", b"")


def _holds_pictures(folder: Path) -> bool:
    files = islice(folder.rglob("*"), MOST_READ)
    return any(path.suffix.lower() in PICTURE_ENDINGS for path in files)


def _by_folder(root: Path, most: int | None) -> dict[tuple[str, Path], list[Path]]:
    """Files below `root` by ending and folder; hidden ones left out."""
    found: dict[tuple[str, Path], list[Path]] = {}
    for path in sorted(islice(root.rglob("*"), most), key=lambda path: path.parts):
        if path.is_file() and not path.name.startswith("."):
            found.setdefault((path.suffix.lower(), path.parent), []).append(path)
    return found


def _told(format: str | None) -> str:
    if format is None:
        return ""
    words = SIGNS[format].seen
    return f" ({words}{': ' if words else ''}{stating(format)})"
