"""Published sets that are taken whole: what they are, and how their files are put into one folder.

A source may lay a set out in its own way (a repository around it, pictures and labels in folders
of their own). A file is taken by its name alone and its place here is ours, so that no name of an
archive leads anywhere else; what a set must hold is checked before it is used.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from tlx.common.errors import DataError
from tlx.data.formats import read_annotations
from tlx.data.formats.folders import IMAGE_ENDINGS, files_below, pictures_below

_MOST_BYTES = 1 << 30  # of a set; the larger one has 62 MB
_CHUNK = 1 << 20  # bytes
_NAME = re.compile(r"[^/\\:\0-\x1f]{1,200}")
Open = Callable[[], IO[bytes]]


@dataclass(frozen=True)
class PublishedSet:
    """A set that somebody publishes.

    Attributes:
        name: of `data=`. kaggle: its handle there.
        archive: address of the zip of a repository that holds it among others; below: its folder in
            there.
        annotations: files of the format. ending: of these. pictures: files.
        digest: sha256 over the sorted sha256 of the pictures.
        splits: folders of the set; () where it is one folder.
    """

    name: str
    kaggle: str
    archive: str
    below: str
    ending: str
    annotations: int
    pictures: int
    digest: str
    splits: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """Where a person gets it."""
        return f"https://www.kaggle.com/datasets/{self.kaggle}"

    def place(self, path: PurePosixPath) -> str | None:
        """Where a file of a source belongs below the set's folder; None: it is none of the set."""
        name, ending = path.name, path.suffix.lower()
        if name.startswith(".") or not _NAME.fullmatch(name) or ending not in _ENDINGS:
            return None
        if not self.splits:
            return name if path.stem.isdecimal() else None
        folders = [part.lower() for part in path.parts[:-1]]
        split = next((part for part in reversed(folders) if part in self.splits), None)
        return f"{split}/{name}" if split and ending != ".txt" else None


_ENDINGS = IMAGE_ENDINGS | {".txt", ".xml"}
_REPOSITORY = (
    "https://codeload.github.com/sid4sal/transfer-learning-on-object-detection-models/zip/"
    "refs/heads/main"
)

PUBLISHED = {
    each.name: each
    for each in (
        PublishedSet(
            name="guns", kaggle="issaisasank/guns-object-detection", archive=_REPOSITORY,
            below="guns_dataset", ending=".txt", annotations=333, pictures=333,
            digest="8492afb7ff6c5ee923672006142dbe33653bb2feefe05b0b427b163c5702f79f",
        ),
        PublishedSet(
            name="ppe", kaggle="ialimustufa/object-detection-for-ppe-covid19-dataset",
            archive=_REPOSITORY, below="covid-19_ppe_dataset", ending=".xml", annotations=417,
            pictures=416, digest="f5fbb10d15945e1ea2c5d217318298431244a38334cb5f5c79739c228821597f",
            splits=("train", "test"),
        ),
    )
}  # fmt: skip


def files_of_folder(folder: Path) -> Iterator[tuple[PurePosixPath, Open]]:
    """The files below a folder, by their paths in it."""
    for path in files_below(folder):
        yield PurePosixPath(path.relative_to(folder).as_posix()), partial(io.FileIO, path)


@contextmanager
def files_of_zip(path: Path) -> Iterator[Iterator[tuple[PurePosixPath, Open]]]:
    """The files of an archive; folders, links and what is encrypted are left out.

    Raises:
        DataError: it is no zip, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield (
                (PurePosixPath(each.filename), partial(archive.open, each))
                for each in archive.infolist()
                if not each.is_dir() and not each.flag_bits & 1
                and not stat.S_ISLNK(each.external_attr >> 16)
            )  # fmt: skip
    # NotImplementedError: a compression that Python lacks. zlib.error: a damaged stream, which is
    # met while its content is read.
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} is no archive that can be read ({error})") from error


def arrange(
    chosen: PublishedSet, files: Iterator[tuple[PurePosixPath, Open]], folder: Path
) -> bool:
    """Copy the set's files into an empty folder; whether its pictures are those that are known.

    Raises:
        DataError: it is not this set: files are missing, stand there twice, or are too large.
    """
    left = _MOST_BYTES
    for split in chosen.splits:
        (folder / split).mkdir()
    every = list(files)
    in_repository = any(chosen.below in path.parts for path, _ in every)
    for path, opened in every:
        place = chosen.place(path)
        if place is None or (in_repository and chosen.below not in path.parts):
            continue
        target = folder / place
        if target.exists():
            raise DataError(f"{place} stands in it twice")
        with opened() as source, target.open("wb") as copy:
            while block := source.read(_CHUNK):
                left -= len(block)
                if left < 0:  # counted, for what a zip says of its sizes need not be true
                    raise DataError(f"it has more than {_MOST_BYTES >> 30} GiB: not this set")
                copy.write(block)
    if chosen.ending == ".txt":
        _write_texts(folder)
    pictures = pictures_below(folder)
    found = sum(path.suffix.lower() == chosen.ending for path in files_below(folder))
    if found != chosen.annotations or len(pictures) < chosen.pictures:
        raise DataError(
            f"it holds {len(pictures)} pictures and {found} annotations; {chosen.name} has "
            f"{chosen.pictures} and {chosen.annotations}"
        )
    return digest_of(pictures) == chosen.digest


def digest_of(pictures: list[Path]) -> str:
    """sha256 over the sorted sha256 of files: the same whatever they are called."""
    each = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures)
    return hashlib.sha256("\n".join(each).encode()).hexdigest()


def _write_texts(folder: Path) -> None:
    """`N.txt` from `N.xml` where a source has this one only: the same boxes."""
    xml = [path for path in folder.glob("*.xml") if not path.with_suffix(".txt").exists()]
    if not xml:
        return
    for annotation in read_annotations("voc", folder, None):
        path = folder / f"{annotation.image.stem}.txt"
        if annotation.unused or path.exists():
            continue
        boxes = [" ".join(f"{value:g}" for value in box) for box in annotation.boxes.tolist()]
        path.write_text("\n".join([str(len(boxes)), *boxes]) + "\n", encoding="utf-8")
