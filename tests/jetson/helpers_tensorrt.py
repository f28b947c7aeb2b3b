"""Stand-ins for TensorRT's Python package: what a version has, and an error for the rest.

What a version has is listed in `helpers_tensorrt_api`. Only classes that the tool touches are here.

Runs on Python 3.6 too: the oldest interpreter runs the tool against it.
"""

import ctypes
import enum
import json
import sys
import types
from typing import Any

import numpy as np

from tests.jetson.helpers_tensorrt_api import PARSED_OPSETS, SURFACES

CLASSES, PRIORS, SIDE = 3, 8, 24


class Strict:
    """An object of the bindings: a name that is not recorded cannot be read, called or set."""

    def __init__(self, inner: Any, kind: str, names: set, calls: list) -> None:
        for name, value in (("_inner", inner), ("_kind", kind), ("_names", names)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_calls", calls)

    def _check(self, name: str) -> None:
        if name not in self._names:
            raise AttributeError(f"{self._kind!r} object has no attribute {name!r}")

    def __getattr__(self, name: str) -> Any:
        self._check(name)
        self._calls.append(f"{self._kind}.{name}")
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        self._calls.append(f"{self._kind}.{name}")
        setattr(self._inner, name, value)


def detector(picture: Any) -> Any:
    """The network that every stand-in computes: (scores (P, C), boxes (P, 4)) of (1, 3, S, S)."""
    values = picture.reshape(-1)[: PRIORS * CLASSES].astype(np.float64).reshape(PRIORS, CLASSES)
    grown = np.exp(values)
    corners = np.linspace(0.0, 0.6, PRIORS)[:, None] + np.array([0.0, 0.1, 0.3, 0.4])
    return (grown / grown.sum(1, keepdims=True)).astype(np.float32), corners.astype(np.float32)


class HostCuda:
    """The tool's CUDA calls on the host's memory, so that addresses are real and are followed."""

    def __init__(self) -> None:
        self.gpu = {
            "name": "Orin", "compute_capability": "8.7", "multiprocessors": 8, "memory_mb": 7620,
            "driver": "12.6",
        }  # fmt: skip
        self._blocks = []  # type: list
        self.copied = 0

    def alloc(self, size: int) -> int:
        self._blocks.append(ctypes.create_string_buffer(size))
        return ctypes.addressof(self._blocks[-1])

    def host(self, shape: Any, dtype: Any) -> Any:
        return np.zeros(shape, dtype)

    def to_device(self, address: int, array: Any, stream: int) -> None:
        assert array.flags["C_CONTIGUOUS"]
        ctypes.memmove(address, array.ctypes.data, array.nbytes)
        self.copied += 1

    def to_host(self, array: Any, address: int, stream: int) -> None:
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def stream(self) -> int:
        return 7

    def wait(self, stream: int) -> None:
        assert stream == 7

    def event(self) -> int:
        return 1

    def record(self, event: int, stream: int) -> None:
        assert stream == 7

    def elapsed_ms(self, start: int, end: int) -> float:
        return 1.5


def read_floats(address: int, count: int) -> Any:
    return np.frombuffer((ctypes.c_float * count).from_address(address), np.float32)


class Installed:
    """A stand-in under `sys.modules["tensorrt"]`, and what was done with it.

    Attributes:
        calls: names that were used, as `IBuilderConfig.set_flag`. memory_mb: a larger workspace
        fails. fast_int8, dla_cores: of the board. fails: log line of a build that fails anyway.
        fed: pictures that the calibrator gave. table: that it was asked to keep.
    """

    def __init__(self, version: str) -> None:
        self.version, self.surface = version, SURFACES[version]
        self.calls, self.fed = [], []  # type: list, list
        self.memory_mb, self.fast_int8, self.dla_cores = 4096, True, 0
        self.fails, self.table = "", None  # type: str, Any
        self.module = self._module()

    def _strict(self, inner: Any, kind: str, part: str) -> Strict:
        return Strict(inner, kind, self.surface[part], self.calls)

    def _module(self) -> Any:
        surface = self.surface
        module = types.ModuleType("tensorrt")
        values = {
            "__version__": self.version,
            "ILogger": Logger,
            "BuilderFlag": enum.IntEnum("BuilderFlag", sorted(surface["flags"]), start=0),
            "NetworkDefinitionCreationFlag": enum.IntEnum(
                "NetworkDefinitionCreationFlag", sorted(surface["network"]), start=0
            ),
            "DataType": enum.IntEnum("DataType", ["FLOAT", "HALF", "INT8", "INT32"], start=0),
            "DeviceType": enum.IntEnum("DeviceType", ["GPU", "DLA"], start=0),
            "Builder": lambda logger: self._strict(Builder(self, logger), "Builder", "builder"),
            "OnnxParser": lambda network, logger: Parser(self, network),
            "Runtime": lambda logger: Runtime(self, logger),
        }
        optional = {
            "IInt8EntropyCalibrator2": Calibrator,
            "MemoryPoolType": enum.IntEnum("MemoryPoolType", ["WORKSPACE"], start=0),
            "TensorIOMode": enum.IntEnum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"], start=0),
        }
        for name, value in optional.items():
            if name in surface["module"]:
                values[name] = value
        for name, value in values.items():
            setattr(module, name, value)
        return module


class Logger:
    """Base class of loggers; the bindings need its constructor to have run."""

    Severity = enum.IntEnum(
        "Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"], start=0
    )

    def __init__(self) -> None:
        self.ready = True


class Calibrator:
    """Base class of entropy calibrators."""

    def __init__(self) -> None:
        self.ready = True


class Builder:
    def __init__(self, world: Installed, logger: Any) -> None:
        assert logger.ready
        self.world, self.logger = world, logger
        self.platform_has_fast_fp16, self.platform_has_fast_int8 = True, world.fast_int8
        self.num_DLA_cores = world.dla_cores

    def create_network(self, flags: int = 0) -> Any:
        kinds = self.world.module.NetworkDefinitionCreationFlag
        explicit = getattr(kinds, "EXPLICIT_BATCH", None)
        if self.world.version.startswith("8."):  # without it there is no batch dimension
            assert flags >> int(explicit) & 1
        else:
            assert flags == 0
        return types.SimpleNamespace(onnx=b"")

    def create_builder_config(self) -> Strict:
        return self.world._strict(Config(self.world.module), "IBuilderConfig", "config")

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        inner, world = config._inner, self.world
        for line in filter(None, [world.fails]):
            self.logger.log(Logger.Severity.ERROR, line)
            return None
        if inner.workspace > world.memory_mb << 20:
            line = "[resizingAllocator.cpp::allocate] Cuda Runtime (out of memory)"
            self.logger.log(Logger.Severity.ERROR, line)
            return None
        if inner.int8_calibrator is not None:
            world.table = self._calibrate(inner.int8_calibrator)
        plan = {
            "flags": sorted(flag.name for flag in inner.set), "workspace": inner.workspace,
            "dla": inner.DLA_core if inner.default_device_type else None, "version": world.version,
        }  # fmt: skip
        return memoryview(json.dumps(plan).encode())

    def _calibrate(self, calibrator: Any) -> bytes:
        assert calibrator.ready
        assert calibrator.get_batch_size() == 1
        table = calibrator.read_calibration_cache()
        if table is not None:
            return bytes(table)
        while True:
            batch = calibrator.get_batch(["input_0"])
            if batch is None:
                break
            self.world.fed.append(read_floats(batch[0], 3 * SIDE * SIDE).copy())
        table = b"TRT-0-EntropyCalibration2\ninput_0: 3c010a14\n"
        calibrator.write_calibration_cache(memoryview(table))
        return table


class Config:
    def __init__(self, module: Any) -> None:
        self.module, self.set, self.workspace = module, set(), 1 << 40
        self.int8_calibrator = None
        self.default_device_type, self.DLA_core = module.DeviceType.GPU, -1

    def set_flag(self, flag: Any) -> None:
        assert isinstance(flag, self.module.BuilderFlag)
        self.set.add(flag)

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        assert pool == self.module.MemoryPoolType.WORKSPACE
        self.workspace = size

    @property
    def max_workspace_size(self) -> int:
        return self.workspace

    @max_workspace_size.setter
    def max_workspace_size(self, size: int) -> None:
        self.workspace = size


class Parser:
    """Refuses opsets as the version's parser does, told by a number in the file's producer."""

    def __init__(self, world: Installed, network: Any) -> None:
        self.world, self.network, self.num_errors = world, network, 0

    def parse(self, data: bytes) -> bool:
        assert isinstance(data, bytes)
        self.network.onnx = data
        opset = int(data.split(b"made-for-opset-")[1][:2])
        self.num_errors = int(opset > PARSED_OPSETS[self.world.version])
        return not self.num_errors

    def get_error(self, index: int) -> Any:
        text = "In node 3 (parseNode): UNSUPPORTED_NODE: No importer registered for op"
        return types.SimpleNamespace(desc=lambda: text)


class Runtime:
    def __init__(self, world: Installed, logger: Any) -> None:
        self.world, self.logger, self.DLA_core = world, logger, None

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        try:
            made = json.loads(bytes(plan).decode())
        except ValueError:
            self.logger.log(Logger.Severity.ERROR, "Serialization assertion failed: bad magic tag")
            return None
        assert made["dla"] == self.DLA_core
        return self.world._strict(Engine(self.world), "ICudaEngine", "engine")


class Engine:
    """boxes come before scores among the bindings: their place must not be taken for granted."""

    def __init__(self, world: Installed) -> None:
        self.world, self.num_bindings, self.num_io_tensors = world, 3, 3
        self.shapes = {"input_0": (1, 3, SIDE, SIDE), "boxes": (1, PRIORS, 4)}
        self.shapes["scores"] = (1, PRIORS, CLASSES)

    def create_execution_context(self) -> Strict:
        return self.world._strict(Context(self), "IExecutionContext", "context")

    def get_binding_name(self, index: int) -> str:
        return list(self.shapes)[index]

    get_tensor_name = get_binding_name

    def binding_is_input(self, index: int) -> bool:
        return index == 0

    def get_binding_shape(self, index: int) -> Any:
        return self.shapes[self.get_binding_name(index)]

    def get_binding_dtype(self, index: int) -> Any:
        return self.world.module.DataType.FLOAT

    def get_tensor_mode(self, name: str) -> Any:
        modes = self.world.module.TensorIOMode
        return modes.INPUT if name == "input_0" else modes.OUTPUT

    def get_tensor_shape(self, name: str) -> Any:
        return self.shapes[name]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.world.module.DataType.FLOAT


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine, self.addresses = engine, {}  # type: Any, dict

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v2(self, bindings: Any, stream_handle: int) -> bool:
        places = zip(self.engine.shapes, bindings)  # noqa: B905  Python 3.6
        return self._execute(dict(places))

    def execute_async_v3(self, stream_handle: int) -> bool:
        return self._execute(self.addresses)

    def _execute(self, addresses: Any) -> bool:
        if set(addresses) != set(self.engine.shapes):
            return False
        picture = read_floats(addresses["input_0"], 3 * SIDE * SIDE)
        for name, values in zip(("scores", "boxes"), detector(picture)):  # noqa: B905
            read_floats(addresses[name], values.size)[:] = values.reshape(-1)
        return True


def install(version: str) -> Installed:
    """Put a stand-in where `import tensorrt` finds it."""
    world = Installed(version)
    sys.modules["tensorrt"] = world.module
    return world
