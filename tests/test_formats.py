"""Annotation readers: layouts, odd names, malformed files, and names that try to leave the set."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlx.data.annotations import Annotation
from tlx.data.formats import READERS, read_annotations, stated_classes
from tlx.errors import ConfigError, DataError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "datasets"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared beside the repository")


def picture(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 40)).save(path, format="PNG")
    return path


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


def by_stem(annotations: list[Annotation]) -> dict[str, Annotation]:
    return {annotation.image.stem: annotation for annotation in annotations}


def coco(path: Path, images: list[dict], annotations: list[dict] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "images": images,
        "annotations": annotations or [],
        "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
    }
    path.write_text(json.dumps(content))
    return path


def test_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'yolo'.*coco.*txt, voc"):
        read_annotations("yolo", tmp_path, None)


@pytest.mark.parametrize("format", ["coco", "txt", "voc"])
def test_missing_or_empty_root_says_what_to_set(tmp_path: Path, format: str) -> None:
    with pytest.raises(DataError, match=r"nowhere.*data\.root"):
        read_annotations(format, tmp_path / "nowhere", ["a"])
    with pytest.raises(DataError, match=r"no .* annotations.*data\.root"):
        read_annotations(format, tmp_path, ["a"])


def test_labels_file_gives_the_class_order(tmp_path: Path) -> None:
    assert stated_classes(tmp_path) is None
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfBACKGROUND\r\nzebra\r\nred apple\r\n\r\n")
    assert stated_classes(tmp_path) == ["zebra", "red apple"]


# --- txt ---


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


# --- voc ---


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


def test_voc_devkit_keeps_an_id_of_two_lists_in_both(tmp_path: Path) -> None:
    devkit(tmp_path, train="a\na\nb\n", test="a\n")
    assert sorted(splits_of(tmp_path)) == [("a", "test"), ("a", "train"), ("b", "train")]


def test_voc_devkit_reports_listed_ids_without_files(tmp_path: Path) -> None:
    devkit(tmp_path, train="a\nghost\nplain\n")
    picture(tmp_path / "JPEGImages" / "plain.png")
    found = by_stem(read_annotations("voc", tmp_path, None))
    assert found["ghost"].unused == found["plain"].unused == "unlabelled"
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


def test_voc_object_without_name(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    path = xml(tmp_path / "a.xml", "gun 1 2 3 4")
    path.write_text(path.read_text().replace("gun", " "))
    with pytest.raises(DataError, match=r"a\.xml object 1: no <name>"):
        read_annotations("voc", tmp_path, None)


def test_voc_nan_is_left_to_the_check(tmp_path: Path) -> None:
    pair(tmp_path, "a", "gun 1 NaN 3 4")
    assert np.isnan(read_annotations("voc", tmp_path, None)[0].boxes[0, 1])


# --- coco ---

CAT = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 10, 5.5]}


@pytest.mark.parametrize(
    ("json_path", "image_path", "split"),
    [
        ("annotations/instances_train2017.json", "train2017/a.png", "train"),
        ("annotations/instances_val2017.json", "images/val2017/a.png", "val"),
        ("annotations/train.json", "images/train/a.png", "train"),
        ("test.json", "test/a.png", "test"),
        ("train.json", "images/a.png", "train"),
        ("valid/_annotations.coco.json", "valid/a.png", "val"),
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


def test_readers_sort_whatever_the_file_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coco(tmp_path / "all.json", [{"id": i, "file_name": f"{n}.png"} for i, n in enumerate("bca")])
    assert [a.image.stem for a in READERS["coco"](tmp_path, None)] == ["a", "b", "c"]


# --- the real sets ---


@needs_shared
def test_guns_txt_and_xml_agree() -> None:
    voc = read_annotations("voc", SHARED / "guns", None)
    txt = read_annotations("txt", SHARED / "guns", ["Gun"])
    assert len(voc) == len(txt) == 333
    assert sum(len(a.boxes) for a in voc) == 428
    for one, other in zip(voc, txt, strict=True):
        assert (one.image, one.names) == (other.image, other.names)
        np.testing.assert_array_equal(one.boxes, other.boxes)


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
