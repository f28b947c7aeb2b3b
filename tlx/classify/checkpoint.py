"""Checkpoints of classifiers: what they say of themselves, and reading them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from tlx.classify.network import Classifier
from tlx.common.errors import ConfigError, WeightsError
from tlx.common.version import __version__
from tlx.data.membership import Membership
from tlx.models.backbones.base import Conventions, backbone_spec
from tlx.models.backbones.weights import own_meta, read_torch
from tlx.models.low_rank import fitted
from tlx.records.record import CLASSIFICATION

TASK = CLASSIFICATION


def classifier_meta(
    classifier: Classifier, dataset: Membership, config: dict[str, Any]
) -> dict[str, Any]:
    """What a checkpoint says of itself, in plain types."""
    return {
        "version": __version__,
        "task": TASK,
        "backbone": classifier.spec.name,
        "conventions": asdict(classifier.conventions),
        "classes": list(dataset.classes),
        "dataset": dataset.as_lists(),
        "input_size": classifier.input_size,
        "head": classifier.head,
        "config": config,
    }


def is_classifier(path: Path) -> bool:
    """Whether this file is the checkpoint of a classifier; damaged ones are none."""
    if path.suffix != ".ckpt" or not path.is_file():
        return False
    try:
        return bool(own_meta(read_torch(path), path).get("task") == TASK)
    except WeightsError:
        return False


def load_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """The classifier of a checkpoint in inference mode, and the checkpoint's meta data.

    Raises `WeightsError` for a file that is damaged or no classifier of tlx.
    """
    checkpoint = read_torch(path)
    meta = checkpoint.get("tlx") if isinstance(checkpoint, dict) else None
    if not isinstance(meta, dict) or meta.get("task") != TASK:
        raise WeightsError(
            f"{path} is no classifier of tlx; detectors are exported by `python -m tlx.export`"
        )
    meta = own_meta(checkpoint, path)
    try:
        classifier = Classifier(
            backbone_spec(meta["backbone"]), Conventions(**meta["conventions"]),
            len(meta["classes"]), meta["input_size"],
            head=meta.get("head", "linear"),  # the only one, before there was a choice
        )  # fmt: skip
    except (ConfigError, ValueError) as error:
        raise WeightsError(f"{path} does not describe a classifier: {error}") from error
    fill(classifier, checkpoint, path)
    return classifier.eval(), meta


def fill(classifier: Classifier, checkpoint: dict[str, Any], path: Path) -> None:
    """Fill a classifier with the tensors of a checkpoint that was read from `path`."""
    state = {k.removeprefix("classifier."): v for k, v in checkpoint["state_dict"].items()}
    try:
        classifier.load_state_dict(fitted(state, classifier))
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit its own description: {error}") from error
