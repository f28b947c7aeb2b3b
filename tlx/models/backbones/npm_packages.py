"""Detectors inside npm packages, read as checkpoints of TensorFlow's Object Detection API.

What is read is the package itself, as `npm pack` writes it.

- `@vladmandic/face-api`: SSD-MobileNetV1 for faces, weights of TensorFlow.js in 8 bits (value =
  scale x stored + min; tfjs-core, `io/quantization`).
- `@mediapipe/objectron`: SSD-MobileNetV2 for 23 classes, a TFLite file of 16-bit floats behind the
  list of its classes.

Both have batch norms folded into convolutions. Such a one gets a batch norm that changes nothing
here (mean 0, variance 1 - eps), so that the network is the published one while it is frozen; where
it trains, its statistics are of another scale, and a run warns of it (`tlx.training.start_check`).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlx.common.errors import TlxError, WeightsError, first_line
from tlx.common.packages import require
from tlx.models.backbones.base import StateDict
from tlx.models.backbones.numpy_weights import LARGEST
from tlx.models.backbones.tf_detection import CONVENTIONS

Member = Callable[[str], bytes]
"""Gives the content of a file in the package by its path there."""

_TYPES = {"float32": "<f4", "int32": "<i4"}
_MANIFEST = "package/model/ssd_mobilenetv1_model-weights_manifest.json"
_ASSETS = "package/objectron_solution_packed_assets.data"
_TFLITE = "d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6"  # sha256
_TFLITE_AT = 184  # bytes of class names in front of it


def is_npm_package(path: Path) -> bool:
    """Whether this archive is what `npm pack` writes; damaged ones are none."""
    try:
        with tarfile.open(path) as archive:
            first = archive.next()
            return first is not None and first.name.startswith("package/")
    except (OSError, EOFError, ValueError, tarfile.TarError):
        return False


def read_npm_package(path: Path) -> StateDict:
    """The tensors of the detector in a package, by TensorFlow's names and in its order.

    Nothing is unpacked to disk. Raises `WeightsError` for a package that is damaged or has none of
    the two detectors, `ToolError` where the TFLite file needs a package that is not here.
    """
    try:
        with tarfile.open(path) as archive:
            files = {member.name: member for member in archive.getmembers() if member.isreg()}

            def read(name: str) -> bytes:
                if files[name].size > LARGEST:
                    raise ValueError(f"{name} unpacks to more than {LARGEST} bytes")
                content = archive.extractfile(files[name])
                assert content is not None
                return content.read()

            if _MANIFEST in files:
                return _of_tfjs(_MANIFEST, read)
            if _ASSETS in files:
                return _of_tflite(read(_ASSETS)[_TFLITE_AT:])
            raise ValueError("it holds no detector that is known")
    except TlxError:
        raise
    except Exception as error:  # of tarfile, zlib, json and numpy, each in its own types
        raise WeightsError(
            f"{path} cannot be read as an npm package with a detector: {first_line(error)}"
        ) from error


def _of_tfjs(manifest: str, read: Member) -> StateDict:
    found: StateDict = {}
    for group in json.loads(read(manifest)):
        folder = manifest.rpartition("/")[0]
        stored = b"".join(read(f"{folder}/{name}") for name in group["paths"])
        start = 0
        for entry in group["weights"]:
            quantised = entry.get("quantization")
            kind = np.dtype("<u1" if quantised else _TYPES[entry["dtype"]])
            count = math.prod(entry["shape"])
            if quantised and quantised["dtype"] != "uint8":
                raise ValueError(f"{entry['name']} is stored as {quantised['dtype']}")
            values = np.frombuffer(stored, kind, count, start).astype(np.float32)
            start += count * kind.itemsize
            if quantised:
                values = values * np.float32(quantised["scale"]) + np.float32(quantised["min"])
            found |= _of_face_api(entry["name"], torch.from_numpy(values).reshape(entry["shape"]))
    return found


def _of_face_api(name: str, value: torch.Tensor) -> StateDict:
    """A tensor under TensorFlow's name; {} for what is no weight of the network."""
    if match := re.fullmatch(r"Prediction/(BoxPredictor_\d/\w+Predictor/(?:weights|biases))", name):
        return {match[1]: value}
    if match := re.fullmatch(r"Prediction/Conv2d_([0-7])_pointwise/(\w+)", name):
        # Extra maps 2 to 5, each of a 1x1 and a 3x3 convolution; what they are called ends in their
        # kernel and depth, which nothing reads.
        extra, part = divmod(int(match[1]), 2)
        kernel = ("1x1_0", "3x3_s2_0")[part]
        layer = f"Conv2d_13_pointwise_{part + 1}_Conv2d_{extra + 2}_{kernel}"
        return _folded(f"FeatureExtractor/MobilenetV1/{layer}", match[2], value)
    if match := re.fullmatch(r"MobilenetV1/(Conv2d_\d+_(?:point|depth)wise)/(.+)", name):
        layer = match[1].replace("Conv2d_0_pointwise", "Conv2d_0")
        return _folded(f"FeatureExtractor/MobilenetV1/{layer}", match[2], value)
    return {}


def _folded(scope: str, leaf: str, value: torch.Tensor) -> StateDict:
    """A weight under its name, or for a folded batch norm's offset one that adds it alone."""
    if leaf != "convolution_bn_offset":
        return {f"{scope}/{leaf}": value}
    norm = {
        "gamma": torch.ones_like(value), "beta": value, "moving_mean": torch.zeros_like(value),
        "moving_variance": torch.full_like(value, 1 - CONVENTIONS.bn_eps),
    }  # fmt: skip
    return {f"{scope}/BatchNorm/{name}": tensor for name, tensor in norm.items()}


def _of_tflite(content: bytes) -> StateDict:
    """The constants of the one file that is known, which are named by what their values became."""
    if hashlib.sha256(content).hexdigest() != _TFLITE:
        raise ValueError("its detector is another one than that of version 0.4.1675468480")
    module = require("ai_edge_litert.interpreter", "reading @mediapipe/objectron")
    interpreter: Any = module.Interpreter(model_content=content)
    found: StateDict = {}
    for tensor in interpreter.get_tensor_details():
        scope = tensor["name"].partition(";")[0]
        if tensor["dtype"] != np.float16 or not scope:
            continue
        value = torch.from_numpy(np.array(interpreter.get_tensor(tensor["index"]), np.float32))
        found |= _of_constant(scope, value)
    return found


def _of_constant(scope: str, value: torch.Tensor) -> StateDict:
    layer = re.sub(r"/(?:BatchNorm/FusedBatchNormV3|Conv2D|BiasAdd)$", "", scope)
    predictor = layer.startswith("BoxPredictor_")
    if value.ndim == 1:
        return (
            {f"{layer}/biases": value}
            if predictor
            else _folded(layer, "convolution_bn_offset", value)
        )
    if value.ndim != 4:
        raise ValueError(f"{scope} has {value.ndim} axes")
    if len(value) == 1:  # 1, height, width, channel -> height, width, channel, 1
        return {f"{layer}/depthwise_weights": value.permute(1, 2, 3, 0).contiguous()}
    return {f"{layer}/weights": value.permute(1, 2, 3, 0).contiguous()}  # OHWI -> HWIO
