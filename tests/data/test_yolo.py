"""YOLO sets in the layouts that people have them in, through `python -m tlx.data check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.helpers_data_check import SIZE, Check, images, picture, refused
from tlx.data.formats import read_annotations

BOX = (0.5, 0.5, 0.4, 0.25)  # centre and sides in fractions


def part(root: Path, pictures: str, labels: str, first: int = 0, count: int = 4) -> list[Path]:
    """`count` pictures, numbered from `first`, and a text file of each; the pictures."""
    (root / labels).mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(first, first + count):
        made.append(root / pictures / f"p{number}.png")
        picture(made[-1], number)
        (root / labels / f"p{number}.txt").write_text(f"0 {' '.join(map(str, BOX))}\n")
    return made


def splits(report: dict[str, Any]) -> list[int]:
    assert report["code"] == 0, report["err"]
    return images(report)


@pytest.mark.parametrize(
    ("pictures", "labels"),
    [
        ("images/{}", "labels/{}"),
        ("{}/images", "{}/labels"),
        ("{}", "{}"),
        ("{}", "labels/{}"),
        ("{}", "{}/labels"),
        ("Images/{}/deep/er", "Labels/{}/deep/er"),
        ("{}/a/images/b", "{}/a/labels/b"),
    ],
)
def test_labels_are_found_at_any_depth(
    tmp_path: Path,
    check: Check,
    pictures: str,
    labels: str,
) -> None:
    for first, split in ((0, "train"), (10, "valid"), (20, "test")):
        part(tmp_path / "set", pictures.format(split), labels.format(split), first)
    report = check("data=yolo")
    assert (splits(report), report["faults"]) == ([4, 4, 4], [])


def test_half_of_a_set_one_folder_deeper_is_read(tmp_path: Path, check: Check) -> None:
    part(tmp_path / "set", "images", "labels", 0, 6)
    part(tmp_path / "set", "images/more", "labels/more", 10, 6)
    assert sum(splits(check("data=yolo"))) == 12


@pytest.mark.parametrize(
    "line", ["./images/{}", "D:\\set\\images\\{}", "/home/me/set/images/{}", '"images/{}"', "{}"]
)
@pytest.mark.parametrize("stated", [False, True])
def test_lists_of_pictures_name_the_splits(
    tmp_path: Path,
    check: Check,
    line: str,
    stated: bool,
) -> None:
    root = tmp_path / "set"
    made = part(root, "images", "labels", 0, 12)
    for name, own in (("train", made[:6]), ("valid", made[6:9]), ("test", made[9:])):
        text = "".join(f"{line.format(path.name)}\r\n" for path in own)
        (root / f"{name}.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    if stated:
        (root / "lists").mkdir()
        for name in ("train", "valid", "test"):
            (root / f"{name}.txt").rename(root / f"lists/{name}.txt")
        (root / "set.yaml").write_text(
            "path: /home/me/set\ntrain: lists/train.txt\nval: lists/valid.txt\n"
            "test: lists/test.txt\nnames: {0: gun}\n"
        )
    report = check("data=yolo")
    assert (splits(report), report["faults"]) == ([6, 3, 3], [])


def test_the_lists_of_darknet_s_data_file_name_the_splits(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    made = part(root, "data/obj", "data/obj", 0, 12)
    for name, own in (("train", made[:8]), ("test", made[8:])):
        lines = "".join(f"data/obj/{path.name}\n" for path in own)
        (root / f"data/{name}.txt").write_text(lines)
    (root / "data/obj.names").write_text("gun\n")
    (root / "data/obj.data").write_text(
        "classes= 1\ntrain  = data/train.txt\nvalid  = data/test.txt\nnames = data/obj.names\n"
    )
    report = check("data=yolo")
    assert report["code"] == 0, report["err"]
    assert images(report)[1] == 4


def test_folders_of_a_year_are_splits(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    for first, name in enumerate(("train2017", "val2017", "test-2017")):
        part(root, f"images/{name}", f"labels/{name}", 6 * first, 6 - first)
    assert splits(check("data=yolo")) == [6, 5, 4]


def test_a_line_that_names_no_picture_is_named(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    made = part(root, "images", "labels", 0, 12)
    (root / "train.txt").write_text("".join(f"images/{path.name}\n" for path in made[:8]))
    (root / "val.txt").write_text("images/p9.png\nimages/q1O.png\n")
    report = check("data=yolo")
    assert report["counts"] == {"unknown-line": 1, "unlisted": 3}
    [fault] = [f for f in report["faults"] if f["kind"] == "unknown-line"]
    assert fault["where"] == f"{root / 'val.txt'}:2"
    assert "nearest is 'p1" in fault["detail"]
    (root / "val.txt").write_text("images/q1O.png\n")
    refused(check("data=yolo"), "val.txt names no picture", "val.txt:1", "p1")


def test_a_line_that_fits_two_pictures_is_refused(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    made = part(root, "images/a", "labels/a", 0, 6) + part(root, "images/b", "labels/b", 0, 6)
    for number, path in enumerate(made):
        picture(path, number)
    lines = [path.relative_to(root).as_posix() for path in made]
    (root / "train.txt").write_text("\n".join(lines))
    assert check("data=yolo")["faults"] == []
    (root / "train.txt").write_text("\n".join([*lines[:3], "p4.png"]))
    refused(check("data=yolo"), "train.txt:4", "images/a/p4.png", "images/b/p4.png")


def test_splits_of_one_folder_are_refused(tmp_path: Path, check: Check) -> None:
    part(tmp_path / "set", "images", "labels", 0, 12)
    (tmp_path / "set/data.yaml").write_text("train: ../images\nval: ../images\nnames: [gun]\n")
    refused(check("data=yolo"), "train and val hold the same 12", "data.splits=cut")
    assert sum(splits(check("data=yolo", "data.splits=cut"))) == 12


def test_a_split_folder_without_a_picture_is_refused(
    tmp_path: Path,
    check: Check,
) -> None:
    part(tmp_path / "set", "train/images", "train/labels", 0, 12)
    (tmp_path / "set/valid/images").mkdir(parents=True)
    refused(check("data=yolo"), "set/valid holds no picture")


def test_a_missing_picture_is_a_fault_beside_the_others_too(
    tmp_path: Path,
    check: Check,
) -> None:
    for folder in ("", "labels"):
        root = tmp_path / "set"
        made = part(root, folder.replace("labels", "images"), folder, 0, 12)
        made[3].unlink()
        (root / folder / "notes.txt").write_text("") if not folder else None
        report = check("data=yolo")
        assert report["counts"] == {"missing-image": 1}
        assert Path(report["faults"][0]["image"]) == made[3].with_suffix(".jpg")
        for path in root.iterdir():
            path.unlink() if path.is_file() else None


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_fractions_are_of_the_upright_picture(tmp_path: Path, orientation: int) -> None:
    [path] = part(tmp_path, "images", "labels", 0, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(path).save(path, exif=exif)
    [annotation] = read_annotations("yolo", tmp_path, None)
    width, height = SIZE if orientation < 5 else SIZE[::-1]
    x, y, w, h = BOX
    corners = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    assert annotation.boxes == pytest.approx(np.array([corners]) * np.array([width, height] * 2))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: [gun, gun]\n", ["'gun' is named twice"]),
        ("nc: 3\nnames: [gun]\n", ["`nc` is 3", "`names` has 1"]),
        ("names: {1: gun}\n", ["from 0 on"]),
        ("names: [no]\n", ["False", "in quotes"]),
        ("names: [null]\n", ["None", "in quotes"]),
    ],
)
def test_names_that_do_not_add_up_are_refused(
    tmp_path: Path,
    check: Check,
    text: str,
    words: list[str],
) -> None:
    part(tmp_path / "set", "images", "labels", 0, 12)
    (tmp_path / "set/data.yaml").write_text(text)
    refused(check("data=yolo"), "data.yaml", *words)


def test_key_points_behind_a_box_are_no_polygon(tmp_path: Path) -> None:
    [path] = part(tmp_path, "images", "labels", 0, 1)
    (tmp_path / "data.yaml").write_text("names: [gun]\nkpt_shape: [2, 3]\n")
    text = tmp_path / "labels" / f"{path.stem}.txt"
    [plain] = read_annotations("yolo", tmp_path, None)
    text.write_text(text.read_text().strip() + " 0 0 2 1 1 2\n")
    [posed] = read_annotations("yolo", tmp_path, None)
    assert posed.boxes.tolist() == plain.boxes.tolist()


@pytest.mark.parametrize("name", ["project/v1/data.yaml", "project/v1/Data.YAML", "Data.YML"])
def test_a_names_file_is_found_where_it_lies(tmp_path: Path, check: Check, name: str) -> None:
    """Its paths begin in its own folder."""
    root = tmp_path / "set"
    base = (root / name).parent
    for first, split in ((0, "a"), (10, "b"), (20, "c")):
        part(base, f"images/{split}", f"labels/{split}", first)
    (root / name).write_text("names: [gun]\ntrain: images/a\nval: ./images/b\ntest: ../images/c\n")
    report = check("data=yolo")
    assert (splits(report), report["classes"]) == ([4, 4, 4], ["gun"])


def test_names_files_that_contradict_one_another_are_named(tmp_path: Path, check: Check) -> None:
    root = tmp_path / "set"
    part(root, "images", "labels", 0, 12)
    (root / "data.yaml").write_text("names: [gun, knife]\n")
    (root / "classes.txt").write_text("knife\ngun\n")
    refused(
        check("data=yolo"), "data.yaml names the classes gun, knife, and ", "classes.txt knife, gun"
    )
    (root / "classes.txt").write_text("gun\nknife\n")
    assert sum(splits(check("data=yolo"))) == 12
    (root / "other.yaml").write_text("names: [knife, gun]\n")
    (root / "classes.txt").unlink()
    refused(check("data=yolo"), "name unlike classes")


@pytest.mark.parametrize("data", [(), ("data=yolo",)])
def test_detections_with_confidences_are_told_from_annotations(
    tmp_path: Path, check: Check, data: tuple[str, ...]
) -> None:
    part(tmp_path / "set", ".", ".", count=12)
    text = tmp_path / "set" / "p3.txt"
    for path in (tmp_path / "set").glob("*.txt"):
        path.write_text("0 0.5 0.5 0.4 0.25 0.93\n")
    refused(check(*data), ".txt:1: six numbers", "confidence", "remove the last number")
    for path in (tmp_path / "set").glob("*.txt"):
        path.write_text("0.000000 0.5 0.5 0.4 0.25\n")
    report = check(*data)
    assert (report["code"], sum(images(report)), report["faults"]) == (0, 12, [])
    text.write_text("0.5 0.5 0.5 0.4 0.25\n")
    refused(check(*data), "p3.txt:1: expected 'class x y width height'")
