"""From a configuration to loaders: read, check, cache, split; training views of whole pictures."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlx.classify.folders import read_folders, refuse_empty
from tlx.classify.shapes import ensure_shapes
from tlx.common.errors import ConfigError, DataError
from tlx.config.schema import FoldersConfig
from tlx.data.augment import Augmentation, TrainAugment, Unchanged, register
from tlx.data.cache import ImageCache
from tlx.data.colour import scaled
from tlx.data.duplicates import near_duplicate_groups
from tlx.data.faults import FaultReport
from tlx.data.formats.annotations import Item
from tlx.data.fraction import TrainPart
from tlx.data.geometry import MIRROR, Window, whole
from tlx.data.membership import Membership
from tlx.data.module import DetectionData
from tlx.data.split import restored_items, split_items
from tlx.data.split_notes import SplitNotes

log = logging.getLogger(__name__)

ASPECTS = (3 / 4, 4 / 3)  # of a crop, relative to the picture's own
TRIALS = 10


def build_folders(
    cfg: FoldersConfig, cache_dir: Path, stored: Membership | None = None, seed: int = 0
) -> DetectionData:
    """Read, check, cache and split a set; `DataError` or `ConfigError` that says what to do.

    Args:
        stored: the splits of an earlier run, which are then restored (`tlx.data.membership`).
        seed: of the run, by which `data.train_draw=seed` draws.
    """
    own = cfg.root is None
    root = ensure_shapes(cache_dir) if cfg.root is None else Path(cfg.root).expanduser()
    faults = FaultReport()
    classes = list(cfg.classes) if cfg.classes is not None else None
    items, names = read_folders(root, classes, faults, strict=cfg.strict)
    if faults.serious:
        log.warning("%s", faults.summary())
    if stored is None:
        refuse_empty(root, {names[int(item.labels[0]) - 1] for item in items}, classes)
    classes = names
    cache = ImageCache.build(items, cache_dir / "images", max_side=cfg.max_side)
    if stored is not None:
        splits, notes = restored_items(items, stored, classes=classes)
        return _data(classes, splits, cache, root, faults, notes)
    groups = None
    if cfg.group_near_duplicates and not own:  # the sample's pictures are drawn independently
        groups = near_duplicate_groups(cache[item.digest] for item in items)
    split = split_items(
        items, val_fraction=cfg.val_fraction, test_fraction=cfg.test_fraction,
        seed=cfg.split_seed, groups=groups, classes=classes, part=TrainPart.of(cfg, seed),
    )  # fmt: skip
    for warning in split.notes.warnings:
        log.warning("%s", warning.replace("box(es)", "picture(s)").replace("box", "picture"))
    trained = {int(item.labels[0]) for item in split.train}
    if absent := [name for k, name in enumerate(classes, start=1) if k not in trained]:
        raise DataError(
            f"train has no picture of {', '.join(absent)}: add pictures, or leave the class out"
        )
    splits = {"train": split.train, "val": split.val, "test": split.test}
    return _data(classes, splits, cache, root, faults, split.notes, split.spare)


def _data(
    classes: list[str], splits: dict[str, list[Item]], cache: ImageCache, root: Path,
    faults: FaultReport, notes: SplitNotes, spare: Sequence[Item] = (),
) -> DetectionData:  # fmt: skip
    told = {key: value for key, value in notes.to_dict().items() if key != "counts"}
    counts = {part: n["per_class"] for part, n in notes.counts.items()}
    report = {"root": str(root), "faults": faults.counts(), "pictures": counts, **told}
    return DetectionData(classes, splits, cache, report, faults, spare=list(spare))


class CropAugment(TrainAugment):
    """A crop of random area and aspect, stretched to the input; colour distortion, mirror.

    The crop of Szegedy et al. 2015 (arXiv:1409.4842, sec. 6), relative to the picture's aspect,
    because pictures are stretched to the square input on the device too.
    """

    def __init__(self, input_size: int, least_area: float, strength: float = 1.0) -> None:
        super().__init__(input_size, strength=strength)
        self.least_area = scaled(least_area, 1.0, strength)

    def _draw(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[Window, Tensor, Tensor]:
        window = crop_window(rng, image.shape[1], image.shape[0], self.least_area, self.strength)
        return window, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.from_numpy(labels)


@register("crop")
def _crop(input_size: int, data: Any) -> Augmentation:
    """Random crops of whole pictures."""
    if not isinstance(data, FoldersConfig):
        raise ConfigError("data.augment=crop forgets boxes: it is for task=classify")
    if not data.augment_strength:
        return Unchanged(input_size, data)
    return CropAugment(input_size, data.least_area, data.augment_strength)


def crop_window(
    rng: np.random.Generator, width: int, height: int, least_area: float, strength: float = 1.0
) -> Window:
    """A random crop of a `width` x `height` picture; the whole one where no trial fits.

    Args:
        strength: scales aspects and the odds of a mirror image.
    """
    aspects, mirror = np.log(ASPECTS) * strength, MIRROR * strength
    for _ in range(TRIALS):
        area = rng.uniform(least_area, 1.0)
        aspect = math.exp(rng.uniform(*aspects))
        w, h = round(width * math.sqrt(area * aspect)), round(height * math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            return Window(int(left), int(top), w, h, bool(rng.random() < mirror))
    view = whole(width, height)
    return Window(view.left, view.top, view.width, view.height, bool(rng.random() < mirror))
