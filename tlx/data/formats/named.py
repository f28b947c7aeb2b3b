"""Pictures by the names that annotation files give them.

A name is only ever looked up below the data folder, so that none can lead out of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PureWindowsPath

from tlx.common.errors import DataError, first_line
from tlx.data.formats.folders import IMAGE_ENDINGS, PICTURE_ENDINGS, files_below

_PLAIN = re.compile(r"\w[^/\\:]*")  # names that lead nowhere: most, and they are many


class NamedPictures:
    """Where the pictures of an annotation file lie.

    Args:
        root: the data folder.
        folders: where to look for them, the most likely first.
        key: what the format calls a name, for messages.
    """

    def __init__(self, root: Path, folders: Sequence[Path], key: str = "file_name") -> None:
        self.root, self.folders, self.key = root, folders, key
        self._stated: dict[Path, tuple[str, ...]] = {}  # names that `matching` has found

    @cached_property
    def all(self) -> list[Path]:
        """Every picture below the root; one walk, and only where it is needed."""
        return [p for p in files_below(self.root) if p.suffix.lower() in PICTURE_ENDINGS]

    @cached_property
    def _anywhere(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for image in self.all:
            if image.suffix.lower() in IMAGE_ENDINGS:
                found[image.name].append(image)
        return found

    @cached_property
    def _in_any_case(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for images in self._anywhere.values():
            for image in images:
                found[image.name.casefold()].append(image)
        return found

    def find(self, name: str, where: str) -> Path:
        """The picture `name`, or where it was to be expected.

        Raises:
            DataError: the name is absolute or climbs: a stranger's file must not choose what is
                read; or it is a bare name of several pictures.
        """
        if _PLAIN.fullmatch(name):
            usual = [folder / name for folder in self.folders[:1]]
            if found := self._first_file(usual, where):
                return found
        windows = PureWindowsPath(name)  # takes both kinds of slash, knows drives
        if _away(name) or ".." in windows.parts or not windows.name:
            raise DataError(
                f"{where}: {self.key} {name!r} leaves the data folder {self.root}: name pictures "
                "relative to it (a/b.jpg), or by their last part where all lie in images/"
            )
        candidates = [folder.joinpath(*windows.parts) for folder in self.folders]
        if found := self._first_file(candidates, where):
            return found
        deeper = self._anywhere.get(windows.name, [])
        if len(windows.parts) > 1 or not deeper:  # names of systems that do not tell case
            end = tuple(part.casefold() for part in windows.parts)
            deeper = [
                image
                for image in self._in_any_case.get(windows.name.casefold(), [])
                if tuple(part.casefold() for part in image.parts[-len(end) :]) == end
            ]
        if len(deeper) > 1:
            raise DataError(
                f"{where}: {name} may be {deeper[0]} or {deeper[1]}: write the folder into "
                f"{self.key}"
            )
        return deeper[0] if deeper else candidates[0]

    def matching(self, name: str, where: str) -> Path:
        """The picture that a path of another machine, or an address, means by its end.

        A name that can be one of this folder is `find`'s.

        Raises:
            DataError: two pictures end alike, or two names mean one picture.
        """
        windows = PureWindowsPath(name.replace("://", ":/").partition("?")[0])
        if not _away(name) and ".." not in windows.parts:
            return self.find(name, where)
        parts = [p for p in windows.parts if p != windows.anchor and p not in (".", "..")]
        if not parts:
            raise DataError(f"{where}: {self.key} {name!r} names no picture: correct it")
        able = self._anywhere.get(parts[-1]) or self._in_any_case.get(parts[-1].casefold(), [])
        for length in range(2, len(parts) + 1):
            if len(able) < 2:
                break
            end = [part.casefold() for part in parts[-length:]]
            closer = [
                p
                for p in able
                if [x.casefold() for x in p.relative_to(self.root).parts[-length:]] == end
            ]
            able = closer or able
        beside = [image for image in able if image.parent == self.folders[0]]
        able = beside if len(able) > 1 and len(beside) == 1 else able
        if len(able) > 1:
            raise DataError(
                f"{where}: {name} may be {able[0]} or {able[1]}: write names relative to "
                f"{self.root}"
            )
        if not able:
            missing = self.folders[0] / parts[-1]
            self._first_file([missing], where)
            return missing
        if (other := self._stated.setdefault(able[0], tuple(parts))) != tuple(parts):
            raise DataError(
                f"{where}: {name} and {'/'.join(other)} both end like {able[0]}: write names "
                f"relative to {self.root}"
            )
        return able[0]

    def _first_file(self, paths: Sequence[Path], where: str) -> Path | None:
        try:
            return next((path for path in paths if path.is_file()), None)
        except (OSError, ValueError) as error:  # longer than a name may be, a zero byte, …
            raise DataError(f"{where}: {self.key} cannot be one: {first_line(error)}") from error


def _away(name: str) -> bool:
    windows = PureWindowsPath(name)
    return bool(windows.drive or windows.root or "://" in name)
