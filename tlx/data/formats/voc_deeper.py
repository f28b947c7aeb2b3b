"""Pascal VOC in folders that none of the usual layouts has: `VOC2007/` below the root, XML in
`Annotations/train/` beside pictures in `images/train/`, in `annotations/xmls/`, in `ann/`, …"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tlx.common.errors import DataError
from tlx.data.formats.folders import files_below, pictures_below


def folders_of_xml(root: Path) -> list[Path]:
    """The folders below `root` that hold a folder with XML files, such as `VOC2007/`."""
    parents = {path.parent.parent for path in files_below(root) if path.suffix.lower() == ".xml"}
    return sorted(folder for folder in parents if root in folder.parents)


class Scattered:
    """The pictures of XML files that lie in other folders than these.

    Names are only ever looked up in a listing, so that none can lead out of the root.
    """

    def __init__(self, root: Path) -> None:
        self.pictures = pictures_below(root)
        self._known: dict[str, list[Path]] = defaultdict(list)
        for picture in self.pictures:
            self._known[picture.stem].append(picture)

    def of(self, xml: Path, name: str) -> Path:
        """The picture of an XML file of which `<filename>` is `name`, or where it is to be.

        Raises:
            DataError: it may be any of several.
        """
        able = self._known.get(xml.stem) or [
            picture for picture in self._known.get(Path(name).stem, []) if picture.name == name
        ]
        for closer in (
            [picture for picture in able if picture.name == name],
            [picture for picture in able if picture.parent == xml.parent],
            _nearest(able, xml),
        ):
            able = closer if len(able) > 1 and closer else able
        if len(able) > 1:
            raise DataError(
                f"{xml}: its picture may be {able[0]} or {able[1]}: put it beside the file, or "
                "give the pictures names of their own"
            )
        return able[0] if able else xml.with_suffix(".jpg")


def _nearest(able: Sequence[Path], xml: Path) -> list[Path]:
    """The pictures whose folders have most names in common with the file's."""
    own = {part.lower() for part in xml.parent.parts}
    common = [len(own & {part.lower() for part in picture.parent.parts}) for picture in able]
    return [p for p, count in zip(able, common, strict=True) if count == max(common)]
