"""tlx.classify.export: write a classifier as ONNX, and prove that it is the same there.

Usage
  python -m tlx.classify.export checkpoint=RUN_OR_FILE [output=DIR] [KEY=VALUE ...]

  checkpoint     a run's folder (its best checkpoint) or a .ckpt file of tlx.classify
  output         a folder for this artefact (default: export)
  opset          auto (11, the lowest that will do) or a number
  normalisation  of the input: model (as trained), detectnet (x / 127.5 - 1), or auto (default):
                 as trained where that is next to x / 127.5 - 1, else that one
  name           of the file (default: classifier-BACKBONE)
  root           another place of the data set (default: where training found it)
  cache_dir      decoded pictures (default: $TLX_CACHE or ~/.cache/tlx)

Examples
  python -m tlx.classify.export checkpoint=RUN_FOLDER output=export/birds

Input `input_0` float32 [1, 3, S, S], RGB; output `output_0` float32 [1, C], softmax. Beside the
file: labels.txt (a line for each output, in order) and model.json. Then file and checkpoint run on
the test pictures; where they differ, the export fails.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from tlx.classify.checkpoint import TASK, load_classifier
from tlx.classify.data import build_folders
from tlx.classify.export_network import ExportClassifier
from tlx.classify.network import Classifier
from tlx.classify.parity import LARGEST, compare, of_checkpoint, of_onnx, pictures_of_test
from tlx.common.cli import parse, run_program
from tlx.common.errors import ConfigError, DataError, ExportError
from tlx.common.files import write_json, write_text
from tlx.common.version import __version__
from tlx.config.schema import FoldersConfig
from tlx.config.typed import from_plain
from tlx.data.membership import Membership, drift
from tlx.data.module import DetectionData
from tlx.export.job import choose_normalisation, choose_opset
from tlx.export.onnx_file import LOWEST, load_onnx, save_network, save_onnx
from tlx.models.normalisation import Normalisation
from tlx.records.checkpoint import find_checkpoint
from tlx.runtime.description import describe_input, to_properties

log = logging.getLogger(__name__)

OUTPUT = "output_0"  # with `input_0`, what jetson-inference's imagenet expects


@dataclass
class ExportConfig:
    checkpoint: str = MISSING
    output: str = "export"
    opset: str = "auto"
    normalisation: str = "auto"
    name: str | None = None
    root: str | None = None
    cache_dir: str = os.environ.get("TLX_CACHE", "~/.cache/tlx")


@dataclass(frozen=True)
class Exported:
    """What was written: the ONNX file and the content of `model.json`; and where it came from."""

    path: Path
    description: dict[str, Any]
    classifier: Classifier
    normalisation: Normalisation
    data: DetectionData


def export(cfg: ExportConfig) -> Exported:
    """Write the artefact; `ExportError` where it is not the checkpoint."""
    source = find_checkpoint(Path(cfg.checkpoint).expanduser())
    classifier, meta = load_classifier(source)
    output = Path(cfg.output).expanduser()
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output={output} is a file; name a folder")
    normalisation = choose_normalisation(cfg.normalisation, Normalisation.of(classifier))
    opset = choose_opset(cfg.opset, LOWEST)
    data = read_data(meta, cfg.root, Path(cfg.cache_dir).expanduser())
    description = describe(classifier, meta, normalisation, opset)
    description |= {
        "checkpoint": source.name,
        "checkpoint_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }
    path = output / f"{cfg.name or f'classifier-{classifier.spec.name}'}.onnx"
    network = ExportClassifier(classifier, normalisation)
    save_network(network, classifier.input_size, path, opset, (OUTPUT,))
    save_onnx(load_onnx(path), path, to_properties(description))
    # No line end behind the last label: a reader that splits at line ends would see one more.
    write_text(output / "labels.txt", "\n".join(meta["classes"]))

    pixels, targets = pictures_of_test(data, classifier.input_size)
    result = compare(of_checkpoint(classifier), of_onnx(path, normalisation), pixels, targets)
    # Written so that NaN, which is no number, does not pass.
    result |= {"passed": result["probabilities"] <= LARGEST, "tolerance": LARGEST}
    name = meta["config"]["data"].get("name")
    result["of"], result["backend"] = f"test of {name}", "onnxruntime"
    files = {name: _sha256(output / name) for name in (path.name, "labels.txt")}
    description |= {"artefact": path.name, "files": files, "parity": result}
    write_json(output / "model.json", description)
    if not result["passed"]:
        raise ExportError(
            f"{path} is not the checkpoint: probabilities differ by up to "
            f"{result['probabilities']:.2g}, {LARGEST:g} is put up with; it must not be deployed"
        )
    return Exported(path, description, classifier, normalisation, data)


def read_data(meta: dict[str, Any], root: str | None, cache_dir: Path) -> DetectionData:
    """The set that a checkpoint was trained on, split as then; `root`: its place today."""
    where = "the configuration in the checkpoint"
    cfg = from_plain(meta["config"].get("data"), FoldersConfig, where)
    cfg.classes = list(meta["classes"])
    if root is not None:
        cfg.root = root
    had = Membership.read(meta["classes"], meta.get("dataset"), "the checkpoint")
    data = build_folders(cfg, cache_dir, had)
    if had is None and len(data.report["named"]) < len(data.splits):
        raise DataError(
            "the checkpoint does not say which pictures it was trained on (an earlier version of "
            "tlx made it), and its set names no splits: train it again"
        )
    if had is not None:
        gone, _ = drift(had, data.splits["test"], data.classes, "test")
        if gone:
            log.warning("%d pictures of test are gone since training", gone)
        if not data.splits["test"]:
            raise DataError(
                f"none of the run's pictures of test is in {data.report['root']} any more: name "
                "the place of the set with root=FOLDER"
            )
    return data


def describe(
    classifier: Classifier, meta: dict[str, Any], normalisation: Normalisation, opset: int
) -> dict[str, Any]:
    """The description in plain values; `mean` and `std` are of pixels in 0..1."""
    size, classes = classifier.input_size, list(meta["classes"])
    return {
        "version": 1,
        "tlx": __version__,
        "task": TASK,
        "format": "onnx",
        "precision": "fp32",
        "opset": opset,
        "backbone": classifier.spec.name,
        "head": classifier.head,
        "classes": classes,
        "input_size": size,
        **describe_input(size, normalisation),
        "outputs": [OUTPUT],
        "output_shapes": {OUTPUT: [1, len(classes)]},
        "score_form": "softmax, in the order of classes",
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: list[str]) -> None:
    """Entry point."""
    exported = export(parse(ExportConfig, arguments))
    about, parity = exported.description, exported.description["parity"]
    size = exported.path.stat().st_size
    print(f"{exported.path}: opset {about['opset']}, {size / 1e6:.1f} MB")
    print(f"input {about['input']['of_pixels_0_255']}, {len(about['classes'])} classes")
    print(
        f"parity on {parity['pictures']} pictures ({parity['of']}, {parity['backend']}), "
        f"probabilities differ by {parity['probabilities']:.2g} at most, accuracy "
        + " → ".join(f"{value:.4f}" for value in parity["accuracy"])
    )


if __name__ == "__main__":
    run_program(main, __doc__)
