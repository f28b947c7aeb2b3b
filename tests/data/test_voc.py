"""The VOC reader: layouts, odd names, malformed files, and names that try to leave the set."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.data.helpers_formats import by_stem, picture
from tests.helpers_shared import SHARED, needs_shared
from tlx.common.errors import DataError
from tlx.data.formats import read_annotations


def xml(path: Path, *boxes: str, filename: str | None = None, size: str = "40 30") -> Path:
    """Write VOC XML; a box is "name xmin ymin xmax ymax [difficult]"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = ""
    for box in boxes:
        name, *corners = box.split()
        tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=False)
        bndbox = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
        difficult = f"<difficult>{corners[4]}</difficult>" if len(corners) > 4 else ""
        objects += f"<object><name>{name}</name>{difficult}<bndbox>{bndbox}</bndbox></object>"
    width, height = size.split()
    path.write_text(
        f"<annotation><filename>{filename or path.stem + '.png'}</filename>"
        f"<path>E:\\elsewhere\\{path.stem}.png</path>"
        f"<size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"
    )
    return path


def pair(folder: Path, stem: str, *boxes: str) -> None:
    picture(folder / f"{stem}.png")
    xml(folder / f"{stem}.xml", *boxes)


def test_voc_flat_folder(tmp_path: Path) -> None:
    pair(tmp_path, "a (1) - Copy", "gun 1 2 30 20 1", "gun 5 5 9.5 9")
    pair(tmp_path, "b")
    picture(tmp_path / "alone.png")
    (tmp_path / "._b.xml").write_bytes(b"\0\5\26\7 macOS metadata")
    found = by_stem(read_annotations("voc", tmp_path, None))
    assert list(found) == ["a (1) - Copy", "alone", "b"]
    first = found["a (1) - Copy"]
    np.testing.assert_array_equal(first.boxes, [[1, 2, 30, 20], [5, 5, 9.5, 9]])
    assert first.difficult.tolist() == [True, False]
    assert (first.size, first.split) == ((40, 30), None)
    assert found["b"].boxes.shape == (0, 4)
    assert found["alone"].unused == "unlabelled"


def test_voc_claimed_size_of_zero_is_none(tmp_path: Path) -> None:
    for stem, size in (("a", "0 0"), ("b", "x 30"), ("c", "40.0 30.0")):
        picture(tmp_path / f"{stem}.png")
        xml(tmp_path / f"{stem}.xml", size=size)
    sizes = [a.size for a in read_annotations("voc", tmp_path, None)]
    assert sizes == [None, None, (40, 30)]


def test_voc_split_folders(tmp_path: Path) -> None:
    for folder in ("train", "Valid", "test"):
        pair(tmp_path / folder, "a", "gun 1 2 3 4")
    found = read_annotations("voc", tmp_path, None)
    assert {a.image.parent.name: a.split for a in found} == {
        "train": "train",
        "Valid": "val",
        "test": "test",
    }
    pair(tmp_path, "stray")
    with pytest.raises(DataError, match=r"stray\.xml.*move them"):
        read_annotations("voc", tmp_path, None)


def test_voc_pictures_without_xml_are_refused_with_advice(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"1 pictures but no XML: put each N\.xml beside"):
        read_annotations("voc", tmp_path, None)


def devkit(root: Path, **lists: str) -> None:
    for stem in ("a", "b", "c d", "e"):
        picture(root / "JPEGImages" / f"{stem}.png")
        xml(root / "Annotations" / f"{stem}.xml", "gun 1 2 3 4")
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name, text in lists.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(text, newline="")


def splits_of(root: Path) -> list[tuple[str, str | None]]:
    found = read_annotations("voc", root, None)
    return [(a.image.stem, a.split) for a in found if not a.unused]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (
            {"train": "a\r\nb\r\n", "val": "c d\r\n\r\n", "test": "e"},
            {"a": "train", "b": "train", "c d": "val", "e": "test"},
        ),
        (
            {"trainval": "a\nb\nc d\n", "test": "e\n"},
            {"a": "train", "b": "train", "c d": "train", "e": "test"},
        ),
        ({"trainval": "a\nb\n", "train": "a\n"}, {"a": "train", "b": "val"}),
        ({"trainval": "a\nb\n", "val": "a\n"}, {"a": "val", "b": "train"}),
        ({"trainval": "a\nb\ne\n", "train": "a\n", "val": "b\n"}, {"a": "train", "b": "val"}),
        ({"default": "a\r\ne\r\n"}, {"a": None, "e": None}),
        ({}, {"a": None, "b": None, "c d": None, "e": None}),
    ],
)
def test_voc_devkit_lists(tmp_path: Path, lists: dict, expected: dict) -> None:
    devkit(tmp_path, **lists)
    assert dict(splits_of(tmp_path)) == expected
    assert all(a.image.is_file() for a in read_annotations("voc", tmp_path, None))
    unlisted = [a for a in read_annotations("voc", tmp_path, None) if a.unused == "unlisted"]
    assert {a.image.stem for a in unlisted} == {"a", "b", "c d", "e"} - expected.keys()


@pytest.mark.parametrize(
    ("xml_path", "image_path", "split"),
    [
        ("annotations/train/a.xml", "images/train/a.png", "train"),
        ("Annotations/a.xml", "images/valid/a.png", "val"),
        ("annotations/xmls/a.xml", "images/a.png", None),
        ("xml/a.xml", "images/a.png", None),
        ("test/ann/a.xml", "test/img/a.png", "test"),
        ("data/train/Annotations/a.xml", "data/train/images/a.png", "train"),
    ],
)
def test_voc_in_folders_of_ones_own(
    tmp_path: Path, xml_path: str, image_path: str, split: str | None
) -> None:
    xml(tmp_path / xml_path, "gun 1 2 10 20")
    picture(tmp_path / image_path)
    [found] = read_annotations("voc", tmp_path, None)
    assert (found.image, found.split) == (tmp_path / image_path, split)


def test_voc_devkits_of_several_years_keep_their_lists(tmp_path: Path) -> None:
    for year, lists in (("VOC2007", ("train", "test")), ("VOC2012", ("train", "val"))):
        for name in lists:
            xml(tmp_path / year / "Annotations" / f"{name}.xml", "gun 1 2 10 20")
            picture(tmp_path / year / "JPEGImages" / f"{name}.png")
            main = tmp_path / year / "ImageSets" / "Main"
            main.mkdir(parents=True, exist_ok=True)
            (main / f"{name}.txt").write_text(f"{name}\n")
    found = read_annotations("voc", tmp_path, None)
    assert [(a.image.parts[-3], a.split) for a in found] == [
        ("VOC2007", "test"), ("VOC2007", "train"), ("VOC2012", "train"), ("VOC2012", "val"),
    ]  # fmt: skip


def test_voc_pictures_of_one_name_go_with_the_folders_of_their_files(tmp_path: Path) -> None:
    for split in ("train", "test"):
        xml(tmp_path / "ann" / split / "a.xml", "gun 1 2 10 20")
        picture(tmp_path / "img" / split / "a.png")
    found = read_annotations("voc", tmp_path, None)
    assert {(a.image.parent.name, a.split) for a in found} == {
        ("train", "train"), ("test", "test")
    }  # fmt: skip
    picture(tmp_path / "more" / "train" / "a.png")
    with pytest.raises(DataError, match=r"a.xml: its picture may be .*img.*more"):
        read_annotations("voc", tmp_path, None)


def test_voc_devkit_keeps_an_id_of_two_lists_in_both(tmp_path: Path) -> None:
    devkit(tmp_path, train="a\na\nb\n", test="a\n")
    assert sorted(splits_of(tmp_path)) == [("a", "test"), ("a", "train"), ("b", "train")]


def test_voc_devkit_reports_listed_ids_without_files(tmp_path: Path) -> None:
    devkit(tmp_path, train="a\nghost\nplain\n")
    picture(tmp_path / "JPEGImages" / "plain.png")
    found = by_stem(read_annotations("voc", tmp_path, None))
    assert (found["ghost"].unused, found["plain"].unused) == ("unknown-line", "unlabelled")
    assert "the nearest is 'e'" in found["ghost"].remarks[0][1]
    assert found["ghost"].source.endswith("train.txt:2")


def test_voc_devkit_lists_that_make_no_sense(tmp_path: Path) -> None:
    devkit(tmp_path, train="", val="")
    with pytest.raises(DataError, match="no list names a picture"):
        read_annotations("voc", tmp_path, None)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n../../secret\n")
    with pytest.raises(DataError, match=r"train\.txt:2: .*is a path"):
        read_annotations("voc", tmp_path, None)


@pytest.mark.parametrize("name", ["../secret.png", "..\\secret.png", "{root}/secret.png", ".."])
def test_voc_filename_never_leaves_the_folder(tmp_path: Path, name: str) -> None:
    secret = picture(tmp_path / "secret.png")
    inside = picture(tmp_path / "set" / "a.png")
    filename = name.format(root=tmp_path)
    xml(tmp_path / "set" / "a.xml", filename=filename)
    assert [a.image for a in read_annotations("voc", tmp_path / "set", None)] == [inside]
    inside.unlink()  # now it is missing, and must not be found outside
    [annotation] = read_annotations("voc", tmp_path / "set", None)
    assert annotation.image.parent == tmp_path / "set"
    assert not annotation.image.exists()
    assert secret.exists()


def test_voc_finds_pictures_by_filename_then_stem(tmp_path: Path) -> None:
    picture(tmp_path / "photo.JPG")
    xml(tmp_path / "a.xml", filename="E:\\photos\\photo.JPG")  # named otherwise than its XML
    picture(tmp_path / "b.webp")
    xml(tmp_path / "b.xml", filename="b.jpg")  # converted after annotating
    xml(tmp_path / "gone.xml", filename="was here.jpg")
    found = {Path(a.source).stem: a.image.name for a in read_annotations("voc", tmp_path, None)}
    assert found == {"a": "photo.JPG", "b": "b.webp", "gone": "was here.jpg"}


def test_voc_copies_that_claim_one_filename_keep_their_own_pictures(tmp_path: Path) -> None:
    for stem in ("a", "a - Copy"):
        picture(tmp_path / f"{stem}.png")
        xml(tmp_path / f"{stem}.xml", filename="a.png")
    found = {Path(a.source).stem: a.image.stem for a in read_annotations("voc", tmp_path, None)}
    assert found == {"a": "a", "a - Copy": "a - Copy"}


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<annotation><filename>&b;</filename></annotation>"
)
LEAK = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "malformed XML: no element found: line 1, column 0"),
        ("<annotation>\n<object></annotation>", "malformed XML: mismatched tag: line 2"),
        (BOMB, "refused: EntitiesForbidden"),
        (LEAK, "refused: EntitiesForbidden"),
        ("<kml/>", "not a VOC annotation"),
    ],
)
def test_voc_malformed_or_hostile_xml(tmp_path: Path, text: str, message: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=f"a.xml: {message}"):
        read_annotations("voc", tmp_path, None)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("gun 1 2 3", "object 2: <ymax> is missing"),
        ("gun 1 two 3 4", "object 2: <ymin> is no number: 'two'"),
    ],
)
def test_voc_errors_name_file_and_object(tmp_path: Path, box: str, message: str) -> None:
    picture(tmp_path / "a.png")
    xml(tmp_path / "a.xml", "gun 1 2 3 4", box)
    with pytest.raises(DataError, match=f"a.xml {message}"):
        read_annotations("voc", tmp_path, None)


@pytest.mark.parametrize("tag", ["name", "bndbox"])
def test_voc_object_of_two_names_or_boxes_is_named(tmp_path: Path, tag: str) -> None:
    pair(tmp_path, "a", "gun 1 2 30 20", "gun 3 4 30 20")
    text = (tmp_path / "a.xml").read_text()
    end = text.rindex("</object>")
    (tmp_path / "a.xml").write_text(f"{text[:end]}<{tag}>knife</{tag}>{text[end:]}")
    with pytest.raises(DataError, match=rf"a\.xml object 2: it has 2 <{tag}>"):
        read_annotations("voc", tmp_path, None)


def test_voc_objects_that_labelme_deleted_are_none(tmp_path: Path) -> None:
    pair(tmp_path, "a", "gun 1 2 30 20", "gun 3 4 30 20")
    text = (tmp_path / "a.xml").read_text()
    (tmp_path / "a.xml").write_text(text.replace("<object>", "<object><deleted>1</deleted>", 1))
    [annotation] = read_annotations("voc", tmp_path, None)
    assert annotation.boxes.tolist() == [[3, 4, 30, 20]]


def test_voc_object_without_name(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    path = xml(tmp_path / "a.xml", "gun 1 2 3 4")
    path.write_text(path.read_text().replace("gun", " "))
    with pytest.raises(DataError, match=r"a\.xml object 1: no <name>"):
        read_annotations("voc", tmp_path, None)


def test_voc_nan_is_left_to_the_check(tmp_path: Path) -> None:
    pair(tmp_path, "a", "gun 1 NaN 3 4")
    assert np.isnan(read_annotations("voc", tmp_path, None)[0].boxes[0, 1])


# --- the real sets ---


@needs_shared
def test_ppe_counts() -> None:
    found = read_annotations("voc", SHARED / "ppe", None)
    assert not [a for a in found if a.unused]
    assert Counter(a.split for a in found) == {"train": 367, "test": 50}
    assert Counter(name for a in found if a.split == "train" for name in a.names) == {
        "Gloves": 475,
        "Coverall": 407,
        "Mask": 399,
        "Goggles": 173,
        "Face_Shield": 160,
    }
    assert sum(len(a.boxes) for a in found if a.split == "test") == 362
    assert [a.image.name for a in found if not a.image.exists()] == ["tui.jpg"]
    assert [a.source[-8:] for a in found if a.size is None] == ["ji7i.xml"]


@needs_shared
def test_guns_as_a_devkit_read_the_same(tmp_path: Path) -> None:
    for folder, ending in (("Annotations", "xml"), ("JPEGImages", "jpeg")):
        (tmp_path / folder).mkdir()
        for path in (SHARED / "guns").glob(f"1*.{ending}"):
            os.symlink(path, tmp_path / folder / path.name)
    flat = [a for a in read_annotations("voc", SHARED / "guns", None) if a.image.stem[0] == "1"]
    tree = read_annotations("voc", tmp_path, None)
    assert [a.image.name for a in tree] == [a.image.name for a in flat]
    assert [a.boxes.tolist() for a in tree] == [a.boxes.tolist() for a in flat]
