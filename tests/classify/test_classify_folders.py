"""Image folders: layouts, faults, splits, training views, the embedded shapes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.classify.helpers_classify import CLASSES, config, write_picture, write_set
from tlx.classify.data import build_folders, crop_window
from tlx.classify.folders import read_folders
from tlx.classify.shapes import CORNERS, picture
from tlx.common.errors import ConfigError, DataError
from tlx.data.faults import FaultReport


def names_of(items: list, classes: list[str]) -> set[tuple[str, str, str | None]]:
    return {(i.image.name, classes[int(i.labels[0]) - 1], i.split) for i in items}


def test_classes_in_the_root_and_in_split_folders(tmp_path: Path) -> None:
    plain = write_set(tmp_path / "plain", {"": 1})
    items, classes = read_folders(plain, None, FaultReport())
    assert classes == CLASSES
    assert names_of(items, classes) == {("0.png", name, None) for name in CLASSES}
    split = write_set(tmp_path / "split", {"train": 2, "valid": 1, "test": 1})
    items, classes = read_folders(split, ["red", "green", "blue"], FaultReport())
    assert classes == ["red", "green", "blue"]
    assert ("1.png", "blue", "train") in names_of(items, classes)
    assert ("0.png", "red", "val") in names_of(items, classes)
    assert len(items) == 12


def test_subfolders_of_a_class_belong_to_it_and_faults_are_named(tmp_path: Path) -> None:
    root = write_set(tmp_path, {"": 2})
    write_picture(root / "red" / "tuesday" / "deep.png", "red", 90)
    write_picture(root / "stray.png", "red", 91)
    (root / "red" / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    write_picture(root / "green" / "small.png", "green", 92, side=8)
    shutil.copy(root / "red" / "0.png", root / "blue" / "copy.png")
    faults = FaultReport()
    items, classes = read_folders(root, None, faults)
    found = {name for name, label, _ in names_of(items, classes) if label == "red"}
    assert found == {"deep.png", "1.png"}  # 0.png lies in blue/ too: nobody knows which is right
    kinds = sorted((fault.kind, Path(fault.image).name) for fault in faults.faults)
    assert kinds == [
        ("label-conflict", "0.png"), ("label-conflict", "copy.png"), ("tiny-image", "small.png"),
        ("undecodable", "cut.jpg"), ("unlabelled", "stray.png"),
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"undecodable: .*cut\.jpg"):
        read_folders(root, None, FaultReport(), strict=True)


def test_what_cannot_be_learned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_folders(tmp_path / "none", None, FaultReport())
    write_picture(tmp_path / "one" / "red" / "0.png", "red", 0)
    with pytest.raises(DataError, match="1 classes, at least two"):
        read_folders(tmp_path / "one", None, FaultReport())
    root = write_set(tmp_path / "set", {"": 1})
    with pytest.raises(DataError, match="the nearest is 'bleu'"):
        read_folders(root, ["bleu", "green", "red"], FaultReport())
    with pytest.raises(ConfigError, match="each class once"):
        read_folders(root, ["red", "red"], FaultReport())
    named = write_set(tmp_path / "named", {"train": 2, "val": 1, "test": 1})
    shutil.rmtree(named / "train" / "red")
    cfg = config(f"data.root={named}", "data.group_near_duplicates=false")
    with pytest.raises(DataError, match="train has no picture of red"):
        build_folders(cfg.data, tmp_path / "cache")


@pytest.mark.parametrize("ending", [None, ".heic", ".tga"])
def test_a_class_folder_without_a_readable_picture_is_refused(
    tmp_path: Path, ending: str | None
) -> None:
    root = write_set(tmp_path / "set", {"": 8})
    (root / "yellow").mkdir()
    if ending:
        (root / "yellow" / f"0{ending}").write_bytes(b"no picture")
    holds = f"1 {ending}" if ending else "empty"
    cfg = config(f"data.root={root}", "data.group_near_duplicates=false").data
    with pytest.raises(DataError, match=rf"yellow \(.*{holds}.*move the folder away"):
        build_folders(cfg, tmp_path / "cache")
    (root / "yellow").rename(root / ".yellow")
    assert build_folders(cfg, tmp_path / "cache").classes == CLASSES


def test_pictures_of_formats_that_are_not_read_are_counted(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", {"": 2})
    (root / "red" / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    (root / "red" / "old.tga").write_bytes(bytes(99))
    faults = FaultReport()
    read_folders(root, None, faults)
    assert faults.counts() == {"unread-format": 2}
    assert {Path(f.image).name for f in faults.faults} == {"phone.HEIC", "old.tga"}


def test_missing_splits_are_cut_by_seed(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", {"": 8})
    cfg = config(f"data.root={root}", "data.group_near_duplicates=false").data
    data, again = (build_folders(cfg, tmp_path / "cache") for _ in range(2))
    assert all(data.splits.values())
    assert [i.digest for i in data.splits["test"]] == [i.digest for i in again.splits["test"]]
    counts = data.report["pictures"]
    assert sum(n for split in counts.values() for n in split.values()) == 24


def test_crops_lie_inside_and_are_large_enough() -> None:
    windows = [crop_window(np.random.default_rng(i), 60, 40, 0.5) for i in range(200)]
    for w in windows:
        assert w.left >= 0
        assert w.top >= 0
        assert w.left + w.width <= 60
        assert w.top + w.height <= 40
        assert w.width * w.height >= 0.5 * 60 * 40 * 0.95  # sides are whole pixels
        assert 0.7 < (w.width / 60) / (w.height / 40) < 1.4
    assert {w.mirrored for w in windows} == {True, False}
    assert len({(w.left, w.top) for w in windows}) > 50


def test_shapes_are_the_same_every_time_and_differ_by_index() -> None:
    for name in CORNERS:
        one, same, other = (np.array(picture("train", name, i)) for i in (0, 0, 1))
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)
    assert not np.array_equal(
        np.array(picture("train", "star", 0)), np.array(picture("test", "star", 0))
    )
