"""`tlx data split` and `data.splits=FILE`: written, reviewed, edited, trained by."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.helpers_data_check import Check, devkit, exit_code, images, refused
from tlx.config.identity import fingerprint, run_label
from tlx.config.typed import plain
from tlx.data.split_file import COLUMNS, read_splits
from tlx.records.arms import arm_key, arm_settings

Split = Callable[..., int]


@pytest.fixture
def split(tmp_path: Path) -> Split:
    """Run `tlx data split` on `set`; the exit code."""

    def run(*overrides: str) -> int:
        return exit_code(
            "split", "data=voc", f"data.root={tmp_path / 'set'}", f"output={tmp_path / 'splits'}",
            "data.group_near_duplicates=false", f"cache_dir={tmp_path / 'cache'}", *overrides,
        )  # fmt: skip

    return run


def table(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return {row["picture"]: row["split"] for row in csv.DictReader(file)}


def rewrite(path: Path, **splits: str) -> None:
    """A table of pictures of `devkit` (img 03 is `_03`) by their splits."""
    lines = [",".join(COLUMNS[:2])]
    lines += [f"JPEGImages/img {key.lstrip('_')}.png,{value}" for key, value in splits.items()]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def test_what_is_written_is_what_is_used(tmp_path: Path, split: Split, check: Check) -> None:
    devkit(tmp_path / "set", 20, lists=False)
    assert split("data.split_seed=3") == 0
    file = tmp_path / "splits" / "splits.csv"
    written = table(file)
    assert list(written) == sorted(written)
    assert len(written) == 20
    whole, by_file = (
        check("data=voc", "data.split_seed=3"),
        check("data=voc", f"data.splits={tmp_path / 'splits'}"),
    )
    assert images(by_file) == images(whole)
    assert [list(written.values()).count(s) for s in ("train", "val", "test")] == images(whole)
    assert by_file["warnings"] == []
    assert images(check("data=voc", f"data.splits={file}")) == images(whole)


def test_it_replaces_the_splits_that_the_set_names(
    tmp_path: Path, split: Split, check: Check
) -> None:
    devkit(tmp_path / "set")
    assert split() == 0
    file = tmp_path / "splits" / "splits.csv"
    text = file.read_text().replace("img 11.png,test", "img 11.png,val")
    assert text != file.read_text()
    file.write_text(text)
    assert images(check("data=voc", f"data.splits={file}")) == [6, 4, 2]


def test_an_edited_file_is_not_overwritten(
    tmp_path: Path, split: Split, capsys: pytest.CaptureFixture[str]
) -> None:
    devkit(tmp_path / "set", 20, lists=False)
    assert split() == 0
    assert split() == 0  # it says the same
    before = (tmp_path / "splits" / "splits.csv").read_text()
    capsys.readouterr()
    assert split("data.split_seed=1") == 2
    assert "says otherwise" in capsys.readouterr().err
    assert (tmp_path / "splits" / "splits.csv").read_text() == before
    assert split("data.split_seed=1", f"output={tmp_path / 'other.csv'}") == 0
    assert table(tmp_path / "other.csv") != table(tmp_path / "splits" / "splits.csv")


def test_a_renamed_picture_is_found_by_its_content_and_a_changed_one_by_its_name(
    tmp_path: Path, split: Split, check: Check
) -> None:
    devkit(tmp_path / "set", 20, lists=False)
    assert split() == 0
    before = images(check("data=voc", f"data.splits={tmp_path / 'splits'}"))
    for folder, ending in (("JPEGImages", "png"), ("Annotations", "xml")):
        old = tmp_path / "set" / folder / f"img 07.{ending}"
        old.rename(old.with_name(f"holiday.{ending}"))
    Image.fromarray(np.full((48, 64, 3), 99, np.uint8)).save(
        tmp_path / "set" / "JPEGImages" / "img 02.png"
    )
    report = check("data=voc", f"data.splits={tmp_path / 'splits'}")
    assert images(report) == before
    renamed, changed = report["warnings"]
    assert "1 picture(s)" in renamed
    assert "JPEGImages/img 07.png is JPEGImages/holiday.png" in renamed
    assert "1 picture(s) have other contents" in changed
    assert "img 02.png" in changed


def test_pictures_that_no_line_names_are_counted_and_left_out(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set")
    file = tmp_path / "splits.csv"
    rewrite(file, _00="train", _01="train", _02="val", _05="test")
    report = check("data=voc", f"data.splits={file}")
    assert images(report) == [2, 1, 1]
    assert report["counts"]["unlisted"] == 8
    assert "8 picture(s) of the set are named by no line" in report["warnings"][0]


def test_a_split_that_the_file_lacks_is_cut_from_train(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set", 20, lists=False)
    file = tmp_path / "splits.csv"
    rewrite(file, **{f"_{i:02d}": "test" if i < 5 else "train" for i in range(20)})
    train, val, test = images(check("data=voc", f"data.splits={file}"))
    assert (test, train + val) == (5, 15)
    assert val


def test_identical_copies_across_splits_follow_the_rule_of_leaks(
    tmp_path: Path, check: Check
) -> None:
    devkit(tmp_path / "set")
    pictures = tmp_path / "set" / "JPEGImages"
    shutil.copy(pictures / "img 05.png", pictures / "img 00.png")
    file = tmp_path / "splits.csv"
    rewrite(file, _00="train", _01="train", _02="val", _05="test")
    report = check("data=voc", f"data.splits={file}")
    assert images(report) == [1, 1, 1]
    assert any("byte-identical copy" in warning for warning in report["warnings"])


def test_lists_as_others_write_them(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set", lists=False)
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "train.txt").write_text("./JPEGImages/img 00.png\r\nJPEGImages\\img 01.png\r\n\r\n")
    (folder / "val.txt").write_text("﻿JPEGImages/img 02.png\n", "utf-8")
    (folder / "test.txt").write_text(f"{tmp_path / 'set'}/JPEGImages/img 03.png\n")
    assert images(check("data=voc", f"data.splits={folder}")) == [2, 1, 1]


GOOD = "picture,split\nJPEGImages/img 00.png,train\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "JPEGImages/img 77.png,val\n", ("csv:3:", "no picture", "nearest is JPEGImages/")),
        (GOOD + "img 05.png,val\n", ("csv:3:", "the nearest is JPEGImages/img 05.png")),
        (GOOD + "JPEGImages/img 00.png,test\n", ("csv:3:", "in train by", "csv:2")),
        (GOOD + "JPEGImages/img 00.png,train\n", ("csv:3:", "already by", "csv:2")),
        (GOOD + "./JPEGImages//img 00.png,val\n", ("csv:3:", "in train by")),
        (GOOD + "../../etc/passwd,val\n", ("csv:3:", "no picture ../../etc/passwd")),
        (GOOD + "JPEGImages/img 01.png,dev\n", ("csv:3:", "'dev' is none of train, val, test")),
        (GOOD + ",val\n", ("csv:3: no picture",)),
        ("picture;split\n", ("csv:1: no column picture",)),
        ("picture,split\n", ("names no picture",)),
        ("picture,split,sha256\nJPEGImages/img 00.png,val,xyz\n", ("csv:2:", "hex digits")),
        (GOOD + '"JPEGImages/img 01.png,val\n', ("cannot be read",)),
        ("", ("no column picture",)),
    ],
)
def test_lines_that_mean_nothing(
    text: str, words: tuple[str, ...], tmp_path: Path, check: Check
) -> None:
    devkit(tmp_path / "set")
    (tmp_path / "s.csv").write_text(text)
    refused(check("data=voc", f"data.splits={tmp_path / 's.csv'}"), *words)


def test_files_that_are_not_there_or_no_text(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set")
    refused(check("data=voc", "data.splits=cutt"), "did you mean data.splits=cut?", "data split")
    refused(check("data=voc", f"data.splits={tmp_path / 'set'}"), "holds neither splits.csv nor")
    (tmp_path / "s.csv").write_bytes(bytes(range(256)))
    refused(check("data=voc", f"data.splits={tmp_path / 's.csv'}"), "cannot be read")
    with (tmp_path / "big.csv").open("wb") as file:
        file.truncate(2**30)
    refused(check("data=voc", f"data.splits={tmp_path / 'big.csv'}"), "larger than 256 MiB")


def test_a_file_and_folds_say_two_things(tmp_path: Path, check: Check) -> None:
    devkit(tmp_path / "set")
    rewrite(tmp_path / "s.csv", _00="train", _01="val", _02="test")
    refused(
        check("data=voc", f"data.splits={tmp_path / 's.csv'}", "data.folds=3", "data.fold=0"),
        "says what is tested", "data.folds=3",
    )  # fmt: skip


def test_a_fold_is_written_like_any_split(tmp_path: Path, split: Split) -> None:
    devkit(tmp_path / "set", 20, lists=False)
    tested: list[str] = []
    for fold in range(3):
        file = tmp_path / f"{fold}.csv"
        assert split("data.folds=3", f"data.fold={fold}", f"output={file}") == 0
        tested += [picture for picture, part in table(file).items() if part == "test"]
    assert sorted(tested) == sorted(table(file))


def test_runs_of_another_content_are_other_runs(tmp_path: Path, compose_config: Any) -> None:
    """Another place of the same content is another run too, as with data.root, but no other arm
    where the runs had the same data; the path alone would leave an edit without a run."""
    file = tmp_path / "s.csv"
    rewrite(file, _00="train", _01="val", _02="test")

    def run() -> dict[str, Any]:
        return plain(compose_config("data=voc", "data.root=/set", f"data.splits={file}"))

    first = run()
    assert len(first["data"]["splits_digest"]) == 16
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert fingerprint(run()) == fingerprint(first)
    rewrite(file, _00="train", _01="test", _02="val")
    assert fingerprint(run()) != fingerprint(first)
    assert arm_key(arm_settings(run())) == arm_key(arm_settings(first))
    cut = plain(compose_config("data=voc", "data.root=/set", "data.splits=cut"))
    assert cut["data"]["splits_digest"] is None


def test_folds_of_one_arm_are_runs_of_their_own(compose_config: Any) -> None:
    runs = [
        plain(compose_config("data=voc", "data.root=/set", "data.folds=3", f"data.fold={fold}"))
        for fold in range(3)
    ]
    assert len({fingerprint(run) for run in runs}) == 3
    assert len({arm_key(arm_settings(run)) for run in runs}) == 1
    assert run_label(runs[1]).startswith("freeze=none-seed=0-fold=1-")
    five = plain(compose_config("data=voc", "data.root=/set", "data.folds=5", "data.fold=0"))
    assert arm_key(arm_settings(five)) != arm_key(arm_settings(runs[0]))


def test_a_hundred_thousand_lines_are_read_in_seconds(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    lines = (f"images/{i:07d}.jpg,train,{i:016x}" for i in range(100_000))
    file.write_text("picture,split,sha256\n" + "\n".join(lines))
    assert len(read_splits(str(file))) == 100_000
