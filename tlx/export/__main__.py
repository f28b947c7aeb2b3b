"""tlx.export: write a trained detector for other runtimes, and prove that it is the same there.

Usage
  python -m tlx.export checkpoint=RUN_OR_FILE format=FORMAT [output=DIR] [KEY=VALUE ...]

  checkpoint     a run's folder (its best checkpoint), a .ckpt file, or a pytorch-ssd mb1-ssd .pth
  format         onnx         scores and boxes of all priors: detectnet, TensorRT, ONNX Runtime
                 onnx_nms     with NMS inside: ONNX Runtime
                 torchscript, pt2, openvino, ncnn
                 tflite, kmodel   in another environment: `environment=`
  output         a folder for this artefact (default: export)
  precision      fp32, fp16 or int8 (default fp32)
  opset          auto (the lowest that will do) or a number, for onnx and onnx_nms
  normalisation  of the input: model (as trained), detectnet (x / 127.5 - 1), or auto (default):
                 as trained where that is next to detectnet's, else detectnet's
  calibration    a folder of pictures for int8 (default: val of the run)
  pictures       how many of them (default 100)
  parity         a folder of pictures to compare on (default: test of the run)
  labels         class names for a pytorch-ssd checkpoint, one a line
  name           of the files (default: ssd-BACKBONE)
  environment    the virtual environment of the converter, for tflite and kmodel
  cache_dir      decoded pictures (default: $TLX_CACHE or ~/.cache/tlx)

Examples
  python -m tlx.export checkpoint=RUN_FOLDER format=onnx output=export/onnx
  python -m tlx.export checkpoint=RUN_FOLDER format=openvino precision=int8 output=export/int8

Beside the artefact: labels.txt, model.json, and commands.md with what to type on the device. Then
artefact and checkpoint run on the same pictures; where they differ beyond the tolerance, the export
fails and says by how much.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from tlx.common.cli import parse, run_program
from tlx.export.run import CACHE_DIR, CALIBRATION_PICTURES, Exported, Options, export


@dataclass
class ExportConfig:
    checkpoint: str = MISSING
    format: str = MISSING
    output: str = "export"
    precision: str = "fp32"
    opset: str = "auto"
    normalisation: str = "auto"
    calibration: str | None = None
    pictures: int = CALIBRATION_PICTURES
    parity: str | None = None
    labels: str | None = None
    name: str | None = None
    environment: str | None = None
    cache_dir: str = CACHE_DIR


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


def run(cfg: ExportConfig) -> Exported:
    """Export as configured."""
    options = Options(
        opset=cfg.opset,
        precision=cfg.precision,
        normalisation=cfg.normalisation,
        name=cfg.name,
        labels=_path(cfg.labels),
        calibration=_path(cfg.calibration),
        pictures=cfg.pictures,
        parity=_path(cfg.parity),
        environment=_path(cfg.environment),
        cache_dir=Path(cfg.cache_dir),
    )
    source, output = Path(cfg.checkpoint).expanduser(), Path(cfg.output).expanduser()
    return export(source, cfg.format, output, options)


def parity_line(parity: dict[str, Any]) -> str:
    """What the comparison with the checkpoint gave, in a line."""
    if parity["passed"] is None:
        return f"parity not checked: {parity['reason']}"

    def pair(key: str, digits: str) -> str:
        values = parity.get(key)
        if values is None or None in values:  # a split without objects has no mAP
            return "–"
        return " → ".join(format(value, digits) for value in values)

    parts = [f"parity on {parity['pictures']} pictures ({parity['of']}, {parity['backend']})"]
    parts += [
        f"{key} differ by {parity[key]:.2g} at most"
        for key in ("scores", "boxes")
        if parity[key] is not None
    ]
    parts.append(f"mAP@.5 {pair('map_50', '.4f')}")
    if parity["differing"] and parity["unexplained"] == 0:
        parts.append(
            f"{parity['differing']} of the checkpoint's detections come out otherwise, each by a "
            "choice between scores or overlaps that are equal within what is put up with"
        )
    return ", ".join(parts)


def main(arguments: list[str]) -> None:
    """Entry point."""
    exported = run(parse(ExportConfig, arguments))
    about = exported.description
    opset = f", opset {about['opset']}" if about["opset"] else ""
    size = sum((exported.path.parent / name).stat().st_size for name in about["files"])
    print(f"{exported.path}: {about['precision']}{opset}, {size / 1e6:.1f} MB")
    print(f"input {about['input']['of_pixels_0_255']}; commands in commands.md beside it")
    print(parity_line(about["parity"]))


if __name__ == "__main__":
    run_program(main, __doc__)
