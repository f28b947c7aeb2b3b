"""The factors of a study, and at which level of each an arm is."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from tlx.records.arms import SCRATCH, natural, train_fraction, varying_keys
from tlx.report.comparison.arms import Arm
from tlx.report.comparison.records import Record

IMAGENET = "ImageNet"


@dataclass(frozen=True)
class Factor:
    """What varies between settings of a study.

    Attributes:
        key: its name in `report.json` and in the names of files.
        title: in words, to follow "the".
        place: how a level is named in a sentence, with {}.
        of: what an arm has, and how that is called; equal for arms of one level.
        ordered: whether levels are numbers, so that a trend is looked for.
    """

    key: str
    title: str
    place: str
    of: Callable[[Arm], tuple[Hashable, str]]
    ordered: bool = False


def data_set(arm: Arm) -> tuple[Hashable, str]:
    """The set by name, place and content; the name is that of the configuration."""
    found = tuple(str(arm.settings.get(key)) for key in ("data.name", "data.root", "dataset"))
    return found, arm.first.text("data") or found[0]


def backbone(arm: Arm) -> tuple[Hashable, str]:
    """The network below the heads."""
    name = arm.first.text("backbone") or "unknown"
    return name, name


def start(arm: Arm) -> tuple[Hashable, str]:
    """Where the weights come from: random, ImageNet, a detector, or a file of a name."""
    return start_of(arm.first)


def start_of(record: Record) -> tuple[Hashable, str]:
    """The start of a run, from what its record says of its weights.

    What a file was trained on is not known: it goes by its name, and two files are two starts.
    """
    if record.scratch:
        return SCRATCH, SCRATCH
    name = record.text("weights", "name")
    asked = record.get("config", "backbone", "weights")
    if name is not None:
        trained_on = name.partition("@")[2]
        label = IMAGENET if trained_on == "imagenet" else f"detector ({trained_on})"
        return label, label
    if asked == "auto":  # the backbone's own, which are ImageNet's
        return IMAGENET, IMAGENET
    path = PurePath((record.text("weights", "source") or "unknown").replace("\\", "/"))
    own = path.suffix == ".ckpt" and path.parent.name == "checkpoints"
    label = path.parent.parent.name if own else path.name.removesuffix(path.suffix)
    if record.text("weights", "holds") == "detector":
        label = f"detector ({label})"
    return record.text("weights", "sha256") or str(path), label


def part_of_train(arm: Arm) -> tuple[Hashable, str]:
    """The fraction of the train pictures."""
    value = train_fraction(arm.settings)
    return value, f"{100 * value:g} %"


def fold(arm: Arm) -> tuple[Hashable, str]:
    """The fold that all runs of the arm test."""
    return arm.first.fold, f"fold {arm.first.fold}"


DATA = Factor("data", "data set", "on {}", data_set)
BACKBONE = Factor("backbone", "backbone", "with {}", backbone)
START = Factor("start", "start", "starting from {}", start)
TRAIN = Factor(
    "train", "number of training pictures", "with {} of the training pictures", part_of_train, True
)
FOLD = Factor("fold", "fold", "in {}", fold)
NAMED = (DATA, BACKBONE, START, TRAIN)
# Keys that the factors above stand for.
_STAND_FOR = {
    "freeze", "backbone.name", "backbone.model", "backbone.weights", "data.name", "data.root",
    "dataset", "data.train_fraction", "data.train_draw", "data.fold",
}  # fmt: skip


def factors_of(references: Sequence[Arm]) -> list[Factor]:
    """The factors that have two levels or more among the arms that others are compared with.

    Any other key that varies among them is one too, but for those that follow from a factor: the
    epochs that come with a data set.
    """
    found = [factor for factor in NAMED if len({factor.of(arm)[0] for arm in references}) > 1]
    for key in varying_keys([arm.settings for arm in references]):
        if key in _STAND_FOR or key.startswith("policy."):
            continue
        other = _of_key(key)
        if not any(follows(other, factor, references) for factor in found):
            found.append(other)
    return found


def _of_key(key: str) -> Factor:
    """A factor of any other key."""
    word = key.rpartition(".")[2]

    def of(arm: Arm) -> tuple[Hashable, str]:
        value = arm.settings.get(key)
        return json.dumps(value, default=str), str(value)

    return Factor(key, f"key {key}", f"with {word}={{}}", of)


def follows(factor: Factor, other: Factor, arms: Sequence[Arm]) -> bool:
    """Whether the level of `other` says that of `factor`."""
    found: dict[Hashable, set[Hashable]] = defaultdict(set)
    for arm in arms:
        found[other.of(arm)[0]].add(factor.of(arm)[0])
    return all(len(levels) == 1 for levels in found.values())


def level_labels(factor: Factor, arms: Sequence[Arm]) -> dict[Hashable, str]:
    """A name for each level, in reading order; levels of one name are numbered."""
    named = {level: label for level, label in map(factor.of, arms)}
    counts: dict[str, int] = defaultdict(int)
    labels: dict[Hashable, str] = {}
    for level, label in named.items():
        counts[label] += 1
        labels[level] = label if counts[label] == 1 else f"{label} ({counts[label]})"
    return dict(sorted(labels.items(), key=lambda pair: natural(pair[1])))
