"""Where annotated frames go as pictures, and what all outputs have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from tlx.common.drawing import save_picture
from tlx.common.errors import ConfigError
from tlx.common.files import output_names
from tlx.live.frame import Frame

COUNTER = re.compile(r"%0?(\d*)[id]")


@dataclass(frozen=True)
class Shown:
    """A frame, its row, and its annotated picture: None without pixels, or if nobody wants it."""

    frame: Frame
    image: Image.Image | None
    row: dict[str, Any]


class Writer(Protocol):
    """An output. `draws`: it needs annotated pictures."""

    draws: bool

    def write(self, shown: Shown) -> None:
        """Take the next frame; may add to its row what later outputs say of it."""

    def close(self) -> None:
        """Complete the output; called once, also after an error."""


class PictureFolder:
    """OUTPUT/NAME.png for each picture."""

    draws = True

    def __init__(self, folder: Path, paths: list[Path]) -> None:
        self.folder, self.names = folder, output_names(paths)

    def write(self, shown: Shown) -> None:
        """Save the picture and name it in the row."""
        if shown.image is not None:
            name = self.names[shown.frame.index]
            save_picture(shown.image, self.folder / name)
            _name_in_row(shown.row, name)

    def close(self) -> None:
        """Nothing is open."""


class NumberedPictures:
    """A file for each frame, `out/%i.jpg` or `out/%06i.jpg`, counted from 0 as detectnet does."""

    draws = True

    def __init__(self, pattern: Path) -> None:
        self.pattern, self.count = pattern, 0
        if len(COUNTER.findall(pattern.name)) != 1 or "%" in str(pattern.parent):
            raise ConfigError(f"output={pattern}: exactly one %i, in the file's name")

    def write(self, shown: Shown) -> None:
        """Save the next number."""
        if shown.image is not None:
            path = self.pattern.with_name(numbered(self.pattern.name, self.count))
            save_picture(shown.image, path)
            _name_in_row(shown.row, path.name)
            self.count += 1

    def close(self) -> None:
        """Nothing is open."""


class OnePicture:
    """A single file; a second frame would overwrite it and is refused."""

    draws = True

    def __init__(self, path: Path) -> None:
        self.path, self._written = path, False

    def write(self, shown: Shown) -> None:
        """Save the picture."""
        if shown.image is not None:
            if self._written:
                raise ConfigError(
                    f"output={self.path} names one picture, and there are more: put %i in its name"
                )
            save_picture(shown.image, self.path)
            _name_in_row(shown.row, self.path.name)
            self._written = True

    def close(self) -> None:
        """Nothing is open."""


def numbered(pattern: str, number: int) -> str:
    """A pattern with its %i or %06i as a number."""
    return COUNTER.sub(lambda match: str(number).zfill(int(match[1] or 0)), pattern)


def _name_in_row(row: dict[str, Any], name: str) -> None:
    """Before the detections, where a reader of the file sees it."""
    detections = row.pop("detections")
    row.update(annotated=name, detections=detections)
