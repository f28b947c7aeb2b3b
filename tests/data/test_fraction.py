"""A part of the train pictures: nested, paired, with every class, and val and test as they were."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.classify.helpers_classify import config as classify_config
from tests.classify.helpers_classify import write_set
from tests.conftest import Compose
from tests.data.test_split import item, names
from tests.data.test_split_folds import imbalanced, in_threes
from tests.report.helpers_report import compared, make_record
from tlx.classify.data import build_folders
from tlx.common.errors import ConfigError, DataError
from tlx.config.check import check_config
from tlx.config.identity import fingerprint
from tlx.config.splits import Fold
from tlx.config.typed import plain
from tlx.data.formats.annotations import Item
from tlx.data.fraction import TrainPart
from tlx.data.module import build_data
from tlx.data.split import SplitResult, split_items
from tlx.records.arms import arm_settings

FRACTIONS = (0.1, 0.2, 0.4, 0.7)


def part_of(items: list[Item], fraction: float, seed: str = "0", **options: Any) -> SplitResult:
    return split_items(items, part=TrainPart(fraction, seed), **options)


@pytest.mark.parametrize("seed", ["0", "1", "2"])
@pytest.mark.parametrize("fold", [None, Fold(1, 4)])
def test_parts_are_nested_and_leave_val_and_test_alone(seed: str, fold: Fold | None) -> None:
    items = imbalanced(300)
    groups = in_threes(items)
    whole = split_items(items, groups=groups, fold=fold)
    smaller: set[str] = set()
    for fraction in FRACTIONS:
        found = part_of(items, fraction, seed, groups=groups, fold=fold)
        assert (names(found.val), names(found.test)) == (names(whole.val), names(whole.test))
        train = set(names(found.train))
        assert smaller < train < set(names(whole.train))
        assert sorted(names(found.train + found.spare)) == sorted(names(whole.train))
        assert len(train) == pytest.approx(fraction * len(whole.train), abs=1.5)
        assert found.notes.counts["train"]["images"] == len(train)
        assert found.notes.train_part == {
            "fraction": fraction, "images": len(train), "of": len(whole.train),
        }  # fmt: skip
        home = {int(name[1:]) // 3 for name in train}
        assert home.isdisjoint(int(name[1:]) // 3 for name in names(found.spare))
        smaller = train
    assert whole.notes.train_part is None
    assert whole.spare == []


def test_another_seed_takes_others_and_the_order_of_the_files_does_not_matter() -> None:
    items = imbalanced(200)
    first, again = part_of(items, 0.2), part_of(items[::-1], 0.2)
    assert names(first.train) == names(again.train)
    assert names(first.train) != names(part_of(items, 0.2, "1").train)


def test_every_class_is_in_a_small_part_and_shares_are_those_of_the_whole() -> None:
    """Class 4 is 5 % of the boxes: of ten pictures drawn by lot most would hold none."""
    items = imbalanced(300)
    off = []
    for seed in map(str, range(40)):
        train = part_of(items, 0.1, seed).train
        labels = Counter(int(label) for each in train for label in each.labels)
        assert set(labels) == {1, 2, 3, 4}
        off.append([labels[k] / labels.total() for k in (1, 2, 3, 4)])
    whole = Counter(int(k) for each in split_items(items).train for k in each.labels)
    expected = [whole[k] / whole.total() for k in (1, 2, 3, 4)]
    # The rarest has a picture more than its share, by the rule that every class is in.
    assert np.mean(off, axis=0) == pytest.approx(expected, abs=0.05)


def test_a_part_without_a_class_or_a_picture_is_refused() -> None:
    items = [item(f"p{i}", labels=(1,)) for i in range(90)]
    items += [item(f"q{i}", labels=(2,)) for i in range(10)]
    assert len(split_items(items).train) == 71
    # One picture of each class is 2 of 71.
    with pytest.raises(DataError, match=r"=0.001 of 71 train pictures is no picture: give 0.029"):
        part_of(items, 0.001)
    with pytest.raises(DataError, match=r"1 picture without any of (cat|dog): give 0.029"):
        part_of(items, 0.015, classes=["cat", "dog"])
    assert len(part_of(items, 0.029).train) == 2


def test_boxes_that_do_not_count_are_no_example_of_a_class() -> None:
    items = [item(f"p{i}", labels=(1,)) for i in range(60)]
    hard = item("hard", labels=(2,))
    hard.difficult[:] = True
    items.append(replace(hard, split="train"))
    items = [replace(each, split=each.split or "train") for each in items]
    items += [replace(item(f"{s}{i}"), split=s) for s in ("val", "test") for i in range(3)]
    assert len(part_of(items, 0.05).train) == 3


def test_a_large_group_that_spoils_the_size_is_told() -> None:
    items = [item(f"p{i}", "train") for i in range(40)]
    items += [item(f"{s}{i}", s) for s in ("val", "test") for i in range(3)]
    groups = [0] * 30 + list(range(1, 17))
    found = [part_of(items, 0.3, str(seed), groups=groups) for seed in range(6)]
    told = [[w for w in each.notes.warnings if "train_fraction" in w] for each in found]
    assert any(told)
    for each, lines in zip(found, told, strict=True):
        assert bool(lines) is not (6 <= len(each.train) <= 24)  # of 12 half and twice


def test_a_run_has_the_pictures_of_its_part_and_says_so(
    tiny_config: Compose, tmp_path: Path
) -> None:
    def of(*overrides: str, seed: int = 0) -> Any:
        return build_data(tiny_config(*overrides).data, tmp_path / "cache", 96, seed=seed)

    whole = of()
    half = of("data.train_fraction=0.5")
    assert half.report["train_part"] == {"fraction": 0.5, "images": 9, "of": 18}
    assert len(half.train_items) == 9
    assert half.membership.splits["test"] == whole.membership.splits["test"]
    assert (
        half.membership.splits["train"]
        == of("data.train_fraction=0.5", seed=7).membership.splits["train"]
    )
    less = of("data.train_fraction=0.2").membership.splits["train"]
    assert len(less) == 4
    assert set(less) < set(half.membership.splits["train"])
    drawn = ("data.train_fraction=0.5", "data.train_draw=seed")
    members = [of(*drawn, seed=seed).membership for seed in (0, 0, 1)]
    assert members[0] == members[1]
    assert members[0].splits["train"] != members[2].splits["train"]
    # All pictures together are the same, whichever are used.
    wholes = {json.dumps(m.summary()["whole"]) for m in (*members, half.membership)}
    assert len(wholes) == 1
    assert "whole" not in whole.membership.summary()
    # A run that is evaluated later has the pictures that it had; the others were not its own.
    cfg = tiny_config().data
    again = build_data(cfg, tmp_path / "cache", 96, half.membership)
    assert {i.digest for i in again.splits["train"]} == {i.digest for i in half.splits["train"]}
    assert {i.digest for i in again.splits["unseen"]} == {i.digest for i in half.spare}


def test_folders_of_classes_have_parts_too(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", {"train": 8, "val": 2, "test": 2})
    words = (f"data.root={root}", "data.group_near_duplicates=false")
    found = build_folders(classify_config(*words, "data.train_fraction=0.25").data, tmp_path / "c")
    assert Counter(int(i.labels[0]) for i in found.splits["train"]) == {1: 2, 2: 2, 3: 2}
    assert found.report["train_part"] == {"fraction": 0.25, "images": 6, "of": 24}
    with pytest.raises(DataError, match="without any of"):
        build_folders(classify_config(*words, "data.train_fraction=0.05").data, tmp_path / "c")


def test_the_whole_is_the_run_that_it_was(compose_config: Compose) -> None:
    for task in ("detect", "classify"):
        plainly = compose_config(f"task={task}")
        values: Any = plain(plainly)
        for key in ("train_fraction", "train_draw"):
            del values["data"][key]
        assert fingerprint(values) == fingerprint(plain(plainly))
        # Of the whole there is nothing to draw: it is the end of both learning curves.
        drawn = compose_config(f"task={task}", "data.train_draw=seed")
        assert arm_settings(plain(drawn)) == arm_settings(plain(plainly))
        part = compose_config(f"task={task}", "data.train_fraction=0.5")
        assert fingerprint(plain(part)) != fingerprint(values)
    for wrong in ("data.train_fraction=0", "data.train_fraction=1.5", "data.train_draw=often"):
        with pytest.raises(ConfigError, match=wrong.partition("=")[0]):
            check_config(compose_config(wrong))


def of_part(cfg: Any, train: str) -> dict[str, Any]:
    """A finished run on pictures that go by a name."""
    splits = {s: {"images": 9, "pictures": s * 3, "boxes": s * 3} for s in ("val", "test")}
    splits["train"] = {"images": 5, "pictures": f"{train} train", "boxes": f"{train} train"}
    dataset = {"classes": ["plate"], "splits": splits, "whole": {"images": 30}}
    return make_record(str(cfg.freeze), cfg.seed, config=plain(cfg), dataset=dataset)


def test_seeds_that_draw_their_own_pictures_are_one_arm(
    compose_config: Compose, tmp_path: Path
) -> None:
    records = [
        of_part(
            compose_config(
                f"freeze={freeze}", f"seed={seed}", f"data.train_fraction={fraction}",
                "data.train_draw=seed",
            ),
            "whole" if fraction == 1 else f"{fraction}{seed}",
        )
        for fraction in (0.2, 1)
        for seed in range(3)
        for freeze in ("none", "4")
    ]  # fmt: skip
    study = compared(tmp_path, *records)
    labels = [f"freeze={f} train_fraction={p}" for f in ("none", "4") for p in ("0.2", "1")]
    assert [(row.arm.label, len(row.arm.records)) for row in study.rows] == [(w, 3) for w in labels]
    found = {(d.arm, d.reference): d.pairs for d in study.differences if d.figure == "test_map_50"}
    assert found == {(labels[2], labels[0]): 3, (labels[3], labels[1]): 3}
