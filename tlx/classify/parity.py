"""Is the exported classifier the checkpoint? Both run on the test pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlx.classify.network import Classifier
from tlx.common.packages import require
from tlx.data.module import DetectionData, Loaders
from tlx.models.normalisation import Normalisation

LARGEST = 1e-4  # of a probability, in float32: rounding
Rows = Callable[[np.ndarray], np.ndarray]


def pictures_of_test(data: DetectionData, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as the network sees them, uint8 (n, 3, S, S) RGB, and class numbers (n,), 0-based."""
    loaders = Loaders(data, size, 32, workers=0)
    batches = list(loaders.evaluation("test"))
    pixels = torch.cat([batch.images for batch in batches]).contiguous().numpy()
    return pixels, torch.cat([batch.targets.labels[:, 0] - 1 for batch in batches]).numpy()


def normalised(pixels: np.ndarray, normalisation: Normalisation) -> np.ndarray:
    """uint8 (n, 3, S, S) -> the float32 input of an artefact."""
    mean, std = (np.array(v, np.float32).reshape(1, 3, 1, 1)
                 for v in (normalisation.mean, normalisation.std))  # fmt: skip
    return np.ascontiguousarray((pixels.astype(np.float32) - mean) / std)


def of_checkpoint(classifier: Classifier) -> Rows:
    """Pixels -> probabilities (n, classes) of the checkpoint."""

    def rows(pixels: np.ndarray) -> np.ndarray:
        parts = [classifier.probabilities(p) for p in torch.from_numpy(pixels).split(16)]
        return torch.cat(parts).numpy()

    return rows


def of_onnx(path: Path, normalisation: Normalisation) -> Rows:
    """Pixels -> probabilities of an ONNX file of batch one, under ONNX Runtime."""
    runtime = require("onnxruntime", "checking an ONNX file")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def rows(pixels: np.ndarray) -> np.ndarray:
        inputs = normalised(pixels, normalisation)
        return np.concatenate([session.run(None, {name: one[None]})[0] for one in inputs])

    return rows


def compare(
    reference: Rows, other: Rows, pixels: np.ndarray, targets: np.ndarray
) -> dict[str, Any]:
    """Largest difference of a probability, share of equal classes, accuracy of both."""
    before, after = reference(pixels), other(pixels)
    found = before.argmax(1), after.argmax(1)
    return {
        "pictures": len(targets),
        "probabilities": float(np.abs(before.astype(np.float64) - after).max()),
        "agreement": float((found[0] == found[1]).mean()),
        "accuracy": [float((one == targets).mean()) for one in found],
    }
