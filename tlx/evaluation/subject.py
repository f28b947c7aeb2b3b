"""The pictures that a model is measured on: those of its run's split, or all of another set."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlx.common.errors import ConfigError, DataError
from tlx.common.files import path_below
from tlx.common.typos import unknown_choice
from tlx.config.schema import DataConfig, DetectorConfig
from tlx.config.typed import from_plain
from tlx.data.formats import AUTO, READERS
from tlx.data.formats.annotations import Item
from tlx.data.membership import UNSEEN, Membership, drift
from tlx.data.module import DetectionData, build_data

log = logging.getLogger(__name__)

ALL = "all"
_SPLITS = ("train", "val", "test", ALL)
_NAMED = 5  # pictures that a warning lists


@dataclass(frozen=True)
class Subject:
    """What is measured on.

    Attributes:
        data: with the pictures under `data.splits[split]`. detector: thresholds of the run.
        split: "train", "val" or "test" of the run, or "all".
        about: what was left out and what has changed since training, for the figures.
    """

    data: DetectionData
    detector: DetectorConfig
    split: str
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def items(self) -> list[Item]:
        """The pictures."""
        return self.data.splits[self.split]


def read_subject(
    config: Mapping[str, Any],
    classes: Sequence[str],
    dataset: Mapping[str, Any] | None,
    cache_dir: Path,
    *,
    where: object,
    split: str | None = None,
    root: str | None = None,
    format: str | None = None,
    fixes: str | None = None,
) -> Subject:
    """The pictures that a model is to be measured on, dealt out as its run had them.

    Args:
        config: of the run, as a checkpoint stores it. classes: of the model, background not
            counted. dataset: the run's `Membership`, as a checkpoint or `model.json` stores it.
        where: that file, for messages.
        split: None takes `test`, and with `root` all pictures.
        root: another folder: the set at another place, or another set of the same classes. What
            the run trained or selected on is known by its contents, and is never in `all`.
        format: of the set in `root`, where it is not that of training.
        fixes: a data-fix list instead of that of training; with `root` none applies by default.

    Raises:
        ConfigError: no such split or format.
        DataError: the data cannot be read, nothing of the split is there, or the model does not say
            which pictures were its run's.
    """
    name = split or (ALL if root is not None else "test")
    if name not in _SPLITS:
        raise ConfigError(unknown_choice("split", name, _SPLITS))
    data_cfg = from_plain(config.get("data"), DataConfig, f"{where}: config.data")
    detector = from_plain(config.get("detector"), DetectorConfig, f"{where}: config.detector")
    _point_to(data_cfg, root, format, fixes)
    # The classes, and so the labels, are the model's, whatever this copy of the data names.
    if data_cfg.format != "sample":
        data_cfg.classes = list(classes)
    stored = Membership.read(classes, dataset, where)
    if stored is None and root is not None:
        stored = Membership(tuple(classes), {})
        log.warning(
            "%s does not say which pictures it was trained on (an earlier version of tlx made it): "
            "those of them that are in %s are counted as well", where, root,
        )  # fmt: skip
    data = build_data(data_cfg, cache_dir, detector.input_size, stored)
    if stored is None:
        _refuse_unknown(data, where)
        about: dict[str, Any] = {}
    else:
        about = _choose(data, stored, name, split, root)
    return Subject(data, detector, name, about)


def _point_to(cfg: Any, root: str | None, format: str | None, fixes: str | None) -> None:
    if format is not None and root is None:
        raise ConfigError("format=… is of another set: add root=FOLDER")
    if format is not None and format not in (*READERS, AUTO):
        raise ConfigError(unknown_choice("format", format, [*sorted(READERS), AUTO]))
    if root is not None:
        cfg.root, cfg.fixes = root, None
        cfg.format = format or ("voc" if cfg.format == "sample" else cfg.format)
    if fixes is not None:
        cfg.fixes = fixes


def _refuse_unknown(data: DetectionData, where: object) -> None:
    """A cut of today may put pictures into `test` that an earlier version trained on."""
    cut = [split for split in data.splits if split not in data.report["named"]]
    if cut:
        raise DataError(
            f"{where} does not say which pictures it was trained on (an earlier version of tlx "
            f"made it), and the set names no {' and no '.join(cut)}: nothing tells which ones it "
            "has not seen. Train it again, or evaluate another set with root=FOLDER"
        )
    log.warning("%s does not say which pictures it was trained on: not compared", where)


def _choose(
    data: DetectionData, stored: Membership, name: str, asked: str | None, root: str | None
) -> dict[str, Any]:
    """Put the pictures under `data.splits[name]`; returns what there is to say of them."""
    folder, unseen = Path(data.report["root"]), data.splits[UNSEEN]
    data.splits.setdefault(name, [])
    about: dict[str, Any] = {}
    if name == ALL:
        had = [item for split in ("train", "val") for item in data.splits.get(split, [])]
        data.splits[ALL] = _ordered([*data.splits.get("test", []), *unseen])
        about["left_out"] = sorted(path_below(item.image, folder) for item in had)
        if had:
            log.warning(
                "%d pictures are left out, because the model was trained or selected on them: %s",
                len(had), _list(about["left_out"]),
            )  # fmt: skip
    elif root is not None and not data.splits[name]:
        data.splits[name] = [item for item in unseen if item.split == name]
    else:
        gone, changed = drift(stored, data.splits[name], data.classes, name)
        about |= {"gone": gone, "changed": changed, "new": len(unseen)}
        _tell(name, len(data.splits[name]), about)
    if not data.splits[name]:
        raise DataError(_nothing(name, data, root))
    return about


def _tell(split: str, count: int, about: Mapping[str, int]) -> None:
    if about["gone"]:
        log.warning(
            "%d of the %d pictures of %s are gone since training: the figures are of the others",
            about["gone"], count + about["gone"], split,
        )  # fmt: skip
    if about["changed"]:
        log.warning(
            "%d pictures of %s have other boxes than at training: today's count",
            about["changed"], split,
        )  # fmt: skip
    if about["new"]:
        log.info(
            "%d pictures have come since training; they are in no split of the run, and split=%s "
            "evaluates them together with test", about["new"], ALL,
        )  # fmt: skip


def _nothing(name: str, data: DetectionData, root: str | None) -> str:
    if name == ALL:
        return f"every picture of {data.report['root']} was trained or selected on: none is left"
    if root is None:
        return f"none of the run's pictures of {name} is in {data.report['root']} any more"
    return (
        f"root={root} holds no picture of the run's {name} and names no {name} of its own: "
        f"split={ALL} takes all its pictures"
    )


def _ordered(items: Sequence[Item]) -> list[Item]:
    return sorted(items, key=lambda item: (item.digest, str(item.image)))


def _list(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
