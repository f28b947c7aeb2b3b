"""Checkpoints as files: what they say of themselves, and the detector that they hold."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import tlx.models.detectors  # noqa: F401  registers the detectors
from tlx.common.errors import WeightsError
from tlx.common.version import __version__
from tlx.data.membership import Membership
from tlx.data.split_notes import NO_BEST, NO_FIGURE
from tlx.models.backbones.base import Conventions, backbone_spec
from tlx.models.backbones.weights import own_meta, read_torch
from tlx.models.detector import Detector, build_detector
from tlx.models.low_rank import fitted
from tlx.records.digest import BEST, LAST
from tlx.records.record import CLASSIFICATION, read_record

log = logging.getLogger(__name__)


def checkpoint_meta(
    detector: Detector, dataset: Membership, config: dict[str, Any]
) -> dict[str, Any]:
    """What a checkpoint says of itself, in plain types."""
    return {
        "version": __version__,
        "backbone": detector.spec.name,
        "detector": detector.name,
        "detector_options": detector.built_with,
        "conventions": asdict(detector.conventions),
        "classes": list(dataset.classes),
        "dataset": dataset.as_lists(),
        "input_size": detector.input_size,
        "config": config,
    }


def find_checkpoint(path: Path) -> Path:
    """A checkpoint file, or the best checkpoint of a run's folder.

    A finished run whose val split has no object that counts has none; its last one is the result
    then, and a warning says so.

    Raises:
        WeightsError: there is none, or the run is not finished and has no best one yet.
    """
    for candidate in (path, path / "checkpoints" / BEST, path / BEST):
        if candidate.is_file():
            return candidate
    last = path / "checkpoints" / LAST
    if last.is_file():
        if (read_record(path) or {}).get("status") != "finished":
            raise WeightsError(
                f"{path} is not finished and has no {BEST} yet: let it finish, or give {last}"
            )
        log.warning("%s: %s: %s", path, NO_FIGURE, NO_BEST)
        return last
    raise WeightsError(f"{path} is neither a checkpoint nor a run folder with checkpoints/{BEST}")


def load_detector(path: Path) -> tuple[Detector, dict[str, Any]]:
    """The detector of a tlx checkpoint in inference mode, and the checkpoint's meta data.

    Raises `WeightsError` for a file that is damaged, not tlx's, or does not fit its own meta data.
    """
    checkpoint = read_torch(path)
    if not isinstance(checkpoint, dict) or "tlx" not in checkpoint:
        raise WeightsError(
            f"{path} is not a tlx checkpoint; weights of other projects are given to "
            "`python -m tlx.train backbone.weights=…`"
        )
    meta = own_meta(checkpoint, path)
    if meta.get("task") == CLASSIFICATION:
        raise WeightsError(
            f"{path} is a classifier, not a detector: python -m tlx.classify.export exports it"
        )
    try:
        conventions = Conventions(**meta["conventions"])
        detector = build_detector(
            meta.get("detector", "ssd"),  # none was stored before there were more
            backbone_spec(meta["backbone"]), conventions, len(meta["classes"]), meta["input_size"],
            meta.get("detector_options", {}),
        )  # fmt: skip
        load_weights(detector, checkpoint, path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path} does not describe a detector: {error!r}") from error
    return detector.eval(), meta


def load_weights(detector: Detector, checkpoint: dict[str, Any], path: Path) -> None:
    """Fill a detector with the tensors of a checkpoint that was read from `path`."""
    state = {
        key.removeprefix("detector."): value for key, value in checkpoint["state_dict"].items()
    }
    try:
        detector.load_state_dict(fitted(state, detector))
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit its own description: {error}") from error
    detector.to(memory_format=torch.channels_last)
