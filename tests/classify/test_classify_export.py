"""The ONNX file of a classifier: contract, sameness, and the page that shows how to load it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tlx.classify.export as program
from tests.classify.helpers_classify import CLASSES, write_checkpoint, write_set
from tests.conftest import REPOSITORY
from tlx.classify.export import ExportConfig, export
from tlx.classify.network import Classifier
from tlx.common.errors import ConfigError, ExportError
from tlx.models.backbones.efficientnet_lite0 import WHEEL

onnx = pytest.importorskip("onnx", reason="pip install -e '.[edge]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install -e '.[edge]'")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Classifier]:
    """(folder, export, classifier)."""
    folder = tmp_path_factory.mktemp("classifier")
    root = write_set(folder / "set", {"train": 1, "val": 1, "test": 3})
    classifier = write_checkpoint(folder / "best.ckpt", root)
    export(
        ExportConfig(str(folder / "best.ckpt"), str(folder / "out"), cache_dir=str(folder / "c"))
    )
    return folder, folder / "out", classifier


def test_contract(made: tuple[Path, Path, Classifier]) -> None:
    _, out, _ = made
    path = out / "classifier-mobilenet_v1.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,), (found,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("input_0", [1, 3, 64, 64], "tensor(float)")
    assert (found.name, found.shape, found.type) == ("output_0", [1, 3], "tensor(float)")
    scores = session.run(None, {"input_0": np.zeros((1, 3, 64, 64), np.float32)})[0]
    assert scores.sum() == pytest.approx(1, abs=1e-5)
    model = onnx.load(str(path))
    assert model.opset_import[0].version == 11
    assert (out / "labels.txt").read_text() == "\n".join(CLASSES)
    about = json.loads((out / "model.json").read_text())
    assert about["task"] == "classification"
    assert about["parity"]["pictures"] == 9
    assert about["parity"]["probabilities"] < 1e-5
    stored = json.loads({p.key: p.value for p in model.metadata_props}["tlx"])
    assert stored["classes"] == CLASSES


def test_the_same_checkpoint_gives_the_same_bytes(made: tuple[Path, Path, Classifier]) -> None:
    folder, out, _ = made
    again = export(
        ExportConfig(str(folder / "best.ckpt"), str(folder / "b"), cache_dir=str(folder / "c"))
    )
    assert again.path.read_bytes() == (out / again.path.name).read_bytes()


def test_another_network_than_the_checkpoint_fails_loudly(
    made: tuple[Path, Path, Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, _ = made

    class Wrong(program.ExportClassifier):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            self.head.bias.data[0] += 0.01

    monkeypatch.setattr(program, "ExportClassifier", Wrong)
    cfg = ExportConfig(str(folder / "best.ckpt"), str(folder / "w"), cache_dir=str(folder / "c"))
    with pytest.raises(ExportError, match="must not be deployed"):
        export(cfg)
    assert not json.loads((folder / "w/model.json").read_text())["parity"]["passed"]


def test_a_file_in_the_way_is_refused(made: tuple[Path, Path, Classifier]) -> None:
    folder, _, _ = made
    with pytest.raises(ConfigError, match="is a file"):
        export(ExportConfig(str(folder / "best.ckpt"), str(folder / "best.ckpt")))


def test_the_page_feeds_the_network_what_it_was_trained_with(
    made: tuple[Path, Path, Classifier],
) -> None:
    """The numbers and names of the C# code, followed by hand on a picture."""
    folder, out, classifier = made
    code = (REPOSITORY / "docs" / "classify.md").read_text(encoding="utf-8")
    code = code[code.index("```csharp") :]
    offset = float(re.search(r"offsetImage: ([\d.]+)f", code)[1])
    scale = eval(re.search(r"scaleImage: (1f / [\d.]+f)", code)[1].replace("f", ""))
    # What the default backbone takes, which the page is written for.
    assert offset == pytest.approx(255 * WHEEL.mean[0], abs=1e-4)
    assert 1 / scale == pytest.approx(255 * WHEEL.std[0], abs=1e-4)
    for name in ("input_0", "output_0"):
        assert f'"{name}"' in code
    assert "interleavePixelColors: false" in code
    assert "orderOfExtraction: ColorsOrder.ARGB" in code  # red first
    assert "ResizingKind.Fill" in code  # stretched, as in training
    # The same steps with this model's numbers, as its model.json states them.
    about = json.loads((out / "model.json").read_text())
    offset, scale = 255 * about["mean"][0], 1 / (255 * about["std"][0])
    path = next((folder / "set/test/red").iterdir())
    shown = Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
    pixels = np.asarray(shown, np.float32).transpose(2, 0, 1)[None]
    session = onnxruntime.InferenceSession(str(out / about["artefact"]))
    found = session.run(["output_0"], {"input_0": (pixels - offset) * np.float32(scale)})[0]
    wanted = classifier.probabilities(torch.from_numpy(pixels)).numpy()
    assert np.abs(found - wanted).max() < 1e-4
