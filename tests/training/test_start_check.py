"""Stored statistics against pictures: a wrong scaling is told, a right one is not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.conftest import SHARED, Compose
from tlx.freeze.policies.base import Phase
from tlx.models.backbones.base import Conventions, backbone_spec
from tlx.models.backbones.mobilenet_v2 import EXPANDED
from tlx.models.backbones.weights import SCRATCH, Pretrained, resolve
from tlx.models.trunk import TrunkNetwork
from tlx.training.closing import warnings_of
from tlx.training.run import run
from tlx.training.start_check import (
    FIRST,
    MEDIAN,
    PICTURES,
    SIDE,
    check_start,
    is_folded,
    variance_logarithms,
)

OWN = Conventions((0.5,) * 3, (0.5,) * 3)
TRAINING = (Phase(0, 0, 0),)


class Net(TrunkNetwork):
    """Two convolutions with batch norm, which remember what noisy pictures gave them."""

    def __init__(self, conventions: Conventions = OWN) -> None:
        def build(_: Conventions) -> Any:
            torch.manual_seed(0)
            blocks = nn.ModuleDict({
                f"block_{i}": nn.Sequential(
                    nn.Conv2d((3, 8)[i], 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()
                )
                for i in range(2)
            })  # fmt: skip
            return _Backbone(blocks)

        spec: Any = SimpleNamespace(name="net", build=build, paddings=("symmetric",))
        super().__init__(spec, conventions, SIDE)
        self.heads = nn.Identity()
        self.loaded = {"block_0", "block_1"}
        self._complete()


class _Backbone(nn.Module):
    def __init__(self, blocks: nn.ModuleDict) -> None:
        super().__init__()
        self.blocks = blocks


def pictures(count: int = 8, seed: int = 1) -> Any:
    """A split of noisy pictures, as `check_start` reads it."""
    rng = np.random.default_rng(seed)
    arrays = {str(i): rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for i in range(count)}
    none = np.zeros((0, 4)), np.zeros(0, np.int64)
    items = [
        SimpleNamespace(digest=name, boxes=none[0], labels=none[1], size=(SIDE, SIDE), rotate=0,
                        mirror=False, part=None)
        for name in arrays
    ]  # fmt: skip
    return SimpleNamespace(splits={"train": items}, cache=arrays)


def remembering(net: Net) -> Net:
    """Let every batch norm remember the statistics of pictures under the right scaling."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(0, 256, (8, 3, SIDE, SIDE)).astype(np.float32)) / 127.5 - 1
    with torch.no_grad():
        for block in net.backbone.blocks.values():
            seen = block[0](x)
            norm = block[1]
            norm.running_var.copy_(seen.var((0, 2, 3), correction=0))
            norm.running_mean.copy_(seen.mean((0, 2, 3)))
            x = block.eval()(x)
    return net


def checked(net: Net, phases: Any = TRAINING, bn_frozen: bool = False) -> dict[str, Any]:
    return check_start(net, pictures(), phases, bn_frozen=bn_frozen)


def test_right_statistics_say_nothing() -> None:
    net = remembering(Net())
    before = {k: v.clone() for k, v in net.state_dict().items()}
    random = torch.get_rng_state()
    found = checked(net.train())
    assert found["warnings"] == []
    assert found["statistics"]["first"] == pytest.approx(0, abs=0.05)
    assert found["statistics"]["median"] < 0.1
    assert net.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(m._forward_pre_hooks for m in net.modules())


@pytest.mark.parametrize("std", [0.226, 1.0, 1 / 255])
def test_a_wrong_scaling_is_told_with_one_that_fits(std: float) -> None:
    found = checked(remembering(Net(replace(OWN, std=(std,) * 3))))
    # A variance goes with the square of the scale: ln((.5 / std)^2)
    assert found["statistics"]["first"] == pytest.approx(2 * math.log(0.5 / std), abs=0.05)
    (warning,) = [w for w in found["warnings"] if w.startswith("Input scaling")]
    assert "a std of about 0.5 would fit" in warning
    assert "backbone.mean=[…] and backbone.std=[…]" in warning


def test_statistics_of_other_channels_are_told() -> None:
    net = remembering(Net())
    for place, block in enumerate(net.backbone.blocks.values()):
        block[1].running_var *= torch.tensor([0.1, 10.0] * 4) if place else 1.0
    net.backbone.blocks["block_0"][1].running_var *= torch.tensor([0.1, 10.0] * 4)
    found = checked(net)
    assert found["statistics"]["median"] == pytest.approx(math.log(10), abs=0.3)
    assert any(w.startswith("Batch norm statistics") for w in found["warnings"])


def test_channels_that_never_vary_say_nothing() -> None:
    net = remembering(Net())
    norm = net.backbone.blocks["block_0"][1]
    with torch.no_grad():
        net.backbone.blocks["block_0"][0].weight[:6] = 0
    norm.running_var[:6] = 0
    assert checked(net)["statistics"]["first"] == pytest.approx(0, abs=0.1)
    norm.running_var[:] = 0
    assert checked(net)["statistics"]["first"] is None


def folded_net() -> Net:
    net = remembering(Net())
    norm = net.backbone.blocks["block_1"][1]
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    return net


@pytest.mark.parametrize(
    ("phases", "bn_frozen", "told"),
    [
        ((Phase(0, 0, 0),), False, True),
        ((Phase(0, 1, 1),), False, True),
        ((Phase(0, 2, 2), Phase(3, 0, 0)), False, True),
        ((Phase(0, 2, 2), Phase(3, 0, 2)), False, False),
        ((Phase(0, 2, 2),), False, False),
        ((Phase(0, 0, 0),), True, False),
    ],
)
def test_folded_batch_norms_that_would_train(phases: Any, bn_frozen: bool, told: bool) -> None:
    found = checked(folded_net(), phases, bn_frozen)
    assert [w for w in found["warnings"] if not w.startswith("Folded")] == []
    assert ["trainer.freeze_bn=true" in w and "block_1" in w for w in found["warnings"]] == (
        [True] * told
    )


@pytest.mark.parametrize(("frozen", "told"), [(2, True), (3, False)])
def test_folded_batch_norms_behind_the_backbone_too(frozen: int, told: bool) -> None:
    """Of a whole detector: its extra blocks train where all of the backbone is frozen."""
    net = remembering(Net())
    net.extras = nn.ModuleDict({"extra_1": nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))})
    phases = (Phase(0, frozen, frozen),)
    assert checked(net, phases)["warnings"] == []  # new ones, that were never measured
    net.loaded.add("extra_1")
    assert ["extra_1" in warning for warning in checked(net, phases)["warnings"]] == [True] * told


def test_a_batch_norm_of_tf_s_epsilon_is_folded_too() -> None:
    norm = nn.BatchNorm2d(4, eps=1e-3)
    norm.running_var.fill_(1 - 1e-3)  # type: ignore[union-attr]
    assert is_folded(norm)
    norm.running_mean[2] = 0.01  # type: ignore[index]
    assert not is_folded(norm)


def test_a_run_says_so_in_its_record_and_at_its_end(tiny_config: Compose, tmp_path: Path) -> None:
    cfg = tiny_config("trainer.epochs=1", "backbone.mean=[0,0,0]",
                      "backbone.std=[0.004,0.004,0.004]")  # fmt: skip
    record = run(cfg, tmp_path / "wrong", test=False)
    stored = json.loads((tmp_path / "wrong" / "record.json").read_text())["weights"]
    assert stored["statistics"]["first"] > 5
    assert any(w.startswith("Input scaling") for w in stored["warnings"])
    assert stored["warnings"][0] in warnings_of(record)
    scratch = run(tiny_config("trainer.epochs=1", "weights=scratch"), tmp_path / "s", test=False)
    assert scratch["weights"]["source"] == SCRATCH
    assert "statistics" not in scratch["weights"]


# --- measured, on the files of the shared folder ---

FILES = {
    "mobilenet_v1_imagenet.pth": backbone_spec("mobilenet_v1"),
    "ssd_mobilenet_v1_widerface.npz": backbone_spec("mobilenet_v1"),
    "ssd_mobilenet_v2_openimages.npz": EXPANDED,
}
WRONG = {
    "imagenet": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    "0..1": {"mean": (0.0,) * 3, "std": (1.0,) * 3},
    "0..255": {"mean": (0.0,) * 3, "std": (1 / 255,) * 3},
}


class Start(TrunkNetwork):
    """A backbone alone."""

    def __init__(self, spec: Any, pretrained: Pretrained, conventions: Conventions) -> None:
        super().__init__(spec, conventions, 224)
        self.heads = nn.Identity()
        self._complete()
        given = {k: v for k, v in pretrained.state.items() if k.startswith("backbone.")}
        self.load_pretrained(replace(pretrained, state=given))


@pytest.mark.shared_data
@pytest.mark.parametrize("file", FILES)
def test_real_files_and_photographs(file: str) -> None:
    spec = FILES[file]
    pretrained = resolve(spec, str(SHARED / "weights" / file))
    photographs = sorted((SHARED / "datasets" / "guns").glob("*.jpeg"))[::20][:PICTURES]
    images = torch.stack([
        torch.from_numpy(np.asarray(Image.open(p).convert("RGB").resize((224, 224))).copy())
        for p in photographs
    ]).permute(0, 3, 1, 2)  # fmt: skip

    def logarithms(**other: Any) -> tuple[float, float]:
        net = Start(spec, pretrained, replace(pretrained.conventions, **other))
        norms = [n for n, m in net.backbone.named_modules() if isinstance(m, nn.BatchNorm2d)]
        first = variance_logarithms(net, images, norms[:1])[norms[0]]
        found = {} if other else variance_logarithms(net, images[::4], norms)
        sizes = sorted(v[1] for v in found.values() if v)
        assert first
        return first[0], sizes[len(sizes) // 2] if sizes else 0.0

    first, median = logarithms()
    assert FIRST[0] < first < FIRST[1]
    assert 0 < median < MEDIAN
    for other in WRONG.values():
        first, _ = logarithms(**other)
        assert not FIRST[0] < first < FIRST[1]
