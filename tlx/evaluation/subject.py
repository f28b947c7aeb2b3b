"""The data set that a model is measured on: that of the run that trained it, or another place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from tlx.data.module import DetectionData, build_data
from tlx.errors import DataError
from tlx.schema import DataConfig, DetectorConfig


def read_subject(
    config: Mapping[str, Any],
    classes: Sequence[str],
    cache_dir: Path,
    *,
    root: str | None = None,
    fixes: str | None = None,
) -> tuple[DetectionData, DetectorConfig]:
    """The data set of a run's configuration, and its thresholds.

    Args:
        config: as a checkpoint stores it. classes: of the model, background not counted.
        root: another place of the data set; the data fixes of training then do not apply.
        fixes: a data-fix list instead of that of training.
    """
    data_cfg = OmegaConf.merge(OmegaConf.structured(DataConfig), config["data"])
    detector_cfg = OmegaConf.merge(OmegaConf.structured(DetectorConfig), config["detector"])
    if root is not None:
        data_cfg.root = root
        data_cfg.fixes = None
    if fixes is not None:
        data_cfg.fixes = fixes
    # The classes, and so the labels, are the model's, whatever this copy of the data names.
    if data_cfg.format != "sample":
        data_cfg.classes = list(classes)
    data = build_data(data_cfg, cache_dir, detector_cfg.input_size)  # type: ignore[arg-type]
    return data, detector_cfg  # type: ignore[return-value]


def checked_split(data: DetectionData, split: str) -> str:
    """The split's name; `DataError` where the data set has none of this name."""
    if split not in data.splits:
        raise DataError(f"split={split} is none of {', '.join(data.splits)}")
    return split
