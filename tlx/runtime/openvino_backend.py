"""OpenVINO, for its own IR and for ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tlx.common.errors import ConfigError, WeightsError, first_line
from tlx.common.packages import require
from tlx.runtime.base import Raw, Runtime, by_width
from tlx.runtime.meta import ModelMeta, find_meta


class OpenVinoRuntime(Runtime):
    """A compiled model with one inference request."""

    backend = "openvino"

    def __init__(self, meta: ModelMeta, compiled: Any) -> None:
        shape = compiled.input(0).partial_shape
        super().__init__(meta, shape[0].get_length() if shape[0].is_static else None)
        self.request = compiled.create_infer_request()
        self.names = [min(port.get_names(), default="") for port in compiled.outputs]

    def run(self, images: np.ndarray) -> Raw:
        """See `Runtime.run`."""
        # Shared, not copied: the outputs are the next picture's too, and are copied here once.
        results = self.request.infer([images], share_inputs=True, share_outputs=True)
        arrays = [np.array(results[place]) for place in range(len(self.names))]
        return by_width(arrays, self.names, len(self.meta.classes))

    def close(self) -> None:
        """See `Runtime.close`."""
        self.request = None


def load(path: Path, device: str, threads: int | None, precision: str) -> Runtime:
    """See `tlx.runtime.open_model`."""
    openvino = require("openvino", "backend=openvino")
    meta = find_meta(path)
    core = openvino.Core()
    place = device.upper()
    if place.split(".")[0] not in {name.split(".")[0] for name in core.available_devices}:
        raise ConfigError(f"device={device}: OpenVINO has {', '.join(core.available_devices)}")
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"}
    if place == "CPU":
        if precision == "bf16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise ConfigError("bf16: this processor has no bfloat16 arithmetic")
        # Asked for by name: by default OpenVINO takes bfloat16 where the processor has it, and
        # the figures would be those of another model.
        settings["INFERENCE_PRECISION_HINT"] = "bf16" if precision == "bf16" else "f32"
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
    try:
        compiled = core.compile_model(core.read_model(str(path)), place, settings)
    except Exception as error:  # OpenVINO raises RuntimeError and its own types for bad files
        raise WeightsError(f"{path} does not load: {first_line(error)}") from error
    return OpenVinoRuntime(meta, compiled)
