"""The files of labelling tools: read equal whoever wrote them, found by themselves, with faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.helpers_tools import (
    HELD,
    TOOLS,
    cvat_text,
    fiftyone_samples,
    labelme_of,
    labelstudio_tasks,
    pictures,
    region,
)
from tlx.common.errors import DataError
from tlx.data.check import check
from tlx.data.formats import find_format, read_annotations
from tlx.data.formats.annotations import Annotation

SPLITS = {"openimages": "train", "roboflow": "train", "retinanet": "train", "cvat": "train",
          "fiftyone": "val"}  # fmt: skip


def held(annotations: list[Annotation]) -> dict[str, list[tuple[Any, ...]]]:
    """As `HELD`; pixels to a thousandth."""
    return {
        a.image.stem: [
            (name, *np.round(box, 3).tolist()) for name, box in zip(a.names, a.boxes, strict=True)
        ]
        for a in annotations
        if not a.unused
    }


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_is_recognised_and_read(tool: str, tmp_path: Path) -> None:
    format, write = TOOLS[tool]
    write(tmp_path)
    assert find_format("auto", tmp_path) == format
    found = read_annotations(format, tmp_path, None)
    assert held(found) == HELD
    assert {a.split for a in found} == {SPLITS.get(tool)}
    checked = check(found, None, strict=True)
    assert (checked.classes, len(checked.items)) == (["big dog", "cat"], 2)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("how", ["bom", "crlf"])
def test_marks_and_line_ends_of_other_systems(tool: str, how: str, tmp_path: Path) -> None:
    format, write = TOOLS[tool]
    write(tmp_path)
    for path in tmp_path.rglob("*"):
        if path.suffix in (".csv", ".json", ".xml", ".txt"):
            text = path.read_bytes()
            text = text.replace(b"\n", b"\r\n") if how == "crlf" else b"\xef\xbb\xbf" + text
            path.write_bytes(text)
    assert find_format("auto", tmp_path) == format
    assert held(read_annotations(format, tmp_path, None)) == HELD


@pytest.mark.parametrize("tool", TOOLS)
def test_missing_and_unlabelled_pictures_are_faults(tool: str, tmp_path: Path) -> None:
    format, write = TOOLS[tool]
    write(tmp_path)
    (first,) = [path for path in tmp_path.rglob("a b.*") if path.suffix in (".png", ".jpg")]
    pictures(first.parent, ("z",), first.suffix)
    first.unlink()
    counts = check(read_annotations(format, tmp_path, None), None).faults.counts()
    assert counts == {"missing-image": 1, "unlabelled": 1}


def test_layouts_of_class_folders_are_said_to_be_for_classify(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("cats", "dogs"):
            pictures(tmp_path / split / name)
    with pytest.raises(DataError, match=r"2 folders of classes \(cats, dogs\).*task=classify"):
        find_format("auto", tmp_path)
    TOOLS["cvat"][1](tmp_path / "train")
    assert find_format("auto", tmp_path) == "cvat"


# ------------------------------------------------------------------------------- Open Images


def _openimages(root: Path, **changes: str) -> Path:
    TOOLS["openimages"][1](root)
    path = root / "sub-train-annotations-bbox.csv"
    text = path.read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text)
    return path


def test_group_of_boxes_are_difficult_and_names_come_from_the_descriptions(tmp_path: Path) -> None:
    path = _openimages(tmp_path)
    header, first, *rest = path.read_text().splitlines()
    cut = [",".join(line.split(",")[:13]) for line in (header, first, *rest)]
    cut[1] = cut[1][: -len("0,0,0")] + "1,1,0"  # IsGroupOf, IsDepiction
    path.write_text("\n".join(cut))
    found = read_annotations("openimages", tmp_path, None)
    assert held(found) == HELD
    assert [a.difficult.tolist() for a in found] == [[True, False], [False]]
    path.write_text("\n".join(cut).replace("/m/cat", "/m/unknown"))
    with pytest.raises(DataError, match=r"bbox\.csv:2: class-descriptions name no '/m/unknown'"):
        read_annotations("openimages", tmp_path, None)


def test_the_whole_file_of_a_split_counts_for_the_pictures_that_are_there(tmp_path: Path) -> None:
    path = _openimages(tmp_path)
    whole = path.rename(tmp_path / "train-annotations-bbox.csv")
    row = "not_there,x,/m/cat,1,0,1,0,1,0,0,0,0,0,1,cat\n"
    whole.write_text(whole.read_text() + row)
    found = read_annotations("openimages", tmp_path, None)
    assert held(found) == HELD
    assert held(read_annotations("openimages", tmp_path, ["cat"])) == {"a b": [HELD["a b"][0]]}
    path.write_text(whole.read_text().splitlines()[0] + "\n" + row)  # the chosen lines come first
    assert [a.unused for a in read_annotations("openimages", tmp_path, None)] == [
        "unlabelled", "unlabelled", None
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0.125,0.625", "x,0.625", r"bbox\.csv:2: XMin 'x' is no number"),
        ("XMin", "Left", "no .* annotations"),
    ],
)
def test_lines_that_are_no_boxes_are_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    _openimages(tmp_path, **{old: new})
    with pytest.raises(DataError, match=words):
        read_annotations("openimages", tmp_path, None)


def test_a_nan_is_a_fault_of_its_box(tmp_path: Path) -> None:
    _openimages(tmp_path, **{"0.125,0.625": "nan,0.625"})
    counts = check(read_annotations("openimages", tmp_path, None), None).faults.counts()
    assert counts == {"not-finite-box": 1}


# ------------------------------------------------------------------------------------- CSV


def test_names_that_climb_or_are_elsewhere_are_matched_by_their_end_only(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    pictures(outside, ("o",))
    root = tmp_path / "set"
    pictures(root / "x")
    rows = ["../outside/o.png,1,2,30,40,cat", f"{outside}/o.png,1,2,30,40,cat",
            "C:\\set\\x\\c.png,1,2,30,40,cat", "'../../a b.png',1,2,30,40,cat"]  # fmt: skip
    (root / "t.csv").write_text("\n".join(rows))
    found = read_annotations("csv", root, None)
    assert all(a.image.is_relative_to(root) for a in found)
    assert [a.image.name for a in found if a.image.is_file() and not a.unused] == ["c.png"]
    pictures(root / "y", ("c",))
    (root / "t.csv").write_text("/data/c.png,1,2,30,40,cat\n")
    with pytest.raises(DataError, match=r"t\.csv:1: /data/c\.png may be .*c\.png or "):
        read_annotations("csv", root, None)


def test_two_names_of_other_machines_never_mean_one_picture(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "t.csv").write_text("/data/a/c.png,1,2,30,40,cat\n/data/b/c.png,1,2,3,4,cat\n")
    with pytest.raises(DataError, match=r"/data/b/c\.png and data/a/c\.png both end like"):
        read_annotations("csv", tmp_path, None)


def test_a_csv_line_without_boxes_is_a_negative(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "t.csv").write_text('"a b.png",,,,,\nc.png,4,3,32,24,"big dog"\n')
    assert held(read_annotations("csv", tmp_path, None)) == {"a b": [], "c": HELD["c"]}
    (tmp_path / "t.csv").write_text("c.png,4,3,32,24,dog\nc.png,4,3,32\n")
    with pytest.raises(DataError, match=r"t\.csv:2: 4 cells, and 6 are needed"):
        read_annotations("csv", tmp_path, None)


# --------------------------------------------------------------- LabelMe, CVAT, Label Studio


def _labelme(root: Path, *shapes: dict[str, Any]) -> list[Annotation]:
    pictures(root, ("c",))
    (root / "c.json").write_text(json.dumps({**labelme_of("c"), "shapes": [*shapes]}))
    return read_annotations("labelme", root, None)


def test_polygons_and_circles_of_labelme_are_the_box_round_them(tmp_path: Path) -> None:
    found = _labelme(
        tmp_path,
        {"label": "cat", "shape_type": "polygon", "points": [[5, 9], [20, 4], [11, 30]]},
        {"label": "cat", "shape_type": "circle", "points": [[30, 20], [33, 24]]},
        {"label": "cat", "shape_type": "point", "points": [[1, 1]]},
    )
    assert held(found)["c"] == [("cat", 5, 4, 20, 30), ("cat", 25, 15, 35, 25)]
    assert check(found, None).faults.counts() == {"no-box-shape": 1}


def test_shapes_of_one_group_of_labelme_are_one_object(tmp_path: Path) -> None:
    def shape(label: str, group: int | None, *points: list[int]) -> dict[str, Any]:
        return {"label": label, "group_id": group, "shape_type": "polygon", "points": [*points]}

    found = _labelme(
        tmp_path,
        shape("cat", 1, [5, 9], [20, 4], [11, 30]),
        shape("dog", 1, [1, 1], [9, 1], [9, 9]),
        shape("cat", 1, [30, 9], [40, 4], [31, 20]),
        shape("cat", None, [50, 9], [60, 4], [51, 20]),
    )
    assert held(found)["c"] == [("cat", 5, 4, 40, 30), ("dog", 1, 1, 9, 9), ("cat", 50, 4, 60, 20)]


@pytest.mark.parametrize("path", ["../pics/c.png", "..\\pics\\c.png"])
def test_an_image_path_of_labelme_leads_to_a_picture_below_the_root(
    tmp_path: Path, path: str
) -> None:
    pictures(tmp_path / "set/pics", ("c",))
    pictures(tmp_path / "pics", ("c",))
    content = {**labelme_of("c"), "imagePath": path}
    for folder in ("set/json files", "set"):  # of the second it would lead out of the root
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "x.json").write_text(json.dumps(content))
    [out, inside] = read_annotations("labelme", tmp_path / "set", None)
    assert inside.image == tmp_path / "set/pics/c.png"
    assert out.image == tmp_path / "set/c.png"  # which is missing


def test_a_picture_whose_only_shapes_are_points_is_not_taken_for_empty(tmp_path: Path) -> None:
    point = {"label": "cat", "shape_type": "point", "points": [[1, 1]]}
    _labelme(tmp_path, point)
    pictures(tmp_path, ("a b",))
    (tmp_path / "a b.json").write_text(json.dumps(labelme_of("a b")))
    found = read_annotations("labelme", tmp_path, None)
    checked = check(found, None)
    assert [item.image.stem for item in checked.items] == ["a b"]
    assert checked.faults.counts() == {"no-box-left": 1, "no-box-shape": 1}


@pytest.mark.parametrize(
    "shape",
    [
        {"label": "", "points": [[1, 1], [2, 2]]},
        {"points": [[1, 1], [2, 2]]},
        {"label": "cat", "points": [[1, "x"], [2, 2]]},
        {"label": "cat", "points": 3},
        7,
    ],
)
def test_shapes_that_make_no_sense_are_named(tmp_path: Path, shape: Any) -> None:
    with pytest.raises(DataError, match=r"c\.json shape 1: .*: correct or export it again"):
        _labelme(tmp_path, shape)


def _cvat(root: Path, extra: str) -> list[Annotation]:
    pictures(root)
    (root / "a.xml").write_text(cvat_text(extra))
    return read_annotations("cvat", root, None)


def test_turned_boxes_are_enclosed_as_a_fault(tmp_path: Path) -> None:
    turned = '<box label="cat" xtl="20" ytl="20" xbr="40" ybr="24" rotation="90.0"/>'
    shapes = '<points label="cat" points="1,2"/><polygon label="cat" points="1,2;8,3;4,40"/>'
    found = _cvat(tmp_path, turned + shapes)
    assert held(found)["a b"][2:] == [("cat", 28, 12, 32, 32), ("cat", 1, 2, 8, 40)]
    assert check(found, None).faults.counts() == {"no-box-shape": 1, "rotated-box": 1}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ('<box label="cat" xtl="x" ytl="1" xbr="2" ybr="3"/>', "box 3: could not convert"),
        ('<box xtl="0" ytl="1" xbr="2" ybr="3"/>', "box 3: no label"),
        ('<box label="cat" ytl="1" xbr="2" ybr="3"/>', "box 3: no xtl"),
        ("<box", "malformed XML"),
        ("</image><track/><image>", "for images 1.1"),
    ],
)
def test_what_is_wrong_in_an_xml_of_cvat_is_named(tmp_path: Path, extra: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        _cvat(tmp_path, extra)


def test_names_that_leave_the_folder_are_refused(tmp_path: Path) -> None:
    pictures(tmp_path)
    for name in ("../x.png", "/etc/x.png", "C:\\x.png"):
        (tmp_path / "a.xml").write_text(cvat_text().replace("c.png", name))
        with pytest.raises(DataError, match="leaves the data folder"):
            read_annotations("cvat", tmp_path, None)


def test_an_xml_with_entities_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path)
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]>'
    (tmp_path / "a.xml").write_text(bomb + cvat_text())
    with pytest.raises(DataError, match=r"a\.xml: refused: .*without DTD or entities"):
        read_annotations("cvat", tmp_path, None)


def _labelstudio(root: Path, tasks: list[dict[str, Any]]) -> list[Annotation]:
    pictures(root)
    (root / "p.json").write_text(json.dumps(tasks))
    return read_annotations("labelstudio", root, None)


def test_of_several_annotations_of_a_task_the_newest_counts(tmp_path: Path) -> None:
    tasks = labelstudio_tasks()
    old = {"id": 2, "result": [], "updated_at": "2020-01-01"}
    skipped = {"id": 3, "result": [], "updated_at": "2030-01-01", "was_cancelled": True}
    tasks[0]["annotations"][0]["updated_at"] = "2025-01-01"
    tasks[0]["annotations"] += [old, skipped]
    found = _labelstudio(tmp_path, tasks)
    assert held(found) == HELD
    assert check(found, None).faults.counts() == {"annotated-again": 1}


def test_completions_of_old_label_studio_are_annotations(tmp_path: Path) -> None:
    tasks = labelstudio_tasks()
    for task in tasks:
        task["completions"] = task.pop("annotations")
    tasks[0]["completions"].append({"id": 9, "result": [], "skipped": True})
    found = _labelstudio(tmp_path, tasks)
    assert find_format("auto", tmp_path) == "labelstudio"
    assert held(found) == HELD


def test_predictions_that_nobody_has_corrected_are_no_truth(tmp_path: Path) -> None:
    tasks = labelstudio_tasks()
    tasks[0]["predictions"] = tasks[0].pop("annotations")
    found = _labelstudio(tmp_path, tasks)
    assert [a.unused for a in found] == ["unlabelled", None]
    tasks[1]["predictions"] = tasks[1].pop("annotations")
    with pytest.raises(DataError, match=r"holds no labelstudio annotations: nobody .* task"):
        _labelstudio(tmp_path, tasks)


def test_a_turn_of_label_studio_is_about_the_corner(tmp_path: Path) -> None:
    tasks = labelstudio_tasks()[1:]
    tasks[0]["annotations"][0]["result"] = [region("cat", (30, 10, 40, 12), rotation=90)]
    found = _labelstudio(tmp_path, tasks)
    assert held(found)["c"] == [("cat", 28, 10, 30, 20)]
    assert [kind for a in found for kind, _ in a.remarks] == ["rotated-box"]


def test_a_size_of_label_studio_that_is_not_the_picture_s_is_a_fault(tmp_path: Path) -> None:
    tasks = labelstudio_tasks()
    for task in tasks:
        for item in task["annotations"][0]["result"]:
            item |= {"original_width": 128, "original_height": 96}
    found = _labelstudio(tmp_path, tasks)
    checked = check(found, None)
    assert checked.faults.counts() == {"scaled-boxes": 2}
    assert checked.items[1].boxes.round(3).tolist() == [[4, 3, 32, 24]]


# ------------------------------------------------------------------------- FiftyOne, KITTI


def test_fields_of_fiftyone_that_could_both_be_true_are_named(tmp_path: Path) -> None:
    pictures(tmp_path / "data")
    samples = fiftyone_samples("one")
    for sample in samples["samples"]:
        sample["two"] = sample["one"]
    (tmp_path / "samples.json").write_text(json.dumps(samples))
    with pytest.raises(DataError, match="the fields one, two all hold detections"):
        read_annotations("fiftyone", tmp_path, None)
    samples = fiftyone_samples()
    samples["samples"][0]["predictions"] = {"_cls": "Detections", "detections": []}
    samples["samples"][0]["ground_truth"]["detections"][0]["iscrowd"] = 1
    samples["samples"][1]["ground_truth"] = None
    (tmp_path / "samples.json").write_text(json.dumps(samples))
    found = read_annotations("fiftyone", tmp_path, None)
    assert (held(found), found[1].unused) == ({"a b": HELD["a b"]}, "unlabelled")
    assert found[0].difficult.tolist() == [True, False]


def test_a_labels_json_of_fiftyone_with_class_numbers(tmp_path: Path) -> None:
    pictures(tmp_path / "data")
    box = [4 / 64, 3 / 48, 28 / 64, 21 / 48]
    labels = {"a b": [], "c": [{"label": 1, "bounding_box": box}]}
    content = {"classes": ["cat", "big dog"], "labels": labels}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    assert find_format("auto", tmp_path) == "fiftyone"
    found = read_annotations("fiftyone", tmp_path, None)
    assert held(found) == {"a b": [], "c": HELD["c"]}


def test_dont_care_regions_are_noted_and_other_cameras_left_out(tmp_path: Path) -> None:
    TOOLS["kitti"][1](tmp_path)
    pictures(tmp_path / "training/image_3")
    pictures(tmp_path / "testing/image_2")
    path = tmp_path / "training/label_2/c.txt"
    path.write_text(
        path.read_text() + "DontCare -1 -1 -10 5 6 7 8 -1 -1 -1 -1000 -1000 -1000 -10\n"
    )
    found = read_annotations("kitti", tmp_path, None)
    assert held(found) == HELD
    checked = check(found, None)  # KITTI's own test pictures have no labels
    assert checked.faults.counts() == {"unannotated-region": 1, "unlabelled": 2}
    path.write_text("Car 0 0\n" + path.read_text())
    with pytest.raises(DataError, match=r"label_2/c\.txt:1: expected a class and 14 numbers"):
        read_annotations("kitti", tmp_path, None)


def test_subsets_of_a_project_of_cvat_lie_in_folders_of_their_names(tmp_path: Path) -> None:
    for subset in ("Train", "Test"):
        pictures(tmp_path / "images" / subset)
        (tmp_path / f"{subset}.xml").write_text(cvat_text(subset=subset))
    found = read_annotations("cvat", tmp_path, None)
    assert {(a.image.parent.name, a.split) for a in found} == {("Train", "train"), ("Test", "test")}
    (tmp_path / "Test.xml").write_text(cvat_text(subset="../images/Train"))
    with pytest.raises(DataError, match="may be"):
        read_annotations("cvat", tmp_path, None)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_names_that_nothing_can_have_are_refused(tmp_path: Path, name: str) -> None:
    TOOLS["openimages"][1](tmp_path)
    path = tmp_path / "sub-train-annotations-bbox.csv"
    path.write_text(path.read_text().replace("\nc,", f"\n{name},"))
    with pytest.raises(DataError, match=r"bbox\.csv:4: .*cannot be one"):
        read_annotations("openimages", tmp_path, None)
