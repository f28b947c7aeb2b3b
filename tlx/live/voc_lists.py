"""Which picture of a Pascal VOC set belongs to which split: the lists in ImageSets/Main."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from tlx.common.errors import DataError
from tlx.common.files import write_text

SPLITS = ("train", "val", "test")


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold a set: two programs that collect into it wait for each other."""
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".capture.lock"):
        yield


class VocLists:
    """The lists of a set, which change as a whole: a reader never meets half of one.

    Args:
        root: the set's folder, which holds ImageSets/Main or will.

    Raises:
        DataError: the set has annotated pictures and no list. The first list would take them all
            out of it, for the lists of a set say what belongs to it.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "ImageSets" / "Main"
        annotated = next((root / "Annotations").glob("*.xml"), None)
        if annotated and not any(self._path(name).is_file() for name in (*SPLITS, "trainval")):
            raise DataError(
                f"{root} has annotated pictures ({annotated.name}) and no list in {self.folder}: "
                "write train.txt there, a name without ending a line, or give another folder"
            )

    def read(self) -> dict[str, str]:
        """{name of a picture: split}; the first of train, val and test counts."""
        found: dict[str, str] = {}
        for split in SPLITS:
            for name in self._lines(split):
                found.setdefault(name, split)
        return found

    def put(self, name: str, split: str) -> None:
        """List a picture in this split and in no other. Call it `locked`.

        It is taken out first: whatever kills this, no picture is in two splits.
        """
        wanted = (split,) if split == "test" else (split, "trainval")
        for list_name in (*SPLITS, "trainval"):
            if list_name not in wanted and name in (lines := self._lines(list_name)):
                self._write(list_name, [line for line in lines if line != name])
        for list_name in wanted:
            if name not in (lines := self._lines(list_name)):
                self._write(list_name, [*lines, name])

    def _path(self, list_name: str) -> Path:
        return self.folder / f"{list_name}.txt"

    def _lines(self, list_name: str) -> list[str]:
        try:
            lines = self._path(list_name).read_text("utf-8-sig").splitlines()
        except FileNotFoundError:
            return []
        except UnicodeDecodeError as error:
            raise DataError(f"{self._path(list_name)} is not UTF-8 ({error}): save it so") from None
        return [line.strip() for line in lines if line.strip()]

    def _write(self, list_name: str, lines: list[str]) -> None:
        if lines:
            write_text(self._path(list_name), "".join(f"{line}\n" for line in lines))
        else:  # a list that names nothing is an error of the reader
            self._path(list_name).unlink(missing_ok=True)
