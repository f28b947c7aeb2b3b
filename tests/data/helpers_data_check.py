"""Small sets as people have them, and what `python -m tlx.data check` says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlx.common.cli import fail
from tlx.common.errors import TlxError
from tlx.data.__main__ import main
from tlx.data.commands.check import REPORT

Box = tuple[str, tuple[float, float, float, float]]
SIZE = (64, 48)


def xml(filename: str, boxes: list[Box], size: tuple[int, int] = SIZE) -> str:
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox></object>"
        for name, (a, b, c, d) in boxes
    )
    return (
        f"<annotation><filename>{filename}</filename><size><width>{size[0]}</width>"
        f"<height>{size[1]}</height></size>{objects}</annotation>"
    )


def picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
    Image.fromarray(small).resize(SIZE).save(path)


def boxes_of(number: int) -> list[Box]:
    return [("gun", (number % 9 + 1, 2, number % 9 + 30, 40))]


def devkit(root: Path, count: int = 12, stem: str = "img {:02d}", lists: bool = True) -> list[str]:
    stems = [stem.format(i) for i in range(count)]
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets/Main").mkdir(parents=True)
    for number, name in enumerate(stems):
        picture(root / "JPEGImages" / f"{name}.png", number)
        write(root, name, xml(f"{name}.png", boxes_of(number)))
    if lists:
        write_lists(root, stems, "{}")
    return stems


def write(root: Path, stem: str, text: str) -> None:
    (root / "Annotations" / f"{stem}.xml").write_text(text)


def write_lists(root: Path, stems: list[str], line: str) -> None:
    for name, part in (("train", stems[:6]), ("val", stems[6:9]), ("test", stems[9:])):
        (root / f"ImageSets/Main/{name}.txt").write_text(
            "".join(f"{line.format(s)}\n" for s in part)
        )


def coco(root: Path, count: int = 12, folder: str = "images") -> dict[str, Any]:
    content: dict[str, Any] = {
        "images": [], "annotations": [], "categories": [{"id": 1, "name": "gun"}],
    }  # fmt: skip
    for i in range(count):
        picture(root / folder / f"{i:02d}.png", i)
        a, b, c, d = boxes_of(i)[0][1]
        content["images"].append({"id": i, "file_name": f"{i:02d}.png"})
        content["annotations"].append(
            {"id": i, "image_id": i, "category_id": 1, "bbox": [a, b, c - a, d - b]}
        )
    return content


Check = Callable[..., dict[str, Any]]


def images(report: dict[str, Any]) -> list[int]:
    return [report["splits"][split]["images"] for split in ("train", "val", "test")]


def refused(report: dict[str, Any], *words: str) -> None:
    assert (report["code"], report["usable"]) == (2, False)
    assert len(report["err"].strip().splitlines()) == 1
    assert all(word in report["err"] for word in words), report["err"]


def exit_code(*arguments: str) -> int:
    """`python -m tlx.data ARGUMENT …` in this process."""
    try:
        main([*arguments])
    except (TlxError, OSError) as error:
        with pytest.raises(SystemExit) as ended:
            fail(error)
        return int(str(ended.value.code))
    return 0


def run_check(folder: Path, *overrides: str) -> dict[str, Any]:
    """Run the program on `folder/set`; what check.json says, with the exit code."""
    code = exit_code(
        "check", *overrides, f"data.root={folder / 'set'}", f"output={folder / 'out'}",
        "data.group_near_duplicates=false", f"cache_dir={folder / 'cache'}",
    )  # fmt: skip
    return json.loads((folder / "out" / REPORT).read_text()) | {"code": code}
