"""Conventions of weights that a user states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.config.test_identity import OF_0_3, PINNED
from tests.conftest import Compose
from tlx.common.errors import ConfigError
from tlx.config.check import check_config
from tlx.config.identity import fingerprint
from tlx.config.typed import plain
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.padding import SamePad
from tlx.records.checkpoint import load_detector
from tlx.training.run import run

STATED = ("backbone.mean=[0.1,0.2,0.3]", "backbone.std=[0.4,0.5,0.6]", "backbone.bn_eps=0.01",
          "backbone.activation=relu", "backbone.padding=same")  # fmt: skip


def test_they_count_when_they_are_stated(compose_config: Compose) -> None:
    prints = {fingerprint(plain(compose_config(*OF_0_3, key))) for key in STATED}
    assert len(prints | {PINNED[""]}) == 6
    unstated = compose_config(*OF_0_3, *(f"{key.partition('=')[0]}=null" for key in STATED))
    assert fingerprint(plain(unstated)) == PINNED[""]


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2"])
def test_a_run_is_built_and_stored_by_them(
    backbone: str, tiny_config: Compose, tmp_path: Path
) -> None:
    cfg = tiny_config(f"backbone={backbone}", "weights=scratch", "trainer.epochs=1", *STATED)
    record = run(cfg, tmp_path, test=False)
    wanted = {
        "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "bn_eps": 0.01, "activation": "relu",
        "padding": "same",
    }  # fmt: skip
    assert record["weights"]["conventions"] == wanted
    detector, meta = load_detector(tmp_path / "checkpoints" / "last.ckpt")
    stored = {k: list(v) if k in ("mean", "std") else v for k, v in meta["conventions"].items()}
    assert stored == wanted
    modules = list(detector.backbone.modules())
    assert {m.eps for m in modules if isinstance(m, torch.nn.BatchNorm2d)} == {0.01}
    kinds = {type(m) for m in modules}
    assert {torch.nn.ReLU, SamePad} <= kinds
    assert torch.nn.ReLU6 not in kinds
    assert torch.allclose(detector.mean.flatten(), torch.tensor([25.5, 51, 76.5]))


def test_the_default_backbone_takes_an_activation() -> None:
    spec = backbone_spec("efficientnet_lite0")
    for activation, kind in {"relu": torch.nn.ReLU, "relu6": torch.nn.ReLU6}.items():
        built = spec.build(replace(spec.conventions, activation=activation))
        found = {type(m) for m in built.modules() if isinstance(m, torch.nn.ReLU | torch.nn.ReLU6)}
        assert found == {kind}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("backbone.mean=[127,127,127]", "of 0..1"),
        ("backbone.mean=[0.5]", "three numbers"),
        ("backbone.std=[0.5,0.5,0]", "three numbers"),
        ("backbone.std=[nan,0.5,0.5]", "three numbers"),
        ("backbone.bn_eps=0", "bn_eps=0"),
        ("backbone.activation=relu7", "did you mean backbone.activation=relu"),
        ("backbone.padding=same", "efficientnet_lite0 is built with one only"),
        ("backbone=mobilenet_v1 backbone.padding=sane", "did you mean backbone.padding=same"),
        ("task=classify backbone.bn_eps=-1", "bn_eps=-1"),
        ("backbone=timm backbone.model=lcnet_050 backbone.activation=relu", "built with one only"),
    ],
)
def test_nonsense_is_refused(overrides: str, words: str, compose_config: Compose) -> None:
    with pytest.raises(ConfigError, match=words):
        check_config(compose_config(*overrides.split()))


def test_a_backbone_that_ignores_the_epsilon_is_refused(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlx.models.backbones.efficientnet_lite0.set_bn_eps", lambda *_: None)
    cfg = tiny_config("weights=scratch", "backbone.bn_eps=0.02")
    with pytest.raises(ConfigError, match="with an epsilon of its own"):
        run(cfg, tmp_path)
