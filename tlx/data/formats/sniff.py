"""What a folder of strangers' files holds: for `data.format=auto`, and for messages."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from tlx.common.errors import DataError

MOST_SEEN = 10_000  # files that a message counts
MOST_READ = 200  # files of one ending in one folder whose content is looked at
START = 4000  # bytes of a text that are looked at
SIGNS = {
    "voc": "XML files that begin with <annotation>",
    "coco": 'JSON files with "images" and "annotations"',
    "yolo": "text files with lines 'class x y width height'",
    "txt": "text files with a count, then lines of four corners",
}


def detect_format(root: Path) -> str:
    """The one format of which `root` holds annotations; raises `DataError` for none or several."""
    found: dict[str, list[Path]] = {}
    for paths in _by_folder(root, None).values():
        for path in paths[:MOST_READ]:
            if format := looks_like(path):
                found.setdefault(format, []).append(path)
    if len(found) == 1:
        return next(iter(found))
    if not found:
        raise DataError(
            f"{root} holds no annotations that are known: looked for {', '.join(SIGNS.values())}; "
            f"{seen(root)}; set data.root or data.format"
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
    return f"data.format={format}" + (" data.classes=[NAME]" if format == "txt" else "")


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
    if ending not in (".xml", ".json", ".txt"):
        return None
    try:
        with path.open("rb") as file:
            content = file.read(START) if ending != ".json" else file.read()
    except OSError:
        return None
    content = content.replace(b"\0", b"")  # UTF-16
    if ending == ".xml":
        return "voc" if b"<annotation" in content else None
    if ending == ".json":
        return "coco" if b'"images"' in content and b'"annotations"' in content else None
    # The last line may be cut off.
    lines = [line.split() for line in content.decode("utf-8", "replace").splitlines()[:3]]
    lines = [[word.strip("\ufeff") for word in words] for words in lines if words]
    if not lines or not all(_is_number(word) for word in lines[0]):
        return None
    first, width = lines[0], len(lines[0])
    if re.fullmatch(r"\d+", first[0]) and (width == 5 or (width >= 7 and width % 2)):
        return "yolo"
    corners = len(lines) > 1 and len(lines[1]) == 4 and all(map(_is_number, lines[1]))
    return "txt" if width == 1 and first[0].isdecimal() and corners else None


def _by_folder(root: Path, most: int | None) -> dict[tuple[str, Path], list[Path]]:
    """Files below `root` by ending and folder; hidden ones left out."""
    found: dict[tuple[str, Path], list[Path]] = {}
    for path in sorted(islice(root.rglob("*"), most)):
        if path.is_file() and not path.name.startswith("."):
            found.setdefault((path.suffix.lower(), path.parent), []).append(path)
    return found


def _told(format: str | None) -> str:
    words = {
        "yolo": "five numbers a line: ",
        "txt": "a count, then corners: ",
    }
    return f" ({words.get(format, '')}{stating(format)})" if format else ""


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
