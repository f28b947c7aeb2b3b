"""Any chain of timm as a backbone: its blocks, its weights under their names, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

from tests.conftest import Compose
from tlx.common.errors import ConfigError, WeightsError
from tlx.config.check import check_config
from tlx.config.identity import fingerprint, run_label
from tlx.config.typed import plain
from tlx.models.backbones import efficientnet_lite0
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import resolve
from tlx.records.checkpoint import load_detector
from tlx.training.detection import Detect
from tlx.training.run import run

SMALL = "mobilenetv3_small_050"


@pytest.mark.parametrize(
    ("model", "blocks", "first", "last"),
    [
        # Howard et al. 2019, table 2: a stem, 11 bottlenecks, and the 1x1 convolution behind them.
        (SMALL, 13, ("stem", "blocks_0_0", "blocks_1_0"), "blocks_5"),
        # He et al. 2016, table 1: two blocks in each of four stages.
        ("resnet18", 9, ("stem", "layer1_0", "layer1_1"), "layer4_1"),
    ],
)
def test_blocks_are_found_and_named(
    model: str, blocks: int, first: tuple[str, ...], last: str
) -> None:
    spec = backbone_spec(f"timm-{model}")
    assert len(spec.blocks) == blocks
    assert spec.blocks[:3] == first
    assert spec.blocks[-1] == last


def test_timm_weights_give_timm_maps() -> None:
    whole = timm.create_model(SMALL, pretrained=False).eval()
    spec = backbone_spec(f"timm-{SMALL}")
    state, conventions = spec.converters[0](whole.state_dict()) or ({}, spec.conventions)
    backbone = spec.build(conventions).eval()
    backbone.load_state_dict({k.removeprefix("backbone."): v for k, v in state.items()})
    x = torch.rand(1, 3, 96, 96)
    wanted = whole.forward_intermediates(x, intermediates_only=True)
    with torch.no_grad():
        found = []
        for block in backbone.blocks.values():
            found.append(x := block(x))
    for index, one in zip(backbone.taps, wanted[-2:], strict=True):
        assert torch.equal(found[index], one)


def test_it_divides_the_default_backbone_as_tlx_does() -> None:
    own, timms = efficientnet_lite0.SPEC, backbone_spec("timm-efficientnet_lite0")
    assert len(own.blocks) == len(timms.blocks)
    a, b = (spec.build(spec.conventions) for spec in (own, timms))
    assert (a.strides, a.channels, a.taps) == (b.strides, b.channels, b.taps)


def test_a_run_freezes_trains_and_is_loaded_again(tiny_config: Compose, tmp_path: Path) -> None:
    spec = backbone_spec(f"timm-{SMALL}")
    weights = tmp_path / "timm.pth"
    torch.save(timm.create_model(SMALL, pretrained=False).state_dict(), weights)
    cfg = tiny_config("backbone=timm", f"backbone.model={SMALL}", "freeze=blocks_2_1",
                      f"backbone.weights={weights}", "trainer.epochs=1")  # fmt: skip
    assert cfg.name == f"voc-timm-{SMALL}"
    record = run(cfg, tmp_path / "run")
    assert record["backbone"] == f"timm-{SMALL}"
    assert record["frozen"]["blocks"] == list(spec.blocks[: spec.blocks.index("blocks_2_1") + 1])
    assert record["frozen"]["hash_before"] == record["frozen"]["hash_after"] is not None
    detector, _ = load_detector(tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert detector.spec.name == f"timm-{SMALL}"


def test_the_model_is_of_the_identity(compose_config: Compose) -> None:
    one, other = (
        plain(compose_config("backbone=timm", f"backbone.model={name}", "freeze=4"))
        for name in ("resnet18", "resnet34")
    )
    assert fingerprint(one) != fingerprint(other)
    assert run_label(one) != run_label(other)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("resnt18", "did you mean resnet18?"),
        ("hrnet_w18_small", "cannot be used"),
        ("vit_tiny_patch16_224", "cannot be used"),
    ],
)
def test_what_is_no_chain_is_refused(model: str, words: str, compose_config: Compose) -> None:
    with pytest.raises(ConfigError, match=words.replace("?", r"\?")):
        check_config(compose_config("backbone=timm", f"backbone.model={model}"))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(timm.create_model("resnet18", pretrained=False).state_dict(), path)
    with pytest.raises(WeightsError):
        resolve(backbone_spec(f"timm-{SMALL}"), str(path))


def test_scratch_needs_no_file(compose_config: Compose) -> None:
    cfg = compose_config("backbone=timm", f"backbone.model={SMALL}", "backbone.weights=scratch")
    assert Detect().network(cfg, ["a"], {}).loaded == set()
