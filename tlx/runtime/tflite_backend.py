"""TensorFlow Lite files, run by LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tlx.common.errors import ConfigError, WeightsError, first_line
from tlx.common.packages import require
from tlx.runtime.base import Raw, Runtime, by_width
from tlx.runtime.meta import ModelMeta, find_meta


class TfliteRuntime(Runtime):
    """An interpreter with float32 input, channels first or last."""

    backend = "tflite"

    def __init__(self, meta: ModelMeta, interpreter: Any) -> None:
        self.interpreter = interpreter
        self.input = interpreter.get_input_details()[0]
        self.outputs = interpreter.get_output_details()
        super().__init__(meta, int(self.input["shape"][0]))
        self.channels_last = self.input["shape"][-1] == 3
        for tensor in (self.input, *self.outputs):
            if tensor["dtype"] != np.float32:
                raise WeightsError(
                    f"{tensor['name']} is {np.dtype(tensor['dtype'])}: export it with float32 "
                    "input and outputs (the weights inside may be int8)"
                )

    def run(self, images: np.ndarray) -> Raw:
        """See `Runtime.run`."""
        if self.channels_last:
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.interpreter.set_tensor(self.input["index"], images)
        self.interpreter.invoke()
        arrays = [self.interpreter.get_tensor(tensor["index"]) for tensor in self.outputs]
        names = [tensor["name"] for tensor in self.outputs]
        return by_width(arrays, names, len(self.meta.classes))

    def close(self) -> None:
        """See `Runtime.close`."""
        self.interpreter = None


def load(path: Path, device: str, threads: int | None, precision: str) -> Runtime:
    """See `tlx.runtime.open_model`."""
    if device != "cpu":
        raise ConfigError(f"device={device}: backend=tflite runs on cpu here")
    module = require("ai_edge_litert.interpreter", "backend=tflite")
    try:
        interpreter = module.Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"{path} does not load: {first_line(error)}") from error
    return TfliteRuntime(find_meta(path), interpreter)
