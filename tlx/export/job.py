"""One export: what is asked for, resolved and checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_choice
from tlx.export.network import ExportNetwork
from tlx.export.onnx_file import LOWEST, LOWEST_PER_CHANNEL
from tlx.models.normalisation import DETECTNET, Normalisation
from tlx.runtime.source import Source

PRECISIONS = ("fp32", "fp16", "int8")
NORMALISATIONS = ("auto", "model", "detectnet")
# The largest difference of an input value that is put up with: (x - 127) / 128 is what the
# reference trains with, and deploys under detectnet's x / 127.5 - 1.
NEAR = 0.02


@dataclass(frozen=True)
class Job:
    """An export that can begin.

    Attributes:
        opset: of the ONNX file that is written, or made on the way.
        pictures: gives the calibration pictures, normalised float32 (n, 3, S, S).
        description: of the artefact, without its own hash.
        environment: the interpreter that a converter of another environment runs in.
    """

    source: Source
    normalisation: Normalisation
    opset: int
    precision: str
    stem: Path
    description: dict[str, Any]
    pictures: Callable[[], np.ndarray]
    environment: Path | None = None

    @property
    def size(self) -> int:
        """Side of the input in pixels."""
        return self.source.detector.input_size

    def network(self, half: bool | None = None) -> ExportNetwork:
        """The network to write; in the job's precision unless `half` says otherwise."""
        half = self.precision == "fp16" if half is None else half
        return ExportNetwork(self.source.detector, self.normalisation, half)

    def path(self, suffix: str) -> Path:
        """A file of this export: the stem with `suffix` behind it."""
        return self.stem.with_name(self.stem.name + suffix)


def choose_normalisation(wanted: str, own: Normalisation) -> Normalisation:
    """The input of the artefact.

    `auto` keeps the detector's own where detectnet's is next to it, and takes detectnet's
    otherwise: a network trained with ImageNet's mean and deviation would find little there.
    """
    if wanted not in NORMALISATIONS:
        raise ConfigError(unknown_choice("normalisation", wanted, NORMALISATIONS))
    if wanted == "model" or (wanted == "auto" and own.off(DETECTNET) <= NEAR):
        return own
    return DETECTNET


def choose_opset(wanted: str | int, lowest: int) -> int:
    """`auto`: the lowest that will do, because TensorRT of older JetPacks reads no later one."""
    if wanted == "auto":
        return lowest
    try:
        opset = int(wanted)
    except ValueError:
        raise ConfigError(f"opset={wanted} is neither auto nor a number") from None
    if opset < lowest:
        raise ConfigError(f"opset={opset} cannot hold this; the lowest that can is {lowest}")
    return opset


def lowest_opset(format: str, precision: str) -> int:
    """Per-channel QDQ and the operators behind `onnx_nms` came with 13."""
    return LOWEST_PER_CHANNEL if precision == "int8" or format == "onnx_nms" else LOWEST
