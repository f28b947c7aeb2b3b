"""Sets as people have them, through `python -m tlx.data check`: read, mended, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.helpers_data_check import (
    SIZE,
    Check,
    boxes_of,
    coco,
    devkit,
    images,
    picture,
    refused,
    write,
    write_lists,
    xml,
)
from tlx.data.cache import ImageCache
from tlx.data.doubts import same_name
from tlx.data.formats.annotations import Item
from tlx.data.formats.folders import pictures_below
from tlx.data.formats.pictures import decode, probe
from tlx.data.formats.sniff import stating
from tlx.live.pictures import find_pictures


def test_a_sound_set_is_told_whole(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set")
    report = check("data=voc")
    assert (report["code"], report["classes"], report["faults"]) == (0, ["gun"], [])
    assert images(report) == [6, 3, 3]
    assert report["splits"]["test"]["boxes"] == 3


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


@pytest.mark.parametrize("line", ['"{}"', "'{}'", "{}.png", "{}  1", "{} -1", "{} 0", '"{}.png" 1'])
def test_lists_as_other_tools_write_them(tmp_path: Path, check: Check, line: str) -> None:
    stems = devkit(tmp_path / "set", lists=False)
    write_lists(tmp_path / "set", stems, line)
    assert images(check("data=voc")) == [6, 3, 3]


def test_a_line_that_fits_nothing_is_named(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set")
    path = tmp_path / "set/ImageSets/Main/train.txt"
    path.write_text(path.read_text() + "imq 03\n")
    [fault] = check("data=voc")["faults"]
    assert fault["kind"] == "unknown-line"
    assert fault["where"] == f"{path}:7"
    assert "img 03" in fault["detail"]
    (path.parent / "val.txt").write_text("nothing\n")
    refused(check("data=voc"), "names a val split", "val.txt:1", "data.splits=cut")


@pytest.mark.parametrize("line", ["{},", "new_{}"])
def test_lists_of_which_no_line_fits_are_named(tmp_path: Path, check: Check, line: str) -> None:
    stems = devkit(tmp_path / "set", lists=False)
    write_lists(tmp_path / "set", stems, line)
    told = ("train.txt:1", line.format(stems[0]), f"the nearest is '{stems[0]}'", "12 lines")
    refused(check("data=voc"), *told, "data.splits=cut")


def test_lists_that_are_copies(tmp_path: Path, check: Check) -> None:
    stems = devkit(tmp_path / "set", count=40)
    for name in ("train", "trainval", "val", "test"):
        (tmp_path / f"set/ImageSets/Main/{name}.txt").write_text("\n".join(stems))
    refused(check("data=voc"), "train and val and test hold the same 40", "data.splits=cut")
    report = check("data=voc", "data.splits=cut")
    assert sum(images(report)) == 40
    assert min(images(report)) > 0
    assert report["counts"] == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("BACKGROUND\nBACKGROUND\ngun\n", ["labels.txt:2", "BACKGROUND"]),
        ("gun\nbackground\n", ["labels.txt:2", "background"]),
        ("gun\ngun\n", ["labels.txt:2", "line 1"]),
        ("BACKGROUND\n", ["labels.txt", "names no class"]),
        ("\n", ["labels.txt", "names no class"]),
        ("Gun\n", ["'gun'", "'Gun'", "case"]),
        ("background\ngun\nknife\n", []),
        ("knife,gun\n", []),
    ],
)
def test_class_lists(tmp_path: Path, check: Check, text: str, words: list[str]) -> None:
    devkit(tmp_path / "set")
    (tmp_path / "set" / "labels.txt").write_text(text)
    report = check("data=voc")
    if words:
        refused(report, *words)
    else:
        names = [n for n in text.replace(",", "\n").split() if n != "background"]
        assert report["classes"] == names


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


@pytest.mark.parametrize("other", ["Gun", "GUN", "gun ", "g-un", "g un"])
def test_classes_that_differ_in_spelling_only_are_refused(
    tmp_path: Path, check: Check, other: str
) -> None:
    content = coco(tmp_path / "set")
    content["categories"][0]["name"] = "g_un" if "u" in other[2:] else "gun"
    content["categories"].append({"id": 2, "name": other})
    content["annotations"][3]["category_id"] = 2
    (tmp_path / "set/annotations.json").write_text(json.dumps(content))
    refused(check("data=coco"), repr(other), "(1 boxes", "(11 boxes", "image 3")
    names = [category["name"] for category in content["categories"]]
    (tmp_path / "set/labels.txt").write_text("\n".join(names))
    if other == other.strip():  # who lists both means both
        assert check("data=coco")["classes"] == names


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


def test_yolo_trees(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    for offset, split in enumerate(("train", "valid", "test")):
        (root / split / "labels").mkdir(parents=True)
        for i in range(4):
            picture(root / split / "images" / f"{i}.png", 10 * offset + i)
            line = "0 0.5 0.5 0.5 0.25\n" if i else "0 .25 .25 .75 .25 .75 .75\n"
            (root / split / "labels" / f"{i}.txt").write_text(line)
    assert check("data=yolo")["classes"] == ["class_0"]
    (root / "data.yaml").write_text("nc: 1\nnames: ['gun']\n")
    report = check("data=yolo")
    assert (images(report), report["classes"], report["faults"]) == ([4, 4, 4], ["gun"], [])
    (root / "test/labels/0.txt").write_text("0 10 20 30 40\n")
    refused(check("data=yolo"), "0.txt:1", "pixels")
    refused(check("data=voc"), "data.format=yolo")
    (root / "test/labels/0.txt").write_text("3 .5 .5 .1 .1\n")
    refused(check("data=yolo"), "0.txt:1", "class 3 has no name")


def test_files_that_macos_adds_are_pictures_nowhere(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", "deep/b.png", "__MACOSX/c.png"):
        picture(tmp_path / name, 1)
    expected = [tmp_path / "a.png", tmp_path / "deep/b.png"]
    assert pictures_below(tmp_path) == find_pictures(str(tmp_path)) == expected
    assert find_pictures(str(tmp_path / "*.png")) == expected[:1]
    assert pictures_below(tmp_path / "none") == []


def test_another_format_is_named(tmp_path: Path, check: Check) -> None:
    content = coco(tmp_path / "set")
    (tmp_path / "set/annotations.json").write_text(json.dumps(content))
    refused(check("data=voc"), "1 .json", "data.format=coco", "12 .png in images/")


def test_half_of_a_set_missing_stops(tmp_path: Path, check: Check) -> None:
    stems = devkit(tmp_path / "set")
    for stem in stems[:7]:
        (tmp_path / "set/JPEGImages" / f"{stem}.png").unlink()
    refused(check("data=voc"), "7 of 12 annotated pictures are missing", "complete the set")


def test_half_of_a_set_unusable_stops_whatever_the_reason(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    stems = devkit(root)
    (root / "JPEGImages" / f"{stems[0]}.png").unlink()
    for stem in stems[1:5]:
        (root / "JPEGImages" / f"{stem}.png").write_bytes(b"<html>404</html>")
    assert check("data=voc")["code"] == 0
    write(root, stems[5], xml("a.png", [("gun", (40, 40, 10, 10))]))
    told = ("6 of 12", "cannot be used", "4 undecodable", "1 missing-image", "1 no-box-left")
    refused(check("data=voc"), *told, str(root / "JPEGImages" / f"{stems[1]}.png"))


def test_half_of_the_annotations_out_of_place_stops(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    stems = devkit(root, lists=False)
    deeper = root / "Annotations/more"
    deeper.mkdir()
    for stem in stems[:6]:
        (root / "Annotations" / f"{stem}.xml").rename(deeper / f"{stem}.xml")
    told = ("6 of 12 annotated pictures", "6 unread-annotation", "no place", str(deeper))
    refused(check("data=voc"), *told)


@pytest.mark.parametrize("encoding", ["gbk", "klingon"])
def test_an_encoding_that_is_not_known_is_named(
    tmp_path: Path, check: Check, encoding: str
) -> None:
    stem = devkit(tmp_path / "set")[0]
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + xml("a.png", boxes_of(0))
    write(tmp_path / "set", stem, text)
    refused(check("data=voc"), f"{stem}.xml", "encoding", "save it as UTF-8")


def test_annotations_one_folder_deeper_are_named(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set")
    deeper = tmp_path / "set/Annotations/more"
    deeper.mkdir()
    (deeper / "x.xml").write_text(xml("x.png", boxes_of(1)))
    [fault] = check("data=voc")["faults"]
    assert (fault["kind"], fault["image"]) == ("unread-annotation", str(deeper / "x.xml"))


def test_a_format_that_is_not_read_is_a_fault_of_its_own(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    stem = devkit(root)[0]
    (root / "JPEGImages" / f"{stem}.png").unlink()
    (root / "JPEGImages" / f"{stem}.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    write(root, stem, xml(f"{stem}.heic", boxes_of(0)))
    [fault] = check("data=voc")["faults"]
    assert (fault["kind"], Path(fault["image"]).suffix) == ("unread-format", ".heic")


@pytest.mark.parametrize("format", ["txt", "voc", "coco", "yolo"])
@pytest.mark.parametrize("ending", [".heic", ".TGA"])
def test_the_file_that_is_not_read_is_named_and_no_picture_that_never_was(
    tmp_path: Path, check: Check, format: str, ending: str
) -> None:
    root = tmp_path / "set"
    names = [f"{number:02d}" for number in range(12)]
    if format == "coco":
        root.mkdir()
        (root / "annotations.json").write_text(json.dumps(coco(root, folder=".")))
    for number, name in enumerate(names):
        picture(root / f"{name}.png", number)
        if format == "txt":
            (root / f"{name}.txt").write_text("1\n5 5 40 40\n")
        elif format == "yolo":
            (root / f"{name}.txt").write_text("0 .5 .5 .3 .3\n")
        elif format == "voc":
            (root / f"{name}.xml").write_text(xml(f"{name}.png", boxes_of(number)))
    (root / "00.png").unlink()
    (root / f"00{ending}").write_bytes(b"something else" * 9)
    [fault] = check("data=auto", "data.classes=[gun]")["faults"]
    assert (fault["kind"], fault["image"]) == ("unread-format", str(root / f"00{ending}"))


def test_the_sample_and_errors_of_the_command(tmp_path: Path, check: Check) -> None:
    refused(check("data=voc"), "does not exist")
    refused(check("data=nothing"), "nothing")


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_camera_of_few_bits_never_gives_black_pictures(
    tmp_path: Path, check: Check, bits: int, channels: int, ending: str
) -> None:
    deep, values = deep_picture(tmp_path / "set", bits, channels, ending)
    report = check("data=voc")
    assert (report["code"], report["counts"]) == (0, {"narrow-range": 1})
    assert report["faults"][0]["image"] == str(deep)
    assert f"values up to {2**bits - 1} of 65535" in report["faults"][0]["detail"]
    assert check("data=voc", f"data.bits={bits}")["counts"] == {}
    shown = decode(deep, rotate=False, max_side=640, bits=bits)
    assert (shown == (values >> (bits - 8)).reshape(*values.shape[:2], channels)).all()
    report = check("data=voc", f"data.bits={bits - 1}")
    assert report["counts"] == {"wide-range": 1}
    assert f"data.bits={bits - 1}" in report["faults"][0]["detail"]


def test_a_set_of_few_bits_names_the_key(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    for stem in devkit(root):
        values = np.linspace(0, 4000, SIZE[0] * SIZE[1]).astype(np.uint16)
        cv2.imwrite(str(root / "JPEGImages" / f"{stem}.png"), values.reshape(SIZE[1], SIZE[0]))
    refused(check("data=voc"), "12 narrow-range", "train with data.bits=12")


def deep_picture(
    root: Path, bits: int, channels: int, ending: str = "png"
) -> tuple[Path, np.ndarray]:
    """A set with one picture of 16-bit values, all of `bits` among them; its file and values."""
    stem = devkit(root, lists=False)[0]
    (root / "JPEGImages" / f"{stem}.png").unlink()
    path = root / "JPEGImages" / f"{stem}.{ending}"
    line = np.linspace(0, 2**bits - 1, SIZE[0] * SIZE[1] * channels).astype(np.uint16)
    values = line.reshape(SIZE[1], SIZE[0], channels)
    cv2.imwrite(str(path), values[..., ::-1])  # BGR
    return path, values


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_that_are_used_are_read(tmp_path: Path, check: Check, channels: int) -> None:
    deep, values = deep_picture(tmp_path / "set", 16, channels)
    assert check("data=voc")["counts"] == {}
    assert (decode(deep, rotate=False, max_side=640) == values >> 8).all()
    refused(check("data=voc", "data.bits=7"), "data.bits=7", "8 to 16")


def test_pixels_that_are_no_8_or_16_bits_are_refused(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    stems = devkit(root, lists=False)
    for stem, kind in zip(stems, (np.float32, np.int32), strict=False):
        (root / "JPEGImages" / f"{stem}.png").unlink()
        values = np.full(SIZE[::-1], 0.5 if kind is np.float32 else 10**6, kind)
        Image.fromarray(values).save(root / "JPEGImages" / f"{stem}.tif")
    assert check("data=voc")["counts"] == {"unread-format": 2}


def test_stated_bits_are_another_cache(tmp_path: Path) -> None:
    deep, values = deep_picture(tmp_path / "set", 12, 3)
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool)
    digest = probe(deep, 12).digest
    for bits in (12, 13):
        item = Item(deep, *none, SIZE, digest, bits=bits)
        pixels = ImageCache.build([item], tmp_path / "cache")[digest]
        assert (pixels == values >> (bits - 8)).all()


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


def test_a_class_that_only_val_has_is_one_line(tmp_path: Path, check: Check) -> None:
    stems = devkit(tmp_path / "set")
    for number, stem in enumerate(stems[6:9]):
        boxes = [*boxes_of(number), ("knife", (1.0, 1.0, 20.0, 20.0))]
        write(tmp_path / "set", stem, xml(f"{stem}.png", boxes))
    [warning] = check("data=voc")["warnings"]
    assert warning.startswith("train has no box of classes that are measured: knife (3 box(es) in")


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


def test_auto_finds_the_format_that_the_files_speak_for(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    refused(check("data=auto"), "does not exist")
    root.mkdir()
    refused(check("data=auto"), "looked for XML files", "it is empty")
    content = coco(root)
    refused(check("data=auto"), "12 .png in images/", "data.format")
    (root / "readme.txt").write_text("5 pictures 0 boxes 1 2\n")
    (root / "notes.json").write_text("[]")
    (root / "annotations.json").write_text(json.dumps({"info": "x" * 5000, **content}))
    (root / "notes.json").unlink()
    report = check("data=auto")
    assert (report["code"], report["format"]) == (0, "coco")
    (root / "annotations.json").unlink()
    for path in (root / "images").glob("*.png"):
        path.with_suffix(".txt").write_text("0 .5 .5 .5 .25\n" if path.stem != "00" else "")
        path.rename(root / path.name)
        path.with_suffix(".txt").rename(root / f"{path.stem}.txt")
    (root / "images").rmdir()
    assert check("data=auto")["format"] == "yolo"
    for path in root.glob("[01]*.txt"):
        path.write_text("1\n2 3 20 30\n")
    assert check("data=auto", "data.classes=[gun]")["format"] == "txt"
    devkit(root)  # its lists name numbers only, which are no counts
    told = ("txt (00.txt, …)", "voc (Annotations/img 00.xml, …)", stating("txt"))
    refused(check("data=auto"), *told)
    for format in ("txt", "voc"):  # what is advised is accepted, and does what it says
        advised = stating(format).replace("[NAME]", "[gun]").split()
        assert check("data=auto", *advised)["format"] == format


def test_auto_is_not_misled_by_lists_of_numbers(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set", stem="{:06d}")
    assert check("data=auto")["format"] == "voc"


@pytest.mark.parametrize("other", ["cafe\u0301", "caf\u00e9\u200b"])
def test_one_class_in_two_forms_of_unicode_is_one_class(other: str) -> None:
    assert same_name("caf\u00e9") == same_name(other)
