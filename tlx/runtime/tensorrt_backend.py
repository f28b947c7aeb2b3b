"""TensorRT engines on the GPU that they were built for (TensorRT 8.5 or later).

Memory and streams are torch's, so that no other CUDA package is needed. On a Jetson use
`tools/jetson_benchmark.py`, which needs neither torch nor tlx.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlx.common.errors import ConfigError, ToolError, WeightsError
from tlx.common.packages import pip_install
from tlx.runtime.base import Raw, Runtime, by_width
from tlx.runtime.meta import ModelMeta, find_meta
from tlx.runtime.tensorrt_libraries import KINDS, examine
from tlx.runtime.torch_backend import torch_device


class TensorRtRuntime(Runtime):
    """An execution context with buffers of fixed shape."""

    backend = "tensorrt"

    def __init__(self, meta: ModelMeta, tensorrt: Any, engine: Any, device: torch.device) -> None:
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        inputs = [n for n in names if engine.get_tensor_mode(n) == tensorrt.TensorIOMode.INPUT]
        self.input, self.outputs = inputs[0], [n for n in names if n not in inputs]
        super().__init__(meta, int(engine.get_tensor_shape(self.input)[0]))
        self.context = engine.create_execution_context()
        self.stream = torch.cuda.Stream(device)
        self.buffers = {
            name: torch.empty(
                tuple(engine.get_tensor_shape(name)),
                dtype=_dtype(tensorrt, engine.get_tensor_dtype(name)),
                device=device,
            )
            for name in names
        }
        for name, buffer in self.buffers.items():
            self.context.set_tensor_address(name, buffer.data_ptr())

    def run(self, images: np.ndarray) -> Raw:
        """See `Runtime.run`."""
        with torch.cuda.stream(self.stream):
            self.buffers[self.input].copy_(torch.from_numpy(images), non_blocking=True)
            if not self.context.execute_async_v3(self.stream.cuda_stream):
                raise ToolError("TensorRT could not run the engine: build it anew on this machine")
            arrays = [self.buffers[name].float().cpu().numpy() for name in self.outputs]
        return by_width(arrays, self.outputs, len(self.meta.classes))

    def close(self) -> None:
        """See `Runtime.close`."""
        self.context = None
        self.buffers.clear()


def load(path: Path, device: str, threads: int | None, precision: str) -> Runtime:
    """See `tlx.runtime.open_model`; the device is the GPU whatever `device` says but cuda:N."""
    tensorrt = _package()
    place = torch_device(device if device.startswith("cuda") else "cuda")
    meta = find_meta(path)
    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise WeightsError(
            f"{path} was built by another TensorRT or for another GPU: build it anew "
            "(the command stands in commands.md)"
        )
    if not hasattr(engine, "num_io_tensors"):
        raise ConfigError("backend=tensorrt needs TensorRT 8.5 or later")
    return TensorRtRuntime(meta, tensorrt, engine, place)


def _package() -> Any:
    """The bindings, with libraries of their version.

    Raises:
        ToolError: there are none, or the libraries are missing or of another version.
    """
    for kind in KINDS:
        for name in kind.modules:
            try:
                package = import_module(name)
            except ImportError:
                continue
            # What loads may still be of two versions, and crash later on.
            if problem := examine(kind)["problem"]:
                raise ToolError(f"backend=tensorrt: {problem}")
            return package
    if problem := next((told for kind in KINDS if (told := examine(kind)["problem"])), None):
        raise ToolError(f"backend=tensorrt: {problem}")
    raise ToolError(
        "backend=tensorrt needs NVIDIA's bindings for Python: they come with JetPack on a Jetson; "
        f"elsewhere {pip_install('tensorrt')}, then the libraries that `python -m tlx.doctor` "
        "names; for RTX cards pip install tensorrt-rtx-cu13"
    )


def _dtype(tensorrt: Any, kind: Any) -> torch.dtype:
    known = {tensorrt.float32: torch.float32, tensorrt.float16: torch.float16}
    if kind not in known:
        raise WeightsError(f"the engine has inputs or outputs of {kind}: float32 and float16 run")
    return known[kind]
