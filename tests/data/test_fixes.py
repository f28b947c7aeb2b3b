"""The data-fix list: written, read, and applied to the pictures it names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Compose
from tlx.common.errors import DataError
from tlx.config.identity import fingerprint
from tlx.config.typed import plain
from tlx.data.faults import FaultReport
from tlx.data.fixes import FOUND, TRUTH, Fix, apply_fixes, read_fixes, write_fixes
from tlx.data.formats.annotations import Item
from tlx.data.module import build_data
from tlx.data.split import split_items

ROOT = Path("/set")
CLASSES = ["gun", "plate"]
A, B = (1.0, 2.0, 30.0, 40.0), (50.0, 50.0, 60.5, 70.0)


def item(name: str, *boxes: tuple[float, ...]) -> Item:
    n = len(boxes)
    return Item(
        ROOT / name, np.array(boxes, np.float32).reshape(-1, 4), np.ones(n, np.int64),
        np.zeros(n, bool), (100, 100), name,
    )  # fmt: skip


def applied(fixes: list[Fix], **parts: list[Item]) -> tuple[dict[str, list[Item]], list[str]]:
    """The parts afterwards, and the kinds that were reported."""
    faults = FaultReport()
    known = [i.image for items in parts.values() for i in items] + [ROOT / "dropped.png"]
    apply_fixes(fixes, parts, known, ROOT, CLASSES, faults)
    return parts, [fault.kind for fault in faults.faults]


def test_a_list_comes_back_as_it_was_written(tmp_path: Path) -> None:
    fixes = [
        Fix("test/b.png", "remove"),
        Fix('test/a, "2".png', "wrong box", TRUTH, "number plate", A),
        Fix("test/b.png", "missing object", FOUND, "gun", B),
    ]
    path = tmp_path / "deep" / "fixes.csv"
    write_fixes(path, fixes)
    read = read_fixes(path)
    assert set(read) == set(fixes)
    assert read[0].where == f"{path}:2"
    assert path.read_text().splitlines()[0] == "image,tag,object,class,xmin,ymin,xmax,ymax"
    write_fixes(path, [])
    assert read_fixes(path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column image"),
        ("image,tag\na,b\n", "no column object"),
        ("image,tag,object,class,xmin,ymin,xmax,ymax\n,remove,picture,,,,,\n", "csv:2: no image"),
        ("image,tag,object,class,xmin,ymin,xmax,ymax\na.png,,picture,,,,,\n", "csv:2: no tag"),
        ("image,tag,object,class,xmin,ymin,xmax,ymax\na,b,box,,,,,\n", "'box' is none of picture"),
        ("image,tag,object,class,xmin,ymin,xmax,ymax\na,b,truth,gun,1,2,3,\n", "four numbers"),
    ],
)
def test_a_line_that_means_nothing_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "fixes.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_fixes(path)


def test_a_missing_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        read_fixes(tmp_path / "none.csv")


def test_removed_pictures_and_boxes_are_left_out() -> None:
    parts, kinds = applied(
        [Fix("a.png", "Remove"), Fix("b.png", "remove", TRUTH, "gun", A)],
        train=[item("a.png", A), item("b.png", A, B), item("c.png", A)],
        test=[item("d.png", A)],
    )
    assert [i.image.name for i in parts["train"]] == ["b.png", "c.png"]
    assert parts["train"][0].boxes.tolist() == [list(B)]
    assert len(parts["train"][0].labels) == len(parts["train"][0].difficult) == 1
    assert len(parts["test"]) == 1
    assert kinds == ["fix-image", "fix-box"]


def test_a_picture_whose_boxes_are_all_removed_is_a_negative() -> None:
    parts, _ = applied([Fix("a.png", "remove", TRUTH, "gun", A)], train=[item("a.png", A)])
    assert [len(i.boxes) for i in parts["train"]] == [0]


def test_a_wrong_box_is_ignored_in_test_and_dropped_in_train() -> None:
    fixes = [Fix(f"{name}.png", "wrong_box", TRUTH, "gun", B) for name in ("a", "b", "c")]
    parts, kinds = applied(
        fixes,
        train=[item("a.png", A, B), item("c.png", B), item("x.png")],
        val=[item("b.png", A, B)],
    )
    assert [i.image.name for i in parts["train"]] == ["a.png", "x.png"], "c has no sure box left"
    assert parts["train"][0].boxes.tolist() == [list(A)]
    assert parts["val"][0].difficult.tolist() == [False, True]
    assert len(parts["val"][0].boxes) == 2
    assert kinds == ["fix-box", "fix-box", "no-box-left", "fix-ignored"]


def test_other_tags_change_nothing_but_are_noted() -> None:
    fixes = [
        Fix("a.png", "missing object", FOUND, "gun", B),
        Fix("a.png", "ask Ann", TRUTH, "gun", A),
        Fix("a.png", "wrong box"),
        Fix("a.png", "remove", FOUND, "gun", B),
        Fix("dropped.png", "remove"),
    ]
    parts, kinds = applied(fixes, test=[item("a.png", A)])
    assert parts["test"][0].boxes.tolist() == [list(A)]
    assert not parts["test"][0].difficult.any()
    assert kinds == ["fix-noted"] * 4


def test_a_box_is_known_by_its_class_and_its_corners_to_a_pixel() -> None:
    near = tuple(value + 0.9 for value in A)
    parts, _ = applied([Fix("a.png", "remove", TRUTH, "gun", near)], test=[item("a.png", A, B)])
    assert parts["test"][0].boxes.tolist() == [list(B)]
    for fix in (
        Fix("a.png", "remove", TRUTH, "gun", tuple(v + 1.1 for v in A), "f.csv:7"),
        Fix("a.png", "remove", TRUTH, "plate", A, "f.csv:7"),
    ):
        with pytest.raises(DataError, match=r"f\.csv:7: /set/a\.png has no box of"):
            applied([fix], test=[item("a.png", A, B)])


def test_an_unknown_picture_and_an_emptied_split_are_errors() -> None:
    with pytest.raises(DataError, match=r"f\.csv:2: /set has no picture b\.png"):
        applied([Fix("b.png", "remove", where="f.csv:2")], test=[item("a.png", A)])
    with pytest.raises(DataError, match="leaves no picture in test"):
        applied([Fix("a.png", "remove")], test=[item("a.png", A)])


def test_a_fix_moves_no_other_picture_to_another_split() -> None:
    items = [item(f"{i}.png", A) for i in range(40)]
    before = split_items(items)
    gone = before.test[0]
    fixes = [Fix(gone.image.name, "remove")]
    known = [i.image for i in items]
    after = split_items(
        items, amend=lambda parts: apply_fixes(fixes, parts, known, ROOT, CLASSES, FaultReport())
    )
    assert after.test == before.test[1:]
    assert (after.train, after.val) == (before.train, before.val)
    assert after.notes.counts["test"]["images"] == len(after.test)


def test_training_reads_the_list_and_reports_what_it_did(
    tiny_config: Compose, tiny_set: Path, tmp_path: Path
) -> None:
    path = tmp_path / "fixes.csv"
    write_fixes(path, [Fix("test/000.png", "remove"), Fix("train/003.png", "missing object")])
    unfixed, fixed = tiny_config(), tiny_config(f"data.fixes={path}")
    data = build_data(fixed.data, tmp_path / "cache")
    assert [i.image.name for i in data.splits["test"]].count("000.png") == 0
    assert data.report["counts"]["test"]["images"] == 5
    assert data.report["faults"] == {"fix-image": 1, "fix-noted": 1}
    rows = {row["kind"]: row for row in data.faults.to_rows()}
    assert rows["fix-image"]["where"] == f"{path}:2"
    assert rows["fix-image"]["detail"] == "remove: picture"
    assert fingerprint(plain(unfixed)) != fingerprint(plain(fixed))


def test_without_a_list_a_run_is_the_one_it_was_before_there_were_lists(
    tiny_config: Compose,
) -> None:
    now = tiny_config()
    earlier = plain(now)
    del earlier["data"]["fixes"]
    assert fingerprint(earlier) == fingerprint(plain(now))
