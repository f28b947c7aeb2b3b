"""From a configuration to loaders: read, check, cache, split, batch."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.data import DataLoader

from tlx.common.errors import ConfigError, DataError
from tlx.common.typos import unknown_choice
from tlx.config.schema import DataConfig
from tlx.data.augment import Augmentation, EvalTransform, TrainAugment
from tlx.data.cache import ImageCache, Undecoded
from tlx.data.check import CheckResult, check
from tlx.data.dataset import Cached, EpochBatches, EvalSplit, TrainSplit, collate
from tlx.data.duplicates import near_duplicate_groups
from tlx.data.faults import FaultReport
from tlx.data.fixes import apply_fixes, read_fixes
from tlx.data.formats import find_format, read_annotations, stated_classes
from tlx.data.formats.annotations import Annotation, Item
from tlx.data.formats.pictures import BITS
from tlx.data.found import Found
from tlx.data.label_noise import label_noise
from tlx.data.membership import UNSEEN, Membership
from tlx.data.sample import ensure_sample
from tlx.data.split import (
    SPLITS,
    refuse_copied_splits,
    restored_items,
    split_items,
    without_splits,
)

log = logging.getLogger(__name__)


@dataclass
class DetectionData:
    """A data set that is ready to train on.

    Attributes:
        classes: label k is classes[k - 1]. splits: "train", "val" and "test" items.
        cache: decoded pictures. report: what was found and done, plain values for the record.
        faults: every fault, one by one.
    """

    classes: list[str]
    splits: dict[str, list[Item]]
    cache: ImageCache
    report: dict[str, Any]
    faults: FaultReport

    @property
    def membership(self) -> Membership:
        """The pictures and boxes of each split, by digest."""
        return Membership.of(self.classes, self.splits)


def build_data(
    cfg: DataConfig,
    cache_dir: Path,
    input_size: int | None = None,
    stored: Membership | None = None,
    found: Found | None = None,
) -> DetectionData:
    """Read, check, cache and split a data set; a fault is reported and follows a stated rule.

    Args:
        input_size: of the network, px; None takes the data set's own.
        stored: the splits of an earlier run, which are then restored; what it did not have is the
            split "unseen". None keeps the set's own splits and cuts those that are missing.
        found: gets what is found on the way, also of a set that is refused. Nothing is decoded for
            training then: the cache of the answer is `Undecoded`.

    Raises `DataError` or `ConfigError` naming file, line or box, and what to do.
    """
    input_size = input_size or cfg.input_size
    if cfg.format == "sample":
        root, format = ensure_sample(cache_dir), "voc"
    else:
        root = Path(str(cfg.root)).expanduser()
        format = find_format(cfg.format, root)
    annotations, checked = read_checked(cfg, root, format, input_size, found)
    fixes = read_fixes(Path(cfg.fixes).expanduser()) if cfg.fixes else []
    if checked.faults.serious:
        log.warning("%s", checked.faults.summary())
    if found is not None:
        cache: ImageCache = Undecoded(checked.items, cfg.max_side)
    else:
        with _progress("decoding pictures") as advance:
            cache = ImageCache.build(
                checked.items, cache_dir / "images", max_side=cfg.max_side, progress=advance
            )
    known = [annotation.image for annotation in annotations]

    def amend(parts: dict[str, list[Item]]) -> None:
        apply_fixes(fixes, parts, known, root, checked.classes, checked.faults)

    if stored is not None:
        splits, notes = restored_items(checked.items, stored, classes=checked.classes, amend=amend)
    else:
        groups = None if found is None else found.group()
        if not cfg.group_near_duplicates:
            groups = None
        elif groups is None:
            groups = near_duplicate_groups(cache[item.digest] for item in checked.items)
        split = split_items(
            checked.items,
            val_fraction=cfg.val_fraction,
            test_fraction=cfg.test_fraction,
            seed=cfg.split_seed,
            groups=groups,
            classes=checked.classes,
            amend=amend,
        )
        splits = {"train": split.train, "val": split.val, "test": split.test}
        notes = split.notes
    if fixes:
        log.info("%d data fixes of %s: see faults.json", len(fixes), cfg.fixes)
    notes.add_tiny_boxes({s: i for s, i in splits.items() if s != UNSEEN}, input_size)
    for warning in notes.warnings:
        log.warning("%s", warning)
    return DetectionData(
        classes=checked.classes,
        splits=splits,
        cache=cache,
        report={
            "root": str(root),
            "format": format,
            "bits": cfg.bits,
            "faults": checked.faults.counts(),
            "label_noise": label_noise(checked.items),
            **notes.to_dict(),
        },
        faults=checked.faults,
    )


def read_checked(
    cfg: DataConfig, root: Path, format: str, input_size: int, found: Found | None = None
) -> tuple[list[Annotation], CheckResult]:
    """The annotations of the folder as written, and what the check left of them."""
    if cfg.splits not in SPLITS:
        raise ConfigError(unknown_choice("data.splits", cfg.splits, SPLITS))
    if cfg.bits is not None and cfg.bits not in BITS:
        raise ConfigError(f"data.bits={cfg.bits} is none of {BITS[0]} to {BITS[-1]}")
    classes = list(cfg.classes) if cfg.classes else stated_classes(root)
    annotations = read_annotations(format, root, classes)
    if found is not None:
        found.annotations = annotations
    if cfg.splits == "cut":
        annotations = without_splits(annotations)
    refuse_copied_splits(annotations)
    checked = check(
        annotations, classes, strict=cfg.strict, input_size=input_size, bits=cfg.bits,
        max_side=cfg.max_side, found=found,
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
    return annotations, checked


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

    def train(self, steps_done: Callable[[], int], first_step: int = 0) -> DataLoader[Any]:
        """Shuffled, augmented batches from the step that training has reached.

        Args:
            steps_done, first_step: see `EpochBatches`, which is the loader's `batch_sampler`.
        """
        items = self.data.splits["train"]
        augment = self.augment or TrainAugment(self.input_size, self.zoom_out)
        dataset = TrainSplit(items, self.data.cache, augment, self.seed, self.views, self.cached)
        batches = EpochBatches(
            len(items), self.batch_size, self.seed, steps_done, first_step, self.accumulate
        )
        return DataLoader(dataset, batch_sampler=batches, **self._options())

    def evaluation(self, split: str) -> DataLoader[Any]:
        """All pictures of a split, in order."""
        if split not in self.data.splits:
            raise DataError(f"split {split!r} is none of {', '.join(self.data.splits)}")
        dataset = EvalSplit(
            self.data.splits[split], self.data.cache, EvalTransform(self.input_size)
        )
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
