"""The pictures that an artefact and its checkpoint are compared on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlx.common.errors import DataError
from tlx.config.schema import DataConfig
from tlx.data.augment import EvalTransform
from tlx.data.dataset import EvalSplit
from tlx.data.formats.annotations import Item
from tlx.data.formats.folders import pictures_below
from tlx.data.formats.pictures import decode, stated_bits
from tlx.data.module import DetectionData, build_data
from tlx.evaluation.subject import read_subject
from tlx.runtime.meta import ModelMeta
from tlx.runtime.preprocess import resize

log = logging.getLogger(__name__)
SPLIT = "test"
BATCH = 8  # pictures
NO_LIMIT = 1 << 30  # px: a picture is resized once, from its own size


@dataclass(frozen=True)
class Pictures:
    """A split with its ground truth, or a folder without.

    Attributes:
        name: of the pictures, for people. labelled: whether mAP means anything on them.
        bits: that the 16-bit files of a folder use; None: all.
    """

    name: str
    data: DetectionData | None
    paths: Sequence[Path]
    labelled: bool
    bits: int | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.data.splits[SPLIT]) if self.data else len(self.paths)

    def batches(self, side: int) -> Iterator[tuple[np.ndarray, list[Item]]]:
        """uint8 (B, side, side, 3) with the items they belong to (empty ones for a folder)."""
        for start in range(0, self.count, BATCH):
            places = range(start, min(start + BATCH, self.count))
            if self.data:
                split = EvalSplit(self.data.splits[SPLIT], self.data.cache, EvalTransform(side))
                rows = [split[place].image for place in places]
                images = [row.permute(1, 2, 0).numpy() for row in rows if row is not None]
                yield np.stack(images), [self.data.splits[SPLIT][place] for place in places]
            else:
                chosen = [self.paths[place] for place in places]
                images = [
                    decode(path, rotate=True, max_side=NO_LIMIT, bits=self.bits) for path in chosen
                ]
                items = [_unlabelled(*pair) for pair in zip(chosen, images, strict=True)]
                yield np.stack([resize(image, side) for image in images]), items


def parity_pictures(meta: ModelMeta, cache_dir: Path, folder: Path | None) -> Pictures:
    """`folder` where it is named, else `test` of the run, else the embedded sample's `test`.

    The sample shows other objects than the model knows: tensors can be compared on it, mAP cannot.
    """
    if folder is not None:
        paths = pictures_below(folder)
        if not paths:
            raise DataError(f"{folder} holds no picture to compare on")
        return Pictures(str(folder), None, paths, False, stated_bits(meta.config))
    if "data" in meta.config:
        try:
            subject = read_subject(
                meta.config, meta.classes, meta.dataset, cache_dir, where="the run", split=SPLIT
            )
            name = str(meta.config["data"]["name"])
            return Pictures(f"{SPLIT} of {name}", subject.data, (), True)
        except DataError as error:
            log.warning("the run's data cannot be read, mAP is not compared: %s", error)
    cfg = DataConfig(name="sample", format="sample", group_near_duplicates=False)
    return Pictures(f"{SPLIT} of the sample", build_data(cfg, cache_dir), (), False)


def _unlabelled(path: Path, image: np.ndarray) -> Item:
    size = (image.shape[1], image.shape[0])
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool)
    return Item(path, *none, size=size, digest="")
