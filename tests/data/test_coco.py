"""The COCO reader: layouts, malformed files, and names that try to leave the set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.helpers_formats import by_stem, picture
from tlx.common.errors import DataError
from tlx.data.formats import READERS, read_annotations

CAT = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 10, 5.5]}


def coco(path: Path, images: list[dict], annotations: list[dict] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "images": images,
        "annotations": annotations or [],
        "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
    }
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("json_path", "image_path", "split"),
    [
        ("annotations/instances_train2017.json", "train2017/a.png", "train"),
        ("annotations/instances_val2017.json", "images/val2017/a.png", "val"),
        ("annotations/train.json", "images/train/a.png", "train"),
        ("test.json", "test/a.png", "test"),
        ("train.json", "images/a.png", "train"),
        ("valid/_annotations.coco.json", "valid/a.png", "val"),
        ("annotations/instances_Validation.json", "images/Validation/a.png", "val"),  # CVAT
        ("train/labels.json", "train/data/a.png", "train"),  # FiftyOne, a split an export
        ("test/annotations.json", "test/images/a.png", "test"),
        ("val/annotations/instances.json", "val/a.png", "val"),
        ("annotations/person_train.json", "images/a.png", "train"),
        ("Train_annotations.json", "Train/a.png", "train"),
        ("images_test.json", "a.png", None),  # alone it is a set, whatever its name
        ("annotations.json", "a.png", None),
        ("whatever.json", "images/a.png", None),
        ("annotations/all.json", "images/a.png", None),
    ],
)
def test_coco_layouts(tmp_path: Path, json_path: str, image_path: str, split: str | None) -> None:
    image = picture(tmp_path / image_path)
    stated = {"id": 1, "file_name": "a.png", "width": 40, "height": 30}
    coco(tmp_path / json_path, [stated], [CAT, CAT | {"category_id": 3, "iscrowd": 1}])
    [annotation] = read_annotations("coco", tmp_path, None)
    assert (annotation.image, annotation.split, annotation.size) == (image, split, (40, 30))
    np.testing.assert_array_equal(annotation.boxes, [[1, 2, 11, 7.5]] * 2)
    assert annotation.names == ["cat", "dog"]
    assert annotation.difficult.tolist() == [False, True]
    assert annotation.source.endswith(f"{Path(json_path).name} image 1")


def test_coco_negatives_unlabelled_and_missing(tmp_path: Path) -> None:
    for stem in ("a", "b", "alone"):
        picture(tmp_path / "images" / f"{stem}.png")
    images = [{"id": i, "file_name": f"{stem}.png"} for i, stem in enumerate(("a", "b", "gone"))]
    coco(tmp_path / "all.json", images, [CAT | {"image_id": 0}])
    found = by_stem(read_annotations("coco", tmp_path, None))
    assert list(found) == ["a", "alone", "b", "gone"]
    assert found["b"].boxes.shape == (0, 4)
    assert [found[stem].unused for stem in found] == [None, "unlabelled", None, None]
    assert found["a"].size is None


def test_coco_same_names_in_two_splits_stay_apart(tmp_path: Path) -> None:
    for split in ("train", "val"):
        picture(tmp_path / split / "1.png")
        coco(tmp_path / f"{split}.json", [{"id": 1, "file_name": "1.png"}])
    picture(tmp_path / "1.png")
    found = read_annotations("coco", tmp_path, None)
    assert {a.split: a.image.parent.name for a in found} == {"train": "train", "val": "val"}


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "x/../../secret.png",
        "{root}/secret.png",
        "..\\secret.png",
        "C:\\s",
        "C:s",
        "",
    ],
)
def test_coco_file_name_never_leaves_the_root(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "secret.png")
    name = name.format(root=tmp_path)
    coco(tmp_path / "set" / "all.json", [{"id": 41, "file_name": name}])
    with pytest.raises(DataError, match=r"all\.json image 41: file_name .* leaves"):
        read_annotations("coco", tmp_path / "set", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 9}, "annotation 1: no image has the id 9"),
        ({"category_id": 9}, "annotation 1: no category has the id 9"),
        ({"bbox": [1, 2, 3]}, r"annotation 1: bbox \[1, 2, 3\] is not"),
        ({"bbox": [1, 2, 3, None]}, "annotation 1: needs image_id"),
        ({"bbox": [1, 2, 3, "x"], "id": None}, "annotation number 1: needs image_id"),
        ({"bbox": "1234"}, "annotation 1: bbox"),
    ],
)
def test_coco_errors_name_file_and_annotation(tmp_path: Path, change: dict, message: str) -> None:
    coco(tmp_path / "all.json", [{"id": 1, "file_name": "a.png"}], [CAT | change])
    with pytest.raises(DataError, match=f"all.json {message}"):
        read_annotations("coco", tmp_path, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "malformed JSON: .*line 1 column 2"),
        ("[" * 100_000, "malformed JSON"),
        ("[]", "no list 'images'"),
        ('{"images": [], "annotations": []}', "no list 'categories'"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "lacks 'file_name'"),
    ],
)
def test_coco_malformed_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "all.json").write_text(text)
    with pytest.raises(DataError, match=f"(?s)all.json: .*{message}|all.json: {message}"):
        read_annotations("coco", tmp_path, None)


def test_coco_repeated_image_ids_and_several_files(tmp_path: Path) -> None:
    coco(tmp_path / "one.json", [{"id": 1, "file_name": n} for n in ("a.png", "b.png")])
    with pytest.raises(DataError, match="two images have the same id"):
        read_annotations("coco", tmp_path, None)
    coco(tmp_path / "two.json", [])
    with pytest.raises(DataError, match=r"2 JSON files \(one.json, two.json"):
        read_annotations("coco", tmp_path, None)


def test_coco_files_that_may_be_one_split_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "a.png")
    for name in ("cars.json", "people.json"):
        coco(tmp_path / "train" / name, [{"id": 1, "file_name": "a.png"}], [CAT])
    with pytest.raises(DataError, match=r"train holds 2 JSON files .*cars.json, people.json"):
        read_annotations("coco", tmp_path, None)
    for name in ("cars.json", "people.json"):
        (tmp_path / "train" / name).rename(tmp_path / f"train_{name}")
    with pytest.raises(DataError, match=r"2 JSON files .*train_cars.json, train_people.json"):
        read_annotations("coco", tmp_path, None)


def test_readers_sort_whatever_the_file_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coco(tmp_path / "all.json", [{"id": i, "file_name": f"{n}.png"} for i, n in enumerate("bca")])
    assert [a.image.stem for a in READERS["coco"](tmp_path, None)] == ["a", "b", "c"]


@pytest.mark.parametrize(("crowd", "expected"), [("0", False), (0, False), ("1", True), (1, True)])
def test_coco_crowd_in_quotes_is_the_number(tmp_path: Path, crowd: object, expected: bool) -> None:
    box = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 9, 9], "iscrowd": crowd}
    coco(tmp_path / "a.json", [{"id": 1, "file_name": "a.png"}], [box])
    picture(tmp_path / "a.png")
    [annotation] = read_annotations("coco", tmp_path, None)
    assert annotation.difficult.tolist() == [expected]


def test_coco_crowd_that_is_neither_is_named(tmp_path: Path) -> None:
    box = {"id": 7, "image_id": 1, "category_id": 7, "bbox": [1, 2, 9, 9], "iscrowd": "yes"}
    coco(tmp_path / "a.json", [{"id": 1, "file_name": "a.png"}], [box])
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="annotation 7: iscrowd 'yes' is neither 0 nor 1"):
        read_annotations("coco", tmp_path, None)
