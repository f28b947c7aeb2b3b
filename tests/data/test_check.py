"""The check: each fault has its rule, and nothing disappears unreported."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.data.helpers_check import annotated, kinds, picture
from tests.helpers_shared import SHARED, needs_shared
from tlx.common.errors import ConfigError, DataError
from tlx.data.check import check
from tlx.data.faults import RULES
from tlx.data.formats import read_annotations
from tlx.data.formats.annotations import Annotation

NAN, INF = float("nan"), float("inf")


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
