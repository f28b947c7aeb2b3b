"""The txt reader: boxes, negatives, split folders and malformed files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.helpers_formats import by_stem, picture
from tlx.common.errors import ConfigError, DataError
from tlx.data.formats import read_annotations


def test_txt_reads_boxes_negatives_and_marks_unlabelled(tmp_path: Path) -> None:
    for name in ("2.JPEG", "10.png", "3.webp", "alone.bmp"):
        picture(tmp_path / name)
    (tmp_path / "2.txt").write_text("2\n1 2 3.5 4\n\n5 6 7 8\n")
    (tmp_path / "10.txt").write_text("0")
    (tmp_path / "3.txt").write_bytes(b"1\r\n0 0 nan 9\r\n")
    (tmp_path / "4.txt").write_text("1\n0 0 5 5\n")
    (tmp_path / "readme.txt").write_text("About this set\n")
    found = by_stem(read_annotations("txt", tmp_path, ["gun"]))
    assert list(found) == ["10", "2", "3", "4", "alone"]
    np.testing.assert_array_equal(found["2"].boxes, [[1, 2, 3.5, 4], [5, 6, 7, 8]])
    assert found["2"].boxes.dtype == np.float64
    assert found["2"].image == tmp_path / "2.JPEG"
    assert found["2"].names == ["gun", "gun"]
    assert found["10"].boxes.shape == (0, 4)
    assert not found["10"].unused
    assert np.isnan(found["3"].boxes).any()
    assert not found["4"].image.exists()
    assert found["alone"].unused == "unlabelled"


@pytest.mark.parametrize("classes", [None, [], ["a", "b"]])
def test_txt_needs_exactly_one_class(tmp_path: Path, classes: list[str] | None) -> None:
    with pytest.raises(ConfigError, match=r"data\.classes.*exactly one"):
        read_annotations("txt", tmp_path, classes)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "1: no box count"),
        ("two\n", "1: expected the number"),
        ("-1\n", "1: expected the number"),
        ("2\n1 2 3 4\n", "1: announces 2 boxes, but 1"),
        ("0\n1 2 3 4\n", "1: announces 0 boxes, but 1"),
        ("1\n1 2 3\n", "2: expected four numbers"),
        ("2\n1 2 3 4\n\n1 2 x 4\n", "4: expected four numbers"),
    ],
)
def test_txt_errors_name_file_and_line(tmp_path: Path, text: str, line: str) -> None:
    picture(tmp_path / "1.png")
    (tmp_path / "1.txt").write_text(text)
    with pytest.raises(DataError, match=f"1.txt:{line}"):
        read_annotations("txt", tmp_path, ["gun"])


def test_txt_that_is_not_text(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    (tmp_path / "1.txt").write_bytes(b"1\n\xff\xfe")
    with pytest.raises(DataError, match=r"1\.txt: not UTF-8"):
        read_annotations("txt", tmp_path, ["gun"])


def test_txt_split_folders_and_pictures_without_files(tmp_path: Path) -> None:
    for folder in ("train", "valid", "test"):
        picture(tmp_path / folder / "1.png")
        (tmp_path / folder / "1.txt").write_text("0\n")
    assert [a.split for a in read_annotations("txt", tmp_path, ["x"])] == ["test", "train", "val"]
    (tmp_path / "test" / "1.txt").unlink()
    with pytest.raises(DataError, match=r"test holds pictures but no N\.txt"):
        read_annotations("txt", tmp_path, ["x"])
