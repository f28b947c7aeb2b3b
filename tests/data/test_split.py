"""Splits: no picture in two of them, the same for any order and place of the files."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers_shared import SHARED, needs_shared
from tlx.common.errors import ConfigError, DataError
from tlx.data.check import check
from tlx.data.duplicates import near_duplicate_groups
from tlx.data.formats import read_annotations
from tlx.data.formats.annotations import Item
from tlx.data.formats.pictures import decode
from tlx.data.split import SplitResult, split_items


def item(
    name: str, split: str | None = None, labels: tuple[int, ...] = (1,), copy: str = ""
) -> Item:
    """An item whose digest is that of its name, or of the name it is a `copy` of."""
    n = len(labels)
    boxes = np.tile(np.array([[1, 1, 9, 9]], np.float32), (n, 1))
    return Item(
        image=Path("/set") / f"{name}.jpg",
        boxes=boxes,
        labels=np.array(labels, np.int64),
        difficult=np.zeros(n, bool),
        size=(20, 20),
        digest=hashlib.sha256((copy or name).encode()).hexdigest(),
        split=split,
    )


def plain(n: int, split: str | None = None) -> list[Item]:
    return [item(f"{split}{i}", split) for i in range(n)]


def sizes(result: SplitResult) -> tuple[int, int, int]:
    return len(result.train), len(result.val), len(result.test)


def names(items: list[Item]) -> list[str]:
    return [i.image.stem for i in items]


def test_all_three_are_cut_where_nothing_is_named() -> None:
    items = plain(100)
    result = split_items(items)
    assert sorted(names(result.train + result.val + result.test)) == sorted(names(items))


@pytest.mark.parametrize("seed", range(3))
def test_sizes_are_near_their_fractions(seed: int) -> None:
    """Each picture is drawn by itself, so that sizes are binomial: five deviations are allowed."""
    n = 4000
    result = split_items(plain(n), val_fraction=0.1, test_fraction=0.25, seed=seed)
    for size, fraction in zip(sizes(result), (0.65, 0.1, 0.25), strict=True):
        assert abs(size - fraction * n) < 5 * (n * fraction * (1 - fraction)) ** 0.5


@pytest.mark.parametrize("seed", range(5))
def test_a_set_that_grows_keeps_its_members_where_they_were(seed: int) -> None:
    items = plain(60)
    before = split_items(items, seed=seed)
    grown = [replace(i, split=None) for i in plain(90, "new")] + items
    after = split_items(grown, seed=seed)
    for split in ("train", "val", "test"):
        was, now = set(names(getattr(before, split))), set(names(getattr(after, split)))
        assert was <= now
        assert now - was
    fewer = split_items(items[:45], seed=seed)
    assert set(names(fewer.test)) <= set(names(before.test))


def test_a_group_keeps_its_split_when_a_copy_joins() -> None:
    items = plain(60)
    before = split_items(items)
    after = split_items([*items, *(item(f"copy{i}", copy=f"None{i}") for i in range(60))])
    assert set(names(before.test)) <= set(names(after.test))
    assert len(after.test) == 2 * len(before.test)


def test_result_depends_on_seed_and_contents_only() -> None:
    items = plain(60) + [item(f"copy{i}", copy=f"None{i}") for i in range(9)]
    first = split_items(items, seed=3)
    moved = [replace(i, image=Path("/elsewhere") / i.image.name) for i in items]
    random.Random(1).shuffle(moved)
    again = split_items(moved, seed=3)
    assert [names(s) for s in (first.train, first.val, first.test)] == [
        names(s) for s in (again.train, again.val, again.test)
    ]
    assert names(split_items(items, seed=4).test) != names(first.test)
    assert names(split_items(items, seed=0).test) == names(split_items(items).test)


@pytest.mark.parametrize("seed", range(5))
def test_copies_never_straddle_splits(seed: int) -> None:
    items = plain(40) + [item(f"copy{i}", copy=f"None{i}") for i in range(0, 40, 2)]
    result = split_items(items, seed=seed)
    digests = [{i.digest for i in part} for part in (result.train, result.val, result.test)]
    assert len(set.union(*digests)) == sum(len(part) for part in digests)
    assert sum(sizes(result)) == 60
    assert (result.notes.duplicate_groups, result.notes.duplicate_files) == (20, 40)


def test_given_groups_stay_together_and_join_with_copies() -> None:
    items = [*plain(30), item("copy", copy="None0")]
    groups = [i // 3 for i in range(30)] + [99]
    for seed in range(5):
        result = split_items(items, groups=groups, seed=seed)
        home = {}
        for split in ("train", "val", "test"):
            home |= {i.image.stem: split for i in getattr(result, split)}
        for start in range(0, 30, 3):
            assert len({home[f"None{start + k}"] for k in range(3)}) == 1
        assert home["copy"] == home["None0"]
    with pytest.raises(ValueError, match="30 group numbers for 31"):
        split_items(items, groups=groups[:30])


def test_groups_that_do_not_fit_stay_in_train() -> None:
    items = plain(100)
    groups = [0] * 60 + list(range(1, 41))
    for seed in range(20):
        result = split_items(items, groups=groups, seed=seed)
        assert {f"None{i}" for i in range(60)} <= set(names(result.train))


def test_groups_too_large_for_a_split_fill_it_all_the_same_with_a_warning() -> None:
    groups = [0] * 34 + [1] * 33 + [2] * 33
    result = split_items(plain(100), groups=groups)
    assert sorted(sizes(result)) == [33, 33, 34]
    assert [w.split(":")[0] for w in result.notes.warnings] == [
        f"test holds {len(result.test)} of 100 images, and not about 15",
        f"val holds {len(result.val)} of 100 images, and not about 15",
    ]


def test_named_splits_are_kept() -> None:
    items = plain(5, "train") + plain(3, "val") + plain(2, "test")
    result = split_items(items)
    assert sizes(result) == (5, 3, 2)
    assert result.notes.named == ["train", "val", "test"]
    assert not result.notes.warnings


def test_missing_val_or_test_is_cut_from_train() -> None:
    test = plain(10, "test")
    result = split_items(plain(40, "train") + test)
    assert result.val
    assert set(result.test) == set(test)
    val = plain(10, "val")
    result = split_items(plain(40, "train") + val, test_fraction=0.25)
    assert result.test
    assert set(result.val) == set(val)


def test_images_of_no_split_train_where_others_are_named() -> None:
    result = split_items(plain(5) + plain(2, "val") + plain(2, "test"))
    assert sizes(result) == (5, 2, 2)
    assert result.notes.warnings == ["5 image(s) of no named split are used for train"]


def test_leaks_leave_the_less_trusted_split() -> None:
    items = [
        *plain(4, "train"),
        *plain(4, "val"),
        *plain(4, "test"),
        item("train-is-test", "train", copy="test0"),
        item("val-is-test", "val", copy="test1"),
        item("train-is-val", "train", copy="val2"),
        item("train-is-both", "train", copy="test1"),
        item("train-twice", "train", copy="train0"),
    ]
    result = split_items(items)
    assert sizes(result) == (5, 4, 4)
    assert {(Path(k["image"]).stem, k["split"], k["kept_in"]) for k in result.notes.leaks} == {
        ("train-is-test", "train", "test"),
        ("val-is-test", "val", "test"),
        ("train-is-val", "train", "val"),
        ("train-is-both", "train", "test"),
    }
    assert "train-twice" in names(result.train)
    assert "4 image(s) dropped" in result.notes.warnings[0]


def test_near_leaks_between_named_splits_are_noted_and_kept() -> None:
    items = plain(4, "train") + plain(3, "val") + plain(3, "test")
    groups = list(range(10))
    groups[1] = groups[8]
    result = split_items(items, groups=groups)
    assert sizes(result) == (4, 3, 3)
    assert result.notes.near_leaks == [
        {"image": "/set/train1.jpg", "split": "train", "kept_in": "test"}
    ]
    assert "near-identical" in result.notes.warnings[0]


@pytest.mark.parametrize(("n", "fraction"), [(3, 0.15), (3, 0.01), (4, 0.45), (10, 0.49)])
def test_small_sets_fill_every_split(n: int, fraction: float) -> None:
    result = split_items(plain(n), val_fraction=fraction, test_fraction=fraction)
    assert min(sizes(result)) >= 1
    assert sum(sizes(result)) == n


@pytest.mark.parametrize("seed", range(10))
def test_greedy_fractions_leave_one_for_each_split(seed: int) -> None:
    result = split_items(plain(5), val_fraction=0.05, test_fraction=0.94, seed=seed)
    assert min(sizes(result)) >= 1


def test_too_few_different_images() -> None:
    with pytest.raises(
        DataError, match="2 images in 2 different groups cannot fill train and test"
    ):
        split_items(plain(2))
    copies = [item(f"c{i}", copy="same") for i in range(50)]
    with pytest.raises(DataError, match="51 images in 2 different groups"):
        split_items([*copies, *plain(1)])
    with pytest.raises(DataError, match="cannot fill train and val"):
        split_items(plain(1, "train") + plain(5, "test"))
    with pytest.raises(DataError, match="0 images in 0 different groups cannot fill train"):
        split_items(plain(5, "val") + plain(5, "test"))


@pytest.mark.parametrize(("val", "test"), [(0, 0.1), (0.1, -0.1), (0.5, 0.5), (float("nan"), 0.1)])
def test_fractions_that_leave_nothing(val: float, test: float) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        split_items(plain(10), val_fraction=val, test_fraction=test)


def test_counts_negatives_and_missing_classes() -> None:
    items = [
        item("a", "train", (1, 2, 2)),
        item("b", "train", ()),
        item("c", "val", (1, 1)),
        item("d", "test", (1, 2)),
    ]
    notes = split_items(items, classes=["cat", "dog"]).notes
    assert notes.counts["train"] == {
        "images": 2,
        "boxes": 3,
        "negatives": 1,
        "per_class": {"cat": 1, "dog": 2},
    }
    assert notes.counts["val"]["per_class"] == {"cat": 2, "dog": 0}
    assert [w.split(":")[0] for w in notes.warnings] == ["val has no box of class dog"]
    assert set(split_items(items).notes.counts["val"]["per_class"]) == {"1", "2"}
    json.dumps(notes.to_dict())


# --- the real sets ---


@needs_shared
def test_guns_split_keeps_its_29_duplicate_groups_together() -> None:
    result = check(read_annotations("voc", SHARED / "guns", None), None)
    split = split_items(result.items, classes=result.classes)
    assert sum(sizes(split)) == 333
    assert (split.notes.duplicate_groups, split.notes.duplicate_files) == (29, 60)
    assert sum(counts["boxes"] for counts in split.notes.counts.values()) == 428
    assert not {i.digest for i in split.train} & {i.digest for i in split.val + split.test}
    assert not {i.digest for i in split.val} & {i.digest for i in split.test}


@needs_shared
def test_ppe_leaks() -> None:
    items = check(read_annotations("voc", SHARED / "ppe", None), None).items
    groups = near_duplicate_groups(decode(i.image, rotate=i.rotate, max_side=64) for i in items)
    split = split_items(items, groups=groups)
    assert (len(split.train) + len(split.val), len(split.test)) == (364, 49)
    leaks = {Path(leak["image"]).stem for leak in split.notes.leaks}
    assert leaks == {"gwrht", "hv", "kio"}
    [near] = split.notes.near_leaks
    assert near["image"].endswith("contaminants 334.jpg")
    assert near["kept_in"] == "test"
    home = {i: split for split, part in (("t", split.train), ("v", split.val)) for i in part}
    assert all(
        len({home[i] for i, g in zip(items, groups, strict=True) if g == group and i in home}) == 1
        for group in {g for i, g in zip(items, groups, strict=True) if i in home}
    )
