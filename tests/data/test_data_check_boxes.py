"""`python -m tlx.data check` on boxes: each to its own picture, once, in pixels; or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.data.helpers_data_check import (
    Check,
    boxes_of,
    coco,
    devkit,
    images,
    refused,
    write,
    xml,
)


def test_boxes_never_go_to_another_picture(tmp_path: Path, check: Check) -> None:
    stems = devkit(tmp_path / "set")
    for number, stem in enumerate(stems):
        other = stems[(number + 1) % len(stems)]
        write(tmp_path / "set", stem, xml(f"{other}.png", boxes_of(number)))
    report = check("data=voc")
    assert report["counts"] == {"renamed-picture": 12}
    assert all(Path(f["image"]).stem == Path(f["where"]).stem for f in report["faults"])


def test_an_annotation_without_its_picture_takes_no_others(tmp_path: Path, check: Check) -> None:
    stems = devkit(tmp_path / "set", lists=False)
    for number, stem in enumerate(stems):
        other = stems[(number + 1) % len(stems)]
        write(tmp_path / "set", stem, xml(f"{other}.png", boxes_of(number)))
    for stem in stems[:3]:
        (tmp_path / "set/JPEGImages" / f"{stem}.png").unlink()
    report = check("data=voc")
    assert report["counts"] == {"missing-image": 3, "renamed-picture": 8}
    assert sum(split["boxes"] for split in report["splits"].values()) == 9


@pytest.mark.parametrize("copied", [0, 11])  # of train, of test
def test_an_unlisted_copy_of_an_annotation_makes_no_negative(
    tmp_path: Path, check: Check, copied: int
) -> None:
    stem = devkit(tmp_path / "set")[copied]
    write(tmp_path / "set", f"{stem} (2)", xml(f"{stem}.png", boxes_of(copied)))
    report = check("data=voc")
    assert images(report) == [6, 3, 3]
    assert [report["splits"][split]["negatives"] for split in report["splits"]] == [0, 0, 0]
    [fault] = report["faults"]
    assert fault["where"].endswith("(2).xml")


@pytest.mark.parametrize("format", ["voc", "coco"])
def test_fractions_are_refused(tmp_path: Path, check: Check, format: str) -> None:
    if format == "voc":
        for stem in devkit(tmp_path / "set"):
            write(tmp_path / "set", stem, xml(f"{stem}.png", [("gun", (0.1, 0.1, 0.5, 1))]))
    else:
        content = coco(tmp_path / "set")
        for annotation in content["annotations"]:
            annotation["bbox"] = [0.1, 0.1, 0.5, 0.5]
        (tmp_path / "set/annotations.json").write_text(json.dumps(content))
    refused(check(f"data={format}"), "within one pixel", "fractions?")


def test_fractions_among_pixels_are_dropped(tmp_path: Path, check: Check) -> None:
    stems = devkit(tmp_path / "set")
    for stem in stems[:3]:
        write(tmp_path / "set", stem, xml(f"{stem}.png", [("gun", (0.1, 0.1, 0.5, 1))]))
    assert check("data=voc")["counts"] == {"fraction-box": 3, "no-box-left": 3}
    for stem in stems[3:6]:
        write(tmp_path / "set", stem, xml(f"{stem}.png", [("gun", (0.1, 0.1, 0.5, 1))]))
    refused(check("data=voc"), "6 of 12", "6 no-box-left", "fraction-box")


@pytest.mark.parametrize("written", ["corners", "percents"])
def test_boxes_of_another_form_are_refused(tmp_path: Path, check: Check, written: str) -> None:
    root = tmp_path / "set"
    content = coco(root)
    for number, annotation in enumerate(content["annotations"]):
        Image.open(root / f"images/{number:02d}.png").resize((320, 240)).save(
            root / f"images/{number:02d}.png"
        )
        x, y, w, h = 40 + 15 * number, 30 + 12 * number, 80, 60
        annotation["bbox"] = {
            "corners": [x, y, x + w, y + h],
            "percents": [x / 3.2, y / 2.4, w / 3.2, h / 2.4],
        }[written]
    (root / "annotations.json").write_text(json.dumps(content))
    words = {"percents": ["all 12 boxes end within 100 px", "percents?"]}
    outside = ["of 12 boxes lie to more than a tenth outside", "corners where width and height"]
    refused(check("data=coco"), *words.get(written, outside))


def test_a_box_that_stands_twice_but_for_its_rounding_counts_once(
    tmp_path: Path, check: Check
) -> None:
    content = coco(tmp_path / "set")
    for annotation in [*content["annotations"]]:
        shifted = [value + 0.3 for value in annotation["bbox"]]
        content["annotations"].append({**annotation, "id": 99, "bbox": shifted})
    (tmp_path / "set/annotations.json").write_text(json.dumps(content))
    assert check("data=coco")["counts"] == {"duplicate-box": 12}


def test_a_box_that_stands_twice_counts_once(tmp_path: Path, check: Check) -> None:
    for number, stem in enumerate(devkit(tmp_path / "set")):
        write(tmp_path / "set", stem, xml(f"{stem}.png", boxes_of(number) * 2))
    report = check("data=voc")
    assert report["counts"] == {"duplicate-box": 12}
    assert report["splits"]["train"]["boxes"] == 6


def test_one_picture_under_two_ids_is_one_picture(tmp_path: Path, check: Check) -> None:
    content = coco(tmp_path / "set")
    content["images"] += [{**image, "id": 100 + image["id"]} for image in content["images"]]
    content["annotations"] += [
        {**a, "id": 100 + a["id"], "image_id": 100 + a["image_id"], "bbox": [1, 1, 9, 9]}
        for a in content["annotations"]
    ]
    (tmp_path / "set/annotations.json").write_text(json.dumps(content))
    report = check("data=coco")
    assert report["counts"] == {"joined-picture": 12}
    assert sum(images(report)) == 12
    assert sum(s["boxes"] for s in report["splits"].values()) == 24


def test_coco_as_other_tools_write_it(tmp_path: Path, check: Check) -> None:
    content = coco(tmp_path / "set", folder="data")  # FiftyOne's folder and file
    first, second, third = content["annotations"][:3]
    x, y, w, h = first.pop("bbox")
    first["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    second["bbox"] = []
    third["category_id"], third["image_id"] = "1", str(third["image_id"])
    (tmp_path / "set/labels.json").write_text(json.dumps(content))
    report = check("data=coco")
    assert report["counts"] == {"empty-box": 1, "no-box-left": 1}, "it is not known to be empty"
    assert [sum(s[k] for s in report["splits"].values()) for k in ("boxes", "negatives")] == [11, 0]


def test_a_base_name_of_two_folders_is_refused(tmp_path: Path, check: Check) -> None:
    content = coco(tmp_path / "set", folder="images/a")
    coco(tmp_path / "set", folder="images/b")
    (tmp_path / "set/annotations.json").write_text(json.dumps(content))
    refused(check("data=coco"), "images/a/00.png", "images/b/00.png")


def test_half_of_the_annotations_out_of_place_stops(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    stems = devkit(root, lists=False)
    deeper = root / "Annotations/more"
    deeper.mkdir()
    for stem in stems[:6]:
        (root / "Annotations" / f"{stem}.xml").rename(deeper / f"{stem}.xml")
    told = ("6 of 12 annotated pictures", "6 unread-annotation", "no place", str(deeper))
    refused(check("data=voc"), *told)


def test_annotations_one_folder_deeper_are_named(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set")
    deeper = tmp_path / "set/Annotations/more"
    deeper.mkdir()
    (deeper / "x.xml").write_text(xml("x.png", boxes_of(1)))
    [fault] = check("data=voc")["faults"]
    assert (fault["kind"], fault["image"]) == ("unread-annotation", str(deeper / "x.xml"))


def test_boxes_under_a_pixel_at_the_input_are_counted(tmp_path: Path, check: Check) -> None:
    stems = devkit(tmp_path / "set")
    for number, stem in enumerate(stems):
        Image.open(tmp_path / "set/JPEGImages" / f"{stem}.png").resize((3000, 300)).save(
            tmp_path / "set/JPEGImages" / f"{stem}.png"
        )
        tiny = ("gun", (100, 100, 102, 140)) if number % 2 else ("gun", (100, 100, 900, 140))
        write(tmp_path / "set", stem, xml(f"{stem}.png", [tiny], (3000, 300)))
    report = check("data=voc")
    assert (report["code"], report["counts"]) == (0, {"tiny-box": 6})
    assert "0.2x40 px at the input size 300" in report["faults"][0]["detail"]
    assert "the smallest that keeps it is 1500" in report["faults"][0]["detail"]
    assert report["splits"]["train"]["boxes"] == 6, "in the figures all count"
    [warning] = report["warnings"]
    assert "6 box(es) (3 of train, 1 of val, 2 of test)" in warning
    assert "is 1500" in warning
    assert check("data=voc", "detector.input_size=1500")["counts"] == {}


@pytest.mark.parametrize("difficult", [False, True])
def test_a_val_split_without_boxes_that_count_is_said(
    tmp_path: Path, check: Check, difficult: bool
) -> None:
    stems = devkit(tmp_path / "set")
    for number, stem in enumerate(stems[6:9]):
        text = xml(f"{stem}.png", boxes_of(number) if difficult else [])
        write(tmp_path / "set", stem, text.replace("<bndbox>", "<difficult>1</difficult><bndbox>"))
    told = check("data=voc")["warnings"][-1]
    assert "all its boxes are difficult" in told if difficult else "it has none at all" in told
    assert "last.ckpt is the result" in told
