"""The arms of the comparison: which there are, which can be measured here, and how one is made."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from tlx.activations.codec import Codec
from tlx.activations.phase import PhaseCache
from tlx.activations.store import ActivationStore
from tlx.benchmark.config import TrainBenchmark
from tlx.benchmark.networks import Arm, CachedArm, PlainArm, TlxArm, TorchvisionArm
from tlx.data.dataset import Batch
from tlx.models.backbones.base import backbone_spec
from tlx.models.blocks import Blocks, leading
from tlx.models.detector import Detector, build_detector
from tlx.training.precision import has_bfloat16

ARMS = ("plain", "lightning", "torchvision", "tlx_fp32", "tlx_auto", "tlx_cached_fp32",
        "tlx_cached_auto")  # fmt: skip
CACHED = ("tlx_cached_fp32", "tlx_cached_auto")
CACHE_DTYPE = "f16"


@dataclass(frozen=True)
class Slot:
    """One arm under one policy, which freezes `frozen` of the trunk."""

    policy: str
    frozen: Blocks
    arm: str


def plan(
    policies: dict[str, Blocks], backbone_blocks: int, device: torch.device
) -> tuple[list[Slot], list[dict[str, str]]]:
    """What is measured, and what is left out with its reason."""
    slots, left_out = [], []
    for policy, frozen in policies.items():
        for arm in ARMS:
            reason = None
            length = leading(frozen)
            if not frozen and arm in ("lightning", *CACHED):
                reason = "nothing is frozen"
            elif arm in CACHED and not length:
                reason = "no block that leads the trunk is frozen"
            elif arm == "torchvision" and length > backbone_blocks:
                reason = "torchvision freezes no more than the backbone"
            elif arm == "torchvision" and length < len(frozen):
                reason = "torchvision freezes leading blocks only"
            elif arm.endswith("auto") and not has_bfloat16(device):
                reason = f"this {device.type} has no bfloat16 arithmetic"
            if reason is None:
                slots.append(Slot(policy, frozen, arm))
            else:
                left_out.append({"policy": policy, "arm": arm, "reason": reason})
    return slots, left_out


class Maker:
    """Makes arms on copies of one network, so that all of them start from the same weights.

    Args:
        classes: of the detector, background not counted. batches: what the arms will train on.
    """

    def __init__(
        self, cfg: TrainBenchmark, classes: int, batches: list[Batch], device: torch.device
    ) -> None:
        self.cfg, self.classes, self.batches, self.device = cfg, classes, batches, device
        torch.manual_seed(cfg.seed)
        spec = backbone_spec(cfg.backbone)
        self.detector = build_detector(
            cfg.detector, spec, spec.conventions, classes, cfg.input_size, vars(cfg)
        ).to(device)
        _settle_batch_norm(self.detector, batches[0].to(device))
        self._caches: dict[Blocks, PhaseCache] = {}

    def make(self, slot: Slot) -> Arm:
        """The arm, ready for its first step."""
        torch.manual_seed(self.cfg.seed)
        if slot.arm == "torchvision":
            share = len(slot.frozen) / len(self.detector.backbone.blocks)
            return TorchvisionArm(self.classes, self.cfg.input_size, share, self.device)
        detector = deepcopy(self.detector)
        if slot.arm in ("plain", "lightning"):
            return PlainArm(detector, slot.frozen, by_lightning=slot.arm == "lightning")
        dtype = torch.bfloat16 if slot.arm.endswith("auto") else torch.float32
        if slot.arm in CACHED:
            return CachedArm(detector, slot.frozen, dtype, self._cache(detector, slot.frozen))
        return TlxArm(detector, slot.frozen, dtype)

    def _cache(self, detector: Detector, frozen: Blocks) -> PhaseCache:
        """A filled cache, shared by the arms of a policy: it is filled in float32 for all."""
        if frozen not in self._caches:
            detector.freeze(frozen, frozen)
            with torch.no_grad():
                maps = detector.prefix(detector.normalize(self.batches[0].to(self.device).images))
            codec = Codec(CACHE_DTYPE, [(m.shape[1], m.shape[2], m.shape[3]) for m in maps])
            count = sum(map(len, self.batches))
            cache = PhaseCache(ActivationStore(None, count, codec.fields, {}), codec, count)
            for batch in self.batches:
                cache.outputs(batch.to(self.device), detector)
            cache.store.flush()
            self._caches[frozen] = cache
        return self._caches[frozen]


@torch.no_grad()
def _settle_batch_norm(detector: Detector, batch: Batch) -> None:
    """Give random weights the statistics of a batch.

    Without them, activations shrink from block to block in inference mode, down to subnormal
    numbers, which are slow to compute with and would be timed.
    """
    layers = [layer for layer in detector.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 1.0
    detector.train()(detector.normalize(batch.images))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
