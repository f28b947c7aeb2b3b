"""A detector of a user's own: it trains, freezes, evaluates, exports and is timed like SSD.

The whole of it is the class below: no other file knows its name.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_convert, box_iou

import tlx.benchmark.__main__
import tlx.evaluate
import tlx.export.__main__
from tests.conftest import Compose
from tlx.benchmark.config import TrainBenchmark
from tlx.common.errors import ConfigError
from tlx.freeze.depth import frozen_blocks
from tlx.models.backbones.base import BackboneSpec, Conventions, backbone_spec
from tlx.models.blocks import as_blocks
from tlx.models.detector import DETECTORS, Detector, Raw, Targets
from tlx.models.fold import folded
from tlx.records.checkpoint import load_detector
from tlx.training.run import run


class Head(nn.Module):
    """Classes and boxes of every cell of one map."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.out = nn.Conv2d(channels, classes + 4, 1)

    def forward(self, maps: list[Tensor]) -> Raw:
        rows = self.out(maps[-1]).permute(0, 2, 3, 1)
        rows = rows.reshape(rows.shape[0], -1, self.classes + 4)
        return rows[..., : self.classes], rows[..., self.classes :]


class Decoder(nn.Module):
    priors: Tensor

    def __init__(self, priors: Tensor) -> None:
        super().__init__()
        self.register_buffer("priors", priors.detach()[None].clone())

    def forward(self, logits: Tensor, boxes: Tensor) -> Raw:
        centres = self.priors[:, :, :2] + boxes[:, :, :2] * self.priors[:, :, 2:]
        halves = torch.exp(boxes[:, :, 2:]) * self.priors[:, :, 2:] / 2
        return torch.softmax(logits, 2), torch.cat([centres - halves, centres + halves], 2)


class Grid(Detector):
    """One box a cell of the backbone's last map; every cell that an object covers is its."""

    name = "grid"
    own_blocks = ("neck",)

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int
    ) -> None:
        super().__init__(spec, conventions, classes, input_size)
        neck = nn.Sequential(nn.Conv2d(self.backbone.channels[-1], 64, 1), nn.BatchNorm2d(64))
        self.extras = nn.ModuleDict({"neck": neck})
        self.heads = Head(64, classes + 1)
        self.taps = {len(self.backbone.blocks)}
        cells = -(-input_size // self.backbone.strides[-1])
        places = (torch.arange(cells) + 0.5) / cells
        rows, columns = torch.meshgrid(places, places, indexing="ij")
        side = torch.full_like(rows, 2 / cells)
        priors = torch.stack([columns, rows, side, side], -1).view(-1, 4)
        self.register_buffer("priors", priors, persistent=False)
        self._complete()

    def loss(
        self, maps: list[Tensor], targets: Targets, *, min_negatives: int = 0
    ) -> dict[str, Tensor]:
        logits, boxes = self.heads(maps)
        labels = torch.zeros(logits.shape[:2], dtype=torch.int64)
        wanted = torch.zeros(boxes.shape)
        for picture, (mine, real) in enumerate(zip(targets.boxes, targets.labels, strict=True)):
            for box, label in zip(mine[real > 0], real[real > 0], strict=True):
                cells = box_iou(box_convert(self.priors, "cxcywh", "xyxy"), box[None])[:, 0] > 0.1
                labels[picture, cells] = label
                centre = box_convert(box[None], "xyxy", "cxcywh")[0]
                prior = self.priors[cells]
                wanted[picture, cells, :2] = (centre[:2] - prior[:, :2]) / prior[:, 2:]
                wanted[picture, cells, 2:] = torch.log(centre[2:] / prior[:, 2:])
        hit = labels > 0
        classification = F.cross_entropy(logits.float().transpose(1, 2), labels)
        localization = F.smooth_l1_loss(boxes.float()[hit], wanted[hit], reduction="sum")
        localization = localization / hit.sum().clamp_min(1)
        return {
            "loss": classification + localization,
            "classification": classification.detach(),
            "localization": localization.detach(),
        }

    def decode(self, raw: Raw) -> tuple[Tensor, Tensor]:
        return Decoder(self.priors)(raw[0].float(), raw[1].float())

    def export_parts(self) -> tuple[nn.Module, nn.Module]:
        return folded(self.heads), Decoder(self.priors)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS, Grid.name, Grid)


def test_it_trains_evaluates_exports_and_goes_on(
    tiny_config: Compose, tiny_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    cfg = tiny_config("detector.name=grid", "freeze=4", "trainer.epochs=6", "cache.views=2")
    record = run(cfg, folder)
    assert record["status"] == "finished"
    assert record["detector"] == "grid"
    assert record["frozen"]["hash_before"] == record["frozen"]["hash_after"]
    losses = [value for _, _, value in record["loss"]]
    assert sum(losses[-3:]) < sum(losses[:3])
    detector, meta = load_detector(folder / "checkpoints/last.ckpt")
    assert (type(detector), meta["detector"]) == (Grid, "grid")

    cache = f"cache_dir={tmp_path / 'cache'}"
    figures = tmp_path / "figures.json"
    tlx.evaluate.main([f"checkpoint={folder}", f"output={figures}", cache])
    found = json.loads(figures.read_text())
    assert found["map_50"] == pytest.approx(record["test"]["map_50"], abs=1e-6)

    out = tmp_path / "onnx"
    tlx.export.__main__.main([f"checkpoint={folder}", "format=onnx", f"output={out}", cache])
    about = json.loads((out / "model.json").read_text())
    assert about["detector"] == "grid"
    assert about["parity"]["passed"]
    tlx.benchmark.__main__.main(
        [f"model={folder}", f"output={tmp_path / 'l'}", "rounds=1", "warmup=0", "pictures=1",
         "backend=torch", "threads=1", cache]
    )  # fmt: skip
    assert "eager" in capsys.readouterr().out


def test_its_blocks_are_named(tiny_config: Compose, tmp_path: Path) -> None:
    run(tiny_config("detector.name=grid", "trainer.epochs=1"), tmp_path / "run")
    assert "neck" in (tmp_path / "run/freeze.txt").read_text()
    assert frozen_blocks("heads", backbone_spec("mobilenet_v1"), Grid.own_blocks) == as_blocks(15)


def test_its_step_is_timed(tiny_set: Path, tmp_path: Path) -> None:
    config = TrainBenchmark(
        policies="none,8", detector="grid", input_size=96, batch_size=2, rounds=1, warmup=1,
        batches=1, root=str(tiny_set), format="voc", memory=False, runs=False, loader_pictures=0,
        threads=1, device="cpu", cache_dir=str(tmp_path / "cache"), output=str(tmp_path / "out"),
    )  # fmt: skip
    given = [f"{key}={value}" for key, value in vars(config).items() if value is not None]
    tlx.benchmark.__main__.main(["train", *given])
    assert "GRID" in (tmp_path / "out/benchmark.md").read_text()


def test_an_unknown_detector_is_named(tiny_config: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"detector\.name"):
        run(tiny_config("detector.name=gird"), tmp_path / "run")
