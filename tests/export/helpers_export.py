"""Checkpoints on disk and ONNX Runtime, for the tests of exports."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

import tlx.models.backbones  # noqa: F401
from tests.models.helpers_engine import detector_of
from tlx.config.schema import DataConfig
from tlx.config.typed import from_plain
from tlx.data.membership import Membership
from tlx.data.module import build_data
from tlx.export import Exported, Options, write
from tlx.models.backbones.base import StateDict, backbone_spec
from tlx.models.backbones.mobilenet_v1 import PYTORCH_SSD
from tlx.models.detectors.ssd.ssd import SSD
from tlx.models.normalisation import Normalisation
from tlx.records.checkpoint import checkpoint_meta
from tlx.runtime.source import Source

CLASSES = ["cat", "dog"]


def source_of(name: str = "mobilenet_v1", seed: int = 0) -> Source:
    """A small detector as if it had been read from a checkpoint."""
    return Source(distinct(detector_of(name, seed=seed)), CLASSES, {}, Path("best.ckpt"), "0" * 64)


def distinct(detector: SSD) -> SSD:
    """With biases: exporters merge tensors that are equal, as the zeros of a fresh network are."""
    generator = torch.Generator().manual_seed(1)
    for layer in detector.modules():
        # Those of the backbone are random already, and its maps are normalised by them.
        if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None and not layer.bias.any():
            layer.bias.data.normal_(std=0.1, generator=generator)
    return detector


def write_checkpoint(
    path: Path,
    name: str = "mobilenet_v1",
    config: dict | None = None,
    classes: list[str] = CLASSES,
) -> SSD:
    """A tlx checkpoint as training leaves it, on the data of the configuration, if any."""
    detector = distinct(detector_of(name))
    meta = checkpoint_meta(detector, _members(classes, config or {}), config or {})
    state = {f"detector.{key}": value for key, value in detector.state_dict().items()}
    torch.save({"tlx": meta, "state_dict": state}, path)
    return detector


def _members(classes: list[str], config: dict) -> Membership:
    if "data" not in config:
        return Membership(tuple(classes), {})
    cfg = from_plain(config["data"], DataConfig, "the test")
    with TemporaryDirectory() as cache:
        return build_data(cfg, Path(cache)).membership


def write_pytorch_ssd(path: Path, classes: int = 3) -> SSD:
    """A state dict in the mb1-ssd layout, 300 px, random weights."""
    torch.manual_seed(0)
    detector = SSD(backbone_spec("mobilenet_v1"), PYTORCH_SSD, classes, 300).eval()
    torch.save(_mb1_ssd(detector.state_dict()), path)
    return detector


def _mb1_ssd(state: StateDict) -> StateDict:
    """Detector keys -> the published ones, as ssd-compatibility describes them."""
    rules = (
        (r"backbone\.blocks\.Conv2d_0\.conv\.", "base_net.0.0."),
        (r"backbone\.blocks\.Conv2d_0\.bn\.", "base_net.0.1."),
        (r"backbone\.blocks\.Conv2d_(\d+)\.depthwise\.conv\.", r"base_net.\1.0."),
        (r"backbone\.blocks\.Conv2d_(\d+)\.depthwise\.bn\.", r"base_net.\1.1."),
        (r"backbone\.blocks\.Conv2d_(\d+)\.pointwise\.conv\.", r"base_net.\1.3."),
        (r"backbone\.blocks\.Conv2d_(\d+)\.pointwise\.bn\.", r"base_net.\1.4."),
        (r"extras\.extra_1\.", "extras.0."), (r"extras\.extra_2\.", "extras.1."),
        (r"extras\.extra_3\.", "extras.2."), (r"extras\.extra_4\.", "extras.3."),
        (r"^(extras\.\d)\.reduce\.", r"\1.0."), (r"^(extras\.\d)\.expand\.", r"\1.2."),
        (r"heads\.classify\.", "classification_headers."),
        (r"heads\.regress\.", "regression_headers."),
    )  # fmt: skip
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


def written(checkpoint: Path, format: str, output: Path, **options: Any) -> Exported:
    """An export without the comparison, whose tolerances are for trained detectors."""
    return write(checkpoint, format, output, Options(**options))[0]


def pixels(count: int = 1, size: int = 96, seed: int = 3) -> np.ndarray:
    """uint8-valued float32 (n, 3, S, S): smooth, like pictures, not noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator) * 255
    fine = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 255)
    return fine.round().numpy()


def save_pictures(folder: Path, count: int = 2) -> None:
    """`pixels` as PNG files."""
    folder.mkdir()
    for index, picture in enumerate(pixels(count)):
        shown = picture.transpose(1, 2, 0).astype(np.uint8)
        Image.fromarray(shown).save(folder / f"{index}.png")


def normalised(values: np.ndarray, normalisation: Normalisation) -> np.ndarray:
    mean = np.array(normalisation.mean, np.float32).reshape(1, 3, 1, 1)
    std = np.array(normalisation.std, np.float32).reshape(1, 3, 1, 1)
    return ((values - mean) / std).astype(np.float32)


def expected(detector: SSD, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and boxes of the checkpoint itself, by the code that evaluates it."""
    scores, boxes = detector.raw(detector.normalize(torch.from_numpy(values)))
    return scores.numpy(), boxes.numpy()


def onnx_outputs(path: Path, images: np.ndarray) -> list[np.ndarray]:
    """What ONNX Runtime makes of normalised pictures."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})
