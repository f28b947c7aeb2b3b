"""OpenVINO's intermediate representation: NAME.xml and NAME.bin, from the raw ONNX file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tlx.export.packages import require
from tlx.files import write_bytes


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
        # The .xml last: it is what a program opens.
        for suffix in (".bin", ".xml"):
            write_bytes(path.with_suffix(suffix), partial.with_suffix(suffix).read_bytes())
