"""The image cache: right pixels, decoded once, never half written."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import tlx.data.cache as cache_module
from tlx.common.errors import DataError
from tlx.data.cache import ImageCache, decode
from tlx.data.check import check
from tlx.data.formats import read_annotations
from tlx.data.formats.annotations import Annotation, Item

SHARED = Path(__file__).resolve().parents[3] / "shared" / "datasets"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared beside the repository")


def gradient(width: int, height: int, seed: int = 0) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 200, width), np.linspace(0, 200, height))
    return np.stack([x, y, np.full_like(x, seed % 256)], axis=2).astype(np.uint8)


def items_of(folder: Path, *sizes: tuple[int, int], ending: str = "png") -> list[Item]:
    annotations = []
    for i, size in enumerate(sizes):
        path = folder / f"{i}.{ending}"
        Image.fromarray(gradient(*size, seed=i)).save(path)
        box = np.array([[1.0, 1, 9, 9]])
        annotations.append(Annotation(path, box, ["x"], np.zeros(1, bool), f"{i}.xml"))
    return check(annotations, None).items


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    return items_of(tmp_path, (40, 30), (30, 50), (64, 64))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pictures that a build decodes, in any order."""
    seen: list[Path] = []

    def counting(path: Path, **options: object) -> np.ndarray:
        seen.append(path)
        return decode(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(cache_module, "decode", counting)
    return seen


def test_pixels_come_back_unchanged(tmp_path: Path, items: list[Item]) -> None:
    cache = ImageCache.build(items, tmp_path / "cache")
    assert len(cache) == 3
    for i, item in enumerate(items):
        width, height = item.size
        assert item.digest in cache
        np.testing.assert_array_equal(cache[item.digest], gradient(width, height, seed=i))
    assert "0" * 64 not in cache
    with pytest.raises(KeyError):
        cache["0" * 64]


def test_views_are_read_only_and_tensors_are_copies(tmp_path: Path, items: list[Item]) -> None:
    cache = ImageCache.build(items, tmp_path / "cache")
    with pytest.raises(ValueError, match="read-only"):
        cache[items[0].digest][0] = 0
    tensor = cache.tensor(items[0].digest)
    assert (tensor.dtype, tuple(tensor.shape)) == (torch.uint8, (3, 30, 40))
    tensor.zero_()
    assert cache[items[0].digest].any()


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((400, 200), (50, 100)),
        ((100, 300), (100, 33)),
        ((100, 60), (60, 100)),
        ((4000, 16), (1, 100)),
    ],
)
def test_large_pictures_shrink_to_max_side(
    tmp_path: Path, ending: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    items = items_of(tmp_path, size, ending=ending)
    cache = ImageCache.build(items, tmp_path / "cache", max_side=100)
    pixels = cache[items[0].digest]
    assert pixels.shape == (*expected, 3)
    whole = Image.fromarray(gradient(*size)).resize(expected[::-1], Image.Resampling.BOX)
    assert np.abs(pixels.astype(int) - np.asarray(whole)).mean() < 4


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    checks = (np.indices((400, 400)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checks).save(tmp_path / "a.png")
    pixels = decode(tmp_path / "a.png", rotate=False, max_side=100)
    assert np.abs(pixels.astype(int) - 127).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_as_pillow_does_it(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(gradient(40, 30)).save(path, exif=exif)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decode(path, rotate=True, max_side=640), upright)
    np.testing.assert_array_equal(decode(path, rotate=False, max_side=640), gradient(40, 30))
    annotation = Annotation(path, np.array([[1.0, 1, 9, 9]]), ["x"], np.zeros(1, bool), "a.xml")
    [item] = check([annotation], None).items
    cache = ImageCache.build([item], tmp_path / "cache")
    assert cache[item.digest].shape[:2] == item.size[::-1]


def test_second_build_decodes_nothing(
    tmp_path: Path, items: list[Item], decoded: list[Path]
) -> None:
    first = ImageCache.build(items, tmp_path / "cache")
    assert sorted(decoded) == sorted(item.image for item in items)
    again = ImageCache.build(items[::-1], tmp_path / "cache")
    assert len(decoded) == 3
    assert again.path == first.path


def test_copies_are_decoded_once(tmp_path: Path, items: list[Item], decoded: list[Path]) -> None:
    ImageCache.build([*items, *items], tmp_path / "cache")
    assert len(decoded) == 3


def test_key_follows_contents_size_and_rotation(tmp_path: Path, items: list[Item]) -> None:
    paths = {
        ImageCache.build(items, tmp_path / "cache").path,
        ImageCache.build(items, tmp_path / "cache", max_side=20).path,
        ImageCache.build(items[:2], tmp_path / "cache").path,
    }
    items[0].rotate = True
    paths.add(ImageCache.build(items, tmp_path / "cache").path)
    assert len(paths) == 4


def test_one_picture_with_two_orientations_is_refused(tmp_path: Path, items: list[Item]) -> None:
    items.append(replace(items[0], rotate=True))
    with pytest.raises(DataError, match="only one is to be rotated"):
        ImageCache.build(items, tmp_path / "cache")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garble(path: Path) -> None:
    path.write_bytes(b"\xff{not json" + bytes(99))


@pytest.mark.parametrize("damage", [cut, empty, garble, Path.unlink])
@pytest.mark.parametrize("name", ["pixels.u8", "index.json"])
def test_damaged_cache_is_rebuilt(
    tmp_path: Path, items: list[Item], name: str, damage: Callable[[Path], None]
) -> None:
    path = ImageCache.build(items, tmp_path / "cache").path
    damage(path / name)
    with pytest.raises(DataError, match="cache"):
        ImageCache(path)
    cache = ImageCache.build(items, tmp_path / "cache")
    assert cache.path == path
    np.testing.assert_array_equal(cache[items[0].digest], gradient(40, 30))
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [path.name]


def blacken(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [blacken, flip])
def test_pixels_that_were_altered_are_said_and_decoded_again(
    tmp_path: Path,
    items: list[Item],
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The length fits: only the checksums tell."""
    path = ImageCache.build(items, tmp_path / "cache").path
    assert ImageCache(path).damaged() == []
    damage(path / "pixels.u8")
    count = len(ImageCache(path).damaged())
    assert count == (3 if damage is blacken else 1)
    cache = ImageCache.build(items, tmp_path / "cache")
    assert f"is damaged ({count} of 3 pictures are not as they were written)" in caplog.text
    assert caplog.text.count("decoded again") == 1
    np.testing.assert_array_equal(cache[items[0].digest], gradient(40, 30))
    assert cache.damaged() == []
    caplog.clear()
    ImageCache.build(items, tmp_path / "cache")
    assert caplog.text == ""


def test_an_index_that_was_altered_is_found(
    tmp_path: Path, items: list[Item], caplog: pytest.LogCaptureFixture
) -> None:
    path = ImageCache.build(items, tmp_path / "cache").path
    index = json.loads((path / "index.json").read_text())
    digest = items[0].digest
    offset, height, width, check = index["images"][digest]
    for changed in (
        {**index["images"], digest: [offset, width, height, check]},
        {("0" + key[1:] if key == digest else key): v for key, v in index["images"].items()},
    ):
        (path / "index.json").write_text(json.dumps(index | {"images": changed}))
        caplog.clear()
        cache = ImageCache.build(items, tmp_path / "cache")
        assert "of 3 pictures are not as they were written" in caplog.text
        np.testing.assert_array_equal(cache[digest], gradient(40, 30))


def test_failed_build_leaves_nothing(tmp_path: Path, items: list[Item]) -> None:
    items[1].image.write_bytes(items[0].image.read_bytes())
    with pytest.raises(DataError, match=r"1\.png has changed since it was checked"):
        ImageCache.build(items, tmp_path / "cache")
    items[1].image.unlink()
    with pytest.raises(DataError, match=r"1\.png: no such file"):
        ImageCache.build(items, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


KILLED = """
import os, pickle, sys
from tlx.data.cache import ImageCache
items, folder = pickle.load(open(sys.argv[1], "rb"))
ImageCache.build(items, folder, progress=lambda done, total: done == 2 and os._exit(9))
"""


def test_killed_build_is_no_cache_and_is_cleared_later(tmp_path: Path, items: list[Item]) -> None:
    folder = tmp_path / "cache"
    (tmp_path / "job").write_bytes(pickle.dumps((items, folder)))
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", KILLED, str(tmp_path / "job")]
    assert subprocess.run(command, cwd=root, check=False).returncode == 9
    [left] = folder.iterdir()
    cache = ImageCache.build(items, folder)
    np.testing.assert_array_equal(cache[items[0].digest], gradient(40, 30))
    assert left.exists()  # young: its writer might be alive
    os.utime(left, times=(time.time() - 2 * 24 * 3600,) * 2)
    (folder / ".others-files").mkdir()
    os.utime(folder / ".others-files", times=(0, 0))
    ImageCache.build(items[:1], folder)
    assert not left.exists()
    assert (folder / ".others-files").exists()


@pytest.mark.parametrize("damaged", [False, True])
def test_two_writers_end_with_one_cache(tmp_path: Path, items: list[Item], damaged: bool) -> None:
    folder = tmp_path / "cache"
    if damaged:
        cut(ImageCache.build(items, folder).path / "pixels.u8")
    barrier = threading.Barrier(2, timeout=20)
    found: list[ImageCache] = []

    def write() -> None:
        wait = lambda done, total: done == total and barrier.wait()  # noqa: E731
        found.append(ImageCache.build(items, folder, progress=wait))  # type: ignore[arg-type]

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    for cache in found:
        np.testing.assert_array_equal(cache[items[0].digest], gradient(40, 30))
    assert [p.name for p in folder.iterdir()] == [found[0].path.name]


def test_full_or_forbidden_disk_says_what_to_do(tmp_path: Path, items: list[Item]) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match=r"cannot write the image cache .* give another place"):
        ImageCache.build(items, tmp_path / "file" / "cache")


def test_nothing_to_cache(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images to cache"):
        ImageCache.build([], tmp_path)


def test_pickle_is_small_and_maps_anew(tmp_path: Path) -> None:
    items = items_of(tmp_path, (600, 500))
    cache = ImageCache.build(items, tmp_path / "cache")
    before = cache[items[0].digest]
    data = pickle.dumps(cache)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data)[items[0].digest], before)


def test_progress_counts_every_picture(tmp_path: Path, items: list[Item]) -> None:
    calls: list[tuple[int, int]] = []
    ImageCache.build(items, tmp_path / "cache", progress=lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_workers_and_batches_do_not_change_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = items_of(tmp_path, *[(20 + i, 30) for i in range(7)])
    one = ImageCache.build(items, tmp_path / "one", workers=1)
    monkeypatch.setattr(cache_module, "AHEAD", 2)
    many = ImageCache.build(items, tmp_path / "many", workers=4)
    assert (one.path / "pixels.u8").read_bytes() == (many.path / "pixels.u8").read_bytes()
    assert (one.path / "index.json").read_bytes() == (many.path / "index.json").read_bytes()


# --- the real sets ---


@needs_shared
def test_ppe_odd_pictures_are_cached(tmp_path: Path) -> None:
    annotations = read_annotations("voc", SHARED / "ppe", None)
    odd = [a for a in annotations if a.image.suffix == ".png"]  # RGBA, palette, a JPEG in disguise
    items = check(odd, None).items
    assert len(items) == 7
    cache = ImageCache.build(items, tmp_path, max_side=300)
    for item in items:
        height, width = cache[item.digest].shape[:2]
        assert max(height, width) <= 300
        assert width / height == pytest.approx(item.size[0] / item.size[1], rel=0.02)
