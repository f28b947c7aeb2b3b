#!/usr/bin/env python3
"""Measure an ONNX detector with TensorRT on a Jetson, and write its detections.

One file that runs on a bare Jetson (Python 3.6 or later): numpy, and TensorRT as JetPack brings it.
No torch, no tlx. Copy it and the exported model to the device:

  python3 jetson_benchmark.py model.onnx --check
  python3 jetson_benchmark.py model.onnx --precision fp16 --output result.json
  python3 jetson_benchmark.py model.onnx --images test/ --detections found.json

Then on the desk:

  python -m tlx.report runs/STUDY benchmark=result.json
  python -m tlx.evaluate checkpoint=RUN detections=found.json

Sections: errors; ONNX file; CUDA; TensorRT; building; engine cache; running; pictures; detections;
conditions of the board; measuring; result; command line.
"""

import argparse
import collections
import ctypes
import glob
import hashlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

VERSION = 1  # of the result file and of an engine's key

# ---------------------------------------------------------------------------------------- errors


class BenchmarkError(Exception):
    """What the user can act on: says what is wrong, where, and what to do."""


class OutOfMemory(BenchmarkError):
    """The GPU, or the board that shares its memory with it, has not enough memory."""


def say(text: str) -> None:
    """A line for the person at the console; results go to files."""
    sys.stderr.write(f"jetson_benchmark: {text}\n")
    sys.stderr.flush()


# ------------------------------------------------------------------------------------- ONNX file

FLOAT16 = 10  # onnx.TensorProto.DataType
QUANTISERS = {"QuantizeLinear", "DequantizeLinear"}
# Operators whose output shape depends on values. TensorRT's older parsers refuse them.
VALUE_DEPENDENT = {"NonMaxSuppression", "NonZero", "Loop", "If", "Unique", "Compress"}


class ValueInfo(NamedTuple):
    name: str
    shape: Tuple[Any, ...]


class OnnxFile:
    """What the tool needs to know of an ONNX file, read without the onnx package.

    Attributes:
        data: the file's bytes; sha256: of these.
        opset: of the standard operators. operators: the types of all nodes.
        inputs, outputs: names and shapes; a dynamic size is its name or "?".
        metadata: the file's own properties.
        precision: fp32, fp16 (weights in float16) or int8 (quantised with Q/DQ nodes).
    """

    def __init__(self, path: str) -> None:
        self.path, self.name = path, os.path.basename(path)
        try:
            with open(path, "rb") as file:
                self.data = file.read()
        except OSError as error:
            raise BenchmarkError(f"{path} cannot be read: {error.strerror}") from error
        self.sha256 = hashlib.sha256(self.data).hexdigest()
        self.opset = None  # type: Optional[int]
        self.operators = set()  # type: set
        self.inputs, self.outputs = [], []  # type: List[ValueInfo], List[ValueInfo]
        self.metadata = {}  # type: Dict[str, str]
        self._float16 = self._external = False
        graph = False
        try:
            for number, value in _fields(memoryview(self.data)):
                if number == 7:
                    graph = True
                    self._read_graph(value)
                elif number == 8:
                    self._read_opset(value)
                elif number == 14:
                    entry = dict(_fields(value))
                    self.metadata[_text(entry.get(1, b""))] = _text(entry.get(2, b""))
        except (ValueError, IndexError, TypeError, KeyError) as error:
            raise BenchmarkError(f"{path} is damaged, or no ONNX file: {error}") from error
        if not graph or self.opset is None:
            raise BenchmarkError(f"{path} is no ONNX model: it has no graph or no opset")
        if self._external:
            raise BenchmarkError(
                f"{path} keeps its weights in another file: export it again as one file"
            )

    @property
    def precision(self) -> str:
        if self.operators & QUANTISERS:
            return "int8"
        return "fp16" if self._float16 else "fp32"

    def _read_opset(self, message: memoryview) -> None:
        fields = dict(_fields(message))
        if _text(fields.get(1, b"")) in ("", "ai.onnx"):
            self.opset = int(fields.get(2, 0))

    def _read_graph(self, message: memoryview) -> None:
        held = set()
        for number, value in _fields(message):
            if number == 1:  # NodeProto.op_type
                self.operators.update(_text(v) for n, v in _fields(value) if n == 4)
            elif number == 5:  # TensorProto
                tensor = dict(_fields(value))
                held.add(_text(tensor.get(8, b"")))
                self._float16 = self._float16 or tensor.get(2) == FLOAT16
                self._external = self._external or tensor.get(14) == 1
            elif number == 11:
                self.inputs.append(_value_info(value))
            elif number == 12:
                self.outputs.append(_value_info(value))
        # Before ONNX's IR version 4, weights are listed among the inputs.
        self.inputs = [value for value in self.inputs if value.name not in held]


def _fields(message: memoryview) -> Iterator[Tuple[int, Any]]:
    """Field numbers and values of a protobuf message: ints, or the bytes of the rest."""
    at, value = 0, None  # type: Tuple[int, Any]
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
        elif wire in (1, 2, 5):
            size = 8 if wire == 1 else 4
            if wire == 2:
                size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
            if at > len(message):
                raise ValueError("it ends too early")
        else:
            raise ValueError(f"field {number} has the unknown wire type {wire}")
        yield number, value


def _varint(message: memoryview, at: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8")


def _value_info(message: memoryview) -> ValueInfo:
    """ValueInfoProto: name 1, type 2 > tensor_type 1 > shape 2 > dim 1 > value 1 or name 2."""
    fields = dict(_fields(message))
    tensor = dict(_fields(dict(_fields(fields[2]))[1])) if 2 in fields else {}
    sizes = []  # type: List[Any]
    for number, value in _fields(tensor[2]) if 2 in tensor else ():
        if number == 1:
            size = dict(_fields(value))
            fixed = 0 < size.get(1, 0) < 1 << 31  # -1 is stored as a number of 64 bits
            sizes.append(size[1] if fixed else _text(size.get(2, b"")) or "?")
    return ValueInfo(_text(fields.get(1, b"")), tuple(sizes))


def check_input(onnx: OnnxFile) -> Tuple[int, int, int, int]:
    """The shape of the one picture input, (1, 3, H, W); `BenchmarkError` for any other."""
    if len(onnx.inputs) != 1:
        names = ", ".join(value.name for value in onnx.inputs)
        raise BenchmarkError(f"{onnx.path} has {len(onnx.inputs)} inputs ({names}), not 1")
    name, shape = onnx.inputs[0]
    if any(not isinstance(size, int) for size in shape):
        raise BenchmarkError(
            f"{onnx.path}: input {name} is {_shape_text(shape)}, which is dynamic: export it with "
            "a fixed shape, like 1x3x300x300"
        )
    if len(shape) != 4 or shape[:2] != (1, 3):
        raise BenchmarkError(
            f"{onnx.path}: input {name} is {_shape_text(shape)}, not 1x3xHxW (one RGB picture)"
        )
    return shape[0], shape[1], shape[2], shape[3]


def _shape_text(shape: Sequence[Any]) -> str:
    return "x".join(str(size) for size in shape) or "a scalar"


# ------------------------------------------------------------------------------------------ CUDA

_CUDA_LIBRARIES = (
    "libcuda.so.1",
    "/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1",
    "/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1",
    "libcuda.so",
)
_CUDA_OUT_OF_MEMORY, _CUDA_NO_DEVICE = 2, 100
_SM_COUNT, _MAJOR, _MINOR = 16, 75, 76  # CUdevice_attribute


class Cuda:
    """The few calls of the CUDA driver API that the tool makes, through ctypes.

    The driver is on every machine with a GPU, and its ABI does not change with the toolkit.
    TensorRT works in the device's primary context, which this makes current.

    Attributes:
        gpu: name, compute_capability, multiprocessors, memory_mb, driver (CUDA's version).
    """

    def __init__(self) -> None:
        self._lib = self._load()
        self._call("cuInit", 0)
        count, device = ctypes.c_int(), ctypes.c_int()
        self._call("cuDeviceGetCount", ctypes.byref(count))
        if count.value == 0:
            raise BenchmarkError("no GPU: the CUDA driver is there, but finds no device")
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        self.gpu = self._describe(device)

    @staticmethod
    def _load() -> Any:
        for name in _CUDA_LIBRARIES:
            try:
                return ctypes.CDLL(name)
            except OSError:
                continue
        raise BenchmarkError(
            "no GPU: libcuda.so.1 is not on this machine. JetPack brings it; in a container, start "
            "it with `--runtime nvidia`"
        )

    def _call(self, function: str, *arguments: Any) -> None:
        code = getattr(self._lib, function)(*arguments)
        if code == 0:
            return
        text = ctypes.c_char_p()
        self._lib.cuGetErrorString(code, ctypes.byref(text))
        reason = text.value.decode() if text.value else f"error {code}"
        if code == _CUDA_OUT_OF_MEMORY:
            raise OutOfMemory(f"{function}: {reason}")
        if code == _CUDA_NO_DEVICE or function == "cuInit":
            raise BenchmarkError(f"no GPU: {function} says {reason!r}")
        raise BenchmarkError(f"CUDA: {function} failed: {reason}")

    def _describe(self, device: ctypes.c_int) -> Dict[str, Any]:
        name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
        self._call("cuDeviceGetName", name, 256, device)
        self._call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
        number, found = ctypes.c_int(), {}
        for attribute in (_SM_COUNT, _MAJOR, _MINOR):
            self._call("cuDeviceGetAttribute", ctypes.byref(number), attribute, device)
            found[attribute] = number.value
        self._call("cuDriverGetVersion", ctypes.byref(number))
        return {
            "name": name.value.decode(),
            "compute_capability": f"{found[_MAJOR]}.{found[_MINOR]}",
            "multiprocessors": found[_SM_COUNT],
            "memory_mb": memory.value >> 20,
            "driver": f"{number.value // 1000}.{number.value % 1000 // 10}",
        }

    def alloc(self, size: int) -> int:
        """Address of `size` bytes on the GPU."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return address.value

    def host(self, shape: Tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array in page-locked memory, which copies need to be asynchronous and fast."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = ctypes.c_void_p()
        self._call("cuMemHostAlloc", ctypes.byref(address), ctypes.c_size_t(size), 0)
        assert address.value is not None
        block = (ctypes.c_ubyte * size).from_address(address.value)
        return np.frombuffer(block, dtype=dtype).reshape(shape)

    def to_device(self, address: int, array: np.ndarray, stream: int) -> None:
        self._call(
            "cuMemcpyHtoDAsync_v2",
            ctypes.c_uint64(address),
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_size_t(array.nbytes),
            ctypes.c_void_p(stream),
        )

    def to_host(self, array: np.ndarray, address: int, stream: int) -> None:
        self._call(
            "cuMemcpyDtoHAsync_v2",
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_uint64(address),
            ctypes.c_size_t(array.nbytes),
            ctypes.c_void_p(stream),
        )

    def stream(self) -> int:
        handle = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(handle), 1)  # waits for no other stream
        return handle.value or 0

    def wait(self, stream: int) -> None:
        self._call("cuStreamSynchronize", ctypes.c_void_p(stream))

    def event(self) -> int:
        handle = ctypes.c_void_p()
        self._call("cuEventCreate", ctypes.byref(handle), 0)
        return handle.value or 0

    def record(self, event: int, stream: int) -> None:
        self._call("cuEventRecord", ctypes.c_void_p(event), ctypes.c_void_p(stream))

    def elapsed_ms(self, start: int, end: int) -> float:
        """Milliseconds on the GPU between two events that have happened."""
        found = ctypes.c_float()
        self._call(
            "cuEventElapsedTime", ctypes.byref(found), ctypes.c_void_p(start), ctypes.c_void_p(end)
        )
        return found.value


# -------------------------------------------------------------------------------------- TensorRT

# From this version on, the newest opset that the parser takes (onnx-tensorrt's release notes).
MAX_OPSETS = (((8, 0), 13), ((8, 4), 17), ((10, 0), 20), ((11, 0), 25))
_PACKAGES = ("tensorrt", "tensorrt_rtx")
_MEMORY_WORDS = re.compile(
    r"out of memory|OutOfMemory|MemoryAllocation|Cuda failure: 2\b|insufficient memory"
    r"|could not be allocated|bad_alloc",
    re.IGNORECASE,
)
_WORKSPACE_WORDS = re.compile(
    r"insufficient workspace|increasing the workspace size", re.IGNORECASE
)


class TensorRT:
    """TensorRT's Python package and what this version of it can do.

    What changes between versions is told by what is there: names are asked for, not numbers.

    Attributes:
        trt: the package. version: like "8.2.1.8". numbers: like (8, 2).
        weak_typing: precision is chosen by builder flags (up to 10); otherwise it is in the ONNX.
    """

    def __init__(self, package: Any) -> None:
        self.trt = package
        self.version = str(package.__version__)
        self.numbers = tuple(int(n) for n in re.findall(r"\d+", self.version)[:2])
        self.rtx = package.__name__ == "tensorrt_rtx"
        self.name = "TensorRT-RTX" if self.rtx else "TensorRT"
        if not self.rtx and self.numbers < (8, 0):
            raise BenchmarkError(
                f"TensorRT {self.version} is too old: 8.0 (JetPack 4.6) or later is needed"
            )
        self.weak_typing = not self.rtx and hasattr(package.BuilderFlag, "FP16")
        self.logger = _make_logger(package)

    @property
    def number(self) -> int:
        """As the header of a calibration cache has it: 8.2.1 is 8201, 10.3.0 is 100300."""
        parts = [int(n) for n in re.findall(r"\d+", self.version)[:3]]
        major, minor, patch = [*parts, 0, 0][:3]
        return major * (1000 if major < 10 else 10000) + minor * 100 + patch

    @property
    def max_opset(self) -> Optional[int]:
        """The newest opset that this version parses; None where that is not known."""
        if self.rtx:
            return None
        return [opset for version, opset in MAX_OPSETS if self.numbers >= version][-1]

    def network_flags(self) -> int:
        """Before version 10 a network has a batch dimension only if it is asked for."""
        if self.rtx or self.numbers >= (10, 0):
            return 0
        return 1 << int(self.trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)

    def dtype(self, kind: Any) -> Any:
        """numpy's type for TensorRT's. (`trt.nptype` of 8.x fails on numpy 1.24 and later.)"""
        names = {"FLOAT": np.float32, "HALF": np.float16, "INT8": np.int8, "INT32": np.int32}
        names["INT64"] = np.int64
        for name, found in names.items():
            if getattr(self.trt.DataType, name, None) == kind:
                return found
        raise BenchmarkError(f"an input or output is {kind}, which numpy has no type for")

    def failure(self, doing: str) -> BenchmarkError:
        """What went wrong, told from the log that TensorRT left."""
        lines = [line for _, line in self.logger.lines]
        self.logger.lines = []
        text = "\n".join(lines)
        if _WORKSPACE_WORDS.search(text):
            return BenchmarkError(
                f"{doing}: a layer needs a larger workspace: raise --workspace\n{_tail(lines)}"
            )
        kind = OutOfMemory if _MEMORY_WORDS.search(text) else BenchmarkError
        return kind("{}: {}".format(doing, _tail(lines) or "TensorRT gave no reason"))


def _tail(lines: Sequence[str], count: int = 4) -> str:
    return "\n".join("  " + line for line in lines[-count:]).strip()


def _make_logger(trt: Any) -> Any:
    class Logger(trt.ILogger):
        """Keeps warnings and errors, so that a failure can be told; prints nothing."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines = []  # type: List[Tuple[int, str]]

        def log(self, severity: Any, message: str) -> None:
            if int(severity) <= int(trt.ILogger.Severity.WARNING):
                self.lines.append((int(severity), message))
                del self.lines[:-200]

    return Logger()


def load_tensorrt() -> TensorRT:
    """JetPack's package, or TensorRT-RTX's; `BenchmarkError` where there is neither."""
    reasons = []
    for name in _PACKAGES:
        try:
            return TensorRT(__import__(name))
        except ImportError as error:
            reasons.append(f"{name}: {error}")
    raise BenchmarkError(
        "TensorRT's Python package is not there ({}). On a Jetson: `sudo apt install "
        "python3-libnvinfer`; a virtual environment needs --system-site-packages".format(
            "; ".join(reasons)
        )
    )


# -------------------------------------------------------------------------------------- building

PRECISIONS = ("fp32", "fp16", "int8")
SMALLEST_WORKSPACE = 16  # MB


class BuildOptions(NamedTuple):
    precision: str
    workspace_mb: int
    dla: Optional[int]
    calibrator: Any


def parse_onnx(api: TensorRT, builder: Any, onnx: OnnxFile) -> Tuple[Any, Any]:
    """Network and parser (which the network needs alive) of an ONNX file.

    Raises `BenchmarkError`: an opset or operator that this TensorRT does not parse.
    """
    network = builder.create_network(api.network_flags())
    parser = api.trt.OnnxParser(network, api.logger)
    if parser.parse(onnx.data):
        return network, parser
    errors = [parser.get_error(i).desc() for i in range(parser.num_errors)]
    api.logger.lines = []
    limit = api.max_opset
    told = f"{onnx.name} does not parse in {api.name} {api.version}"
    if limit is not None and onnx.opset is not None and onnx.opset > limit:
        told += f": its opset is {onnx.opset}, the newest supported is {limit}: export it again "
        told += f"with opset={limit}"
    elif onnx.operators & VALUE_DEPENDENT:
        told += ": it holds {}: export it without NMS, with format=onnx".format(
            ", ".join(sorted(onnx.operators & VALUE_DEPENDENT))
        )
    raise BenchmarkError(f"{told}\n{_tail(errors)}")


def set_workspace(api: TensorRT, config: Any, megabytes: int) -> None:
    if hasattr(config, "set_memory_pool_limit"):  # from 8.4 on
        config.set_memory_pool_limit(api.trt.MemoryPoolType.WORKSPACE, megabytes << 20)
    else:
        config.max_workspace_size = megabytes << 20


def check_precision(api: TensorRT, onnx: OnnxFile, precision: str) -> None:
    """Refuse what cannot be had: a precision that the file rules out."""
    if not api.weak_typing and precision != onnx.precision:
        raise BenchmarkError(
            f"{api.name} {api.version} takes the precision from the ONNX file, and {onnx.name} is "
            f"{onnx.precision}: export it with precision={precision}, or run with --precision "
            f"{onnx.precision}"
        )
    if onnx.precision == "int8" and precision != "int8":
        raise BenchmarkError(f"{onnx.name} is quantised (Q/DQ nodes): run with --precision int8")
    if onnx.precision == "fp16" and precision == "fp32":
        raise BenchmarkError(f"{onnx.name} holds float16 weights: run with --precision fp16")


def set_precision(
    api: TensorRT, builder: Any, config: Any, onnx: OnnxFile, options: BuildOptions
) -> None:
    """Builder flags, where there are any; int8 may fall back to fp16 where that is faster."""
    check_precision(api, onnx, options.precision)
    if not api.weak_typing or options.precision == "fp32":
        return
    flags = api.trt.BuilderFlag
    fast16 = getattr(builder, "platform_has_fast_fp16", True)
    if options.precision == "fp16" and not fast16:
        raise BenchmarkError("this GPU is not faster in fp16: use --precision fp32")
    if fast16:
        config.set_flag(flags.FP16)
    if options.precision != "int8":
        return
    if options.dla is None and not getattr(builder, "platform_has_fast_int8", True):
        raise BenchmarkError(
            "this GPU has no int8 arithmetic (Jetson Nano, TX1 and TX2 have none): use "
            "--precision fp16"
        )
    config.set_flag(flags.INT8)
    if onnx.precision != "int8":
        if options.calibrator is None:
            raise BenchmarkError(
                "--precision int8 needs --calibration (pictures like those of training, or the "
                ".calib file of the export), or a model that was exported with precision=int8"
            )
        config.int8_calibrator = options.calibrator


def set_dla(api: TensorRT, builder: Any, config: Any, options: BuildOptions) -> None:
    """Put what it can run on the deep-learning accelerator, and the rest on the GPU."""
    if options.dla is None:
        return
    cores = int(getattr(builder, "num_DLA_cores", 0))
    if options.dla >= cores:
        raise BenchmarkError(
            f"--dla {options.dla}: this board has {cores} DLA cores (Xavier and AGX Orin have two, "
            "Orin Nano and older boards none)"
        )
    if options.precision == "fp32":
        raise BenchmarkError("a DLA computes in fp16 or int8: add --precision fp16")
    config.default_device_type = api.trt.DeviceType.DLA
    config.DLA_core = options.dla
    config.set_flag(api.trt.BuilderFlag.GPU_FALLBACK)


def build(api: TensorRT, onnx: OnnxFile, options: BuildOptions) -> bytes:
    """A serialized engine.

    Raises:
        OutOfMemory: a smaller workspace may do.
        BenchmarkError: the file or the options do not suit this board or TensorRT.
    """
    check_input(onnx)
    builder = api.trt.Builder(api.logger)
    network, parser = parse_onnx(api, builder, onnx)
    config = builder.create_builder_config()
    set_workspace(api, config, options.workspace_mb)
    set_precision(api, builder, config, onnx, options)
    set_dla(api, builder, config, options)
    api.logger.lines = []
    try:
        plan = builder.build_serialized_network(network, config)
    except (MemoryError, RuntimeError) as error:
        api.logger.lines.append((0, f"{type(error).__name__}: {error}"))
        if isinstance(error, MemoryError):
            raise OutOfMemory(f"building the engine: {error}") from error
        plan = None
    if plan is None:
        raise api.failure("building the engine")
    del parser
    return bytes(plan)


def with_less_workspace(
    attempt: Callable[[int], Any], workspace_mb: int, note: Callable[[str], None] = say
) -> Tuple[Any, int]:
    """What `attempt(megabytes)` returns, and its megabytes, halved for as long as memory lacks."""
    while True:
        try:
            return attempt(workspace_mb), workspace_mb
        except OutOfMemory as error:
            smaller = workspace_mb // 2
            if smaller < SMALLEST_WORKSPACE:
                raise BenchmarkError(
                    f"out of memory with a workspace of {workspace_mb} MB too: close other "
                    f"programs, add swap, or stop the desktop (`sudo init 3`)\n{error}"
                ) from error
            note(f"out of memory with a workspace of {workspace_mb} MB: trying {smaller} MB")
            workspace_mb = smaller


def in_child(work: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
    """Run in a process of its own, which gives all memory back, and may be killed for it.

    A Jetson shares its memory with the GPU: a builder that takes too much is killed by the
    kernel, and gets no chance to fail.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        try:
            answer = {"result": work()}  # type: Dict[str, Any]
        except OutOfMemory as error:
            answer = {"memory": str(error)}
        except BenchmarkError as error:
            answer = {"error": str(error)}
        except BaseException:
            answer = {"error": "unexpected failure while building:\n" + traceback.format_exc()}
        with os.fdopen(writing, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL:
            raise OutOfMemory("the builder was killed, as the kernel does when memory is full")
        raise BenchmarkError(f"the builder died of signal {number}")
    if not text:
        raise BenchmarkError("the builder ended without an answer")
    answer = json.loads(text)
    if "memory" in answer:
        raise OutOfMemory(answer["memory"])
    if "error" in answer:
        raise BenchmarkError(answer["error"])
    return answer["result"]


class Calibration(NamedTuple):
    """What an int8 engine is calibrated with.

    Attributes:
        identity: hash of it, for the engine's key. table: scales that are there already.
        cache: file of the scales that are found. batches: float32 (1, 3, H, W), preprocessed.
    """

    identity: str
    table: Optional[bytes]
    cache: Optional[str]
    batches: Iterator[np.ndarray]


def calibration_table(path: str, api: TensorRT) -> bytes:
    """A cache as `tlx.export` writes it, with the header that this TensorRT accepts."""
    try:
        with open(path, "rb") as file:
            header, _, scales = file.read().partition(b"\n")
    except OSError as error:
        raise BenchmarkError(f"{path} cannot be read: {error.strerror}") from error
    if not re.match(rb"TRT-\d+-EntropyCalibration2", header):
        raise BenchmarkError(f"{path} is no calibration cache of TensorRT (entropy)")
    return b"TRT-%d-EntropyCalibration2\n" % api.number + scales


def make_calibrator(api: TensorRT, cuda: Any, calibration: Calibration, size: int) -> Any:
    """An entropy calibrator that feeds one picture of `size` bytes at a time."""
    base = api.trt.IInt8EntropyCalibrator2  # type: Any

    class EntropyCalibrator(base):
        def __init__(self) -> None:
            base.__init__(self)  # the bindings need the constructor to have run
            self.address, self.stream, self.fed = cuda.alloc(size), cuda.stream(), 0

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: Sequence[str]) -> Optional[List[int]]:
            for batch in calibration.batches:
                cuda.to_device(self.address, np.ascontiguousarray(batch), self.stream)
                cuda.wait(self.stream)
                self.fed += 1
                return [int(self.address)]
            return None

        def read_calibration_cache(self) -> Optional[bytes]:
            if calibration.cache is None or not os.path.isfile(calibration.cache):
                return calibration.table
            with open(calibration.cache, "rb") as file:
                return file.read()

        def write_calibration_cache(self, table: Any) -> None:
            if calibration.cache is not None:
                write_bytes(calibration.cache, bytes(table))

    return EntropyCalibrator()


# ---------------------------------------------------------------------------------- engine cache

Key = Dict[str, Any]
_KEY_NAMES = collections.OrderedDict(
    [
        ("onnx_sha256", "the ONNX file"),
        ("tensorrt", "TensorRT"),
        ("gpu", "the GPU"),
        ("precision", "the precision"),
        ("dla", "the DLA core"),
        ("calibration", "the calibration"),
    ]
)


def engine_key(
    onnx_sha256: str,
    api: TensorRT,
    gpu: Dict[str, Any],
    precision: str,
    dla: Optional[int],
    calibration: Optional[str],
) -> Key:
    """All that an engine depends on. Another value of any of these makes it stale."""
    return {
        "version": VERSION,
        "onnx_sha256": onnx_sha256,
        "tensorrt": ("RTX " if api.rtx else "") + api.version,
        # Boards of one generation share the name: Orin Nano and AGX Orin are both "Orin".
        "gpu": "{name}, sm {compute_capability}, {multiprocessors} multiprocessors".format(**gpu),
        "precision": precision,
        "dla": dla,
        "calibration": calibration,
    }


def engine_path(folder: str, stem: str, key: Key) -> str:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    place = key["precision"] if key["dla"] is None else "{precision}-dla{dla}".format(**key)
    return os.path.join(folder, f"{stem}.{place}.{digest}.engine")


def write_bytes(path: str, data: bytes) -> None:
    """Whole or not at all: a power cut must not leave half an engine."""
    partial = f"{path}.{os.getpid()}.partial"
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise BenchmarkError(f"{path} cannot be written: {error.strerror}") from error


def parse_object(text: str) -> Dict[str, Any]:
    """The object of a JSON text; `ValueError` where it holds another thing, or none."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def read_object(path: str) -> Dict[str, Any]:
    """The object that a JSON file holds; `OSError` or `ValueError` where there is none."""
    with open(path, encoding="utf-8") as file:
        return parse_object(file.read())


def write_json(path: str, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=False) + "\n").encode())


def save_engine(path: str, plan: bytes, key: Key, about: Dict[str, Any]) -> None:
    """The engine, and beside it what it was built from."""
    stored = dict(about, key=key, engine_sha256=hashlib.sha256(plan).hexdigest())
    write_bytes(path, plan)
    write_json(path + ".json", stored)


def load_engine(path: str, key: Optional[Key]) -> Tuple[bytes, Dict[str, Any]]:
    """An engine's bytes and what is stored of it.

    Args:
        key: what the engine must have been built from; values of None are not compared.

    Raises `BenchmarkError`: stale (and what differs), damaged, or of unknown origin.
    """
    try:
        with open(path, "rb") as file:
            plan = file.read()
    except OSError as error:
        raise BenchmarkError(f"{path} cannot be read: {error.strerror}") from error
    try:
        stored = read_object(path + ".json")
        found = stored["key"]
        texts, objects = (found["precision"], stored["model"]), (found, stored.get("metadata", {}))
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a name is no text")
        if not all(isinstance(value, dict) for value in objects):
            raise ValueError("an entry is no object")
        if not isinstance(found["dla"], (int, type(None))):
            raise ValueError("the DLA core is no number")
    except (OSError, ValueError, KeyError, TypeError):
        raise BenchmarkError(
            f"{path} has no readable {os.path.basename(path)}.json that says what it was built "
            "from, so it may be stale: build it with this tool from the ONNX file, or add "
            "--accept-unknown-engine"
        ) from None
    if stored.get("engine_sha256") != hashlib.sha256(plan).hexdigest():
        raise BenchmarkError(f"{path} is damaged or was replaced: delete it and build it again")
    if key is not None:
        differences = stale_because(found, key)
        if differences:
            raise BenchmarkError(
                "{} is stale: {}. Build it again from the ONNX file".format(
                    path, "; ".join(differences)
                )
            )
    return plan, stored


def stale_because(found: Key, wanted: Key) -> List[str]:
    """What differs between two keys, in words; None in `wanted` means: whatever it is."""
    return [
        f"{name} was {found.get(entry)}, is {wanted[entry]}"
        for entry, name in _KEY_NAMES.items()
        if wanted.get(entry) is not None and found.get(entry) != wanted[entry]
    ]


def name_stale(folder: str, stem: str, key: Key, note: Callable[[str], None] = say) -> None:
    """Say which engines of this model are not used, and why."""
    for path in sorted(
        glob.glob(os.path.join(glob.escape(folder), glob.escape(stem) + ".*.engine"))
    ):
        try:
            _, stored = load_engine(path, None)
        except BenchmarkError:
            continue
        same = {name: key[name] for name in ("precision", "dla")}
        if stale_because(stored["key"], same):
            continue  # another precision is no older version of this engine
        differences = stale_because(stored["key"], key)
        if differences:
            note("not used, stale: {} ({})".format(os.path.basename(path), "; ".join(differences)))


# --------------------------------------------------------------------------------------- running


class Tensor(NamedTuple):
    name: str
    shape: Tuple[int, ...]
    dtype: Any
    host: Any
    address: int
    is_input: bool


class Engine:
    """A deserialized engine with its memory, for one picture at a time.

    From 8.5 on tensors have names (`execute_async_v3`); before, they have places among the
    bindings (`execute_async_v2`).

    Attributes:
        tensors: in the engine's order. input: the picture's. by_name: which of the two APIs.
    """

    def __init__(self, api: TensorRT, cuda: Any, plan: bytes, dla: Optional[int] = None) -> None:
        self.api, self.cuda = api, cuda
        self._runtime = api.trt.Runtime(api.logger)
        if dla is not None:
            self._runtime.DLA_core = dla
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise api.failure("loading the engine")
        self.by_name = hasattr(self._engine, "num_io_tensors")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise api.failure("making the engine's execution context")
        self.stream = cuda.stream()
        self.tensors = self._by_name() if self.by_name else self._by_place()
        inputs = [tensor for tensor in self.tensors if tensor.is_input]
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[:2] != (1, 3):
            told = ", ".join(f"{t.name} {_shape_text(t.shape)}" for t in inputs)
            raise BenchmarkError(f"the engine's input is {told}, not one of 1x3xHxW")
        self.input = inputs[0]

    def _by_name(self) -> List[Tensor]:
        engine, trt = self._engine, self.api.trt
        found = []
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            kind = engine.get_tensor_dtype(name)
            found.append(self._tensor(name, engine.get_tensor_shape(name), kind, is_input))
            self._context.set_tensor_address(name, found[-1].address)
        return found

    def _by_place(self) -> List[Tensor]:
        engine = self._engine
        found = []
        for index in range(engine.num_bindings):
            name, kind = engine.get_binding_name(index), engine.get_binding_dtype(index)
            is_input = engine.binding_is_input(index)
            found.append(self._tensor(name, engine.get_binding_shape(index), kind, is_input))
        self._bindings = [tensor.address for tensor in found]
        return found

    def _tensor(self, name: str, shape: Any, kind: Any, is_input: bool) -> Tensor:
        sizes = tuple(int(size) for size in shape)
        if any(size < 1 for size in sizes):
            raise BenchmarkError(
                f"{name} is {_shape_text(sizes)}, which is dynamic: export the model with fixed "
                "shapes"
            )
        host = self.cuda.host(sizes, self.api.dtype(kind))
        return Tensor(name, sizes, host.dtype, host, self.cuda.alloc(host.nbytes), is_input)

    def upload(self) -> None:
        self.cuda.to_device(self.input.address, self.input.host, self.stream)

    def enqueue(self) -> None:
        if self.by_name:
            done = self._context.execute_async_v3(stream_handle=self.stream)
        else:
            done = self._context.execute_async_v2(
                bindings=self._bindings, stream_handle=self.stream
            )
        if not done:
            raise self.api.failure("running the engine")

    def download(self) -> None:
        for tensor in self.tensors:
            if not tensor.is_input:
                self.cuda.to_host(tensor.host, tensor.address, self.stream)

    def fill(self, batch: np.ndarray) -> None:
        """Put a preprocessed picture where it is uploaded from."""
        if batch.shape != self.input.shape:
            raise BenchmarkError(
                f"the picture is {_shape_text(batch.shape)}, the engine takes "
                f"{_shape_text(self.input.shape)}"
            )
        np.copyto(self.input.host, batch, casting="same_kind")

    def infer(self) -> None:
        """Copy in, run, copy out, and wait."""
        self.upload()
        self.enqueue()
        self.download()
        self.cuda.wait(self.stream)

    def detector_outputs(self) -> Tuple[np.ndarray, np.ndarray]:
        """The arrays that every run fills: scores (P, C) and boxes (P, 4), as `format=onnx` gives.

        Raises `BenchmarkError` where the engine is no raw detector.
        """
        outputs = {tensor.name: tensor for tensor in self.tensors if not tensor.is_input}
        scores, boxes = outputs.get("scores"), outputs.get("boxes")
        if scores is None or boxes is None:
            told = ", ".join(f"{t.name} {_shape_text(t.shape)}" for t in outputs.values())
            raise BenchmarkError(
                f"the outputs are {told}, not `scores` and `boxes`: export the detector with "
                "format=onnx"
            )
        if len(scores.shape) != 3 or boxes.shape != (1, scores.shape[1], 4) or scores.shape[0] != 1:
            raise BenchmarkError(
                f"scores is {_shape_text(scores.shape)} and boxes is {_shape_text(boxes.shape)}, "
                "not 1xPxC and 1xPx4"
            )
        return scores.host[0], boxes.host[0]


# -------------------------------------------------------------------------------------- pictures

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
PREPROCESSES = ("tlx", "detectnet")
# PIL's names for turns and flips, by EXIF orientation (EXIF 2.32, 4.6.4 A).
_UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
_ORIENTATION = 0x0112


class PictureReader:
    """Reads pictures with Pillow or OpenCV, whichever the machine has.

    Attributes:
        library: which, with its version.
    """

    def __init__(self) -> None:
        self._pil = self._cv2 = None  # type: Any
        try:
            import PIL
            import PIL.Image

            self._pil = PIL.Image
            self.library = f"Pillow {PIL.__version__}"
        except ImportError:
            try:
                import cv2

                self._cv2 = cv2
                self.library = f"OpenCV {cv2.__version__}"
            except ImportError:
                raise BenchmarkError(
                    "pictures need Pillow or OpenCV: `sudo apt install python3-pil` or `sudo apt "
                    "install python3-opencv`"
                ) from None

    def read(self, path: str) -> np.ndarray:
        """uint8 RGB (H, W, 3), upright; `BenchmarkError` for what is no picture."""
        if self._cv2 is not None:
            image = self._cv2.imread(path, self._cv2.IMREAD_COLOR)  # applies EXIF itself
            if image is None:
                raise BenchmarkError(f"{path} is no picture that OpenCV reads")
            return np.ascontiguousarray(image[:, :, ::-1])
        try:
            with self._pil.open(path) as image:
                image.load()
                turn = _UPRIGHT.get(_orientation(image))
                image = image if turn is None else image.transpose(turn)
                if image.mode.startswith("I"):  # 16-bit gray, which convert would clip at 255
                    image = self._pil.fromarray((np.asarray(image) >> 8).astype(np.uint8))
                return np.array(image.convert("RGB"))
        except Exception as error:  # decoders raise nearly anything on damaged data
            raise BenchmarkError(f"{path} cannot be read: {error}") from error

    def shrink(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        """Resize to these sides, bilinear with antialiasing, as tlx trains and evaluates."""
        if image.shape[:2] == (height, width):
            return image
        if self._pil is None:  # OpenCV has no antialiased bilinear resize
            return resize_antialiased(image, height, width)
        picture = self._pil.fromarray(image)
        return np.asarray(picture.resize((width, height), self._pil.BILINEAR))


def _orientation(image: Any) -> int:
    try:
        found = image.getexif() if hasattr(image, "getexif") else image._getexif()
        return int((found or {}).get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF does not make the pixels worse
        return 1


def resize_antialiased(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 3) -> (height, width, 3), within one grey level of Pillow's bilinear resize."""
    down = _triangle(image.shape[0], height)
    across = _triangle(image.shape[1], width)
    rows = np.tensordot(down, image.astype(np.float32), (1, 0))
    found = np.tensordot(rows, across, (1, 1)).transpose(0, 2, 1)
    return np.clip(np.floor(found + 0.5), 0, 255).astype(np.uint8)


def _triangle(source: int, target: int) -> np.ndarray:
    """Weights (target, source) of a triangle filter that widens as a picture shrinks."""
    scale = source / float(target)
    reach = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    distances = np.abs(np.arange(source) + 0.5 - centres[:, None]) / reach
    weights = np.maximum(1.0 - distances, 0.0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def resize_nearest(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """As jetson-inference does on the GPU: source place = cut off(place * source / target)."""
    rows, columns = (
        (np.arange(target, dtype=np.float32) * (np.float32(source) / np.float32(target))).astype(
            int
        )
        for source, target in ((image.shape[0], height), (image.shape[1], width))
    )
    return image[rows][:, columns]


class Preprocess:
    """From uint8 RGB of any size to the network's input, float32 (1, 3, H, W).

    `tlx` resizes with antialiasing and normalises as the model's metadata say; `detectnet` takes
    the nearest neighbour and x / 127.5 - 1, whatever the network was trained with.

    Args:
        letterbox: keep the picture's aspect ratio, between bars of gray.
    """

    def __init__(
        self,
        mode: str,
        shape: Sequence[int],
        reader: Optional[PictureReader],
        mean: Sequence[float],
        std: Sequence[float],
        letterbox: bool = False,
    ) -> None:
        self.mode, self.reader, self.letterbox = mode, reader, letterbox
        self.height, self.width = int(shape[2]), int(shape[3])
        if mode == "detectnet":
            mean = std = (127.5,) * 3
        self.mean, self.std = np.array(mean, np.float32), np.array(std, np.float32)

    def _shown(self, image: np.ndarray) -> np.ndarray:
        """The picture in the input, uint8 (height, width, 3)."""
        if self.mode == "detectnet":
            return resize_nearest(image, self.height, self.width)
        if not self.letterbox:
            return self._shrink(image, self.height, self.width)
        left, top, width, height = content(image.shape[1], image.shape[0], self.width)
        canvas = np.full((self.height, self.width, 3), BARS, np.uint8)
        canvas[top : top + height, left : left + width] = self._shrink(image, height, width)
        return canvas

    def _shrink(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        if self.reader is None:
            return resize_antialiased(image, height, width)
        return self.reader.shrink(image, height, width)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        small = self._shown(image)
        found = np.empty((1, 3, self.height, self.width), np.float32)
        for channel in range(3):
            np.subtract(small[:, :, channel], self.mean[channel], out=found[0, channel])
            found[0, channel] /= self.std[channel]
        return found


def describe_model(onnx: Optional[OnnxFile], path: str) -> Dict[str, Any]:
    """What `tlx.export` stored of the model: in the ONNX file, else in `model.json` beside it."""
    stored = {}  # type: Dict[str, Any]
    for name, text in (onnx.metadata if onnx is not None else {}).items():
        try:
            if name == "tlx":
                stored.update(parse_object(text))
            elif name.startswith("tlx."):
                stored[name[4:]] = json.loads(text)
        except (ValueError, RecursionError):
            raise BenchmarkError(f"{path}: the metadata entry {name} is damaged") from None
    beside = os.path.join(os.path.dirname(path) or ".", "model.json")
    if not stored and os.path.isfile(beside):
        try:
            stored = read_object(beside)
        except (OSError, ValueError) as error:
            raise BenchmarkError(f"{beside} cannot be read: {error}") from error
    return stored


def normalisation(stored: Dict[str, Any]) -> Tuple[List[float], List[float], bool]:
    """Mean and std per channel for pixels of 0..255, and whether the model states them."""
    for place in (stored.get("input"), stored):
        if isinstance(place, dict) and "mean" in place and "std" in place:
            mean, std = _channels(place["mean"], "mean", 0.0), _channels(place["std"], "std", 1e-9)
            scale = 255.0 if max(std) <= 1 else 1.0  # stated for pixels of 0..1
            return [scale * value for value in mean], [scale * value for value in std], True
    return [127.0] * 3, [128.0] * 3, False


class Framing(NamedTuple):
    """How a network sees pictures: between bars instead of stretched; in tiles of so many px."""

    letterbox: bool
    tile: Optional[int]


def framing(stored: Dict[str, Any], mode: str) -> Framing:
    """What the model says; one that says nothing sees whole pictures, stretched.

    Raises `BenchmarkError` for what this tool or detectnet cannot show it.
    """
    entry = stored.get("input")
    entry = entry if isinstance(entry, dict) else {}
    resize = entry.get("resize", "stretch")
    if resize not in ("stretch", "letterbox"):
        raise BenchmarkError(
            f"the model's pictures are resized by {resize!r}, which this tool does not know: take "
            "the jetson_benchmark.py of the tlx that exported it"
        )
    tile = entry.get("tile")
    side = tile.get("side") if isinstance(tile, dict) else tile
    if side is not None:
        side = int(stated_number(side, "tile", 1, 1e6))
    if mode == "detectnet" and (resize == "letterbox" or side):
        raise BenchmarkError(
            "--preprocess detectnet stretches whole pictures, and the model was trained on others "
            "({}): leave it out".format("tiles" if side else "their aspect ratio kept")
        )
    return Framing(resize == "letterbox", side)


BARS = 127  # gray beside a picture whose aspect ratio is kept


def content(width: int, height: int, side: int) -> Tuple[int, int, int, int]:
    """Left, top, width and height of a picture in a letterbox of `side` px, as tlx reckons it."""
    longest = max(width, height)
    w, h = [max(1, (2 * side * length + longest) // (2 * longest)) for length in (width, height)]
    return (side - w) // 2, (side - h) // 2, w, h


def out_of_bars(found: "Found", size: Tuple[int, int], side: int) -> "Found":
    """Detections in 0..1 of a letterbox -> of the picture; what lies in the bars alone goes."""
    left, top, width, height = content(size[0], size[1], side)
    low, span = np.array([left, top] * 2), np.array([width, height] * 2)
    boxes = (np.asarray(found.boxes, np.float64) * side - low) / span
    boxes = np.clip(boxes, 0.0, 1.0).astype(np.float32).reshape(-1, 4)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Found(boxes[inside], found.scores[inside], found.labels[inside])


def _channels(values: Any, name: str, low: float) -> List[float]:
    if not isinstance(values, list) or len(values) != 3:
        raise BenchmarkError(f"the model's metadata: {name} needs 3 channels")
    return [stated_number(value, name, low, 1e4) for value in values]


def stated_number(value: Any, name: str, low: float, high: float) -> float:
    """A number of the model's metadata; `BenchmarkError` where it is none, or out of its range."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise BenchmarkError(
            f"the model's metadata: {name} must be a number from {low:g} to {high:g}, and is "
            f"{str(value)[:40]}: export the model again"
        )
    return float(value)


def find_pictures(folder: str, listed: Optional[str] = None) -> List[str]:
    """Paths relative to the folder, with `/`, sorted; those of a list file where one is given."""
    if not os.path.isdir(folder):
        raise BenchmarkError(f"{folder} is no folder")
    if listed is not None:
        try:
            with open(listed, encoding="utf-8") as file:
                names = [line.strip() for line in file if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise BenchmarkError(f"{listed} cannot be read: {error}") from error
        missing = [name for name in names if not os.path.isfile(os.path.join(folder, name))]
        if missing:
            raise BenchmarkError(f"{listed} names {missing[0]}, which is not in {folder}")
    else:
        names = [
            os.path.relpath(os.path.join(place, name), folder).replace(os.sep, "/")
            for place, _, files in os.walk(folder)
            for name in files
            if name.lower().endswith(ENDINGS) and not name.startswith(".")
        ]
    if not names:
        raise BenchmarkError("{} holds no picture ({})".format(folder, ", ".join(ENDINGS)))
    return sorted(names)


# ------------------------------------------------------------------------------------ detections


class Found(NamedTuple):
    boxes: Any
    scores: Any
    labels: Any


def select(
    scores: np.ndarray,
    boxes: np.ndarray,
    threshold: float = 0.01,
    nms_iou: float = 0.45,
    limit: int = 100,
    candidates: int = 400,
) -> Found:
    """Scores (P, C), background first, and boxes (P, 4) in 0..1 -> detections, best first.

    The rules of tlx's evaluation: the best `candidates` a class above the threshold, clipped to
    the picture, then greedy NMS within a class. Labels are 1-based.
    """
    objects = scores[:, 1:]
    prior, label = np.nonzero(objects > threshold)
    values = objects[prior, label]
    best = np.argsort(-values, kind="mergesort")[: candidates * objects.shape[1]]
    prior, label, values = prior[best], label[best], values[best]
    chosen = np.clip(boxes[prior], 0.0, 1.0)
    kept = []  # type: List[int]
    for one in np.unique(label):
        places = np.flatnonzero(label == one)
        kept.extend(places[_nms(chosen[places], nms_iou, limit)])
    keep = np.sort(np.array(kept, np.int64))[:limit]
    return Found(chosen[keep], values[keep], label[keep].astype(np.int64) + 1)


CLUSTERINGS = ("classwise", "interclass")


def _nms(boxes: np.ndarray, iou: float, limit: int) -> List[int]:
    """Places of the boxes (n, 4), best first, that no better kept one overlaps."""
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)
    areas = (x2 - x1) * (y2 - y1)
    alive = np.ones(len(boxes), bool)
    kept = []  # type: List[int]
    for place in range(len(boxes)):
        if not alive[place]:
            continue
        kept.append(place)
        if len(kept) == limit:
            break
        rest = slice(place + 1, None)
        width = np.minimum(x2[place], x2[rest]) - np.maximum(x1[place], x1[rest])
        height = np.minimum(y2[place], y2[rest]) - np.maximum(y1[place], y1[rest])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        alive[rest] &= shared <= iou * (areas[place] + areas[rest] - shared)
    return kept


def cluster(
    scores: np.ndarray,
    boxes: np.ndarray,
    size: Tuple[int, int],
    threshold: float = 0.5,
    overlap: float = 0.75,
    clustering: str = "classwise",
) -> Found:
    """What `detectnet` makes of the outputs, in its order and with its defaults.

    In the order of the priors, each with its best class of at least `threshold` joins the first
    box with which its intersection is more than `overlap` of the larger area: the union of both,
    with the higher score. `classwise` (jetson-inference since the end of 2022) it joins boxes of
    its own class only; `interclass` (before) any, and of two classes the better box stays. Boxes
    end at the last pixel of the picture.

    Args:
        size: width and height of the picture in pixels.
    """
    labels = scores[:, 1:].argmax(1) + 1
    best = scores[np.arange(len(scores)), labels]
    scale = np.array([size[0], size[1], size[0], size[1]], np.float32)
    found = []  # type: List[List[float]]
    for prior in np.flatnonzero(best >= threshold):
        x1, y1, x2, y2 = (boxes[prior] * scale).tolist()
        score, label = float(best[prior]), int(labels[prior])
        for one in found:
            width = min(one[2], x2) - max(one[0], x1)
            height = min(one[3], y2) - max(one[1], y1)
            larger = max((one[2] - one[0]) * (one[3] - one[1]), (x2 - x1) * (y2 - y1), 1e-12)
            if max(width, 0) * max(height, 0) / larger <= overlap:
                continue
            if one[5] != label and clustering == "interclass":
                if score > one[4]:
                    one[:] = [x1, y1, x2, y2, score, label]
                break
            if one[5] == label:
                one[:4] = [min(one[0], x1), min(one[1], y1), max(one[2], x2), max(one[3], y2)]
                one[4] = max(one[4], score)
                break
        else:
            found.append([x1, y1, x2, y2, score, label])
    found.sort(key=lambda one: -one[4])
    table = np.array(found, np.float32).reshape(-1, 6)
    corners = np.maximum(table[:, :4], 0)
    corners[:, 2:] = np.where(corners[:, 2:] >= scale[2:], scale[2:] - 1, corners[:, 2:])
    return Found(corners / scale, table[:, 4], table[:, 5].astype(np.int64))


class Postprocess:
    """From the engine's outputs to detections, by the rules that go with the preprocessing.

    Args:
        letterbox: side of the input in which pictures lie between bars; None: they are stretched.
    """

    def __init__(
        self,
        mode: str,
        threshold: Optional[float],
        stored: Dict[str, Any],
        clustering: str = CLUSTERINGS[0],
        letterbox: Optional[int] = None,
    ) -> None:
        self.clustering, self.letterbox = clustering, letterbox
        self.mode, options = mode, stored.get("postprocess") or {}
        if not isinstance(options, dict):
            raise BenchmarkError("the model's metadata: postprocess is no object")
        least = stated_number(options.get("score_threshold", 0.01), "score_threshold", 0, 1)
        default = 0.5 if mode == "detectnet" else least
        self.threshold = default if threshold is None else threshold
        self.nms_iou = stated_number(options.get("nms_iou", 0.45), "nms_iou", 0, 1)
        limit = stated_number(options.get("max_detections", 100), "max_detections", 1, 1e6)
        self.limit = int(limit)

    def __call__(self, scores: np.ndarray, boxes: np.ndarray, size: Tuple[int, int]) -> Found:
        scores, boxes = np.asarray(scores, np.float32), np.asarray(boxes, np.float32)
        if self.mode == "detectnet":
            return cluster(scores, boxes, size, self.threshold, clustering=self.clustering)
        found = select(scores, boxes, self.threshold, self.nms_iou, self.limit)
        return found if self.letterbox is None else out_of_bars(found, size, self.letterbox)


def detection_row(name: str, size: Tuple[int, int], found: Found) -> Dict[str, Any]:
    """A picture's entry in the detections file; boxes in pixels of the upright picture."""
    scale = np.array([size[0], size[1], size[0], size[1]], np.float64)
    rows = zip(found.labels.tolist(), found.scores.tolist(), (found.boxes * scale).tolist())
    return {
        "image": name,
        "width": size[0],
        "height": size[1],
        "detections": [
            {"label": label, "score": round(score, 6), "box": [round(value, 3) for value in box]}
            for label, score, box in rows
        ],
    }


# ----------------------------------------------------------------------- conditions of the board

# Numbers of up to 9 digits: what is longer is a torn line.
_TEMPERATURE = re.compile(r"(\w+)@(-?\d{1,9}(?:\.\d{1,9})?)C\b")
# `VDD_IN 5263mW/5100mW`, `POM_5V_IN 900/943`, on AGX Xavier `GPU 0/0`: now and mean, milliwatts.
_RAIL = re.compile(r"(?<=\s)([A-Z][A-Z0-9_]*) (\d{1,9})(?:mW)?/(\d{1,9})(?:mW)?(?=\s|$)")
_ENGINE = r"%s (?:(\d{1,9})%%)?(?:@\[?(\d{1,9}(?:,\d{1,9})*)\]?)?"
_GPU, _MEMORY_BUS = re.compile(_ENGINE % "GR3D_FREQ"), re.compile(_ENGINE % "EMC_FREQ")
_CORES, _CORE = re.compile(r"CPU \[([^\]]*)\]"), re.compile(r"(\d{1,9})%@(\d{1,9})")
_RAM = re.compile(r"\bRAM (\d{1,9})/(\d{1,9})MB")
_SENSOR_OFF = -256.0  # of a part that is powered down
_NO_SENSORS = {"PMIC"}  # stated as a constant 50 or 100 degrees
TOTAL_RAILS = ("VDD_IN", "POM_5V_IN", "VIN")  # what the whole module draws
# AGX Orin: memory is fed from the 5 V rail, so that its monitor sees again what that one saw.
PART_OF = {"VDDQ_VDD2_1V8AO": "VIN_SYS_5V0"}
# Cooling devices that only report: the kernel tells programs that the case is hot, no clock falls.
REPORTS = re.compile(r"hot-surface-alert", re.IGNORECASE)


def parse_tegrastats(line: str) -> Dict[str, Any]:
    """One line of tegrastats, of any board and release; what is not in it is not in the result.

    Clocks in MHz, loads in percent, power in mW as of now (not the running mean). A GPU of
    several clusters is given by its slowest clock.
    """
    found = {}  # type: Dict[str, Any]
    ram = _RAM.search(line)
    if ram:
        found["ram_used_mb"], found["ram_total_mb"] = int(ram.group(1)), int(ram.group(2))
    for name, pattern in (("gpu", _GPU), ("emc", _MEMORY_BUS)):
        engine = pattern.search(line)
        if engine and engine.group(1):
            found[name + "_load_percent"] = int(engine.group(1))
        if engine and engine.group(2):
            found[name + "_mhz"] = min(int(clock) for clock in engine.group(2).split(","))
    cores = _CORES.search(line)
    if cores:
        running = [_CORE.match(core.strip()) for core in cores.group(1).split(",")]
        found["cpu_load_percent"] = [int(core.group(1)) for core in running if core]
        found["cpu_mhz"] = [int(core.group(2)) for core in running if core]
    temperatures = {name: float(value) for name, value in _TEMPERATURE.findall(line)}
    kept = {n: v for n, v in temperatures.items() if v > _SENSOR_OFF and n not in _NO_SENSORS}
    if kept:
        found["temperature_c"] = kept
    rails = {name: int(now) for name, now, _ in _RAIL.findall(line) if name != "NC"}
    if rails:
        found["power_mw"] = rails
    return found


class Board:
    """What the kernel tells of a Jetson in files. `root` is `/`, or a copy for tests."""

    def __init__(self, root: str = "/") -> None:
        self.root = root
        self._gpu = self._find_gpu()

    def _paths(self, pattern: str) -> List[str]:
        return sorted(glob.glob(os.path.join(self.root, pattern)))

    def _read(self, path: str) -> Optional[str]:
        try:
            with open(os.path.join(self.root, path), "rb") as file:
                return file.read().decode("utf-8", "replace").strip("\0\n ")
        except OSError:  # absent, or a sensor that is powered down
            return None

    def _number(self, path: str) -> Optional[int]:
        text = self._read(path)
        try:
            return None if text is None else int(text)
        except ValueError:
            return None

    def describe(self) -> Dict[str, Any]:
        """Model, L4T release and machine; null where the kernel does not tell."""
        release = self._read("etc/nv_tegra_release") or ""
        match = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", release)
        return {
            "model": self._read("proc/device-tree/model"),
            "l4t": "{}.{}".format(*match.groups()) if match else None,
            "machine": platform.machine(),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "numpy": np.__version__,
        }

    def _find_gpu(self) -> Optional[str]:
        names = re.compile(r"gpu|gm20b|gp10b|gv11b|ga10b", re.IGNORECASE)
        for path in self._paths("sys/class/devfreq/*"):
            if names.search(os.path.basename(path)):
                return path
        return None

    def gpu_clock(self) -> Dict[str, int]:
        """Current, smallest and largest GPU clock in MHz, as the power mode allows."""
        if self._gpu is None:
            return {}
        found = {n: self._number(f"{self._gpu}/{n}_freq") for n in ("cur", "min", "max")}
        return {name: value // 1000000 for name, value in found.items() if value is not None}

    def temperatures(self) -> Dict[str, float]:
        """Degrees Celsius by thermal zone."""
        found = {}
        for zone in self._paths("sys/class/thermal/thermal_zone*"):
            name, value = self._read(zone + "/type"), self._number(zone + "/temp")
            if name and value is not None and value / 1000.0 > _SENSOR_OFF and "PMIC" not in name:
                found[re.sub("-therm(al)?$", "", name)] = value / 1000.0
        return found

    def power(self) -> Dict[str, float]:
        """Milliwatts by rail, from the INA3221 monitors."""
        found = {}
        for folder in self._paths("sys/class/hwmon/hwmon*"):  # L4T 34 and later
            if self._read(folder + "/name") != "ina3221":
                continue
            for label in self._paths(folder + "/in*_label"):
                number = re.findall(r"in(\d+)_label$", label)[0]
                name, volts = self._read(label), self._number(f"{folder}/in{number}_input")
                amperes = self._number(f"{folder}/curr{number}_input")
                if name and name != "NC" and volts is not None and amperes is not None:
                    found[name] = volts * amperes / 1000.0
        for label in self._paths("sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_*"):
            number, name = label.rsplit("_", 1)[1], self._read(label)
            value = self._number(f"{os.path.dirname(label)}/in_power{number}_input")
            if name and name != "NC" and value is not None:
                found[name] = float(value)
        return found

    def cooling(self) -> Dict[str, int]:
        """State of what cools by slowing down; 0 is full speed. Fans are left out."""
        found = {}
        for device in self._paths("sys/class/thermal/cooling_device*"):
            name, state = self._read(device + "/type"), self._number(device + "/cur_state")
            if name and state is not None and "fan" not in name.lower():
                found[f"{name} ({os.path.basename(device)})"] = state
        return found

    def over_current(self) -> Dict[str, int]:
        """Count of over-current events by alarm, where the board has such counters."""
        counts = {os.path.basename(path): self._number(path)
                  for path in self._paths("sys/class/hwmon/hwmon*/oc*_event_cnt")}  # fmt: skip
        return {name: count for name, count in counts.items() if count is not None}

    def cpu_governors(self) -> List[str]:
        paths = self._paths("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
        return sorted({text for text in (self._read(path) for path in paths) if text})

    def sample(self) -> Dict[str, Any]:
        """The state of the board now, in the terms of `parse_tegrastats`, as far as it tells."""
        found = {
            "gpu_mhz": self.gpu_clock().get("cur"),
            "temperature_c": self.temperatures(),
            "power_mw": self.power(),
            "cooling": self.cooling(),
            "over_current": self.over_current(),
        }  # type: Dict[str, Any]
        return {name: value for name, value in found.items() if value not in (None, {})}


def parse_nvpmodel(text: str) -> Optional[str]:
    """The name of the power mode in what `nvpmodel -q` prints."""
    match = re.search(r"NV Power Mode: *(\S+)", text)
    return re.sub("^MODE_", "", match.group(1)) if match else None


def power_mode() -> Optional[str]:
    """The board's power mode, like 15W or MAXN; None where nvpmodel is absent or silent."""
    try:
        done = subprocess.run(
            ["nvpmodel", "-q"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_nvpmodel(done.stdout.decode("utf-8", "replace"))


class Telemetry:
    """Samples of the board while something runs: from tegrastats, and from the kernel's files.

    Args:
        interval: seconds between samples.
        command: of tegrastats; its lines are read as they come.
    """

    def __init__(
        self, board: Board, interval: float = 1.0, command: Optional[Sequence[str]] = None
    ) -> None:
        self.board, self.interval = board, interval
        milliseconds = str(max(100, int(interval * 1000)))
        self.command = command or ("tegrastats", "--interval", milliseconds)
        self.samples = []  # type: List[Dict[str, Any]]
        self._stop = threading.Event()
        self._threads = []  # type: List[threading.Thread]
        self._process = None  # type: Any

    def __enter__(self) -> "Telemetry":
        try:
            self._process = subprocess.Popen(
                list(self.command),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                universal_newlines=True,
            )
        except OSError:
            self._process = None
        works = [self._watch_board]
        if self._process is not None:
            works.append(self._read_lines)
        for work in works:
            thread = threading.Thread(target=work)
            thread.daemon = True
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stop.set()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        for thread in self._threads:
            thread.join(timeout=5)
        if self._process is not None:
            self._process.stdout.close()

    def _keep(self, sample: Dict[str, Any], source: str) -> None:
        if sample:
            self.samples.append(dict(sample, t=time.time(), source=source))

    def _read_lines(self) -> None:
        for line in self._process.stdout:
            self._keep(parse_tegrastats(line), "tegrastats")

    def _watch_board(self) -> None:
        while True:
            self._keep(self.board.sample(), "sysfs")
            if self._stop.wait(self.interval):
                self._keep(self.board.sample(), "sysfs")  # counters as they ended
                return


def _spread(values: Sequence[float]) -> Dict[str, float]:
    return {
        "min": round(float(min(values)), 3),
        "mean": round(float(sum(values)) / len(values), 3),
        "max": round(float(max(values)), 3),
    }


def summarise(samples: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """Smallest, mean and largest of every quantity over a run's samples.

    Where tegrastats and the kernel's files both give power or temperatures, those of tegrastats
    are taken: the same sensors, under the board's own names.
    """
    spoken = [s for s in samples if s["source"] == "tegrastats"]
    found = {"samples": len(samples), "sources": sorted({s["source"] for s in samples})}  # type: Dict[str, Any]
    for name in ("gpu_load_percent", "gpu_mhz", "emc_load_percent", "emc_mhz", "ram_used_mb"):
        values = [s[name] for s in samples if name in s]
        if values:
            found[name] = _spread(values)
    clocks = [clock for s in samples for clock in s.get("cpu_mhz", ())]
    if clocks:
        found["cpu_mhz"] = _spread(clocks)
    for name in ("temperature_c", "power_mw"):
        rows = [s[name] for s in spoken if name in s] or [s[name] for s in samples if name in s]
        names = sorted({key for row in rows for key in row})
        if names:
            found[name] = {key: _spread([r[key] for r in rows if key in r]) for key in names}
    total = total_power(found.get("power_mw", {}))
    if total:
        found["total_power_mw"] = total
    return found


def total_power(rails: Dict[str, Dict[str, float]]) -> Optional[Dict[str, Any]]:
    """What the module draws: its input rail where it has a monitor, else the sum of the rails.

    A rail that another one feeds is not added to it.
    """
    for name in TOTAL_RAILS:
        if name in rails:
            return dict(rails[name], of=name)
    if not rails:
        return None
    counted = sorted(name for name in rails if PART_OF.get(name) not in rails)
    mean = round(sum(rails[name]["mean"] for name in counted), 3)
    return {"mean": mean, "of": "sum of " + ", ".join(counted)}


def throttle_reasons(
    samples: Sequence[Dict[str, Any]], limits: Dict[str, int], slowdown: Optional[float]
) -> Tuple[List[str], List[str]]:
    """Why a result was throttled, and what else makes it doubtful.

    Args:
        samples: of the measured loop, in time order.
        limits: `Board.gpu_clock` before it.
        slowdown: median latency of the last fifth over that of the first fifth.
    """
    reasons, cautions = [], []
    worst = {}  # type: Dict[str, int]
    for sample in samples:
        for name, state in sample.get("cooling", {}).items():
            worst[name] = max(state, worst.get(name, 0))
    for name, state in sorted(worst.items()):
        if state and REPORTS.search(name):
            cautions.append(f"the board's surface was hot: {name} reached state {state}")
        elif state:
            reasons.append(f"cooling by {name} reached state {state}")
    counts = [s["over_current"] for s in samples if s.get("over_current")]
    for name in sorted(counts[0]) if counts else ():
        rise = counts[-1].get(name, 0) - counts[0][name]
        if rise > 0:
            reasons.append(f"{name} rose by {rise}: over-current")
    clocks = [s["gpu_mhz"] for s in samples if "gpu_mhz" in s]
    locked = bool(limits) and limits.get("min") == limits.get("max")
    slow = slowdown is not None and slowdown > 1.1
    if clocks and locked and min(clocks) < 0.95 * limits["max"]:
        reasons.append("the GPU clock fell to {} of {} MHz".format(min(clocks), limits["max"]))
    elif clocks and slow and clocks[-1] < 0.95 * max(clocks):
        reasons.append(
            f"the GPU clock fell from {max(clocks)} to {clocks[-1]} MHz and the latency rose by "
            f"{100 * (slowdown or 1) - 100:.0f} %"
        )
    elif slow:
        cautions.append(f"the latency rose by {100 * (slowdown or 1) - 100:.0f} % over the run")
    if limits and not locked:
        cautions.append("the GPU clock was not locked: run `sudo jetson_clocks` first")
    return reasons, cautions


# ------------------------------------------------------------------------------------- measuring


def statistics(values: Sequence[float]) -> Dict[str, Any]:
    """Percentiles and mean of times, in the unit of the values."""
    array = np.asarray(values, np.float64)
    found = {"n": len(array), "mean": array.mean(), "min": array.min(), "max": array.max()}
    for percent in (10, 50, 90, 99):
        found[f"p{percent}"] = np.percentile(array, percent)
    return {name: round(float(value), 4) if name != "n" else value for name, value in found.items()}


def _enough(done: int, started: float, iterations: int, seconds: float) -> bool:
    return done >= iterations and time.perf_counter() - started >= seconds


def measure_inference(
    engine: Engine, iterations: int, seconds: float
) -> Tuple[Dict[str, List[float]], float]:
    """Milliseconds by stage, without pre- and post-processing; and pictures a second.

    `network`, `host_to_device` and `device_to_host` are on the GPU's clock; `inference`, their sum
    and the launches, on the host's.
    """
    cuda, stream = engine.cuda, engine.stream
    events = [cuda.event() for _ in range(4)]
    names = ("host_to_device", "network", "device_to_host")
    times = {name: [] for name in ("inference", *names)}  # type: Dict[str, List[float]]
    started = time.perf_counter()
    while not _enough(len(times["inference"]), started, iterations, seconds):
        start = time.perf_counter()
        cuda.record(events[0], stream)
        engine.upload()
        cuda.record(events[1], stream)
        engine.enqueue()
        cuda.record(events[2], stream)
        engine.download()
        cuda.record(events[3], stream)
        cuda.wait(stream)
        times["inference"].append(1000 * (time.perf_counter() - start))
        for name, first, last in zip(names, events, events[1:]):
            times[name].append(cuda.elapsed_ms(first, last))
    return times, len(times["inference"]) / (time.perf_counter() - started)


def measure_queued(engine: Engine, iterations: int) -> float:
    """Runs of the network a second when they are queued without waiting for each."""
    started = time.perf_counter()
    for _ in range(iterations):
        engine.enqueue()
    engine.cuda.wait(engine.stream)
    return iterations / (time.perf_counter() - started)


def measure_whole(
    engine: Engine,
    frame: np.ndarray,
    preprocess: Preprocess,
    postprocess: Optional[Postprocess],
    iterations: int,
    seconds: float,
) -> Dict[str, List[float]]:
    """Milliseconds from a decoded picture to its detections, and the share of each stage."""
    outputs = engine.detector_outputs() if postprocess is not None else None
    size = (frame.shape[1], frame.shape[0])
    names = ("whole", "preprocess", "inference", "postprocess")
    times = {name: [] for name in names}  # type: Dict[str, List[float]]
    started = time.perf_counter()
    while not _enough(len(times["whole"]), started, iterations, seconds):
        marks = [time.perf_counter()]
        engine.fill(preprocess(frame))
        marks.append(time.perf_counter())
        engine.infer()
        marks.append(time.perf_counter())
        if outputs is not None and postprocess is not None:
            postprocess(outputs[0], outputs[1], size)
        marks.append(time.perf_counter())
        spans = [marks[3] - marks[0]] + [later - one for one, later in zip(marks, marks[1:])]
        for name, span in zip(names, spans):
            times[name].append(1000 * span)
    if outputs is None:
        del times["postprocess"]
    return times


def slowdown_of(values: Sequence[float]) -> Optional[float]:
    """Median of the last fifth over that of the first; None for fewer than 50 values."""
    fifth = len(values) // 5
    if fifth < 10:
        return None
    return float(np.median(values[-fifth:]) / np.median(values[:fifth]))


def detect_folder(
    engine: Engine,
    reader: PictureReader,
    folder: str,
    names: Sequence[str],
    preprocess: Preprocess,
    postprocess: Postprocess,
) -> Tuple[List[Dict[str, Any]], List[str]]:
    """Detections of every picture, and a line for each that cannot be read."""
    scores, boxes = engine.detector_outputs()
    rows, unreadable = [], []
    for name in names:
        try:
            image = reader.read(os.path.join(folder, name))
        except BenchmarkError as error:
            unreadable.append(str(error))
            continue
        size = (image.shape[1], image.shape[0])
        engine.fill(preprocess(image))
        engine.infer()
        if not np.isfinite(scores).all() or not np.isfinite(boxes).all():
            raise BenchmarkError(
                f"{name}: the engine gives NaN or infinity, as fp16 does where it overflows: use "
                "--precision fp32"
            )
        rows.append(detection_row(name, size, postprocess(scores, boxes, size)))
    return rows, unreadable


# ---------------------------------------------------------------------------------------- result


def device_name(result: Dict[str, Any]) -> str:
    """The board, or the GPU of a machine that is none."""
    return str(result["board"]["model"] or result["gpu"]["name"])


def conditions_text(result: Dict[str, Any]) -> str:
    """The conditions of a result in a few words, for the report."""
    parts = ["{} {}".format(result["tensorrt"]["name"], result["tensorrt"]["version"])]
    if result["engine"].get("dla") is not None:
        parts.append("DLA {}".format(result["engine"]["dla"]))
    conditions = result["conditions"]
    if conditions["power_mode"]:
        parts.append(conditions["power_mode"])
    if conditions["clocks_locked"] is not None:
        parts.append("clocks locked" if conditions["clocks_locked"] else "clocks not locked")
    return ", ".join(parts)


def report_row(result: Dict[str, Any], policy: str) -> Dict[str, Any]:
    """What `tlx.report benchmark=` reads: the network with its copies, without processing."""
    times = result["latency_ms"]["inference"]
    return {
        "policy": policy,
        "checkpoint_sha256": result.get("model", {}).get("checkpoint_sha256"),
        "latency_ms": times["p50"],
        "low_ms": times["p10"],
        "high_ms": times["p90"],
        "device": device_name(result),
        "precision": result["engine"]["precision"],
        "conditions": conditions_text(result),
        "throttled": result["throttled"],
        "throttle_reasons": result["throttle_reasons"],
    }


def merge_results(
    existing: Optional[Dict[str, Any]], result: Dict[str, Any], row: Dict[str, Any]
) -> Dict[str, Any]:
    """A result file with one more result; one of the same model and conditions is replaced."""
    same = ("policy", "checkpoint_sha256", "device", "precision", "conditions")
    rows, runs = [], []
    for old_row, old_run in zip((existing or {}).get("rows", []), (existing or {}).get("runs", [])):
        if any(old_row.get(name) != row[name] for name in same):
            rows.append(old_row)
            runs.append(old_run)
    return {
        "version": VERSION,
        "tool": "jetson_benchmark",
        "rows": [*rows, row],
        "runs": [*runs, result],
    }


def read_results(path: str) -> Optional[Dict[str, Any]]:
    """An earlier result file to add to; None where there is none."""
    if not os.path.exists(path):
        return None
    try:
        found = read_object(path)
        if found.get("tool") != "jetson_benchmark" or found.get("version") != VERSION:
            raise ValueError("it is no result of this tool")
        for part in (found.get("rows"), found.get("runs")):
            if not isinstance(part, list) or not all(isinstance(entry, dict) for entry in part):
                raise ValueError("its rows or runs are damaged")
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path} cannot be added to: {error}") from error
    return found


def print_result(result: Dict[str, Any]) -> None:
    """A table for the console."""
    write = sys.stdout.write
    device = device_name(result)
    write("{}, {}, {}\n".format(device, result["engine"]["precision"], conditions_text(result)))
    write("{:16} {:>9} {:>9} {:>9}\n".format("ms", "p50", "p90", "p99"))
    for name, row in result["latency_ms"].items():
        write("{:16} {p50:9.3f} {p90:9.3f} {p99:9.3f}\n".format(name, **row))
    rates = result["throughput"]
    write(
        "{:.1f} pictures/s one by one, {:.1f} queued\n".format(rates["one_by_one"], rates["queued"])
    )
    power = result["conditions"]["telemetry"].get("total_power_mw")
    if power:
        write("{:.2f} W ({})\n".format(power["mean"] / 1000.0, power["of"]))
    for reason in result["throttle_reasons"]:
        write(f"THROTTLED: {reason}\n")
    for caution in result["cautions"]:
        write(f"caution: {caution}\n")


# ---------------------------------------------------------------------------------- command line


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="jetson_benchmark.py",
        description=(__doc__ or "").split("\n\nSections")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = found.add_argument
    add("model", help="an .onnx file, or an .engine that this tool built")
    add("--output", metavar="FILE", help="write the result as JSON, for tlx.report benchmark=")
    add("--append", action="store_true", help="add to the results that are in FILE")
    add("--policy", help="what the row is called, like freeze=4 (default: the file's name)")
    add("--check", action="store_true", help="say what the file is and whether it suits; no GPU")
    building = found.add_argument_group("building")
    add = building.add_argument
    add("--precision", choices=PRECISIONS, help="default: as the file is, or fp16")
    add("--workspace", type=int, default=1024, metavar="MB", help="default: %(default)s")
    add("--dla", type=int, metavar="N", help="run on DLA core N, the rest on the GPU")
    add(
        "--calibration",
        metavar="PATH",
        help="for int8 up to TensorRT 10: pictures, or a .calib file",
    )
    add("--calibration-images", type=int, default=200, metavar="N", help="default: %(default)s")
    add("--engine-dir", metavar="DIR", help="where engines are kept (default: the model's folder)")
    add("--rebuild", action="store_true", help="build, even where a fitting engine is there")
    add("--accept-unknown-engine", action="store_true", help="use an .engine of unknown origin")
    measuring = found.add_argument_group("measuring")
    add = measuring.add_argument
    add("--warmup", type=int, default=50, metavar="N", help="runs before (default: %(default)s)")
    add("--iterations", type=int, default=300, metavar="N", help="at least (default: %(default)s)")
    add("--seconds", type=float, default=10, metavar="S", help="at least (default: %(default)s)")
    add("--interval", type=float, default=1, metavar="S", help="of samples (default: %(default)s)")
    pictures = found.add_argument_group("pictures")
    add = pictures.add_argument
    add("--images", metavar="FOLDER", help="pictures, searched recursively")
    add("--list", metavar="FILE", help="only these of them: a relative path a line")
    add("--detections", metavar="FILE", help="write what is found on them, for tlx.evaluate")
    add("--preprocess", choices=PREPROCESSES, default="tlx", help="default: %(default)s")
    add(
        "--clustering",
        choices=CLUSTERINGS,
        default=CLUSTERINGS[0],
        help="of detectnet: of jetson-inference since the end of 2022, or before (default: "
        "%(default)s)",
    )
    add("--threshold", type=float, metavar="X", help="least score (default: .01; detectnet: .5)")
    return found


def check(onnx: OnnxFile) -> List[str]:
    """What the file is, and whether it suits the TensorRT that is here. Needs no GPU."""
    name, shape = onnx.inputs[0] if onnx.inputs else ValueInfo("none", ())
    lines = [
        f"{onnx.name}: opset {onnx.opset}, {onnx.precision}, sha256 {onnx.sha256[:12]}",
        f"input {name} {_shape_text(shape)}",
    ]
    lines += [f"output {value.name} {_shape_text(value.shape)}" for value in onnx.outputs]
    check_input(onnx)
    try:
        api = load_tensorrt()
    except BenchmarkError as error:
        oldest = [version for version, opset in MAX_OPSETS if (onnx.opset or 0) <= opset][:1]
        told = "{}.{}".format(*oldest[0]) if oldest else "none known"
        return [*lines, f"the oldest TensorRT that takes this opset: {told}", str(error)]
    limit = api.max_opset
    if limit is not None and (onnx.opset or 0) > limit:
        lines.append(
            f"{api.name} {api.version} takes opset {limit} at most: export with opset={limit}"
        )
    else:
        lines.append(f"{api.name} {api.version} takes this opset")
    return lines


def read_calibration(
    args: argparse.Namespace, onnx: OnnxFile, api: TensorRT, shape: Sequence[int], folder: str
) -> Optional[Calibration]:
    """What `--calibration` names: a folder of pictures, or a cache; None where none is used."""
    if args.calibration is None or onnx.precision == "int8" or not api.weak_typing:
        return None
    if os.path.isfile(args.calibration):
        table = calibration_table(args.calibration, api)
        return Calibration(hashlib.sha256(table).hexdigest(), table, None, iter(()))
    reader = PictureReader()
    every = find_pictures(args.calibration)
    # Spread over the folder: sorted names often group by scene.
    picked = sorted({int(i) for i in np.linspace(0, len(every) - 1, args.calibration_images)})
    paths = [os.path.join(args.calibration, every[i]) for i in picked]
    stored = describe_model(onnx, onnx.path)
    mean, std, _ = normalisation(stored)
    letterbox = framing(stored, args.preprocess).letterbox
    preprocess = Preprocess(args.preprocess, shape, reader, mean, std, letterbox)
    digest = hashlib.sha256(f"{onnx.sha256} {args.preprocess}".encode())
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())

    def batches() -> Iterator[np.ndarray]:
        for path in paths:
            try:
                yield preprocess(reader.read(path))
            except BenchmarkError as error:  # TensorRT would take it for the end of the pictures
                say(f"not used for calibration: {error}")

    stem = os.path.splitext(onnx.name)[0]
    cache = os.path.join(folder, f"{stem}.{digest.hexdigest()[:12]}.calib")
    return Calibration(digest.hexdigest(), None, cache, batches())


def provide_engine(
    args: argparse.Namespace, onnx: OnnxFile, open_cuda: Callable[[], Any]
) -> Dict[str, Any]:
    """The fitting engine's path and key, built if need be. Meant for a process of its own."""
    shape = check_input(onnx)
    api, cuda = load_tensorrt(), open_cuda()
    precision = args.precision or (onnx.precision if not api.weak_typing else
                                   "int8" if onnx.precision == "int8" else "fp16")  # fmt: skip
    check_precision(api, onnx, precision)
    folder = args.engine_dir or os.path.dirname(os.path.abspath(onnx.path))
    if not os.path.isdir(folder):
        os.makedirs(folder)
    calibration = None
    if precision == "int8":
        calibration = read_calibration(args, onnx, api, shape, folder)
    identity = calibration.identity if calibration else None
    key = engine_key(onnx.sha256, api, cuda.gpu, precision, args.dla, identity)
    stem = os.path.splitext(onnx.name)[0]
    path = engine_path(folder, stem, key)
    if os.path.isfile(path) and not args.rebuild:
        try:
            _, stored = load_engine(path, key)
            return dict(stored, path=path, built=False)
        except BenchmarkError as error:
            say(f"{error}: building it again")
    name_stale(folder, stem, key)
    calibrator = None
    if calibration:
        calibrator = make_calibrator(api, cuda, calibration, int(np.prod(shape)) * 4)
    say(f"building for {precision} with a workspace of {args.workspace} MB; this takes minutes")
    started = time.time()
    plan = build(api, onnx, BuildOptions(precision, args.workspace, args.dla, calibrator))
    about = {
        "model": onnx.name,
        "build_s": round(time.time() - started, 1),
        "workspace_mb": args.workspace,
        "metadata": describe_model(onnx, onnx.path),
    }
    save_engine(path, plan, key, about)
    return dict(load_engine(path, key)[1], path=path, built=True)


def _found_engine(
    args: argparse.Namespace, open_cuda: Callable[[], Any]
) -> Tuple[Dict[str, Any], Optional[OnnxFile]]:
    """Path, key and origin of the engine to run, built in a child process if need be."""
    if not args.model.endswith(".engine"):
        onnx = OnnxFile(args.model)

        def attempt(megabytes: int) -> Dict[str, Any]:
            args.workspace = megabytes
            return in_child(lambda: provide_engine(args, onnx, open_cuda))

        return with_less_workspace(attempt, args.workspace)[0], onnx
    if args.accept_unknown_engine:
        return {"path": args.model, "model": os.path.basename(args.model), "key": None}, None
    _, stored = load_engine(args.model, None)
    onnx_path = os.path.join(os.path.dirname(args.model) or ".", stored["model"])
    onnx_beside = OnnxFile(onnx_path) if os.path.isfile(onnx_path) else None
    if onnx_beside is not None:
        load_engine(args.model, {"onnx_sha256": onnx_beside.sha256})
    return dict(stored, path=args.model, built=False), onnx_beside


class Bench:
    """An engine, ready to run, with what goes before and after it.

    Attributes:
        origin: where the engine came from. stored: what the model says of itself.
        postprocess: None where the engine is no raw detector.
    """

    def __init__(
        self, args: argparse.Namespace, cuda: Any, origin: Dict[str, Any], onnx: Optional[OnnxFile]
    ) -> None:
        self.api, self.cuda, self.origin = load_tensorrt(), cuda, origin
        self.key = origin["key"]  # type: Optional[Key]
        self.dla = args.dla if self.key is None else self.key["dla"]
        self.plan = self._read_plan()
        self.engine = Engine(self.api, cuda, self.plan, self.dla)
        self.stored = origin.get("metadata") or describe_model(onnx, args.model)
        self.cautions = []  # type: List[str]
        mean, std, stated = normalisation(self.stored)
        if not stated and args.preprocess == "tlx":
            self.cautions.append(
                "the model does not state its normalisation: (x - 127) / 128 was used"
            )
        self.reader = PictureReader() if args.images else None
        shape = self.engine.input.shape
        letterbox, tile = framing(self.stored, args.preprocess)
        if letterbox and shape[2] != shape[3]:
            raise BenchmarkError(f"a letterbox of {shape[3]}x{shape[2]} px is no square")
        if tile and args.detections:
            raise BenchmarkError(
                f"the model was trained on tiles of {tile} px, and this tool shows it whole "
                "pictures: leave --detections out, and let `tlx evaluate` or `tlx predict` cut them"
            )
        if tile:
            self.cautions.append(
                f"the model was trained on tiles of {tile} px: times are of one input, and a "
                "picture takes as many as it has tiles"
            )
        self.preprocess = Preprocess(args.preprocess, shape, self.reader, mean, std, letterbox)
        self.postprocess = None  # type: Optional[Postprocess]
        try:
            self.engine.detector_outputs()
            self.postprocess = Postprocess(
                args.preprocess,
                args.threshold,
                self.stored,
                args.clustering,
                int(shape[3]) if letterbox else None,
            )
        except BenchmarkError as error:
            if args.detections:
                raise
            self.cautions.append(f"no post-processing: {error}")
        self.names = find_pictures(args.images, args.list) if args.images else []
        self.frame = np.random.RandomState(0).randint(0, 256, (480, 640, 3)).astype(np.uint8)
        if self.reader is not None:
            self.frame = self.reader.read(os.path.join(args.images, self.names[0]))

    def _read_plan(self) -> bytes:
        path = self.origin["path"]
        if self.key is not None:
            here = engine_key(
                "", self.api, self.cuda.gpu, self.key["precision"], self.key["dla"], None
            )
            return load_engine(path, {name: here[name] for name in ("tensorrt", "gpu")})[0]
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise BenchmarkError(f"{path} cannot be read: {error.strerror}") from error

    def describe(self) -> Dict[str, Any]:
        """Model, engine and software, for the result."""
        key = self.key or {"onnx_sha256": None, "precision": "unknown"}
        return {
            "model": {
                "name": self.origin["model"],
                "sha256": key["onnx_sha256"],
                "checkpoint": self.stored.get("checkpoint"),
                "checkpoint_sha256": self.stored.get("checkpoint_sha256"),
                "input_shape": list(self.engine.input.shape),
            },
            "engine": {
                "file": os.path.basename(self.origin["path"]),
                "sha256": hashlib.sha256(self.plan).hexdigest(),
                "precision": key["precision"],
                "dla": self.dla,
                "workspace_mb": self.origin.get("workspace_mb"),
                "build_s": self.origin.get("build_s"),
                "api": "execute_async_v3" if self.engine.by_name else "execute_async_v2",
            },
            "tensorrt": {"name": self.api.name, "version": self.api.version},
            "gpu": self.cuda.gpu,
            "processing": {
                "preprocess": self.preprocess.mode,
                "picture": [self.frame.shape[1], self.frame.shape[0]],
                "reader": self.reader.library if self.reader else None,
            },
        }


def measure(bench: Bench, args: argparse.Namespace, board: Board) -> Dict[str, Any]:
    """Times, rates and the board's conditions; the result but for what `Bench.describe` gives."""
    engine = bench.engine
    engine.fill(bench.preprocess(bench.frame))
    for _ in range(args.warmup):
        engine.infer()
    limits = board.gpu_clock()
    with Telemetry(board, args.interval) as telemetry:
        times, rate = measure_inference(engine, args.iterations, args.seconds)
    samples = sorted(telemetry.samples, key=lambda sample: sample["t"])
    queued = measure_queued(engine, args.iterations)
    whole = measure_whole(
        engine, bench.frame, bench.preprocess, bench.postprocess, args.iterations, args.seconds / 2
    )
    del whole["inference"]  # the one without processing is the one to quote
    reasons, doubts = throttle_reasons(samples, limits, slowdown_of(times["inference"]))
    if not samples:
        doubts.append("no telemetry: throttling would not have been seen")
    measured = summarise(samples)
    found = {
        "latency_ms": collections.OrderedDict(
            (name, statistics(values)) for name, values in [*times.items(), *whole.items()]
        ),
        "throughput": {"one_by_one": round(rate, 2), "queued": round(queued, 2)},
        "conditions": {
            "power_mode": power_mode(),
            "clocks_locked": limits["min"] == limits["max"] if len(limits) == 3 else None,
            "gpu_clock_mhz": limits,
            "cpu_governors": board.cpu_governors(),
            "telemetry": measured,
        },
        "board": board.describe(),
        "throttled": bool(reasons),
        "throttle_reasons": reasons,
        "cautions": bench.cautions + doubts,
    }  # type: Dict[str, Any]
    if "total_power_mw" in measured:
        found["energy_mj_a_picture"] = round(measured["total_power_mw"]["mean"] / rate, 3)
    return found


def write_detections(bench: Bench, args: argparse.Namespace, device: str) -> List[str]:
    """Run the pictures and write what is found, for `tlx.evaluate`; lines on unreadable ones."""
    assert bench.reader is not None
    assert bench.postprocess is not None
    rows, unreadable = detect_folder(
        bench.engine, bench.reader, args.images, bench.names, bench.preprocess, bench.postprocess
    )
    about = bench.describe()
    write_json(
        args.detections,
        {
            "version": 1,
            "model": {n: about["model"][n] for n in ("sha256", "name", "checkpoint_sha256")},
            "preprocess": bench.preprocess.mode,
            "clustering": args.clustering if bench.preprocess.mode == "detectnet" else None,
            "score_threshold": bench.postprocess.threshold,
            "device": device,
            "precision": about["engine"]["precision"],
            "images": rows,
        },
    )
    say(f"{args.detections}: {len(rows)} pictures, {len(unreadable)} could not be read")
    for line in unreadable:
        say(line)
    return unreadable


def run(args: argparse.Namespace, cuda: Any, board: Board) -> Dict[str, Any]:
    """Provide the engine, measure, and write the detections that were asked for."""
    bench = Bench(args, cuda, *args.found)
    result = {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}  # type: Dict[str, Any]
    result.update(bench.describe())
    result.update(measure(bench, args, board))
    if args.detections:
        result["unreadable"] = write_detections(bench, args, device_name(result))
    return result


def main(
    arguments: Optional[Sequence[str]] = None,
    open_cuda: Callable[[], Any] = Cuda,
    board: Optional[Board] = None,
) -> int:
    """Run the program; 0 when it measured, 1 with unreadable pictures, 2 when it could not run."""
    command = parser()
    args = command.parse_args(arguments)
    if args.detections and not args.images:
        command.error("--detections needs --images")
    if args.list and not args.images:
        command.error("--list needs --images")
    if args.append and not args.output:
        command.error("--append needs --output")
    try:
        if args.check:
            if args.model.endswith(".engine"):
                raise BenchmarkError("--check reads .onnx files")
            sys.stdout.write("\n".join(check(OnnxFile(args.model))) + "\n")
            return 0
        existing = read_results(args.output) if args.append else None
        args.found = _found_engine(args, open_cuda)
        result = run(args, open_cuda(), board or Board())
        print_result(result)
        if args.output:
            stem = os.path.splitext(os.path.basename(result["model"]["name"]))[0]
            row = report_row(result, args.policy or stem)
            write_json(args.output, merge_results(existing, result, row))
    except BenchmarkError as error:
        say(f"error: {error}")
        return 2
    return 1 if result.get("unreadable") else 0


if __name__ == "__main__":
    sys.exit(main())
