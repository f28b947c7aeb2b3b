"""`python -m tlx.export`: what it writes, and its errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.export.helpers_export import save_pictures, write_checkpoint, write_pytorch_ssd, written
from tests.test_programs import program
from tlx.common.errors import ConfigError, WeightsError
from tlx.runtime.source import load_source


def test_what_stands_beside_the_artefact(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'tlx-detect[edge]'")
    detector = write_checkpoint(tmp_path / "best.ckpt")
    save_pictures(tmp_path / "pictures")
    done = program("export", f"checkpoint={tmp_path / 'best.ckpt'}", "format=onnx", "output=out",
                   "name=ssd-mobilenet", "opset=13", "parity=pictures", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "opset 13" in done.stdout
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {
        "ssd-mobilenet.onnx", "labels.txt", "model.json", "commands.md",
    }  # fmt: skip
    about = json.loads((out / "model.json").read_text())
    priors = len(detector.priors)
    assert about["output_shapes"] == {"scores": [1, priors, 3], "boxes": [1, priors, 4]}
    assert about["priors"]["count"] == priors
    assert about["parity"]["passed"]
    assert about["parity"]["pictures"] == 2
    assert about["mean"] == [0.5] * 3
    assert about["input"]["of_pixels_0_255"] == "x / 127.5 - 1"
    assert about["input"]["range"] == [-1, 1]
    text = (out / "commands.md").read_text()
    for part in ("detectnet --model=ssd-mobilenet.onnx --labels=labels.txt --input-blob=input_0",
                 "--output-cvg=scores --output-bbox=boxes", "TensorRT 8.0 or later (opset 13)",
                 "trtexec --onnx=ssd-mobilenet.onnx --saveEngine=ssd-mobilenet.engine\n",
                 "python -m tlx.evaluate model=ssd-mobilenet.onnx"):  # fmt: skip
        assert part in text, part


def test_another_artefact_needs_another_folder(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "best.ckpt")
    first = written(tmp_path / "best.ckpt", "torchscript", tmp_path / "out")
    written(tmp_path / "best.ckpt", "torchscript", tmp_path / "out")
    before = first.path.read_bytes()
    with pytest.raises(ConfigError, match="holds torchscript in fp32"):
        written(tmp_path / "best.ckpt", "torchscript", tmp_path / "out", precision="fp16")
    assert [p.suffix for p in (tmp_path / "out").iterdir() if p.suffix == ".torchscript"]
    assert first.path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["format=onnx"], "checkpoint=… is missing"),
        (["checkpoint=nowhere", "format=onnx"], "nowhere is neither a checkpoint nor a run folder"),
        (["checkpoint=x", "format=engine"], "format=engine is none of onnx, onnx_nms"),
        (["checkpoint=x", "format=onnx", "precision=fp8"], "precision=fp8 is none of"),
        (["checkpoint=x", "format=ncnn", "precision=int8"], "is written in fp32, fp16"),
        (["checkpoint=x", "format=pt2", "opset=13"], "format=pt2 has no opset"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = program("export", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "export").exists()


def test_labels_of_a_pytorch_ssd_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mb1.pth"
    write_pytorch_ssd(path, classes=2)
    assert load_source(path).classes == ["class_1", "class_2"]
    assert "labels=FILE" in caplog.text
    names = tmp_path / "names.txt"
    for text in ("BACKGROUND\na\nb\n", "a\nb"):
        names.write_text(text)
        assert load_source(path, names).classes == ["a", "b"]
    names.write_text("a\nb\nc")
    with pytest.raises(ConfigError, match="names 3 classes"):
        load_source(path, names)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_source(path, tmp_path / "none.txt")
    write_checkpoint(tmp_path / "best.ckpt")
    with pytest.raises(ConfigError, match="class names of its own"):
        load_source(tmp_path / "best.ckpt", names)


def test_a_backbone_alone_is_no_detector(tmp_path: Path) -> None:
    detector = write_checkpoint(tmp_path / "best.ckpt")
    state = {}
    for key, value in detector.backbone.state_dict().items():
        block, rest = key.removeprefix("blocks.").split(".", 1)
        part = rest.split(".", 1) if rest.startswith(("depthwise", "pointwise")) else ("", rest)
        state[f"{block}{'_' + part[0] if part[0] else ''}.{part[1]}"] = value
    torch.save(state, tmp_path / "backbone.pth")
    with pytest.raises(WeightsError, match="without detection heads"):
        load_source(tmp_path / "backbone.pth")
