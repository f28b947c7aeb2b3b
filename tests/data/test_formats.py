"""What all annotation readers share: their names, their missing files, the order of classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers_shared import SHARED, needs_shared
from tlx.classify.folders import read_folders
from tlx.common.errors import ConfigError, DataError
from tlx.data.faults import FaultReport
from tlx.data.formats import find_format, read_annotations, stated_classes


def test_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"data\.format=kity is none of coco, .*txt, voc, yolo.*, auto"
    ):
        read_annotations("kity", tmp_path, None)


@pytest.mark.parametrize("format", ["coco", "txt", "voc"])
def test_missing_or_empty_root_says_what_to_set(tmp_path: Path, format: str) -> None:
    with pytest.raises(DataError, match=r"nowhere.*data\.root"):
        read_annotations(format, tmp_path / "nowhere", ["a"])
    with pytest.raises(DataError, match=r"no .* annotations.*data\.root"):
        read_annotations(format, tmp_path, ["a"])


@pytest.mark.parametrize(
    ("name", "words"), [("set.txt", "is a file: set data.root"), ("set.ZIP", "is a file: unpack")]
)
def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    for read in (
        lambda root: find_format("auto", root),
        lambda root: read_annotations("voc", root, None),
        lambda root: read_folders(root, None, FaultReport()),
    ):
        with pytest.raises(DataError, match=f"{name} {words}"):
            read(tmp_path / name)


def test_labels_file_gives_the_class_order(tmp_path: Path) -> None:
    assert stated_classes(tmp_path) is None
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfBACKGROUND\r\nzebra\r\nred apple\r\n\r\n")
    assert stated_classes(tmp_path) == ["zebra", "red apple"]


@needs_shared
def test_guns_txt_and_xml_agree() -> None:
    voc = read_annotations("voc", SHARED / "guns", None)
    txt = read_annotations("txt", SHARED / "guns", ["Gun"])
    assert len(voc) == len(txt) == 333
    assert sum(len(a.boxes) for a in voc) == 428
    for one, other in zip(voc, txt, strict=True):
        assert (one.image, one.names) == (other.image, other.names)
        np.testing.assert_array_equal(one.boxes, other.boxes)
