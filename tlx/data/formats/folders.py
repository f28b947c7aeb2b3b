"""What the readers share: which files of a folder are pictures, and which folder is which split."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from tlx.common.errors import DataError, first_line
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.pictures import UNREAD_ENDINGS

# What Pillow opens (`pictures.FORMATS`): training, check and predict read the same.
IMAGE_ENDINGS = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".avif",
}  # fmt: skip
PICTURE_ENDINGS = IMAGE_ENDINGS | UNREAD_ENDINGS
PACKED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
SPLIT_OF_FOLDER = {
    "train": "train",
    "val": "val",
    "valid": "val",  # Roboflow
    "validation": "val",
    "test": "test",
}
YEAR = re.compile(r"[_-]?(?:19|20)\d\d$")  # train2017, as COCO's folders are called


def set_folder(root: str | Path) -> Path:
    """The folder of a data set, absolute.

    Raises:
        DataError: it is not there, or is a file.
    """
    folder = Path(root).expanduser().absolute()
    if folder.is_file():
        packed = folder.name.lower().endswith(PACKED)
        raise DataError(
            f"the data folder {folder} is a file: "
            f"{'unpack it first, and ' if packed else ''}set data.root=FOLDER"
        )
    if not folder.is_dir():
        raise DataError(f"the data folder {folder} does not exist: set data.root=FOLDER")
    return folder


def files_in(folder: Path, endings: set[str]) -> list[Path]:
    """Files directly in `folder` with one of the lower-case `endings`, sorted; any case matches.

    Names that begin with a dot are left out: macOS leaves a `._1.xml` beside each `1.xml`.
    """
    files = (
        path
        for path in folder.iterdir()
        if path.suffix.lower() in endings and not path.name.startswith(".") and path.is_file()
    )
    return sorted(files, key=lambda path: path.name)  # a fraction of the time that paths take


def files_below(root: Path) -> Iterator[Path]:
    """Files at any depth below `root`, in a fixed order; linked folders are followed, each once.

    Names that begin with a dot, and the folder in which macOS packs more of these, are left out.
    """
    waiting, seen = [root], {root.resolve()}
    while waiting:
        folder = waiting.pop()
        deeper = []
        with os.scandir(folder) as listing:  # its entries know their kind: no look at each file
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            path = folder / entry.name
            # A link that leads nowhere, or in a circle, is an error of an entry and none of a path.
            known = path if entry.is_symlink() else entry
            if known.is_file():
                yield path
            elif known.is_dir() and path.resolve() not in seen:
                seen.add(path.resolve())
                deeper.append(path)
        waiting += reversed(deeper)


def pictures_below(root: Path) -> list[Path]:
    """The pictures at any depth below `root`, sorted."""
    found = files_below(root) if root.is_dir() else ()
    return sorted(path for path in found if path.suffix.lower() in IMAGE_ENDINGS)


def subfolder(root: Path, *names: str) -> Path | None:
    """The first folder in `root` whose name is one of `names`, whatever its case."""
    folders = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    return next((folders[name.lower()] for name in names if name.lower() in folders), None)


def split_named(name: str) -> str | None:
    """The split that a folder's name says, in any case and with a year or without."""
    return SPLIT_OF_FOLDER.get(YEAR.sub("", name.lower()))


def split_folders(root: Path) -> list[tuple[str, Path]]:
    """(split, folder) for each train, val/valid/validation and test folder in `root`."""
    found = ((split_named(path.name), path) for path in sorted(root.iterdir()))
    return [(split, path) for split, path in found if split and path.is_dir()]


def split_of(path: Path, root: Path, *, lists: bool = False) -> str | None:
    """The split that the nearest of a file's folders below `root` says, or None.

    Args:
        lists: the file holds the annotations of many pictures, and its name counts first:
            `train.csv`, `train_labels.csv`.
    """
    names = [*reversed(path.parent.relative_to(root).parts)]
    if lists:
        names.insert(0, path.stem.lower().removesuffix("_labels"))
    return next((split for name in names if (split := split_named(name))), None)


def of_whole_set(
    root: Path, annotations: Sequence[Annotation], pictures: Iterable[Path]
) -> list[Annotation]:
    """The annotations, and a marker for each of the `pictures` below `root` that has none.

    Where neither a file nor a picture's entry says the split, the picture's folder does.
    """
    used = {annotation.image for annotation in annotations}
    rest = [
        Annotation.without_boxes(image, str(image.parent), unused="unlabelled")
        for image in pictures
        if image not in used
    ]
    return [
        each if each.split else replace(each, split=split_of(each.image, root))
        for each in (*annotations, *rest)
    ]


def annotated_folders(root: Path, ending: str) -> list[tuple[str | None, Path]]:
    """The folders of a set whose annotation files lie beside the pictures: its split folders,
    or else `root` itself without a split.

    Raises:
        DataError: annotation files both in `root` and in split folders: which are meant?
    """
    splits = split_folders(root)
    if not splits:
        return [(None, root)]
    for split, path in splits:
        wanted = {ending} | PICTURE_ENDINGS
        if not any(file.suffix.lower() in wanted for file in files_below(path)):
            raise DataError(
                f"{path} holds no picture, and so {split} is empty: fill it, or remove the folder "
                f"to have {split} cut"
            )
    beside = ImageFolder(root)
    stray = [path for path in files_in(root, {ending}) if beside.with_stem(path.stem)]
    if stray:
        raise DataError(
            f"{root} holds annotated pictures itself ({stray[0].name}) and in "
            f"{', '.join(path.name for _, path in splits)}/: move them into one of these folders"
        )
    return [*splits]


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, stripped text) of each non-blank line; LF, CRLF and a byte-order mark are fine.

    Raises:
        DataError: the file is not UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}): save it as UTF-8") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


class ImageFolder:
    """The pictures directly in one folder, by name and by stem.

    A name from an annotation file is only ever looked up in this listing and never joined to a
    path, so `../` and absolute names cannot leave the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images = files_in(path, IMAGE_ENDINGS)
        self._by_name = {image.name: image for image in self.images}
        self._by_stem = {image.stem: image for image in reversed(self.images)}

    def named(self, name: str) -> Path | None:
        """The picture of exactly this name, or None."""
        return self._by_name.get(name)

    def with_stem(self, stem: str) -> Path | None:
        """The first picture `stem`.(any image ending), or None."""
        return self._by_stem.get(stem)

    def unread(self, name: str, stem: str) -> Path | None:
        """The file of this name or stem whose ending says a format that is not read."""
        by_name, by_stem = self._unread
        return by_name.get(name) or by_stem.get(stem)

    @cached_property
    def _unread(self) -> tuple[dict[str, Path], dict[str, Path]]:
        """By name and by stem; listed once, and not for each annotation."""
        files = files_in(self.path, UNREAD_ENDINGS)
        return {path.name: path for path in files}, {path.stem: path for path in reversed(files)}

    def unlabelled(self, used: Iterable[Path], split: str | None = None) -> list[Annotation]:
        """A marker for each picture that is not in `used`: unlabelled is not empty."""
        return mark_unlabelled(self.images, used, split)


def mark_unlabelled(
    images: Iterable[Path], used: Iterable[Path], split: str | None = None
) -> list[Annotation]:
    """Annotations with `unused="unlabelled"` for the `images` that are not in `used`."""
    known = set(used)
    return [
        Annotation.without_boxes(image, str(image.parent), split=split, unused="unlabelled")
        for image in images
        if image not in known
    ]


def point_to_unread(annotations: Sequence[Annotation]) -> list[Annotation]:
    """The annotations; one of a missing picture gets the file of its name that is not read.

    So the check says "convert 5.heic" where it would miss a 5.jpg that never was.
    """
    unread: dict[Path, dict[str, Path]] = {}
    pointed = []
    for annotation in annotations:
        image = annotation.image
        if not annotation.unused and not _there(image, annotation.source):
            if (folder := image.parent) not in unread:
                files = files_in(folder, UNREAD_ENDINGS) if folder.is_dir() else []
                unread[folder] = {path.stem: path for path in reversed(files)}
            annotation = replace(annotation, image=unread[folder].get(image.stem, image))
        pointed.append(annotation)
    return pointed


def _there(image: Path, source: str) -> bool:
    """Whether the picture of an annotation exists.

    Raises:
        DataError: nothing can be called so: longer than a name may be, a zero byte, …
    """
    try:
        if "\0" in str(image):
            raise ValueError("a zero byte")
        return image.exists()
    except (OSError, ValueError) as error:
        raise DataError(
            f"{source}: the name of its picture cannot be one: {first_line(error)}"
        ) from error
