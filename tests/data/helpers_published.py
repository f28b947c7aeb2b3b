"""A small set that is published as Guns is: in Kaggle's layout, and in the repository's."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.data.helpers_data_check import picture, xml
from tlx.data.published import PUBLISHED, PublishedSet, digest_of

COUNT = 12


def files(folder: Path) -> dict[str, bytes]:
    """N.jpeg, N.txt and N.xml, by name: noise with a box each."""
    found = {}
    for number in range(1, COUNT + 1):
        path = folder / f"{number}.png"
        picture(path, number)
        box = (number + 1, 2, number + 31, 40)
        found[f"{number}.jpeg"] = path.read_bytes()
        found[f"{number}.txt"] = f"1\n{' '.join(map(str, box))}\n".encode()
        found[f"{number}.xml"] = xml(f"{number}.jpeg", [("Gun", box)]).encode()
    return found


def packed(contents: dict[str, bytes]) -> bytes:
    """A zip of these."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return into.getvalue()


def as_kaggle(contents: dict[str, bytes]) -> bytes:
    """Pictures and labels in folders of their own, and no XML."""
    return packed(
        {f"Images/{name}": c for name, c in contents.items() if name.endswith(".jpeg")}
        | {f"Labels/{name}": c for name, c in contents.items() if name.endswith(".txt")}
    )


def as_repository(contents: dict[str, bytes]) -> bytes:
    """XML beside the pictures, in a folder among others, and no text."""
    below = "transfer-main/project-files/datasets/guns_dataset/images"
    return packed(
        {f"{below}/{name}": c for name, c in contents.items() if not name.endswith(".txt")}
        | {"transfer-main/other/1.jpeg": b"another", "transfer-main/README.md": b"# x"}
    )


def known(contents: dict[str, bytes], folder: Path) -> PublishedSet:
    """The set of these files."""
    for name, content in contents.items():
        if name.endswith(".jpeg"):
            (folder / name).write_bytes(content)
    digest = digest_of(list(folder.glob("*.jpeg")))
    return replace(PUBLISHED["guns"], annotations=COUNT, pictures=COUNT, digest=digest)


def pretend(monkeypatch: pytest.MonkeyPatch, small: PublishedSet) -> None:
    """Let `data=guns` be the small set, in this process."""
    monkeypatch.setitem(PUBLISHED, "guns", small)


def plugin(folder: Path, small: PublishedSet) -> str:
    """The same in a program: a module for `plugins=`, in `folder`; what PYTHONPATH is then."""
    (folder / "small_guns.py").write_text(
        "from dataclasses import replace\nfrom tlx.data.published import PUBLISHED\n"
        f"PUBLISHED['guns'] = replace(PUBLISHED['guns'], annotations={COUNT}, pictures={COUNT}, "
        f"digest={small.digest!r}, archive={small.archive!r})\n"
    )
    return f"{folder}:{REPOSITORY}"
