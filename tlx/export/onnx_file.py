"""ONNX files: which exporter for which opset, the same bytes for the same weights."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from tlx.common.errors import ExportError, first_line
from tlx.common.files import write_bytes
from tlx.common.packages import require
from tlx.export.onnx_pads import fold_pads
from tlx.runtime.description import BOXES, INPUT, SCORES

# torch's exporter of today translates to opset 18 at least, and converts down from there without
# a word where it fails. The earlier one writes 11 to 17 itself, deprecated as it is.
FIRST_OF_DYNAMO = 18
LOWEST = 11  # TensorRT 7.1, the oldest that detectnet runs on
LOWEST_PER_CHANNEL = 13  # QuantizeLinear has an axis from here on


def save_network(
    network: nn.Module, size: int, path: Path, opset: int,
    outputs: tuple[str, ...] = (SCORES, BOXES),
) -> None:  # fmt: skip
    """Write a network with one input and named outputs; `ExportError` if opset cannot be had."""
    require("onnx", "ONNX")
    if opset >= FIRST_OF_DYNAMO:
        require("onnxscript", f"ONNX of opset {opset}")
    example = torch.zeros(1, 3, size, size)
    with TemporaryDirectory() as folder, _quiet():
        partial = Path(folder) / path.name
        try:
            torch.onnx.export(
                network, (example,), partial, opset_version=opset,
                dynamo=opset >= FIRST_OF_DYNAMO, external_data=False, verbose=False,
                input_names=[INPUT], output_names=list(outputs),
            )  # fmt: skip
        except Exception as error:  # an exporter fails in its own types; all mean the same
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ExportError(
                f"opset={opset}: torch {torch.__version__} cannot write it ({lines[0]}); "
                "another opset may work, opset=auto does"
            ) from error
        model = load_onnx(partial)
    if (written := opset_of(model)) != opset:
        raise ExportError(
            f"opset={opset}: the exporter of torch {torch.__version__} wrote opset {written}; "
            "ask for that one, or for opset=auto"
        )
    fold_pads(model)
    _read_directly(model.graph)
    save_onnx(model, path)


def load_onnx(path: Path) -> Any:
    """The `ModelProto` of a file; `ExportError` for a file that holds none."""
    onnx = require("onnx", "reading ONNX")
    try:
        return onnx.load(str(path))
    except Exception as error:
        raise ExportError(f"{path} is no ONNX file: {first_line(error)}") from error


def save_onnx(model: Any, path: Path, properties: Mapping[str, str] | None = None) -> None:
    """Check a model, take out what differs between machines, and write it at once.

    Args:
        properties: metadata; those of earlier tools are replaced.
    """
    onnx = require("onnx", "writing ONNX")
    model.ClearField("doc_string")
    del model.metadata_props[:]
    for key, value in (properties or {}).items():
        model.metadata_props.add(key=key, value=value)
    # Stack traces and file names of the machine that exported.
    model.graph.ClearField("doc_string")
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer,
                 *model.graph.input, *model.graph.output):  # fmt: skip
        part.ClearField("doc_string")
        del part.metadata_props[:]
    _drop_unread(model.graph)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    write_bytes(path, content)


def _read_directly(graph: Any) -> None:
    """Let layers that share weights read the constant, and not a copy of it: what is no constant is
    no weight to quantisers and to old parsers."""
    constants = {initializer.name for initializer in graph.initializer}
    copies: dict[str, str] = {}
    for node in graph.node:  # a copy comes before who reads it
        for place, name in enumerate(node.input):
            node.input[place] = copies.get(name, name)
        if node.op_type == "Identity" and node.input[0] in constants:
            copies[node.output[0]] = node.input[0]


def _drop_unread(graph: Any) -> None:
    """Take out nodes and initialisers that nobody reads: the quantiser leaves bounds of clips."""
    read = {value.name for value in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if read.intersection(node.output):
            nodes.append(node)
            read.update(node.input)
    nodes.reverse()
    held = [initializer for initializer in graph.initializer if initializer.name in read]
    for field, kept in ((graph.node, nodes), (graph.initializer, held)):
        copies = [type(item)() for item in kept]
        for copy, item in zip(copies, kept, strict=True):
            copy.CopyFrom(item)
        del field[:]
        field.extend(copies)


def opset_of(model: Any) -> int:
    """The version of the standard operator set, as the file states it."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(versions) != 1:
        raise ExportError(f"the ONNX file states {len(versions)} versions of the standard opset")
    return int(versions[0])


class _quiet:
    """Leave out the exporters' warnings: their deprecation is known (see FIRST_OF_DYNAMO)."""

    def __enter__(self) -> None:
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")
        self._logger = logging.getLogger("torch.onnx")
        self._level = self._logger.level
        self._logger.setLevel(logging.ERROR)

    def __exit__(self, *error: object) -> None:
        self._logger.setLevel(self._level)
        self._warnings.__exit__(None, None, None)
