"""Heads behind a hidden layer: built, stored, exported, trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.conftest import Compose
from tests.models.helpers_engine import NAMES, detector_of, off
from tlx.common.errors import ConfigError
from tlx.config.check import check_config
from tlx.config.identity import fingerprint
from tlx.config.typed import plain
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import Pretrained
from tlx.models.detector import Targets
from tlx.models.detectors.ssd.ssd import SSD
from tlx.records.checkpoint import load_detector
from tlx.training.run import run

SPEC = backbone_spec("mobilenet_v1")


@pytest.mark.parametrize("name", NAMES)
def test_export_parts_are_the_heads_with_every_norm_in_a_convolution(name: str) -> None:
    detector = detector_of(name, head="hidden")
    heads, decoder = detector.export_parts()
    assert not [m for m in heads.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        maps = detector.features(torch.randn(1, 3, 96, 96))
        wanted = detector.heads(maps)
        found = heads(maps)
        scores, _ = decoder(*found)
    assert all(off(a, b.double()) < 1e-5 for a, b in zip(found, wanted, strict=True))
    assert torch.allclose(scores, detector.decode(wanted)[0], atol=1e-5)


def test_a_batch_of_one_trains() -> None:
    """The deepest map is one pixel: a batch norm has one value a channel to learn from."""
    detector = SSD(SPEC, SPEC.conventions, 2, 96, head="hidden").train()
    targets = Targets(torch.tensor([[[0.2, 0.2, 0.7, 0.7]]]), torch.ones(1, 1, dtype=torch.int64))
    loss = detector.loss(detector.features(torch.randn(1, 3, 96, 96)), targets)["loss"]
    loss.backward()
    assert torch.isfinite(loss)


def test_a_run_stores_what_its_detector_is_made_of(tiny_config: Compose, tmp_path: Path) -> None:
    cfg = tiny_config("freeze=all", "trainer.epochs=1", "detector.head=hidden", "detector.width=24")
    record = run(cfg, tmp_path / "run")
    assert record["status"] == "finished"
    detector, meta = load_detector(tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert meta["detector_options"] == {"head": "hidden", "width": 24}
    assert isinstance(detector, SSD)
    assert detector.heads.classify[0].in_channels == 24
    assert cfg.data.format == "voc"


def test_other_heads_are_another_run_and_the_first_ones_are_what_they_were(
    tiny_config: Compose,
) -> None:
    first, other = (plain(tiny_config(f"detector.head={head}")) for head in ("ssd", "hidden"))
    before = {**first, "detector": {k: v for k, v in first["detector"].items()
                                    if k not in ("head", "width")}}  # fmt: skip
    assert fingerprint(first) == fingerprint(before) != fingerprint(other)


def test_heads_of_another_kind_are_not_loaded() -> None:
    source = SSD(SPEC, SPEC.conventions, 2, 96)
    target = SSD(SPEC, SPEC.conventions, 2, 96, head="hidden")
    before = target.heads.classify[0].weight.clone()
    target.load_pretrained(Pretrained(dict(source.state_dict()), SPEC.conventions, "a", None))
    assert torch.equal(target.heads.classify[0].weight, before)
    assert target.loaded == {name for name, _ in target.trunk()}


@pytest.mark.parametrize("given", ["detector.head=deep", "detector.width=1"])
def test_what_cannot_be_is_refused(given: str, tiny_config: Compose) -> None:
    with pytest.raises(ConfigError, match=given.partition("=")[0]):
        check_config(tiny_config(given))
