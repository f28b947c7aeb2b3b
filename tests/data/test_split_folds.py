"""Folds and strata: each picture tested once, groups whole, classes balanced, growth as stated."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.data.test_split import item, names, plain, sizes
from tlx.common.errors import ConfigError, DataError
from tlx.config.splits import Fold
from tlx.data.formats.annotations import Item
from tlx.data.split import SplitResult, split_items

RARITY = (0.6, 0.25, 0.1, 0.05)  # shares of classes 1 to 4 among the pictures


def imbalanced(n: int, start: int = 0) -> list[Item]:
    """Pictures of which each has one or two boxes of a few classes, the last of them rare."""
    rng = np.random.default_rng(start)
    return [
        item(f"p{start + i}", labels=tuple(int(k) for k in 1 + rng.choice(4, 1 + i % 2, p=RARITY)))
        for i in range(n)
    ]


def in_threes(items: list[Item]) -> list[int]:
    return [i // 3 for i in range(len(items))]


def folds_of(items: list[Item], k: int, **options: object) -> list[SplitResult]:
    return [split_items(items, fold=Fold(number, k), **options) for number in range(k)]  # type: ignore[arg-type]


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_every_picture_is_tested_once_and_groups_stay_whole(k: int, stratify: bool) -> None:
    items = [*imbalanced(120), *(item(f"copy{i}", copy=f"p{i}") for i in range(0, 30, 7))]
    groups = [i // 3 for i in range(120)] + [1000 + i for i in range(5)]
    results = folds_of(items, k, groups=groups, stratify=stratify, seed=4)
    tested = Counter(name for result in results for name in names(result.test))
    assert tested == Counter(names(items))
    for result in results:
        parts = (result.train, result.val, result.test)
        assert sorted(name for part in parts for name in names(part)) == sorted(names(items))
        home = {name: i for i, part in enumerate(parts) for name in names(part)}
        for first in range(0, 120, 3):
            assert len({home[f"p{first + j}"] for j in range(3)}) == 1
        assert all(home[f"copy{i}"] == home[f"p{i}"] for i in range(0, 30, 7))
        assert min(sizes(result)) > 0


def test_a_group_larger_than_a_fold_is_tested_all_the_same() -> None:
    items = plain(60)
    results = folds_of(items, 5, groups=[0] * 30 + list(range(1, 31)))
    assert Counter(n for r in results for n in names(r.test)) == Counter(names(items))
    # … and is no part of val, for which it is too large.
    assert not any({"None0"} & set(names(r.val)) for r in results)


def test_val_is_its_part_of_all_and_another_one_beside_each_fold() -> None:
    results = folds_of(plain(2000), 4, val_fraction=0.15)
    for result in results:
        for size, share in zip(sizes(result), (0.6, 0.15, 0.25), strict=True):
            assert abs(size - share * 2000) < 5 * (2000 * share * (1 - share)) ** 0.5
    first, second = set(names(results[0].val)), set(names(results[1].val))
    assert len(first & second) < 0.35 * len(first)


@pytest.mark.parametrize("seed", range(3))
def test_folds_of_a_set_that_grows_keep_their_members(seed: int) -> None:
    items = imbalanced(90)
    for before, after in zip(
        folds_of(items, 5, seed=seed), folds_of([*items, *imbalanced(90, 90)], 5, seed=seed),
        strict=True,
    ):  # fmt: skip
        assert set(names(before.test)) < set(names(after.test))


def test_folds_of_a_set_that_names_its_splits_are_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"names its train and test: fold all .*splits=cut"):
        split_items(plain(20, "train") + plain(5, "test"), fold=Fold(0, 5))


def test_more_folds_than_groups() -> None:
    with pytest.raises(DataError, match="4 images in 4 different groups cannot fill 5 folds"):
        split_items(plain(4), fold=Fold(0, 5))
    with pytest.raises(DataError, match="cannot fill 2 folds"):
        split_items(plain(2), fold=Fold(0, 2))
    for k in (3, 7, 12):
        tested = [name for result in folds_of(plain(12), k) for name in names(result.test)]
        assert sorted(tested) == sorted(names(plain(12)))


@pytest.mark.parametrize(
    ("folds", "fold", "words"),
    [
        (None, 2, "data.folds=5"),
        (5, None, "data.fold=0,1,2,3,4 with -m"),
        (5, 5, "between 0 and 4"),
        (5, -1, "between 0 and 4"),
        (1, 0, "between 2 and 100"),
    ],
)
def test_folds_that_cannot_be(folds: int | None, fold: int | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Fold.of(folds, fold)


def test_folds_that_leave_nothing_to_train_on() -> None:
    assert Fold.of(None, None) is None
    with pytest.raises(ConfigError, match="leave nothing to train on"):
        Fold(0, 2).val_share(0.5)


# --- strata ---


def shares_off(result: SplitResult, items: list[Item]) -> float:
    """How far test's share of the pictures of each class is from .15, root mean square."""

    def held(part: list[Item]) -> np.ndarray:
        return np.array([sum(k in i.labels for i in part) for k in range(1, 5)])

    return float(np.sqrt(np.mean((held(result.test) / held(items) - 0.15) ** 2)))


def test_shares_of_classes_are_nearer_with_strata() -> None:
    """Over 60 seeds and 300 pictures: .042 without, .012 with strata, as docs/data.md says."""
    items = imbalanced(300)
    plainly, stratified = (
        np.mean([shares_off(split_items(items, seed=s, stratify=on), items) for s in range(60)])
        for on in (False, True)
    )
    assert stratified < 0.4 * plainly


@pytest.mark.parametrize("seed", range(3))
def test_every_split_has_its_part_of_a_stratum(seed: int) -> None:
    """Systematic sampling: of n groups a split with the chance f gets f n, rounded up or down."""
    items = [item(f"a{i}", labels=(1,)) for i in range(200)]
    items += [item(f"b{i}", labels=(1, 2)) for i in range(20)]
    result = split_items(items, seed=seed, stratify=True)
    for part in (result.val, result.test):
        rare = sum(2 in i.labels for i in part)
        assert rare == 3
        assert len(part) - rare == 30


def test_a_stratified_set_that_grows_moves_few_members() -> None:
    """300 pictures and half as many again: over 40 seeds 3.8 % of the members move."""
    items = imbalanced(300)
    grown = [*items, *imbalanced(150, 300)]
    moved = []
    for seed in range(40):
        homes = []
        for members in (items, grown):
            result = split_items(members, seed=seed, stratify=True)
            parts = (result.train, result.val, result.test)
            homes.append({name: i for i, part in enumerate(parts) for name in names(part)})
        moved.append(np.mean([homes[0][name] != homes[1][name] for name in homes[0]]))
    assert np.mean(moved) < 0.05


def test_strata_change_nothing_unless_asked_for() -> None:
    items = imbalanced(100)
    assert sizes(split_items(items)) == sizes(split_items(items, stratify=False))
    assert names(split_items(items).test) != names(split_items(items, stratify=True).test)


def test_strata_do_not_depend_on_the_order_of_the_files() -> None:
    items = imbalanced(80)
    first = split_items(items, stratify=True, groups=in_threes(items))
    again = split_items(items[::-1], stratify=True, groups=in_threes(items)[::-1])
    assert names(first.test) == names(again.test)
