"""k folds: each picture is tested in one of k runs, and trained or selected on in the others.

The folds follow from a hash of a group's contents, as the splits do, and copies stay together. With
them the test set is the whole set, at the price of k trainings.
"""

from __future__ import annotations

from collections.abc import Sequence

from tlx.common.errors import ConfigError, DataError
from tlx.config.splits import Fold
from tlx.data.draws import Groups, fill_empty, positions


def refuse_named(fold: Fold, named: Sequence[str]) -> None:
    """Folds test every picture: a set that names its splits says something else.

    Raises:
        ConfigError: it names some.
    """
    if named:
        raise ConfigError(
            f"data.folds={fold.count} tests every picture once, and the set names its "
            f"{' and '.join(named)}: fold all its pictures with data.splits=cut, or leave "
            "data.folds out and keep its splits"
        )


def groups_of_fold(
    fold: Fold,
    groups: Groups,
    seed: int | str,
    *,
    stratify: bool,
    classes: Sequence[str] | None,
) -> set[str]:
    """The names of the groups that this fold tests; over all folds it is each group once.

    Args: see `tlx.data.draws.positions`.

    Raises:
        DataError: there are too few groups for so many folds.
    """
    if len(groups) < max(fold.count, 3):
        raise DataError(
            f"{sum(map(len, groups.values()))} images in {len(groups)} different groups cannot "
            f"fill {fold.count} folds and train and val beside each: add images, ask for fewer "
            "folds, or (frames of a fixed camera) give data.group_near_duplicates=false"
        )
    homes: dict[int, list[str]] = {number: [] for number in range(fold.count)}
    place = positions(groups, seed, stratify=stratify, classes=classes)
    for key in sorted(groups, key=lambda key: place[key]):
        homes[int(place[key] * fold.count)].append(key)
    fill_empty(homes, {key: len(items) for key, items in groups.items()})
    return set(homes[fold.number])
