"""The calibration cache that TensorRT up to 10 reads with `--int8 --calib=FILE`.

Text: a header with version and kind of calibrator, then `tensor: scale`, the scale as the bits of a
big-endian float32 in hexadecimal. TensorRT reads a scale for each tensor of the float ONNX file and
needs no pictures then.
"""

from __future__ import annotations

import struct
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tlx.common.files import write_text
from tlx.common.packages import require
from tlx.export.quantize import reader

# TensorRT rejects the header of another version; `version` is what `trtexec` prints, 8.2.1 -> 8201.
HEADER = "TRT-{version}-EntropyCalibration2"
LOWEST_SCALE = 1e-8  # a tensor that is zero in all pictures


def write_calibration_cache(
    model: Path, pictures: np.ndarray, output: Path, version: int = 8201
) -> None:
    """Scales of every float tensor of `model`, by entropy (the KL divergence of its histogram).

    Args:
        pictures: normalised, float32 (n, 3, S, S).
    """
    ranges = tensor_ranges(model, pictures)
    lines = [HEADER.format(version=version)]
    for name in sorted(ranges):
        scale = max(ranges[name] / 127, LOWEST_SCALE)
        lines.append(f"{name}: {struct.pack('>f', scale).hex()}")
    write_text(output, "\n".join(lines) + "\n")


def tensor_ranges(model: Path, pictures: np.ndarray) -> dict[str, float]:
    """The largest magnitude that is kept of each tensor, by the entropy calibrator."""
    quantization = require("onnxruntime.quantization", "the calibration cache")
    calibrate = require("onnxruntime.quantization.calibrate", "the calibration cache")
    with TemporaryDirectory() as folder:
        calibrator: Any = calibrate.create_calibrator(
            str(model), None, str(Path(folder) / "augmented.onnx"),
            calibrate_method=quantization.CalibrationMethod.Entropy,
            extra_options={"symmetric": True},
        )  # fmt: skip
        calibrator.set_execution_providers(["CPUExecutionProvider"])
        # One picture at a time: the calibrator keeps every tensor of a batch until it is counted.
        with redirect_stdout(None):  # it says so for each
            for picture in pictures:
                calibrator.collect_data(reader(quantization, picture[None]))
            data = calibrator.compute_data()
    ends = {name: data[name].range_value for name in data.keys()}  # noqa: SIM118  its own class
    return {name: float(np.max(np.abs(pair))) for name, pair in ends.items()}


def read_calibration_cache(path: Path) -> dict[str, float]:
    """The scales of a cache, by tensor."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    pairs = (line.rsplit(": ", 1) for line in lines)
    return {name: struct.unpack(">f", bytes.fromhex(bits))[0] for name, bits in pairs}
