"""OpenVINO's intermediate representation: NAME.xml and NAME.bin, from the raw ONNX file."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from tlx.common.files import write_bytes, write_text
from tlx.common.packages import require


def save_openvino(model: Path, path: Path, half: bool) -> None:
    """Convert an ONNX file.

    Args:
        half: weights stored in float16; the device's plugin decides what it computes in.
    """
    openvino = require("openvino", "format=openvino")
    converted = openvino.convert_model(str(model))
    with TemporaryDirectory() as folder:
        partial = Path(folder) / path.name
        openvino.save_model(converted, str(partial), compress_to_fp16=half)
        write_bytes(path.with_suffix(".bin"), partial.with_suffix(".bin").read_bytes())
        # The .xml last: it is what a program opens.
        write_text(path, _numbered(partial.read_text(encoding="utf-8")))


def _numbered(text: str) -> str:
    """Layers that OpenVINO named by a counter of the process, like `Reshape_5187`, by their id."""
    ends = '(?:_[a-z]+)?"(?! type="(?:Parameter|Result)")'
    counted = re.compile(rf'(<layer id="(\d+)" name="[A-Za-z]+_)\d+({ends})')
    return counted.sub(r"\g<1>\g<2>\g<3>", text)
