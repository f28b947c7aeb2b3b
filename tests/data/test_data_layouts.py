"""VOC and COCO sets whose lists, folders and names are written in other ways than the usual one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.helpers_data_check import (
    Check,
    boxes_of,
    coco,
    devkit,
    images,
    picture,
    refused,
    write,
    xml,
)
from tlx.common.errors import DataError
from tlx.data.formats import read_annotations


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("ImageSets/Main", ("train.txt", "valid.txt", "test.txt")),
        ("ImageSets/Main", ("Train.txt", "Validation.TXT", "TEST.txt")),
        ("ImageSets", ("train.txt", "val.txt", "test.txt")),
        (".", ("train.txt", "val.txt", "test.txt")),
    ],
)
def test_lists_of_other_names_and_places_count(
    tmp_path: Path, check: Check, folder: str, names: tuple[str, ...]
) -> None:
    root = tmp_path / "set"
    devkit(root)
    main = root / "ImageSets/Main"
    lists = [path.read_bytes() for path in (main / f"{n}.txt" for n in ("train", "val", "test"))]
    for path in main.glob("*.txt"):
        path.unlink()
    if folder != "ImageSets/Main":
        main.rmdir()
    for name, content in zip(names, lists, strict=True):
        (root / folder / name).write_bytes(content)
    report = check("data=voc")
    assert (images(report), report["faults"]) == ([6, 3, 3], [])


def test_other_text_files_in_the_root_are_no_lists(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set", lists=False)
    (tmp_path / "set/test.txt").write_text("this was only a test\n")
    report = check("data=voc")
    assert (sum(images(report)), report["faults"]) == (12, [])


def test_a_list_that_is_empty_is_refused(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set")
    (tmp_path / "set/ImageSets/Main/val.txt").write_text("\n")
    refused(check("data=voc"), "val.txt names no picture", "remove it")


def test_the_error_of_an_emptied_split_names_the_nearest(tmp_path: Path, check: Check) -> None:
    stems = devkit(tmp_path / "set")
    upper = "".join(f"{stem.upper()}\n" for stem in stems[:6])
    (tmp_path / "set/ImageSets/Main/train.txt").write_text(upper)
    refused(check("data=voc"), "train.txt:1", "'IMG 00'", "nearest is 'img 00'")


def test_split_folders_may_hold_xml_and_pictures_apart(tmp_path: Path, check: Check) -> None:
    for offset, split in enumerate(("train", "valid", "test")):
        folder = tmp_path / "set" / split
        (folder / "annotations").mkdir(parents=True)
        for number in range(4):
            picture(folder / "images" / f"{number}.png", 10 * offset + number)
            text = xml(f"{number}.png", boxes_of(number))
            (folder / "annotations" / f"{number}.xml").write_text(text)
    report = check("data=voc")
    assert (images(report), report["faults"]) == ([4, 4, 4], [])


def test_a_split_folder_without_a_picture_is_refused(tmp_path: Path, check: Check) -> None:
    for number in range(12):
        path = tmp_path / "set/train" / f"{number}.png"
        picture(path, number)
        path.with_suffix(".xml").write_text(xml(path.name, boxes_of(number)))
    (tmp_path / "set/val").mkdir()
    refused(check("data=voc"), "set/val holds no picture")


@pytest.mark.parametrize(
    ("text", "difficult"), [("True", True), ("1", True), ("yes", True), ("0", False), ("", False)]
)
def test_difficult_is_read_as_people_write_it(tmp_path: Path, text: str, difficult: bool) -> None:
    stem = devkit(tmp_path, count=1, lists=False)[0]
    boxed = xml(f"{stem}.png", boxes_of(1))
    write(tmp_path, stem, boxed.replace("<bndbox>", f"<difficult>{text}</difficult><bndbox>"))
    [annotation] = read_annotations("voc", tmp_path, None)
    assert annotation.difficult.tolist() == [difficult]


def test_a_category_id_of_two_names_is_refused(tmp_path: Path, check: Check) -> None:
    content = coco(tmp_path / "set")
    content["categories"].append({"id": "1", "name": "knife"})
    (tmp_path / "set/annotations.json").write_text(json.dumps(content))
    refused(check("data=coco"), "category 1", "'gun' and 'knife'")


@pytest.mark.parametrize("name", [None, " "])
def test_a_category_without_a_name_is_refused(
    tmp_path: Path, check: Check, name: str | None
) -> None:
    content = coco(tmp_path / "set")
    content["categories"].append({"id": 7, "name": name})
    (tmp_path / "set/annotations.json").write_text(json.dumps(content))
    refused(check("data=coco"), "category 7 has no name")


def test_a_json_without_images_is_refused(tmp_path: Path, check: Check) -> None:
    content = coco(tmp_path / "set")
    (tmp_path / "set/train.json").write_text(json.dumps(content))
    (tmp_path / "set/val.json").write_text(json.dumps({**content, "images": [], "annotations": []}))
    refused(check("data=coco"), "val.json", "the val split is empty")


def test_pictures_and_json_files_that_are_not_read_are_counted(
    tmp_path: Path, check: Check
) -> None:
    root = tmp_path / "set"
    content = coco(root)
    for number in range(5):
        picture(root / f"images/more/{number}.png", 100 + number)
    (root / "train.json").write_text(json.dumps(content))
    (root / "extra").mkdir()
    for name in ("captions_train.json", "extra/second.json"):
        (root / name).write_text(json.dumps(content))
    report = check("data=coco")
    assert report["counts"] == {"unread-annotation": 1, "unlabelled": 5}
    assert report["faults"][0]["image"] == str(root / "extra/second.json")


def test_file_names_of_a_system_that_does_not_tell_case(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    content = coco(root, folder="images/Part")
    for image in content["images"]:
        image["file_name"] = f"part\\{image['file_name'].upper()}"
    (root / "annotations.json").write_text(json.dumps(content))
    report = check("data=coco")
    assert (sum(images(report)), report["faults"]) == (12, [])
    picture(root / "images/PART/00.png", 77)
    refused(check("data=coco"), "may be", "images/PART/00.png", "images/Part/00.png")


def test_an_address_is_no_file_name(tmp_path: Path) -> None:
    content = coco(tmp_path)
    content["images"][3]["file_name"] = "https://example.org/3.png"
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"image 3: file_name 'https://.* leaves the data folder"):
        read_annotations("coco", tmp_path, None)


def test_counts_and_corners_one_folder_deeper_are_named(tmp_path: Path, check: Check) -> None:
    for number in range(12):
        path = tmp_path / "set" / ("more/" if number > 9 else "") / f"{number}.png"
        picture(path, number)
        path.with_suffix(".txt").write_text("1\n3 4 40 30\n")
    report = check("data=voc", "data.format=txt", "data.classes=[gun]")
    assert report["counts"] == {"unread-annotation": 2}
