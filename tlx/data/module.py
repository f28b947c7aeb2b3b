"""From a configuration to loaders: read, check, cache, split, batch."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.data import DataLoader

from tlx.common.collector import paused_collector
from tlx.common.errors import ConfigError, DataError
from tlx.config.schema import DataConfig
from tlx.config.splits import CHOICES, Fold
from tlx.data.augment import Augmentation, EvalTransform, TrainAugment
from tlx.data.cache import ImageCache, Undecoded
from tlx.data.check import CheckResult, check
from tlx.data.dataset import Cached, EpochBatches, EvalSplit, TrainSplit, collate
from tlx.data.duplicates import groups_by_digest
from tlx.data.faults import FaultReport
from tlx.data.fixes import apply_fixes, read_fixes
from tlx.data.formats import find_format, read_annotations, stated_classes
from tlx.data.formats.annotations import Annotation, Item
from tlx.data.formats.pictures import BITS
from tlx.data.formats.registry import SIGNS
from tlx.data.found import Found
from tlx.data.fraction import TrainPart
from tlx.data.framing import WHOLE, Framing
from tlx.data.label_noise import label_noise
from tlx.data.membership import UNSEEN, Membership
from tlx.data.prepare import prepared
from tlx.data.sample import ensure_sample
from tlx.data.split import (
    refuse_copied_splits,
    restored_items,
    split_items,
    without_splits,
)
from tlx.data.split_file import assign, read_splits
from tlx.data.train_view import train_view

log = logging.getLogger(__name__)


@dataclass
class DetectionData:
    """A data set that is ready to train on.

    Attributes:
        classes: label k is classes[k - 1]. splits: "train", "val" and "test" items.
        cache: decoded pictures. report: what was found and done, plain values for the record.
        faults: every fault, one by one. framing: how the network sees pictures.
        tiles: those that training sees; None: it sees the pictures.
        factors: how often each of `train_items` comes up beside others; None: all alike.
        folded: whether this is one of several folds of the set.
        spare: pictures of train that `data.train_fraction` leaves out.
    """

    classes: list[str]
    splits: dict[str, list[Item]]
    cache: ImageCache
    report: dict[str, Any]
    faults: FaultReport
    framing: Framing = WHOLE
    tiles: list[Item] | None = None
    factors: np.ndarray | None = None
    folded: bool = False
    spare: list[Item] = field(default_factory=list)

    @property
    def train_items(self) -> list[Item]:
        """What an epoch of training goes through: pictures, or their tiles."""
        return self.splits["train"] if self.tiles is None else self.tiles

    @property
    def membership(self) -> Membership:
        """The pictures and boxes of each split, by digest."""
        return Membership.of(self.classes, self.splits, folded=self.folded, spare=self.spare)


def build_data(
    cfg: DataConfig,
    cache_dir: Path,
    input_size: int | None = None,
    stored: Membership | None = None,
    found: Found | None = None,
    seed: int = 0,
) -> DetectionData:
    """Read, check, cache and split a data set; a fault is reported and follows a stated rule.

    Args:
        input_size: of the network, px; None takes the data set's own.
        stored: the splits of an earlier run, which are then restored; what it did not have is the
            split "unseen". None keeps the set's own splits and cuts those that are missing.
        found: gets what is found on the way, also of a set that is refused. Nothing is decoded for
            training then: the cache of the answer is `Undecoded`.
        seed: of the run, by which `data.train_draw=seed` draws.

    Raises `DataError` or `ConfigError` naming file, line or box, and what to do.
    """
    input_size = input_size or cfg.input_size
    if cfg.format == "sample":
        root, source, format = ensure_sample(cache_dir), None, "voc"
    else:
        root, source = prepared(cfg, cache_dir)
        format = find_format(cfg.format, root)
        if format != cfg.format:
            log.info("%s is read as %s: %s", root, format, SIGNS[format].words)
    fold = Fold.of(cfg.folds, cfg.fold)
    annotations, checked, told = read_checked(
        cfg, root, format, input_size, stored=stored is not None, found=found
    )
    fixes = read_fixes(Path(cfg.fixes).expanduser()) if cfg.fixes else []
    if checked.faults.serious:
        log.warning("%s", checked.faults.summary())
    framing = Framing.of({"data": vars(cfg)})
    max_side = cfg.max_side
    if framing.tile:
        # At their own size: a tile of a picture that was scaled down would be another one.
        max_side = max([max_side, *(max(item.size) for item in checked.items)])
    if found is not None:
        cache: ImageCache = Undecoded(checked.items, max_side)
    else:
        if framing.tile:
            ImageCache.refuse_full_disk(checked.items, cache_dir / "images", max_side)
        with _progress("decoding pictures") as advance:
            cache = ImageCache.build(
                checked.items, cache_dir / "images", max_side=max_side, progress=advance
            )
    known = [annotation.image for annotation in annotations]

    def amend(parts: dict[str, list[Item]]) -> None:
        apply_fixes(fixes, parts, known, root, checked.classes, checked.faults)

    spare: list[Item] = []
    if stored is not None:
        splits, notes = restored_items(checked.items, stored, classes=checked.classes, amend=amend)
    else:
        groups = None if found is None else found.group()
        if not cfg.group_near_duplicates:
            groups = None
        elif groups is None:
            numbers = groups_by_digest(checked.hashes)
            groups = [numbers[item.digest] for item in checked.items]
        split = split_items(
            checked.items,
            val_fraction=cfg.val_fraction,
            test_fraction=cfg.test_fraction,
            seed=cfg.split_seed,
            groups=groups,
            classes=checked.classes,
            stratify=cfg.stratify,
            fold=fold,
            part=TrainPart.of(cfg, seed),
            amend=amend,
        )
        split.notes.warnings[:0] = told
        splits = {"train": split.train, "val": split.val, "test": split.test}
        notes, spare = split.notes, split.spare
    if fixes:
        log.info("%d data fixes of %s: see faults.json", len(fixes), cfg.fixes)
    notes.add_tiny_boxes({s: i for s, i in splits.items() if s != UNSEEN}, input_size, framing)
    for warning in notes.warnings:
        log.warning("%s", warning)
    tiles, factors, view = None, None, dict[str, Any]()
    if stored is None:
        tiles, factors, view = train_view(cfg, splits["train"], checked.classes)
    return DetectionData(
        classes=checked.classes,
        framing=framing,
        tiles=tiles,
        factors=factors,
        splits=splits,
        cache=cache,
        report={
            "root": str(root),
            "source": source,
            "format": format,
            "bits": cfg.bits,
            "faults": checked.faults.counts(),
            "label_noise": label_noise(checked.items),
            **notes.to_dict(),
            **view,
        },
        faults=checked.faults,
        folded=fold is not None,
        spare=spare,
    )


@paused_collector()
def read_checked(
    cfg: DataConfig,
    root: Path,
    format: str,
    input_size: int,
    *,
    stored: bool = False,
    found: Found | None = None,
) -> tuple[list[Annotation], CheckResult, list[str]]:
    """The annotations of the folder as written, what the check left of them, and warnings.

    Args:
        stored: the splits are those of an earlier run: a file of them is not read.
        found: see `build_data`.
    """
    lines = read_splits(cfg.splits) if cfg.splits not in CHOICES and not stored else None
    if lines is not None and cfg.folds is not None:
        raise ConfigError(
            f"data.splits={cfg.splits} says what is tested, and data.folds={cfg.folds} too: leave "
            "one out (python -m tlx.data split writes a file of a fold)"
        )
    if cfg.bits is not None and cfg.bits not in BITS:
        raise ConfigError(f"data.bits={cfg.bits} is none of {BITS[0]} to {BITS[-1]}")
    classes = list(cfg.classes) if cfg.classes else stated_classes(root)
    annotations = read_annotations(format, root, classes)
    if found is not None:
        found.annotations = annotations
    if cfg.splits != "named":
        annotations = without_splits(annotations)
    listed = assign(annotations, lines, root) if lines is not None else None
    annotations = listed.annotations if listed else annotations
    refuse_copied_splits(annotations)
    checked = check(
        annotations, classes, strict=cfg.strict, input_size=input_size, bits=cfg.bits,
        framing=Framing.of({"data": vars(cfg)}), found=found,
    )  # fmt: skip
    for split in dict.fromkeys(a.split for a in annotations if a.split):
        if not any(item.split == split for item in checked.items):
            members = [a for a in annotations if a.split == split]
            first = ": ".join([members[0].source, *(text for _, text in members[0].remarks)])
            raise DataError(
                f"the set names a {split} split, and none of its {len(members)} pictures can be "
                f"used (the first: {first}): correct its list, or have all pictures divided anew "
                "with data.splits=cut"
            )
    told = [*listed.warnings, *listed.changed(checked.items)] if listed else []
    return annotations, checked, told


class _progress:
    """A bar on a terminal, nothing elsewhere; `with` yields the callback."""

    def __init__(self, what: str) -> None:
        self.bar = Progress(
            TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            transient=True, disable=not sys.stderr.isatty(),
        )  # fmt: skip

    def __enter__(self) -> Callable[[int, int], None]:
        self.bar.start()
        task = self.bar.add_task("", total=None)
        return lambda done, total: self.bar.update(task, completed=done, total=total)

    def __exit__(self, *error: object) -> None:
        self.bar.stop()


@dataclass
class Loaders:
    """The three loaders of a run, over one set of decoded pictures.

    Args:
        seed: of order and augmentation. views, cached: see `TrainSplit`.
        augment: makes the training views; None: SSD's, with `zoom_out`.
        accumulate: batches of an optimizer step.
        framing: how evaluation sees pictures; None: as `data` says. With tiles it reads them one
            by one (`tlx.evaluation.gather` puts what is found together).
    """

    data: DetectionData
    input_size: int
    batch_size: int
    workers: int
    zoom_out: float = 1.0
    seed: int = 0
    views: int = 0
    cached: Cached | None = None
    augment: Augmentation | None = None
    accumulate: int = 1
    framing: Framing | None = None

    def train(self, steps_done: Callable[[], int], first_step: int = 0) -> DataLoader[Any]:
        """Shuffled, augmented batches from the step that training has reached.

        Args:
            steps_done, first_step: see `EpochBatches`, which is the loader's `batch_sampler`.
        """
        items = self.data.train_items
        augment = self.augment or TrainAugment(
            self.input_size, self.zoom_out, letterbox=self.data.framing.letterbox
        )
        dataset = TrainSplit(items, self.data.cache, augment, self.seed, self.views, self.cached)
        batches = EpochBatches(
            len(items), self.batch_size, self.seed, steps_done, first_step, self.accumulate,
            self.data.factors,
        )  # fmt: skip
        return DataLoader(dataset, batch_sampler=batches, **self._options())

    def evaluation(self, split: str) -> DataLoader[Any]:
        """All pictures of a split, in order."""
        if split not in self.data.splits:
            raise DataError(f"split {split!r} is none of {', '.join(self.data.splits)}")
        framing = self.framing or self.data.framing
        dataset = EvalSplit(
            framing.cut(self.data.splits[split]), self.data.cache,
            EvalTransform(self.input_size, framing.letterbox),
        )  # fmt: skip
        return DataLoader(dataset, batch_size=self.batch_size, **self._options())

    def _options(self) -> dict[str, Any]:
        return {
            "collate_fn": collate,
            "num_workers": self.workers,
            "persistent_workers": self.workers > 0,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": _start_loading if self.workers else None,
        }


def _start_loading(worker: int) -> None:
    """A loader process takes what the training step leaves of the cores, and leaves stops to it.

    The step's threads wait for one another: whoever takes a core from one of them stops all. A
    terminal tells every process of a stop; this one goes on until the run has saved its state.
    """
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which the run ends it, if need be
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(19)
