"""The check: each fault has its rule, and nothing disappears unreported."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlx.data.annotations import Annotation
from tlx.data.check import check
from tlx.data.faults import RULES, FaultReport
from tlx.data.formats import read_annotations
from tlx.data.pictures import decode
from tlx.errors import ConfigError, DataError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "datasets"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared beside the repository")

NAN, INF = float("nan"), float("inf")


def picture(path: Path, size: tuple[int, int] = (40, 30), orientation: int | None = None) -> Path:
    """A JPEG of random pixels, so that no two are byte-identical."""
    pixels = np.random.default_rng(len(str(path))).integers(0, 255, (*size[::-1], 3), np.uint8)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, format="JPEG", exif=exif)
    return path


def annotated(
    image: Path,
    *boxes: tuple[float, ...],
    names: list[str] | None = None,
    size: tuple[int, int] | None = None,
    split: str | None = None,
) -> Annotation:
    array = np.array(boxes, float).reshape(-1, 4)
    names = names or ["gun"] * len(array)
    difficult = np.arange(len(array)) % 2 == 1
    return Annotation(image, array, names, difficult, f"{image.stem}.xml", split, size)


def kinds(report: FaultReport) -> list[str]:
    return [fault.kind for fault in report.faults]


def test_sound_image_becomes_an_item(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.jpg")
    annotation = annotated(
        image, (0, 1, 40, 30), (2, 3, 4, 5.5), names=["b", "a"], size=(40, 30), split="val"
    )
    result = check([annotation], None)
    [item] = result.items
    assert result.classes == ["a", "b"]
    assert result.faults.faults == []
    assert result.faults.summary() == "no faults"
    np.testing.assert_array_equal(item.boxes, [[0, 1, 40, 30], [2, 3, 4, 5.5]])
    assert (item.boxes.dtype, item.labels.dtype) == (np.float32, np.int64)
    assert item.labels.tolist() == [2, 1]
    assert item.difficult.tolist() == [False, True]
    assert (item.size, item.rotate, item.split) == ((40, 30), False, "val")
    assert item.digest == hashlib.sha256(image.read_bytes()).hexdigest()


def test_no_boxes_is_a_negative_and_kept(tmp_path: Path) -> None:
    result = check([annotated(picture(tmp_path / "a.jpg"))], ["gun"])
    assert [len(item.boxes) for item in result.items] == [0]
    assert result.items[0].boxes.shape == (0, 4)
    assert not result.faults.faults


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((-3, 5, 10, 12), "clipped-box"),
        ((30, 5, 41, 12), "clipped-box"),
        ((5, 5, 5, 9), "zero-area-box"),
        ((5, 5, 5 + 1e-9, 9), "zero-area-box"),
        ((9, 5, 5, 12), "inverted-box"),
        ((5, 12, 9, 5), "inverted-box"),
        ((NAN, 5, 9, 12), "not-finite-box"),
        ((5, 5, INF, 12), "not-finite-box"),
        ((5, 5, 1e300, 12), "not-finite-box"),
        ((40, 5, 50, 12), "outside-box"),
        ((5, -9, 9, 0), "outside-box"),
    ],
)
def test_box_faults(tmp_path: Path, box: tuple[float, ...], kind: str) -> None:
    result = check([annotated(picture(tmp_path / "a.jpg"), (1, 1, 9, 9), box)], None)
    assert kinds(result.faults) == [kind]
    fault = result.faults.faults[0]
    assert (fault.where, fault.action) == ("a.xml box 2", RULES[kind].action)
    assert "40x30" in fault.detail
    [item] = result.items
    assert len(item.boxes) == len(item.labels) == len(item.difficult)
    assert len(item.boxes) == (2 if kind == "clipped-box" else 1)
    assert (item.boxes >= 0).all()
    assert (item.boxes <= [40, 30, 40, 30]).all()
    assert (item.boxes[:, 2:] > item.boxes[:, :2]).all()


def test_image_that_loses_all_boxes_is_dropped_not_called_empty(tmp_path: Path) -> None:
    lost = annotated(picture(tmp_path / "a.jpg"), (9, 9, 5, 5))
    kept = annotated(picture(tmp_path / "bb.jpg"), (5, 5, 9, 9))
    result = check([lost, kept], None)
    assert [item.image.name for item in result.items] == ["bb.jpg"]
    assert kinds(result.faults) == ["inverted-box", "no-box-left"]


def png_bomb() -> bytes:
    """A few bytes of PNG that announce 60,000 x 60,000 pixels."""

    def chunk(content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
        )

    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(header) + chunk(b"IDAT" + zlib.compress(bytes(9999)))


def broken_files(folder: Path) -> dict[str, str]:
    """{file name: kind of fault}"""
    jpeg = picture(folder / "whole.jpg", (200, 160)).read_bytes()
    buffer = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(buffer, format="PNG")
    png = buffer.getvalue()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "cut.png").write_bytes(png[: len(png) // 2])
    (folder / "header.jpg").write_bytes(jpeg[:40])
    (folder / "page.jpg").write_text("<html>404 Not Found</html>")
    Image.new("RGB", (99, 99)).save(folder / "other.jpg", format="PPM")
    (folder / "bomb.png").write_bytes(png_bomb())
    (folder / "folder.jpg").mkdir()
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    Image.new("RGB", (400, 15)).save(folder / "thin.png")
    return {
        "gone.jpg": "missing-image",
        "empty.jpg": "empty-file",
        "bomb.png": "decompression-bomb",
        "one.png": "tiny-image",
        "thin.png": "tiny-image",
    } | dict.fromkeys(
        ("cut.jpg", "cut.png", "header.jpg", "page.jpg", "other.jpg", "folder.jpg"), "undecodable"
    )


def test_unusable_files_are_dropped_and_reported(tmp_path: Path) -> None:
    expected = broken_files(tmp_path)
    annotations = [annotated(tmp_path / name, (1, 1, 9, 9)) for name in [*expected, "whole.jpg"]]
    result = check(annotations, None)
    assert [item.image.name for item in result.items] == ["whole.jpg"]
    assert {Path(f.image).name: f.kind for f in result.faults.faults} == expected
    assert result.faults.counts()["undecodable"] == 6
    rows = result.faults.to_rows()
    assert len(rows) == len(expected)
    assert set(rows[0]) == {"kind", "image", "where", "detail", "action"}
    assert len(result.faults.summary().splitlines()) == len(set(expected.values()))


def test_pictures_at_the_smallest_side_are_kept(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.jpg", (16, 16))
    assert len(check([annotated(image, (1, 1, 9, 9))], None).items) == 1


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK", "I;16"])
def test_all_colour_modes_are_legal(tmp_path: Path, mode: str) -> None:
    gray = np.linspace(0, 255, 40 * 30).reshape(30, 40).astype(np.uint8)
    if mode == "I;16":
        image = Image.fromarray(gray.astype(np.uint16) * 257)
    elif mode == "P":
        image = Image.fromarray(gray).convert("RGB").quantize(256)
    else:
        image = Image.fromarray(gray).convert("RGB" if mode == "CMYK" else "L").convert(mode)
    path = tmp_path / f"a.{'jpg' if mode == 'CMYK' else 'png'}"
    image.save(path, **({"transparency": b"\0\x7f"} if mode == "P" else {}))
    assert len(check([annotated(path, (1, 1, 9, 9))], None).items) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = decode(path, rotate=False, max_side=640)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (30, 40, 3))
    if mode != "1":
        assert np.abs(pixels.astype(int) - gray[..., None]).mean() < 6


def test_colour_under_transparency_counts(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 20), (200, 100, 50, 0)).save(tmp_path / "a.png")
    pixels = decode(tmp_path / "a.png", rotate=False, max_side=640)
    assert pixels[5, 5].tolist() == [200, 100, 50]


def test_jpeg_named_png_is_read_by_content(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg").rename(tmp_path / "a.png")
    assert not check([annotated(path, (1, 1, 9, 9))], None).faults.faults


@pytest.mark.parametrize(
    ("orientation", "stated", "rotate", "found"),
    [
        (6, (30, 40), True, ["exif-rotated"]),
        (6, None, True, ["exif-rotated"]),
        (6, (40, 30), False, ["exif-kept"]),
        (6, (99, 99), True, ["size-mismatch", "exif-rotated"]),
        (3, (40, 30), True, ["exif-rotated"]),
        (1, (40, 30), False, []),
        (1, None, False, []),
        (1, (30, 40), False, ["size-mismatch"]),
        (99, (40, 30), False, []),
    ],
)
def test_exif_orientation_and_stated_size(
    tmp_path: Path, orientation: int, stated: tuple[int, int], rotate: bool, found: list[str]
) -> None:
    image = picture(tmp_path / "a.jpg", orientation=orientation)
    result = check([annotated(image, (1, 1, 9, 28), size=stated)], None)
    [item] = result.items
    assert item.rotate is rotate
    assert item.size == ((30, 40) if rotate and orientation == 6 else (40, 30))
    assert kinds(result.faults) == found
    assert len(item.boxes) == 1


def test_rotated_boxes_are_clipped_to_the_upright_picture(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.jpg", orientation=6)
    result = check([annotated(image, (1, 1, 35, 39))], None)
    assert result.items[0].boxes.tolist() == [[1, 1, 30, 39]]


def test_classes_are_one_mapping_over_all_splits(tmp_path: Path) -> None:
    a = annotated(picture(tmp_path / "a.jpg"), (1, 1, 9, 9), names=["pear"], split="train")
    b = annotated(picture(tmp_path / "bb.jpg"), (1, 1, 9, 9), names=["apple"], split="test")
    result = check([a, b], None)
    assert result.classes == ["apple", "pear"]
    assert [item.labels.tolist() for item in result.items] == [[2], [1]]
    assert check([a, b], ["pear", "plum", "apple"]).items[1].labels.tolist() == [3]


def test_unknown_class_names_file_box_and_nearest(tmp_path: Path) -> None:
    annotation = annotated(
        picture(tmp_path / "a.jpg"), (1, 1, 9, 9), (2, 2, 9, 9), names=["Mask", "mask_"]
    )
    with pytest.raises(DataError, match=r"a\.xml box 2: class 'mask_' .* nearest is 'Mask'"):
        check([annotation], ["Gloves", "Mask"])


@pytest.mark.parametrize("classes", [[], ["a", "a"], ["background", "a"]])
def test_class_lists_that_make_no_sense(tmp_path: Path, classes: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"data\.classes"):
        check([annotated(picture(tmp_path / "a.jpg"))], classes)


def test_nothing_to_learn_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to learn"):
        check([annotated(picture(tmp_path / "a.jpg"))], None)
    with pytest.raises(DataError, match=r"(?s)no image .* usable.*1 missing-image"):
        check([annotated(tmp_path / "gone.jpg", (1, 1, 9, 9))], None)


def test_unlabelled_and_unlisted_are_counted_not_negatives(tmp_path: Path) -> None:
    annotations = [annotated(picture(tmp_path / "a.jpg"), (1, 1, 9, 9))]
    for name, unused in (("b", "unlabelled"), ("c", "unlisted")):
        image = picture(tmp_path / f"{name}.jpg")
        annotations.append(Annotation.without_boxes(image, "list.txt", unused=unused))
    ghost = tmp_path / "ghost.jpg"
    annotations.append(Annotation.without_boxes(ghost, "list.txt:2", unused="unlabelled"))
    result = check(annotations, None)
    assert len(result.items) == 1
    assert result.faults.counts() == {"missing-image": 1, "unlabelled": 1, "unlisted": 1}


def test_strict_refuses_faults_and_lists_the_first_20(tmp_path: Path) -> None:
    boxes = [(-1.0 - i, 1.0, 9.0, 9.0) for i in range(25)]
    annotation = annotated(picture(tmp_path / "a.jpg"), *boxes)
    with pytest.raises(DataError, match="found 25 faults") as caught:
        check([annotation], None, strict=True)
    lines = str(caught.value).splitlines()
    assert len(lines) == 22
    assert "a.xml box 20" in lines[20]
    assert lines[21] == "and 5 more"


def test_strict_accepts_notes(tmp_path: Path) -> None:
    annotations = [
        annotated(picture(tmp_path / "a.jpg", orientation=6), (1, 1, 9, 9)),
        Annotation.without_boxes(picture(tmp_path / "b.jpg"), "x", unused="unlisted"),
    ]
    assert len(check(annotations, None, strict=True).items) == 1


# --- the real sets ---


@needs_shared
def test_guns_has_one_box_outside() -> None:
    result = check(read_annotations("voc", SHARED / "guns", None), None)
    assert len(result.items) == 333
    assert Counter(len(item.boxes) for item in result.items) == {
        1: 268,
        2: 54,
        3: 7,
        4: 2,
        11: 1,
        12: 1,
    }
    [fault] = result.faults.faults
    assert fault.kind == "clipped-box"
    assert fault.where.endswith("70.xml box 1")
    [item] = [item for item in result.items if item.image.name == "70.jpeg"]
    assert item.boxes[0].tolist() == [177, 43, 227, 70]
    repeated = [n for n in Counter(item.digest for item in result.items).values() if n > 1]
    assert (len(repeated), sum(repeated)) == (29, 60)


@needs_shared
def test_ppe_misses_one_image_only() -> None:
    result = check(read_annotations("voc", SHARED / "ppe", None), None)
    assert result.classes == ["Coverall", "Face_Shield", "Gloves", "Goggles", "Mask"]
    assert Counter(item.split for item in result.items) == {"train": 367, "test": 49}
    assert [(f.kind, Path(f.image).name) for f in result.faults.faults] == [
        ("missing-image", "tui.jpg")
    ]
