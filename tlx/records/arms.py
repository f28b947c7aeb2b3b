"""Arms: a configuration less its seed, under the shortest name that tells it from the others."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from tlx.config.identity import WHOLE, settings
from tlx.records.tuning import BUDGET, found_by_tuning

SCRATCH = "scratch"
Settings = Mapping[str, Any]
# Only defaults of other keys: `trainer.epochs` and the like hold what was used.
_DEFAULTS_OF_OTHERS = {"data.input_size", "data.epochs", "data.batch_size"}
# What a label says in other words than KEY=VALUE.
_NAMED = ("backbone.name", "detector.name", "data.name")
_SPOKEN = {"freeze", "policy.name", *_NAMED}
_GROUPS = {"cache.mode": "cache"}  # chosen as a group on the command line
# What comes with a data set unless it is said: its name stands for these too.
_WITH_DATA = {
    "trainer.epochs", "trainer.batch_size", "detector.input_size", "classifier.input_size",
}  # fmt: skip


# Of the detector that is put together of a neck and heads; those of `WHOLE` do not read them.
_OF_SSD = {f"detector.{key}" for key in ("neck", "head", "width", "depth", "norm")}


def arm_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What makes an arm of a configuration: all that decides its numbers but the seed, by key.

    The folds of a set are tested by one arm, and files of splits are told apart by their content
    (`tlx.report.comparison.arms`).
    """
    found = settings(config)
    left = {"seed", "data.fold", "data.splits_digest", *_DEFAULTS_OF_OTHERS}
    if found.get("detector.name") in WHOLE:
        left |= _OF_SSD
    if found.get("data.augment") in ("light", "off"):
        left.add("data.zoom_out")  # of the recipe `ssd` alone
    if found.get("data.train_fraction", 1) == 1:
        left.add("data.train_draw")  # there is nothing to draw
    tuned = found_by_tuning(found)
    left |= tuned  # an arm at its best is one arm, whatever rates that takes
    if not tuned:
        left |= {k for k in found if k.startswith("tune.") and k not in BUDGET}  # of no trials
    return {k: v for k, v in found.items() if k not in left}


def arm_key(arm: Settings) -> str:
    """Equal for equal settings; 1 and 1.0 are equal."""
    return json.dumps({key: _plain(value) for key, value in arm.items()}, sort_keys=True)


def is_scratch(arm: Settings) -> bool:
    """Whether this is a baseline that starts from random weights."""
    return bool(arm.get("backbone.weights") == SCRATCH)


def train_fraction(arm: Settings) -> float:
    """The part of the train pictures that runs had, in (0, 1]; 1 where nothing sensible is said."""
    value = arm.get("data.train_fraction", 1)
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1
    return float(value) if known else 1.0


def base_label(arm: Settings) -> str:
    """`scratch` or `freeze=4`, with the policy behind it when that is not `fixed`."""
    policy, freeze = str(arm.get("policy.name", "fixed")), str(arm.get("freeze"))
    if policy == "auto":
        return "freeze=auto"  # a pilot chooses the depth
    label = f"freeze={freeze}"
    if is_scratch(arm):
        label = SCRATCH if freeze == "none" else f"{SCRATCH} {label}"
    return label if policy == "fixed" else f"{label} {policy}"


def arm_labels(arms: Sequence[Settings]) -> list[str]:
    """One label an arm, the same for equal arms only.

    Each says what is frozen; backbone and data set where these vary, and `KEY=VALUE` for every
    other key that varies: `freeze=4 head_lr=0.01`. A key is cut to its shortest end that no other
    key has.
    """
    keys = dict.fromkeys(key for arm in arms for key in arm)
    varying = varying_keys(arms)
    words = {key: _end(key, keys) for key in varying if key not in _SPOKEN}
    shown = {key: _shown_values(key, arms) for key in words}
    labels = []
    for arm in arms:
        parts = [base_label(arm)]
        parts += [str(arm.get(k)) for k in _NAMED if k in varying]
        for key, word in words.items():
            # The base of the label says `scratch` already.
            if key in arm and not (key == "backbone.weights" and is_scratch(arm)):
                parts.append(f"{word}={shown[key][arm_key({key: arm[key]})]}")
        labels.append(" ".join(parts))
    return _numbered(labels, arms)


def varying_keys(arms: Sequence[Settings]) -> list[str]:
    """The keys by which arms differ, but for those that another one's value stands for.

    A name of a backbone or data set stands for the keys that come with it, a policy for its own.
    """
    values: dict[str, set[str]] = defaultdict(set)
    for arm in arms:
        for key, value in arm.items():
            if key == "backbone.weights" and is_scratch(arm):
                continue
            values[key].add(arm_key({key: value}))
    varying = [key for key, found in values.items() if len(found) > 1]
    return [key for key in varying if not _implied(key, arms, varying)]


def unlike_keys(one: Settings, other: Settings) -> list[str]:
    """The keys in which two arms differ, other than what is frozen and when."""
    keys = [k for k in dict.fromkeys((*one, *other)) if k != "freeze" and k[:7] != "policy."]
    if is_scratch(one) != is_scratch(other):
        keys = [key for key in keys if key != "backbone.weights"]
    return [key for key in keys if _plain(one.get(key)) != _plain(other.get(key))]


def natural(label: str) -> list[tuple[int, float, str]]:
    """A sorting key that puts 2 before 10, and 1e-3 before 0.01."""
    parts = re.split(r"(?<![\w.])(\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?![\w.])", label)
    return [(0, float(p), "") if i % 2 else (1, 0.0, p) for i, p in enumerate(parts)]


def _implied(key: str, arms: Sequence[Settings], varying: Sequence[str]) -> bool:
    """Whether the name of the key's group varies, and each name comes with one value of the key."""
    name = "data.name" if key in _WITH_DATA else f"{key.partition('.')[0]}.name"
    if key == name or name not in varying or name == "policy.name":
        return False
    found: dict[str, set[str]] = defaultdict(set)
    for arm in arms:
        if not (key == "backbone.weights" and is_scratch(arm)):
            found[str(arm.get(name))].add(arm_key({key: arm.get(key)}))
    return all(len(values) == 1 for values in found.values())


def _end(key: str, keys: Mapping[str, None]) -> str:
    """`head_lr` of `trainer.head_lr`, where no other key ends so."""
    if key in _GROUPS:
        return _GROUPS[key]
    parts = key.split(".")
    for start in reversed(range(len(parts))):
        end = ".".join(parts[start:])
        if not any(k != key and (k == end or k.endswith(f".{end}")) for k in keys):
            return end
    return key


def _shown_values(key: str, arms: Sequence[Settings]) -> dict[str, str]:
    """How each value of a key is written; of paths the last part where that tells them apart."""
    values = {arm_key({key: arm[key]}): arm[key] for arm in arms if key in arm}
    texts = {k: _text(value) for k, value in values.items()}
    ends = {k: PurePath(text).name or text for k, text in texts.items()}
    return ends if len(set(ends.values())) == len(ends) else texts


def _text(value: Any) -> str:
    if isinstance(value, str):
        return " ".join(value.split())
    return (
        f"{value:g}"
        if isinstance(value, float) and float(f"{value:g}") == value
        else (json.dumps(value, default=str).replace('"', ""))
    )


def _plain(value: Any) -> Any:
    """Numbers by their value: JSON and YAML write 1.0 as they like."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _numbered(labels: list[str], arms: Sequence[Settings]) -> list[str]:
    """Number what is still called the same: settings from elsewhere may lack what tells them."""
    known: dict[str, list[str]] = defaultdict(list)
    for label, arm in zip(labels, arms, strict=True):
        if (key := arm_key(arm)) not in known[label]:
            known[label].append(key)
    places = [known[label].index(arm_key(arm)) for label, arm in zip(labels, arms, strict=True)]
    return [
        f"{label} ({place + 1})" if place else label
        for label, place in zip(labels, places, strict=True)
    ]
