"""A part of the train pictures, for learning curves: nested, paired, and with every class in it.

Groups of copies and near copies are lined up by a hash of their contents, those of a class evenly
spread over the line from its very start (systematic sampling by the rarest class a group holds:
Madow and Madow 1944). A part is the first so many of them. So what is in the smaller part is in the
larger, a rare class is in a small part too, and each part has nearly the classes' shares of the
whole. Other splits are not touched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tlx.common.errors import DataError
from tlx.config.schema import OF_SEED, DataConfig, FoldersConfig
from tlx.data.draws import Groups, draw, strata


@dataclass(frozen=True)
class TrainPart:
    """`fraction` of the train pictures, in (0, 1); `seed` is of the hash."""

    fraction: float
    seed: str

    @classmethod
    def of(cls, data: DataConfig | FoldersConfig, seed: int) -> TrainPart | None:
        """What a configuration asks for; None where all of train is used.

        Args:
            seed: of the run, by which `data.train_draw=seed` draws.
        """
        if data.train_fraction >= 1:
            return None
        own = f" of seed {seed}" if data.train_draw == OF_SEED else ""
        return cls(data.train_fraction, f"{data.split_seed}:part of train{own}")

    def chosen(self, groups: Groups, classes: Sequence[str] | None) -> set[str]:
        """The names of the groups that are used: as many as come nearest to the fraction.

        Args:
            groups: those of the train pictures.
            classes: label k is classes[k - 1]; label numbers without them.

        Raises:
            DataError: no picture is left, or none of a class; says which fraction will do.
        """
        line = _line(groups, self.seed)
        ends = [0]
        for key in line:
            ends.append(ends[-1] + len(groups[key]))
        wanted = self.fraction * ends[-1]
        count = min(range(len(ends)), key=lambda place: abs(ends[place] - wanted))
        needed = _needed(line, groups)
        if count == 0 or count < needed:
            raise DataError(self._refusal(line, groups, ends, count, needed, classes))
        return set(line[:count])

    def _refusal(
        self, line: Sequence[str], groups: Groups, ends: Sequence[int], count: int, needed: int,
        classes: Sequence[str] | None,
    ) -> str:  # fmt: skip
        least = math.ceil(1000 * ends[max(needed, 1)] / ends[-1]) / 1000
        what = "no picture"
        if count:
            absent = _labels(groups, line) - _labels(groups, line[:count])
            names = [classes[k - 1] if classes else str(k) for k in sorted(absent)]
            what = (
                f"{ends[count]} picture{'s' * (ends[count] > 1)} without any of {', '.join(names)}"
            )
        return (
            f"data.train_fraction={self.fraction:g} of {ends[-1]} train pictures is {what}: give "
            f"{least:g} or more"
        )


def _line(groups: Groups, seed: str) -> list[str]:
    """The groups in the order in which parts take them."""
    places: dict[str, tuple[float, float]] = {}
    for keys in strata(groups).values():
        drawn = sorted((draw(key, seed), key) for key in keys)
        total, before = sum(len(groups[key]) for key in keys), 0
        for number, key in drawn:
            places[key] = (before / total, number)
            before += len(groups[key])
    return sorted(places, key=lambda key: places[key])


def _needed(line: Sequence[str], groups: Groups) -> int:
    """How many groups from the start hold every class that the line holds."""
    missing = _labels(groups, line)
    for count, key in enumerate(line, start=1):
        missing = missing - _labels(groups, [key])
        if not missing:
            return count
    return len(line)


def _labels(groups: Groups, keys: Sequence[str]) -> set[int]:
    """The labels of all boxes that count."""
    return {
        int(label)
        for key in keys
        for item in groups[key]
        for label, ignored in zip(item.labels, item.difficult, strict=True)
        if not ignored
    }
