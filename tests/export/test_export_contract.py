"""The checker of detectnet's contract finds each fault that detectnet would trip over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tlx.export.contract import check_detectnet, check_labels
from tlx.runtime.description import to_properties

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'tlx-detect[edge]'")
FLOAT, INT64 = 1, 7
LABELS = b"BACKGROUND\ncat\ndog"


def model_of(
    inputs: Any = (("input_0", FLOAT, [1, 3, 300, 300]),),
    outputs: Any = (("scores", FLOAT, [1, 3000, 3]), ("boxes", FLOAT, [1, 3000, 4])),
    opset: int = 11,
    operator: str = "Identity",
) -> Any:
    """A graph of which only the interface counts."""
    made = [onnx.helper.make_tensor_value_info(*value) for value in outputs]
    given = [onnx.helper.make_tensor_value_info(*value) for value in inputs]
    nodes = [onnx.helper.make_node(operator, [inputs[0][0]], [v[0]]) for v in outputs]
    graph = onnx.helper.make_graph(nodes, "g", given, made)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])


@pytest.fixture
def faults(tmp_path: Path) -> Callable[..., list[str]]:
    def check(model: Any, labels: bytes = LABELS) -> list[str]:
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        (tmp_path / "labels.txt").write_bytes(labels)
        return check_detectnet(tmp_path / "m.onnx", tmp_path / "labels.txt")

    return check


def test_what_detectnet_wants_has_no_fault(faults: Callable[..., list[str]]) -> None:
    assert faults(model_of()) == []
    assert faults(model_of(), LABELS + b"\n") == []


SCORES, BOXES = ("scores", FLOAT, [1, 3000, 3]), ("boxes", FLOAT, [1, 3000, 4])


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"inputs": [("image", FLOAT, [1, 3, 300, 300])]}, "inputs are ['image']"),
        ({"outputs": [BOXES, SCORES]}, "in this order"),
        ({"outputs": [SCORES]}, "outputs are ['scores']"),
        ({"inputs": [("input_0", FLOAT, ["batch", 3, 300, 300])]}, "dynamic sizes ['batch']"),
        ({"inputs": [("input_0", FLOAT, [4, 3, 300, 300])]}, "not [1, 3, height, width]"),
        ({"inputs": [("input_0", FLOAT, [1, 300, 300, 3])]}, "not [1, 3, height, width]"),
        ({"inputs": [("input_0", INT64, [1, 3, 300, 300])]}, "input_0 is INT64"),
        ({"outputs": [SCORES, ("boxes", FLOAT, [1, 2000, 4])]}, "has 3000 priors, boxes 2000"),
        ({"outputs": [SCORES, ("boxes", FLOAT, [1, 3000, 5])]}, "boxes is [1, 3000, 5]"),
        ({"outputs": [("scores", FLOAT, [3000, 3]), BOXES]}, "scores is [3000, 3]"),
        ({"operator": "NonZero"}, "NonZero in the graph"),
        ({"opset": 26}, "opset 26 is newer"),
        ({"operator": "QuantizeLinear"}, "QuantizeLinear in the graph: detectnet builds float"),
        ({"operator": "QLinearConv"}, "QLinearConv in the graph: detectnet builds float"),
    ],
)
def test_faults_of_the_graph(
    changes: dict[str, Any], fault: str, faults: Callable[..., list[str]]
) -> None:
    assert any(fault in line for line in faults(model_of(**changes)))


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        (b"cat\ndog", "not BACKGROUND"),
        (b"BACKGROUND\ncat", "has 2 lines, the network 3 classes"),
        (b"BACKGROUND\ncat\ndog\n\n", ":4 is blank"),
        (b"BACKGROUND\r\ncat\r\ndog", "CRLF"),
        (b"\xef\xbb\xbfBACKGROUND\ncat\ndog", "byte order mark"),
        (b"BACKGROUND\ncat\n\xff", "not UTF-8"),
        (b"", "not BACKGROUND"),
    ],
)
def test_faults_of_the_labels(labels: bytes, fault: str, faults: Callable[..., list[str]]) -> None:
    assert any(fault in line for line in faults(model_of(), labels))


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    assert "cannot be read" in check_labels(tmp_path / "none.txt", 3)[0]
    (tmp_path / "m.onnx").write_bytes(b"not an onnx file")
    (tmp_path / "labels.txt").write_bytes(LABELS)
    assert len(check_detectnet(tmp_path / "m.onnx", tmp_path / "labels.txt")) == 1


@pytest.mark.parametrize(
    ("mean", "std", "wrong"),
    [(127 / 255, 128 / 255, False), (0.5, 0.5, False), (0.485, 0.229, True)],
)
def test_an_input_that_detectnet_does_not_feed(
    mean: float, std: float, wrong: bool, faults: Callable[..., list[str]]
) -> None:
    model = model_of()
    for key, value in to_properties({"mean": [mean] * 3, "std": [std] * 3}).items():
        model.metadata_props.add(key=key, value=value)
    assert any("normalisation=detectnet" in line for line in faults(model)) == wrong
