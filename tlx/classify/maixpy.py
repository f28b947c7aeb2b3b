"""tlx.classify.maixpy: bring a classifier to a K210 board (MaixPy): check, convert, prove.

Usage
  python -m tlx.classify.maixpy checkpoint=RUN_OR_FILE [output=DIR] [KEY=VALUE ...]

  checkpoint   a run's folder or a .ckpt file of tlx.classify
  output       a folder (default: export/maixpy)
  environment  an environment with nncase 1.9 (docs/maixpy.md), or $TLX_KMODEL_ENV; without one,
               all is done but the conversion
  pictures     of train, for the quantisation (default 50)
  root         another place of the data set (default: where training found it)
  cache_dir    decoded pictures (default: $TLX_CACHE or ~/.cache/tlx)

Examples
  python -m tlx.classify.maixpy checkpoint=RUN_FOLDER environment=kmodel-env output=export/maixpy

Writes the ONNX file with its model.json, and OUTPUT/sd/ for the SD card: main.py, labels.txt,
model.kmodel. A network that does not fit is refused, with what to change. The kmodel then runs in
nncase's simulator on the test pictures; where it finds other classes, the conversion fails.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import MISSING

from tlx.classify.export import ExportConfig, Exported, export
from tlx.classify.k210 import GENERAL_RAM, Fit, check_k210
from tlx.classify.parity import compare, of_checkpoint, pictures_of_test
from tlx.common.cli import parse, run_program
from tlx.common.drawing import evenly_spaced
from tlx.common.errors import ExportError
from tlx.common.files import write_json, write_text
from tlx.data.module import DetectionData, Loaders
from tlx.export.other_environment import run_kmodel, save_pixel_kmodel

AGREEMENT = 0.9  # least share of test pictures with the checkpoint's class, as for int8 detectors


@dataclass
class MaixConfig:
    checkpoint: str = MISSING
    output: str = "export/maixpy"
    environment: str | None = None
    pictures: int = 50
    root: str | None = None
    cache_dir: str = os.environ.get("TLX_CACHE", "~/.cache/tlx")


def board_script() -> str:
    """The program of the board: inside the package (a wheel), else in tools/ of the repository."""
    package = Path(__file__).parent.parent
    inside = package / "maixpy" / "main.py"
    path = inside if inside.is_file() else package.parent / "tools" / "maixpy" / "main.py"
    return path.read_text(encoding="utf-8")


def write_card(exported: Exported, folder: Path) -> None:
    """What the SD card holds besides the model."""
    size = exported.classifier.input_size
    script, count = re.subn(r"(?m)^SIDE = \d+", f"SIDE = {size}", board_script())
    assert count == 1
    write_text(folder / "main.py", script)
    write_text(folder / "labels.txt", "\n".join(exported.description["classes"]))


def check(path: Path) -> Fit:
    """What of an ONNX file fits; `ExportError` that names all that does not."""
    fit = check_k210(path)
    for note in fit.notes:
        print(f"note: {note}")
    print(
        f"general RAM {fit.general_bytes / 2**20:.2f} of 6 MB, KPU RAM "
        f"{fit.kpu_bytes / 2**20:.2f} of 2 MB"
    )
    if fit.faults:
        raise ExportError("it does not fit a K210:\n  " + "\n  ".join(fit.faults))
    return fit


def calibration(data: DetectionData, size: int, count: int) -> np.ndarray:
    """Evenly spaced pictures of train, uint8 (n, 3, S, S)."""
    dataset = Loaders(data, size, 1, workers=0).evaluation("train").dataset
    chosen = evenly_spaced(len(data.splits["train"]), count)
    return torch.stack([dataset[i].image for i in chosen]).contiguous().numpy()


def convert(exported: Exported, path: Path, environment: Path | None, count: int) -> dict[str, Any]:
    """Write the kmodel; the figures of its parity, measured in the simulator."""
    size, normalisation = exported.classifier.input_size, exported.normalisation
    pixels = calibration(exported.data, size, count)
    save_pixel_kmodel(
        exported.path, pixels, normalisation.mean, normalisation.std, path, environment
    )
    shown, targets = pictures_of_test(exported.data, size)
    reference = of_checkpoint(exported.classifier)
    result = compare(
        reference, lambda rows: run_kmodel(path, rows, environment).reshape(len(rows), -1),
        shown, targets,
    )  # fmt: skip
    result |= {"bytes": path.stat().st_size, "version": 5, "backend": "nncase 1.9 simulator"}
    return result


def judge(path: Path, result: dict[str, Any]) -> list[str]:
    """Why a kmodel must not be deployed."""
    faults = []
    if result["bytes"] > GENERAL_RAM:
        faults.append(f"{path} has {result['bytes'] / 2**20:.2f} MB; the board has 6 in all")
    if not result["agreement"] >= AGREEMENT:
        faults.append(
            f"{path} finds the checkpoint's class in {result['agreement']:.0%} of the test "
            f"pictures, {AGREEMENT:.0%} is the least; more pictures=… may help"
        )
    return faults


def run(cfg: MaixConfig) -> dict[str, Any]:
    """All steps; returns the content of model.json."""
    output = Path(cfg.output).expanduser()
    exported = export(
        ExportConfig(cfg.checkpoint, str(output), root=cfg.root, cache_dir=cfg.cache_dir)
    )
    fit = check(exported.path)
    about = exported.description
    about["k210"] = {
        "weight_bytes": fit.weight_bytes,
        "general_bytes": fit.general_bytes,
        "kpu_bytes": fit.kpu_bytes,
        "notes": fit.notes,
        "layers": [asdict(layer) for layer in fit.layers],
    }
    card = output / "sd"
    write_card(exported, card)
    environment = cfg.environment or os.environ.get("TLX_KMODEL_ENV")
    if environment is None:
        print("no environment=… with nncase 1.9: not converted (docs/maixpy.md)")
    else:
        path = card / "model.kmodel"
        result = convert(exported, path, Path(environment), cfg.pictures)
        result["faults"] = judge(path, result)
        about["kmodel"] = result
    write_json(output / "model.json", about)
    if environment is not None and (faults := about["kmodel"]["faults"]):
        raise ExportError("; ".join(faults))
    return about


def main(arguments: list[str]) -> None:
    """Entry point."""
    cfg = parse(MaixConfig, arguments)
    kmodel = run(cfg).get("kmodel")
    if kmodel is not None:
        print(
            f"model.kmodel: version 5, {kmodel['bytes'] / 2**20:.2f} MB; on {kmodel['pictures']} "
            f"test pictures the checkpoint's class in {kmodel['agreement']:.1%}, accuracy "
            + " → ".join(f"{value:.4f}" for value in kmodel["accuracy"])
        )
        print("MaixPy-v1 loads versions 3 and 4 only: see docs/maixpy.md")
    print(f"for the SD card: {Path(cfg.output) / 'sd'}")


if __name__ == "__main__":
    run_program(main, __doc__)
