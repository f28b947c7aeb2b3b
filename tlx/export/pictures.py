"""Pictures for calibration: of the run's own `val` split, or of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tlx.common.errors import ConfigError, DataError
from tlx.data.augment import EvalTransform
from tlx.data.dataset import EvalSplit
from tlx.data.formats.folders import pictures_below
from tlx.data.formats.pictures import decode, stated_bits
from tlx.evaluation.subject import read_subject
from tlx.models.normalisation import Normalisation
from tlx.runtime.source import Source

NO_LIMIT = 1 << 30  # px: a picture is resized once, from its own size


def calibration_pictures(
    source: Source, normalisation: Normalisation, count: int, folder: Path | None, cache_dir: Path
) -> np.ndarray:
    """Normalised pictures, float32 (n, 3, S, S), n at most `count`, evenly spread, in order.

    Args:
        folder: pictures of any names; None takes `val` of the run that made the checkpoint, never
            `test`, on which the result will be judged.
    """
    if count < 1:
        raise ConfigError(f"calibration_pictures={count} must be 1 or more")
    pixels = _of_folder(source, count, folder) if folder else _of_val(source, count, cache_dir)
    mean = np.array(normalisation.mean, np.float32).reshape(1, 3, 1, 1)
    std = np.array(normalisation.std, np.float32).reshape(1, 3, 1, 1)
    normalised: np.ndarray = (np.stack(pixels).astype(np.float32) - mean) / std
    return np.ascontiguousarray(normalised)


def _of_val(source: Source, count: int, cache_dir: Path) -> list[np.ndarray]:
    if not {"data", "detector"} <= source.config.keys():
        raise ConfigError(
            f"{source.path} is of no tlx run, so there is no val split to calibrate on; name a "
            "folder of pictures like those it will see: calibration=FOLDER"
        )
    try:
        subject = read_subject(
            source.config, source.classes, source.dataset, cache_dir, where=source.path, split="val"
        )
    except DataError as error:
        raise DataError(
            f"calibration reads the val split of the run, whose data cannot be read: {error}; "
            "calibration=FOLDER takes other pictures"
        ) from error
    framing = source.framing
    transform = EvalTransform(source.detector.input_size, framing.letterbox)
    split = EvalSplit(framing.cut(subject.items), subject.data.cache, transform)
    return [np.asarray(split[index].image) for index in _spread(len(split), count)]


def _of_folder(source: Source, count: int, folder: Path) -> list[np.ndarray]:
    found = pictures_below(folder)
    if not found:
        raise DataError(f"calibration={folder}: no picture there")
    framing = source.framing
    transform = EvalTransform(source.detector.input_size, framing.letterbox)
    chosen = [found[index] for index in _spread(len(found), count)]
    bits = stated_bits(source.config)
    pixels = []
    for number, path in enumerate(chosen):
        crops = framing.crops(decode(path, rotate=True, max_side=NO_LIMIT, bits=bits))
        # One tile of each picture, from one to the next another one of the grid.
        pixels.append(np.asarray(transform.pixels(crops[number % len(crops)])))
    return pixels


def _spread(available: int, count: int) -> list[int]:
    """At most `count` positions, evenly over all."""
    return np.linspace(0, available - 1, min(count, available)).round().astype(int).tolist()
