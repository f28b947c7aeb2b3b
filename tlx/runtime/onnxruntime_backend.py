"""ONNX Runtime: raw models, and those with NMS inside (`format=onnx_nms`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tlx.common.errors import ConfigError, WeightsError, first_line
from tlx.common.packages import require
from tlx.runtime.base import Raw, Runtime, by_width
from tlx.runtime.meta import ModelMeta, find_meta
from tlx.runtime.postprocess import Found

NMS_OUTPUTS = {"boxes", "scores", "labels"}


class OnnxRuntime(Runtime):
    """An inference session."""

    backend = "onnxruntime"

    def __init__(self, meta: ModelMeta, session: Any) -> None:
        entry = session.get_inputs()[0]
        super().__init__(meta, entry.shape[0] if isinstance(entry.shape[0], int) else None)
        self.session, self.input = session, entry.name
        self.outputs = [output.name for output in session.get_outputs()]

    def run(self, images: np.ndarray) -> Raw:
        """See `Runtime.run`."""
        arrays = self.session.run(None, {self.input: images})
        return by_width(arrays, self.outputs, len(self.meta.classes))

    def close(self) -> None:
        """See `Runtime.close`."""
        self.session = None


class OnnxNmsRuntime(OnnxRuntime):
    """A session whose graph ends with NMS."""

    nms_inside = True

    def raw(self, images: np.ndarray) -> Raw:
        """Not there: the graph keeps what it detects only."""
        raise ConfigError("this model has NMS inside and gives no raw scores: use format=onnx")

    def detect(self, images: np.ndarray, **options: Any) -> list[Found]:
        """See `Runtime.detect`; the graph's own thresholds hold, options are not read."""
        found = []
        for image in images:
            arrays = self.session.run(None, {self.input: np.ascontiguousarray(image[None])})
            named = dict(zip(self.outputs, arrays, strict=True))
            found.append(Found(named["boxes"], named["scores"], named["labels"]))
        return found


def load(path: Path, device: str, threads: int | None, precision: str) -> Runtime:
    """See `tlx.runtime.open_model`."""
    session = open_session(path, device, threads)
    ends = {output.name for output in session.get_outputs()}
    return (OnnxNmsRuntime if ends == NMS_OUTPUTS else OnnxRuntime)(find_meta(path), session)


def open_session(path: Path, device: str, threads: int | None) -> Any:
    """An `InferenceSession`, all graph optimisations on."""
    ort = require("onnxruntime", "backend=onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # Threads that turn in a loop after a picture take cores from whatever comes next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    providers = _providers(ort, device)
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime raises its own types, all of them for bad files
        raise WeightsError(f"{path} does not load: {first_line(error)}") from error


def _providers(ort: Any, device: str) -> list[str]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        if "CUDAExecutionProvider" not in ort.get_available_providers():
            raise ConfigError(
                f"device={device}: this ONNX Runtime has no CUDA: pip install onnxruntime-gpu"
            )
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    raise ConfigError(f"device={device}: backend=onnxruntime runs on cpu and cuda")
