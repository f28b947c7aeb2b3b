"""What is exported: the detector of a tlx or a pytorch-ssd checkpoint, with its class names."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tlx.models.backbones  # noqa: F401  registers the backbones
from tlx.common.cli import hydra_command
from tlx.common.errors import ConfigError, WeightsError
from tlx.data.framing import Framing
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import read_torch, resolve
from tlx.models.detector import Detector
from tlx.models.detectors.ssd.priors import ANCHORS_PER_CELL
from tlx.models.detectors.ssd.ssd import SSD
from tlx.records.checkpoint import find_checkpoint, load_detector

log = logging.getLogger(__name__)

BACKGROUND = "BACKGROUND"
PYTORCH_SSD_SIZE = 300  # px: the input that the layout is published with


@dataclass(frozen=True)
class Source:
    """A checkpoint, read.

    Attributes:
        classes: names without the background, in label order.
        config: of the run that made it; empty for a pytorch-ssd checkpoint.
        dataset: the run's splits, as its checkpoint stores them; None where it does not.
        path: of the file; sha256: of its bytes.
    """

    detector: Detector
    classes: list[str]
    config: dict[str, Any]
    path: Path
    sha256: str
    dataset: dict[str, list[str]] | None = None

    @property
    def framing(self) -> Framing:
        """How it sees pictures; `ConfigError` where its configuration says nonsense."""
        return Framing.of(self.config)


def load_source(checkpoint: Path, labels: Path | None = None) -> Source:
    """Read a run's folder, a tlx checkpoint or a pytorch-ssd mb1-ssd state dict.

    Args:
        labels: names, one a line, for a pytorch-ssd checkpoint, which holds none. Default: the
            `labels.txt` beside it, else numbered names.

    Raises `WeightsError` for a file that is neither, `ConfigError` for labels that do not fit.
    """
    path = find_checkpoint(checkpoint)
    if path.suffix == ".npz":
        raise WeightsError(
            f"{path} is a start, and does not say the size of its input; train it first: "
            + hydra_command("tlx.train", "detector=ssd_tf", f"backbone.weights={path}")
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = read_torch(path)
    if isinstance(loaded, dict) and "tlx" in loaded:
        if labels is not None:
            raise ConfigError(f"labels={labels}: {path} has class names of its own")
        detector, meta = load_detector(path)
        return Source(
            detector, list(meta["classes"]), meta["config"], path, digest, meta.get("dataset")
        )
    detector = _pytorch_ssd(path)
    names = _class_names(path, labels, detector.classes)
    return Source(detector, names, {}, path, digest)


def _pytorch_ssd(path: Path) -> SSD:
    spec = backbone_spec("mobilenet_v1")
    pretrained = resolve(spec, str(path))
    head = pretrained.state.get("heads.classify.0.weight")
    if head is None:
        raise WeightsError(
            f"{path} holds a backbone without detection heads; train them first: "
            + hydra_command("tlx.train", "backbone=mobilenet_v1", f"backbone.weights={path}")
        )
    classes = head.shape[0] // ANCHORS_PER_CELL - 1
    detector = SSD(spec, pretrained.conventions, classes, PYTORCH_SSD_SIZE)
    detector.load_pretrained(pretrained)
    return detector.eval()


def _class_names(path: Path, labels: Path | None, count: int) -> list[str]:
    beside = path.parent / "labels.txt"
    file = labels or (beside if beside.is_file() else None)
    if file is None:
        log.warning(
            "%s names no classes: they are called class_1 ... class_%d; labels=FILE names them",
            path, count,
        )  # fmt: skip
        return [f"class_{i}" for i in range(1, count + 1)]
    try:
        names = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"labels={file} cannot be read: {error}") from error
    names = [name for name in names if name]
    if names and names[0].upper() == BACKGROUND:
        names = names[1:]
    if len(names) != count:
        raise ConfigError(f"{file} names {len(names)} classes, {path} detects {count}")
    return names
