"""The pictures that an artefact and its checkpoint are compared on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from tlx.common.errors import DataError
from tlx.config.schema import DataConfig
from tlx.data.augment import EvalTransform
from tlx.data.dataset import EvalSplit
from tlx.data.formats.annotations import Item
from tlx.data.formats.folders import pictures_below
from tlx.data.formats.pictures import decode, stated_bits
from tlx.data.framing import WHOLE, Framing
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
        framing: how the network sees them.
    """

    name: str
    data: DetectionData | None
    paths: Sequence[Path]
    labelled: bool
    bits: int | None = None
    framing: Framing = WHOLE

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.data.splits[SPLIT]) if self.data else len(self.paths)

    @property
    def items(self) -> list[Item]:
        """Of a split; none of a folder."""
        return self.data.splits[SPLIT] if self.data else []

    def batches(self, side: int) -> Iterator[np.ndarray]:
        """What the network is shown: uint8 (B, side, side, 3), in order."""
        shown = self._of_split(side) if self.data else self._of_folder(side)
        while batch := list(islice(shown, BATCH)):
            yield np.stack(batch)

    def _of_split(self, side: int) -> Iterator[np.ndarray]:
        assert self.data is not None
        transform = EvalTransform(side, self.framing.letterbox)
        split = EvalSplit(self.framing.cut(self.items), self.data.cache, transform)
        for place in range(len(split)):
            image = split[place].image
            assert image is not None
            yield image.permute(1, 2, 0).numpy()

    def _of_folder(self, side: int) -> Iterator[np.ndarray]:
        for path in self.paths:
            image = decode(path, rotate=True, max_side=NO_LIMIT, bits=self.bits)
            for crop in self.framing.crops(image):
                yield resize(crop, side, letterbox=self.framing.letterbox)


def parity_pictures(meta: ModelMeta, cache_dir: Path, folder: Path | None) -> Pictures:
    """`folder` where it is named, else `test` of the run, else the embedded sample's `test`.

    The sample shows other objects than the model knows: tensors can be compared on it, mAP cannot.
    """
    if folder is not None:
        paths = pictures_below(folder)
        if not paths:
            raise DataError(f"{folder} holds no picture to compare on")
        return Pictures(str(folder), None, paths, False, stated_bits(meta.config), meta.framing)
    if "data" in meta.config:
        try:
            subject = read_subject(
                meta.config, meta.classes, meta.dataset, cache_dir, where="the run", split=SPLIT
            )
            name = str(meta.config["data"]["name"])
            return Pictures(f"{SPLIT} of {name}", subject.data, (), True, None, meta.framing)
        except DataError as error:
            log.warning("the run's data cannot be read, mAP is not compared: %s", error)
    cfg = DataConfig(name="sample", format="sample", group_near_duplicates=False)
    sample = build_data(cfg, cache_dir)
    return Pictures(f"{SPLIT} of the sample", sample, (), False, None, meta.framing)
