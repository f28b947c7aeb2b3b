"""`python -m tlx.data check` on pictures: what is one, what is read of it, and how many bits."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.helpers_data_check import (
    SIZE,
    Check,
    boxes_of,
    coco,
    devkit,
    picture,
    refused,
    write,
    xml,
)
from tlx.data.cache import ImageCache
from tlx.data.formats.annotations import Item
from tlx.data.formats.folders import pictures_below
from tlx.data.formats.pictures import decode, probe
from tlx.live.pictures import find_pictures


def test_files_that_macos_adds_are_pictures_nowhere(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", "deep/b.png", "__MACOSX/c.png"):
        picture(tmp_path / name, 1)
    expected = [tmp_path / "a.png", tmp_path / "deep/b.png"]
    assert pictures_below(tmp_path) == find_pictures(str(tmp_path)) == expected
    assert find_pictures(str(tmp_path / "*.png")) == expected[:1]
    assert pictures_below(tmp_path / "none") == []


def test_a_format_that_is_not_read_is_a_fault_of_its_own(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    stem = devkit(root)[0]
    (root / "JPEGImages" / f"{stem}.png").unlink()
    (root / "JPEGImages" / f"{stem}.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    write(root, stem, xml(f"{stem}.heic", boxes_of(0)))
    [fault] = check("data=voc")["faults"]
    assert (fault["kind"], Path(fault["image"]).suffix) == ("unread-format", ".heic")


@pytest.mark.parametrize("format", ["txt", "voc", "coco", "yolo"])
@pytest.mark.parametrize("ending", [".heic", ".TGA"])
def test_the_file_that_is_not_read_is_named_and_no_picture_that_never_was(
    tmp_path: Path, check: Check, format: str, ending: str
) -> None:
    root = tmp_path / "set"
    names = [f"{number:02d}" for number in range(12)]
    if format == "coco":
        root.mkdir()
        (root / "annotations.json").write_text(json.dumps(coco(root, folder=".")))
    for number, name in enumerate(names):
        picture(root / f"{name}.png", number)
        if format == "txt":
            (root / f"{name}.txt").write_text("1\n5 5 40 40\n")
        elif format == "yolo":
            (root / f"{name}.txt").write_text("0 .5 .5 .3 .3\n")
        elif format == "voc":
            (root / f"{name}.xml").write_text(xml(f"{name}.png", boxes_of(number)))
    (root / "00.png").unlink()
    (root / f"00{ending}").write_bytes(b"something else" * 9)
    [fault] = check("data=auto", "data.classes=[gun]")["faults"]
    assert (fault["kind"], fault["image"]) == ("unread-format", str(root / f"00{ending}"))


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_camera_of_few_bits_never_gives_black_pictures(
    tmp_path: Path, check: Check, bits: int, channels: int, ending: str
) -> None:
    deep, values = deep_picture(tmp_path / "set", bits, channels, ending)
    report = check("data=voc")
    assert (report["code"], report["counts"]) == (0, {"narrow-range": 1})
    assert report["faults"][0]["image"] == str(deep)
    assert f"values up to {2**bits - 1} of 65535" in report["faults"][0]["detail"]
    assert check("data=voc", f"data.bits={bits}")["counts"] == {}
    shown = decode(deep, rotate=False, max_side=640, bits=bits)
    assert (shown == (values >> (bits - 8)).reshape(*values.shape[:2], channels)).all()
    report = check("data=voc", f"data.bits={bits - 1}")
    assert report["counts"] == {"wide-range": 1}
    assert f"data.bits={bits - 1}" in report["faults"][0]["detail"]


def test_a_set_of_few_bits_names_the_key(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    for stem in devkit(root):
        values = np.linspace(0, 4000, SIZE[0] * SIZE[1]).astype(np.uint16)
        cv2.imwrite(str(root / "JPEGImages" / f"{stem}.png"), values.reshape(SIZE[1], SIZE[0]))
    refused(check("data=voc"), "12 narrow-range", "train with data.bits=12")


def deep_picture(
    root: Path, bits: int, channels: int, ending: str = "png"
) -> tuple[Path, np.ndarray]:
    """A set with one picture of 16-bit values, all of `bits` among them; its file and values."""
    stem = devkit(root, lists=False)[0]
    (root / "JPEGImages" / f"{stem}.png").unlink()
    path = root / "JPEGImages" / f"{stem}.{ending}"
    line = np.linspace(0, 2**bits - 1, SIZE[0] * SIZE[1] * channels).astype(np.uint16)
    values = line.reshape(SIZE[1], SIZE[0], channels)
    cv2.imwrite(str(path), values[..., ::-1])  # BGR
    return path, values


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_that_are_used_are_read(tmp_path: Path, check: Check, channels: int) -> None:
    deep, values = deep_picture(tmp_path / "set", 16, channels)
    assert check("data=voc")["counts"] == {}
    assert (decode(deep, rotate=False, max_side=640) == values >> 8).all()
    refused(check("data=voc", "data.bits=7"), "data.bits=7", "8 to 16")


def test_pixels_that_are_no_8_or_16_bits_are_refused(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    stems = devkit(root, lists=False)
    for stem, kind in zip(stems, (np.float32, np.int32), strict=False):
        (root / "JPEGImages" / f"{stem}.png").unlink()
        values = np.full(SIZE[::-1], 0.5 if kind is np.float32 else 10**6, kind)
        Image.fromarray(values).save(root / "JPEGImages" / f"{stem}.tif")
    assert check("data=voc")["counts"] == {"unread-format": 2}


def test_stated_bits_are_another_cache(tmp_path: Path) -> None:
    deep, values = deep_picture(tmp_path / "set", 12, 3)
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool)
    digest = probe(deep, 12).digest
    for bits in (12, 13):
        item = Item(deep, *none, SIZE, digest, bits=bits)
        pixels = ImageCache.build([item], tmp_path / "cache")[digest]
        assert (pixels == values >> (bits - 8)).all()
