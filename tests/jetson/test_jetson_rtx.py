"""The Jetson tool's TensorRT layer on a real package whose parser and builder need no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.jetson.helpers_jetson import load_tool
from tests.jetson.helpers_tensorrt_api import SURFACES

REASON = "not installed: pip install tensorrt-rtx-cu13 onnx (see CONTRIBUTING.md)"
rtx = pytest.importorskip("tensorrt_rtx", reason=REASON, exc_type=ImportError)
onnx = pytest.importorskip("onnx", reason=REASON)
jb = load_tool()


def write_detector(path: Path, opset: int = 13, operator: str = "Relu", half: bool = False) -> Any:
    """A convolution whose maps become scores (1, 64, 3) and boxes (1, 64, 4)."""
    helper, kinds = onnx.helper, onnx.TensorProto
    kind = kinds.FLOAT16 if half else kinds.FLOAT
    weights = [helper.make_tensor("w", kind, [7, 3, 2, 2], [0.01 * i for i in range(84)])]
    for name, values in (("starts", [0, 3]), ("ends", [3, 7])):
        for i, value in enumerate(values):
            weights.append(helper.make_tensor(f"{name}{i}", kinds.INT64, [1], [value]))
    weights.append(helper.make_tensor("rows", kinds.INT64, [3], [1, 7, 64]))
    weights.append(helper.make_tensor("axis", kinds.INT64, [1], [2]))
    nodes = [
        helper.make_node("Cast", ["input_0"], ["x"], to=kind),
        helper.make_node("Conv", ["x", "w"], ["c"], strides=[2, 2]),
        helper.make_node(operator, ["c"], ["r"]),
        helper.make_node("Cast", ["r"], ["f"], to=kinds.FLOAT),
        helper.make_node("Reshape", ["f", "rows"], ["m"]),
        helper.make_node("Transpose", ["m"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Slice", ["t", "starts0", "ends0", "axis"], ["s"]),
        helper.make_node("Softmax", ["s"], ["scores"], axis=2),
        helper.make_node("Slice", ["t", "starts1", "ends1", "axis"], ["boxes"]),
    ]
    values = [
        helper.make_tensor_value_info(name, kinds.FLOAT, shape)
        for name, shape in (
            ("input_0", [1, 3, 16, 16]), ("scores", [1, 64, 3]), ("boxes", [1, 64, 4]),
        )
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return jb.OnnxFile(str(path))


def options(precision: str) -> Any:
    return jb.BuildOptions(precision, 256, None, None)


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
def test_it_parses_and_builds(tmp_path: Path, opset: int) -> None:
    model = write_detector(tmp_path / "m.onnx", opset=opset)
    assert jb.check_input(model) == (1, 3, 16, 16)
    plan = jb.build(jb.TensorRT(rtx), model, options("fp32"))
    assert len(plan) > 1000


def test_precision_is_that_of_the_file(tmp_path: Path) -> None:
    api = jb.TensorRT(rtx)
    assert not api.weak_typing
    half = write_detector(tmp_path / "half.onnx", half=True)
    assert half.precision == "fp16"
    assert len(jb.build(api, half, options("fp16"))) > 1000
    with pytest.raises(jb.BenchmarkError, match="takes the precision from the ONNX file"):
        jb.build(api, half, options("fp32"))


def test_what_does_not_parse_is_told(tmp_path: Path) -> None:
    api = jb.TensorRT(rtx)
    with pytest.raises(jb.BenchmarkError, match=r"m\.onnx does not parse in TensorRT-RTX"):
        jb.build(
            api, write_detector(tmp_path / "m.onnx", operator="NoSuchOperator"), options("fp32")
        )


def test_no_gpu_to_run_on_is_told(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(jb, "_PACKAGES", ("tensorrt_rtx",))
    monkeypatch.setattr(jb, "_CUDA_LIBRARIES", ("libno_such_cuda.so.1",))
    write_detector(tmp_path / "m.onnx")
    assert jb.main([str(tmp_path / "m.onnx")]) == 2
    assert "no GPU: libcuda.so.1 is not on this machine" in capsys.readouterr().err
    assert jb.main([str(tmp_path / "m.onnx"), "--check"]) == 0


def test_the_stand_in_of_11_has_what_the_package_has() -> None:
    """TensorRT-RTX has the API of TensorRT 11: what the stand-in allows or refuses is real."""
    kinds = {
        "module": rtx, "flags": rtx.BuilderFlag, "network": rtx.NetworkDefinitionCreationFlag,
        "builder": rtx.Builder, "config": rtx.IBuilderConfig, "engine": rtx.ICudaEngine,
        "context": rtx.IExecutionContext,
    }  # fmt: skip
    for part, kind in kinds.items():
        allowed = SURFACES["11.0.0"][part]
        assert {name for name in allowed if not hasattr(kind, name)} == set()
        older = SURFACES["8.2.1.8"][part] | SURFACES["8.5.2.2"][part] | SURFACES["10.3.0"][part]
        removed = {"FP8", "BF16"} | (older - allowed)
        assert {name for name in removed if hasattr(kind, name)} == set()
