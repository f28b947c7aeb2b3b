"""`python -m tlx.data check` on splits, lists, classes and formats as other tools write them."""

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
    write_lists,
    xml,
)
from tlx.data.doubts import same_name
from tlx.data.formats.sniff import stating


def test_a_sound_set_is_told_whole(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set")
    report = check("data=voc")
    assert (report["code"], report["classes"], report["faults"]) == (0, ["gun"], [])
    assert images(report) == [6, 3, 3]
    assert report["splits"]["test"]["boxes"] == 3


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


@pytest.mark.parametrize("encoding", ["gbk", "klingon"])
def test_an_encoding_that_is_not_known_is_named(
    tmp_path: Path, check: Check, encoding: str
) -> None:
    stem = devkit(tmp_path / "set")[0]
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + xml("a.png", boxes_of(0))
    write(tmp_path / "set", stem, text)
    refused(check("data=voc"), f"{stem}.xml", "encoding", "save it as UTF-8")


def test_the_sample_and_errors_of_the_command(tmp_path: Path, check: Check) -> None:
    refused(check("data=voc"), "does not exist")
    refused(check("data=nothing"), "nothing")


def test_a_class_that_only_val_has_is_one_line(tmp_path: Path, check: Check) -> None:
    stems = devkit(tmp_path / "set")
    for number, stem in enumerate(stems[6:9]):
        boxes = [*boxes_of(number), ("knife", (1.0, 1.0, 20.0, 20.0))]
        write(tmp_path / "set", stem, xml(f"{stem}.png", boxes))
    [warning] = check("data=voc")["warnings"]
    assert warning.startswith("train has no box of classes that are measured: knife (3 box(es) in")


def test_auto_finds_the_format_that_the_files_speak_for(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    refused(check("data=auto"), "does not exist")
    root.mkdir()
    refused(check("data=auto"), "voc (XML files that begin", "it is empty")
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
