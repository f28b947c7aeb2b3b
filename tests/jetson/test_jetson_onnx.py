"""The Jetson tool's view of an ONNX file, without the onnx package."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.jetson.helpers_jetson import load_tool, onnx_bytes, write_onnx

jb = load_tool()


def onnx_file(folder: Path, **changes: Any) -> Any:
    return jb.OnnxFile(write_onnx(str(folder / "m.onnx"), **changes))


def test_what_is_read(tmp_path: Path) -> None:
    stored = {"mean": [0.5] * 3, "std": [0.25] * 3}
    found = onnx_file(tmp_path, opset=17, metadata=[("tlx", json.dumps(stored))])
    assert (found.opset, found.operators, found.precision) == (17, {"Conv"}, "fp32")
    assert found.inputs == [("input_0", (1, 3, 24, 24))]  # the weight `w` is listed there as well
    assert found.outputs == [("scores", (1, 8, 3)), ("boxes", (1, 8, 4))]
    assert found.sha256 == hashlib.sha256((tmp_path / "m.onnx").read_bytes()).hexdigest()
    assert jb.check_input(found) == (1, 3, 24, 24)
    assert jb.describe_model(found, found.path) == stored
    assert jb.normalisation(stored) == ([127.5] * 3, [63.75] * 3, True)


@pytest.mark.parametrize(
    ("changes", "precision"),
    [
        ({"weights": 10}, "fp16"),
        ({"operators": ["Conv", "QuantizeLinear", "DequantizeLinear"]}, "int8"),
        ({"weights": 10, "operators": ["QuantizeLinear"]}, "int8"),
    ],
)
def test_precision_is_told_from_the_graph(tmp_path: Path, changes: Any, precision: str) -> None:
    assert onnx_file(tmp_path, **changes).precision == precision


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (("batch", 3, 24, 24), "input_0 is batchx3x24x24, which is dynamic.*fixed shape"),
        ((-1, 3, 24, 24), "is [?]x3x24x24, which is dynamic"),
        ((1, 3, 0, 24), "is 1x3x[?]x24, which is dynamic"),
        ((1, 1, 24, 24), "is 1x1x24x24, not 1x3xHxW"),
        ((4, 3, 24, 24), "is 4x3x24x24, not 1x3xHxW"),
        ((1, 3, 24), "is 1x3x24, not 1x3xHxW"),
    ],
)
def test_another_input_is_refused(tmp_path: Path, shape: Any, message: str) -> None:
    with pytest.raises(jb.BenchmarkError, match=message):
        jb.check_input(onnx_file(tmp_path, inputs=[("input_0", shape)]))


def test_two_inputs_are_refused(tmp_path: Path) -> None:
    inputs = [("a", (1, 3, 8, 8)), ("b", (1,))]
    with pytest.raises(jb.BenchmarkError, match=r"has 2 inputs \(a, b\), not 1"):
        jb.check_input(onnx_file(tmp_path, inputs=inputs))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no graph or no opset"),
        (b"\x89PNG\r\n\x1a\n", "damaged, or no ONNX file"),
        (b"<html>not found</html>", "damaged, or no ONNX file"),
        (onnx_bytes()[:-30], "damaged, or no ONNX file"),
        (onnx_bytes(external=True), "weights in another file: export it again as one file"),
        (onnx_bytes(metadata=[("tlx", "{")]), "the metadata entry tlx is damaged"),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(jb.BenchmarkError, match=message):
        jb.describe_model(jb.OnnxFile(str(path)), str(path))


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(jb.BenchmarkError, match=r"none\.onnx cannot be read: No such file"):
        jb.OnnxFile(str(tmp_path / "none.onnx"))


def test_a_description_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"mean": [123.675, 116.28, 103.53],
                                                     "std": [58.395, 57.12, 57.375]}))  # fmt: skip
    found = onnx_file(tmp_path)
    mean, std, stated = jb.normalisation(jb.describe_model(found, found.path))
    assert stated
    assert mean == [123.675, 116.28, 103.53]  # of pixels in 0..255 already
    assert std == [58.395, 57.12, 57.375]
    assert jb.normalisation({}) == ([127.0] * 3, [128.0] * 3, False)


def test_the_same_as_the_onnx_package_reads(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    helper, kinds = onnx.helper, onnx.TensorProto
    weight = helper.make_tensor("w", kinds.FLOAT, [4, 3, 1, 1], [0.5] * 12)
    values = [helper.make_tensor_value_info(name, kinds.FLOAT, shape)
              for name, shape in (("x", [1, 3, 8, 8]), ("y", [1, 4, 8, 8]))]  # fmt: skip
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    onnx.helper.set_model_props(model, {"key": "välue"})
    onnx.save(model, tmp_path / "m.onnx")
    found = jb.OnnxFile(str(tmp_path / "m.onnx"))
    assert (found.opset, found.operators) == (13, {"Conv", "Relu"})
    assert found.inputs == [("x", (1, 3, 8, 8))]
    assert found.outputs == [("y", (1, 4, 8, 8))]
    assert found.metadata == {"key": "välue"}


def test_check_needs_no_gpu(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(jb, "_PACKAGES", ("no_such_tensorrt",))
    path = write_onnx(str(tmp_path / "m.onnx"), opset=17)
    assert jb.main([path, "--check"]) == 0
    told = capsys.readouterr().out
    assert "m.onnx: opset 17, fp32" in told
    assert "input input_0 1x3x24x24" in told
    assert "oldest TensorRT that takes this opset: 8.4" in told
    assert "sudo apt install python3-libnvinfer" in told
    assert jb.main([str(tmp_path / "none.onnx"), "--check"]) == 2
    assert "cannot be read" in capsys.readouterr().err
