"""Every detector on every backbone under every policy of `conf/`: it composes and takes two steps.

The default tier has each detector and each backbone once, at one depth; the slow tier all.
"""

from __future__ import annotations

import copy
import itertools
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import tlx.benchmark.__main__
import tlx.evaluate
import tlx.export.__main__
from tests.conftest import Compose
from tlx.common.errors import ConfigError, FreezeError
from tlx.config.check import check_config, conf_dir, make_policy
from tlx.data.dataset import Batch
from tlx.freeze.apply import apply_phase, prepare_network, trainable_parameters
from tlx.freeze.bound import measure_cost
from tlx.models.backbones.base import backbone_spec
from tlx.models.detector import Detector, Targets, build_detector, detector_class
from tlx.training.optimizer import make_optimizer
from tlx.training.run import run


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


DETECTORS, BACKBONES = names("detector"), names("backbone")
POLICIES, DEPTHS = names("policy"), ("none", "4", "8", "all")
MORE = {"timm": ("backbone.model=resnet18",)}
# Detectors of one family of backbones; what they do not stand on is refused in words.
ONLY = {
    "ssd_tf": {"mobilenet_v1", "mobilenet_v2"}, "ssd300_vgg16": {"vgg16"},
    "mb2_ssd_lite": {"mobilenet_v2"},
}  # fmt: skip
SIZES = {"ssd300_vgg16": 257}  # whose last map vanishes below
PAIRS = list(itertools.product(DETECTORS, BACKBONES))
ONE_BACKBONE = {"ssd300_vgg16": "vgg16", "ssdlite320": "mobilenet_v2",
                "mb2_ssd_lite": "mobilenet_v2"}  # fmt: skip
FEW = [(d, ONE_BACKBONE.get(d, "mobilenet_v1")) for d in DETECTORS]
FEW += [(("ssd", "ssd_fpnlite_640", "ssdlite320")[i % 3], b) for i, b in enumerate(BACKBONES)]
STEPS = 2


def composed(detector: str, backbone: str, policy: str, depth: str, compose: Compose) -> Any:
    size = SIZES.get(detector, 96)
    return compose(
        f"detector={detector}", f"backbone={backbone}", f"policy={policy}", f"freeze={depth}",
        f"detector.input_size={size}", *MORE.get(backbone, ()),
    )  # fmt: skip


@cache
def built(detector: str, backbone: str, size: int, compose: Compose) -> Detector:
    """With random weights, which are taken for pretrained: a step is a step."""
    cfg = composed(detector, backbone, "fixed", "none", compose)
    torch.manual_seed(0)
    spec = detector_class(cfg.detector.name).backbone_for(backbone_spec(cfg.backbone.name))
    return build_detector(
        cfg.detector.name, spec, spec.conventions, 2, size, vars(cfg.detector)
    ).train()


def steps_of(detector: Detector, cfg: Any) -> list[int]:
    """Two steps in each phase of the policy; how many parameters each phase froze."""
    phases = check_config(cfg)
    size = detector.input_size
    batch = Batch(
        torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8),
        Targets(torch.tensor([[[0.2, 0.3, 0.7, 0.8]]] * 2), torch.tensor([[1], [2]])),
        torch.arange(2),
    )
    prepare_network(detector, make_policy(cfg), phases, 0)
    parts = trainable_parameters(detector, phases)
    optimizer = make_optimizer(cfg.trainer, parts, by_block=bool(phases[0].rate_ends))
    frozen = []
    for phase in phases[:2]:
        apply_phase(detector, phase)
        fixed = {k: v.clone() for k, v in detector.named_parameters() if not v.requires_grad}
        before = {k: v.clone() for k, v in detector.named_parameters() if v.requires_grad}
        frozen.append(sum(v.numel() for v in fixed.values()))
        for _ in range(STEPS):
            maps = detector.tail(detector.prefix(detector.normalize(batch.images)))
            losses = detector.loss(maps, batch.targets, min_negatives=cfg.detector.min_negatives)
            assert losses["loss"].isfinite()
            optimizer.zero_grad()
            losses["loss"].backward()
            optimizer.step()
        now = dict(detector.named_parameters())
        assert all(torch.equal(now[k], v) for k, v in fixed.items())
        assert any(not torch.equal(now[k], v) for k, v in before.items())
    return frozen


def two_steps(detector: str, backbone: str, policies: list[str], depths: tuple[str, ...],
              compose: Compose) -> int:  # fmt: skip
    """The combinations that took their steps."""
    taken = 0
    for policy in policies:
        counts = {}  # frozen parameters by frozen blocks: of few blocks 8 may be all
        for depth in depths:
            cfg = composed(detector, backbone, policy, depth, compose)
            if backbone not in ONLY.get(detector, BACKBONES):
                with pytest.raises(ConfigError, match="stands on"):
                    check_config(cfg)
                continue
            if policy == "auto" or (policy == "two_phase" and depth == "none"):
                continue  # decided by pilots of whole runs; nothing to unfreeze
            if policy not in ("fixed", "two_phase") and depth != "all":
                continue  # tests/freeze/test_policies.py has them by block
            network = built(detector, backbone, cfg.detector.input_size, compose)
            if policy == "batch_norm_only" and backbone == "vgg16":
                with pytest.raises(FreezeError, match="no norms"):
                    steps_of(network, cfg)
                continue
            if policy == "lora":  # which changes the network
                network = copy.deepcopy(network)
            counts[len(check_config(cfg)[0].frozen)] = steps_of(network, cfg)[0]
            taken += 1
        grown = [counts[blocks] for blocks in sorted(counts)]
        assert grown == sorted(set(grown)), f"frozen parameters do not grow: {counts}"
    return taken


@pytest.mark.parametrize(("detector", "backbone"), sorted(set(FEW)))
def test_each_one_takes_two_steps(detector: str, backbone: str, compose_config: Compose) -> None:
    depth = DEPTHS[(DETECTORS.index(detector) + BACKBONES.index(backbone)) % len(DEPTHS)]
    taken = two_steps(detector, backbone, ["fixed"], (depth,), compose_config)
    built.cache_clear()
    assert taken == (backbone in ONLY.get(detector, BACKBONES))


@pytest.mark.slow
@pytest.mark.parametrize(("detector", "backbone"), PAIRS)
def test_every_policy_takes_two_steps(
    detector: str, backbone: str, compose_config: Compose
) -> None:
    taken = two_steps(detector, backbone, POLICIES, DEPTHS, compose_config)
    built.cache_clear()
    # fixed at four depths, two_phase at three, six others at one; VGG16 has no batch norms
    expected = 13 - (backbone == "vgg16")
    assert taken == expected * (backbone in ONLY.get(detector, BACKBONES))


@pytest.mark.parametrize("detector", DETECTORS)
def test_frozen_counts_grow_with_depth(detector: str, compose_config: Compose) -> None:
    backbone = "vgg16" if detector == "ssd300_vgg16" else "mobilenet_v2"
    cfg = composed(detector, backbone, "fixed", "none", compose_config)
    network = built(detector, backbone, cfg.detector.input_size, compose_config)
    cost = measure_cost(network)
    counts = []
    for depth in ("none", "4", "8", "all", "neck"):
        cfg = composed(detector, backbone, "fixed", depth, compose_config)
        counts.append(cost.frozen_parameters(check_config(cfg)[0].frozen))
    assert counts == sorted(set(counts))
    assert counts[-1] == sum(cost.parameters[:-1]), "neck leaves the heads, and no more"


SLOW = {"ssd300_vgg16": pytest.mark.slow, "ssd_fpn_640": pytest.mark.slow}  # by their MACs


@pytest.mark.parametrize("detector", [pytest.param(d, marks=SLOW.get(d, ())) for d in DETECTORS])
def test_all_that_follows_holds(detector: str, tiny_config: Compose, tmp_path: Path) -> None:
    """Trained, then frozen to the neck from that: proof, cache, evaluation, export, latency."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    backbone = ONE_BACKBONE.get(detector, "mobilenet_v1")
    common = [
        f"detector={detector}", f"backbone={backbone}", "trainer.epochs=1",
        f"detector.input_size={SIZES.get(detector, 96)}",
    ]  # fmt: skip
    start, folder, cache = tmp_path / "start", tmp_path / "run", f"cache_dir={tmp_path / 'cache'}"
    run(tiny_config(*common, "backbone.weights=scratch", "freeze=none"), start)
    given = [f"backbone.weights={start / 'checkpoints/last.ckpt'}", "freeze=neck"]
    more = ["cache=memory", "cache.views=1", "trainer.precision=auto"]
    record = run(tiny_config(*common, *given, *more), folder)
    assert record["status"] == "finished"
    assert record["frozen"]["hash_before"] == record["frozen"]["hash_after"]

    tlx.evaluate.main([f"checkpoint={folder}", f"output={tmp_path / 'figures.json'}", cache])
    found = json.loads((tmp_path / "figures.json").read_text())
    assert found["map_50"] == pytest.approx(record["test"]["map_50"], abs=1e-6)

    out = tmp_path / "onnx"
    tlx.export.__main__.main([f"checkpoint={folder}", "format=onnx", f"output={out}", cache])
    assert json.loads((out / "model.json").read_text())["parity"]["passed"]
    tlx.benchmark.__main__.main(
        [f"model={folder}", f"output={tmp_path / 'l'}", "rounds=1", "warmup=0", "pictures=1",
         "backend=torch", "threads=1", cache]
    )  # fmt: skip
    assert "eager" in next((tmp_path / "l").glob("*.md")).read_text()
