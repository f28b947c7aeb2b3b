"""The check of picture files: broken ones, colour modes and orientation."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.helpers_check import annotated, kinds, picture
from tlx.data.check import check
from tlx.data.formats.pictures import decode


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
    sound = [picture(tmp_path / f"whole{i}.jpg", (200, 160)).name for i in range(len(expected) + 1)]
    annotations = [annotated(tmp_path / name, (1, 1, 9, 9)) for name in [*expected, *sound]]
    result = check(annotations, None)
    assert [item.image.name for item in result.items] == sound
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
        (3, (40, 30), True, ["exif-rotated"]),
        (1, (40, 30), False, []),
        (1, None, False, []),
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


@pytest.mark.parametrize(
    ("stated", "box", "found", "boxes"),
    [
        ((80, 60), (10, 20, 70, 50), ["scaled-boxes"], [[5, 10, 35, 25]]),
        ((20, 15), (10, 10, 19, 14), ["scaled-boxes"], [[20, 20, 38, 28]]),
        ((80, 60), (10, 20, 90, 50), ["size-mismatch"], None),  # beyond the stated size
        ((99, 99), (10, 20, 30, 25), ["size-mismatch"], None),  # another shape
        ((30, 40), (10, 20, 30, 25), ["size-mismatch"], None),
    ],
)
def test_boxes_of_another_size_are_scaled_or_refused(
    tmp_path: Path,
    stated: tuple[int, int],
    box: tuple[int, ...],
    found: list[str],
    boxes: list[list[int]] | None,
) -> None:
    image = picture(tmp_path / "a.jpg")  # 40x30
    other = annotated(picture(tmp_path / "whole.jpg"), (1, 1, 9, 9))
    result = check([annotated(image, box, size=stated), other], None)
    assert kinds(result.faults) == found
    items = {item.image.name: item for item in result.items}
    assert (items["a.jpg"].boxes.tolist() if boxes else "a.jpg" not in items) == (boxes or True)


def test_rotated_boxes_are_clipped_to_the_upright_picture(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.jpg", orientation=6)
    result = check([annotated(image, (1, 1, 35, 39))], None)
    assert result.items[0].boxes.tolist() == [[1, 1, 30, 39]]
