"""The tool as a module, and ONNX files in a few bytes.

Runs on Python 3.6 too.
"""

import importlib.util
import os
from typing import Any

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TOOL = os.path.join(REPOSITORY, "tools", "jetson_benchmark.py")


def load_tool(path: str = TOOL) -> Any:
    spec = importlib.util.spec_from_file_location("jetson_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, value: Any) -> bytes:
    """One field of a protobuf message: an int, or bytes or text."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def value_info(name: str, shape: Any) -> bytes:
    """onnx.ValueInfoProto of float32; a size that is text is dynamic."""
    sizes = b"".join(field(1, field(2 if isinstance(size, str) else 1, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, sizes)))


def onnx_bytes(
    opset: int = 11,
    inputs: Any = (("input_0", (1, 3, 24, 24)),),
    operators: Any = ("Conv",),
    weights: int = 1,
    external: bool = False,
    metadata: Any = (),
) -> bytes:
    """onnx.ModelProto. `weights` is their data type: 1 is float32, 10 float16."""
    tensor = field(1, 1) + field(2, weights) + field(8, "w") + (field(14, 1) if external else b"")
    graph = b"".join(field(1, field(1, "w") + field(2, "y") + field(4, op)) for op in operators)
    graph += field(2, "main") + field(5, tensor)
    graph += b"".join(field(11, value_info(*value)) for value in [*inputs, ("w", (1,))])
    graph += field(12, value_info("scores", (1, 8, 3))) + field(12, value_info("boxes", (1, 8, 4)))
    found = field(1, 8) + field(2, f"made-for-opset-{opset:02d}") + field(7, graph)
    found += field(8, field(1, "com.other") + field(2, 1)) + field(8, field(2, opset))
    for key, value in metadata:
        found += field(14, field(1, key) + field(2, value))
    return found


def write_onnx(path: str, **changes: Any) -> str:
    with open(path, "wb") as file:
        file.write(onnx_bytes(**changes))
    return path
