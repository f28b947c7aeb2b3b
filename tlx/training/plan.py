"""How a run is computed, settled before its first step: precision, and a cache for each phase."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from tlx.activations.codec import Codec
from tlx.activations.key import digest, ingredients
from tlx.activations.late import LateCache
from tlx.activations.phase import Cache, PhaseCache, PhaseCaches
from tlx.activations.plan import Forecast, forecast, gigabytes
from tlx.activations.store import ActivationStore
from tlx.common.errors import ConfigError
from tlx.config.schema import RunConfig
from tlx.data.dataset import batches_per_epoch
from tlx.data.formats.annotations import Item
from tlx.freeze.apply import apply_phase, prefix_length, unchanged
from tlx.freeze.policies.base import Phase, phase_at
from tlx.models.blocks import as_blocks
from tlx.models.trunk import TrunkNetwork
from tlx.training.precision import Loss, Precision, resolve

log = logging.getLogger(__name__)
ACTIVATIONS = "activations"  # folder below cache_dir


@dataclass
class EnginePlan:
    """What was settled, and why.

    Attributes:
        phases: the freeze schedule, to which decisions add. precision: of the tail, and of prefixes
            that are not cached.
        caches: of the phases. notes: a plain description of each phase's cache, for the record.
    """

    phases: list[Phase]
    precision: Precision
    caches: PhaseCaches
    notes: list[dict[str, Any]]

    def apply(self, network: TrunkNetwork, epoch: int) -> None:
        """Put the network into the state of an epoch; a cache is filled in float32."""
        cache = self.caches.at(epoch)
        dtype = self.precision.prefix if cache is None else torch.float32
        apply_phase(network, phase_at(self.phases, epoch), dtype)
        if isinstance(cache, LateCache):
            self.discard_late(but=cache)
            cache.open(network)

    def discard_late(self, but: LateCache | None = None) -> None:
        """Delete the caches of what trained in this run: nothing else will read them."""
        for cache in self.caches.caches:
            if isinstance(cache, LateCache) and cache is not but:
                cache.discard()

    def to_dict(self) -> dict[str, Any]:
        """For the record."""
        return {
            "precision": self.precision.name,
            "prefix_precision": str(self.precision.prefix).removeprefix("torch."),
            "reason": self.precision.reason,
            "caches": self.notes,
        }


def make_plan(
    cfg: RunConfig, network: TrunkNetwork, phases: Sequence[Phase], items: list[Item],
    device: torch.device, loss: Loss, augmentation: Mapping[str, Any],
    earlier: dict[str, Any] | None = None,
) -> EnginePlan:  # fmt: skip
    """Settle precision and caches for training on `items`.

    Args:
        loss: to time steps with. augmentation: what decides the views of a picture.
        earlier: `to_dict` of the same run before it was stopped: a resumed run goes on in the
            precision and with the caches it began with, whatever a new measurement would say.
    """
    asked = earlier["precision"] if earlier else cfg.trainer.precision
    precision = resolve(asked, network, phases[0], cfg.trainer.batch_size, device, loss)
    if earlier:
        precision = Precision(precision.name, precision.prefix, earlier["reason"])
    elif cfg.trainer.precision == "auto":
        log.info("precision: %s; %s", precision.name, precision.reason)
    caches: list[Cache | None] = []
    notes: list[dict[str, Any]] = []
    untouched = unchanged(network, phases[0])
    ends = [phase.first_epoch for phase in phases[1:]] + [cfg.trainer.epochs]
    for index, (phase, end) in enumerate(zip(phases, ends, strict=True)):
        # Blocks that trained in an earlier phase hold other weights by then.
        untouched &= unchanged(network, phase)
        length = prefix_length(network, phase)
        cache, note = None, {"used": False, "reason": _no_prefix(phase)}
        if length and phase.undecided:
            # Loader processes would have to learn of a decision.
            note["reason"] = "what is frozen is decided in training"
        elif length:
            epochs = end - phase.first_epoch
            before = earlier["caches"][index] if earlier else None
            late = not untouched >= as_blocks(length)
            cache, note = _plan_cache(
                cfg, network, phase, epochs, items, precision, device, augmentation, before, late
            )
        if length and cache is None and cfg.cache.mode in ("memory", "disk"):
            log.warning("cache=%s: not from epoch %d: %s", cfg.cache.mode, phase.first_epoch + 1,
                        note["reason"])  # fmt: skip
        caches.append(cache)
        notes.append(note)
    return EnginePlan(
        [*phases], precision, PhaseCaches([phase.first_epoch for phase in phases], caches), notes
    )


def _no_prefix(phase: Phase) -> str:
    if not phase.frozen:
        return "nothing is frozen"
    return "no block that leads the trunk is frozen as a whole"


def _plan_cache(
    cfg: RunConfig, network: TrunkNetwork, phase: Phase, epochs: int, items: list[Item],
    precision: Precision, device: torch.device, augmentation: Mapping[str, Any],
    before: dict[str, Any] | None, late: bool,
) -> tuple[Cache | None, dict[str, Any]]:  # fmt: skip
    mode, views = cfg.cache.mode, cfg.cache.views
    if before is not None and not before["used"]:
        return None, before
    if mode == "off" or views == 0:
        reason = "cache=off" if mode == "off" else "cache.views=0: new views in every epoch"
        return None, {"used": False, "reason": reason}
    if late and mode == "memory":
        return None, {"used": False, "reason": "what trains before it is frozen is cached on disk"}
    batch = min(cfg.trainer.batch_size, len(items))
    exact_s, maps = _time_prefix(network, phase, batch, device, torch.float32)
    prefix_s = exact_s
    if precision.prefix != torch.float32:
        prefix_s, _ = _time_prefix(network, phase, batch, device, precision.prefix)
    codec = Codec(cfg.cache.dtype, [(m.shape[1], m.shape[2], m.shape[3]) for m in maps])
    expected = forecast(
        epochs=epochs, views=views, pictures=len(items),
        batches=batches_per_epoch(len(items), batch),
        slot_bytes=codec.bytes_per_slot, prefix_s=prefix_s, exact_prefix_s=exact_s,
        read_s=_time_read(codec, maps, device),
    )  # fmt: skip
    root = Path(cfg.cache_dir).expanduser() / ACTIVATIONS
    values = ingredients(
        network, network.prefix_length, items, views=views, seed=cfg.seed,
        augmentation=augmentation, dtype=cfg.cache.dtype,
    )  # fmt: skip
    folder = root / digest(values)
    existing = mode != "memory" and not late and folder.is_dir()
    # The cache rounds: a run that began with it must go on with it, or its numbers would change.
    decided = "disk" if mode == "auto" and before is not None else mode
    refusal = expected.verdict(decided, _budget(cfg, mode, folder, existing))
    _announce(network.prefix_length, expected, refusal)
    note = {"used": refusal is None, "reason": refusal or f"cache={mode}", "dtype": codec.dtype,
            "views": views, **expected.to_dict()}  # fmt: skip
    if refusal is not None:
        if decided != "auto":
            raise ConfigError(f"cache={decided}: {refusal}")
        return None, note
    if late:
        note["filled_at_start"] = 0.0
        return LateCache(root, codec, items, views, cfg.seed, augmentation), note
    store = ActivationStore(
        None if mode == "memory" else folder, views * len(items), codec.fields, values
    )
    note["filled_at_start"] = store.filled_count() / store.slots
    return PhaseCache(store, codec, len(items)), note


def _announce(blocks: int, expected: Forecast, refusal: str | None) -> None:
    log.info(
        "activation cache of %d blocks: %s; %.0f s of prefix work to fill, %.1f s saved an epoch "
        "after that, pays back %s of %d: %s",
        blocks, gigabytes(expected.bytes), expected.fill_s, expected.saved_s,
        f"after epoch {expected.payback_epochs}" if expected.payback_epochs else "in no epoch",
        expected.epochs, f"declined, {refusal}" if refusal else "used",
    )  # fmt: skip


def _budget(cfg: RunConfig, mode: str, folder: Path, existing: bool) -> int:
    """Bytes the cache may take: as configured, and never over what is free."""
    limit = int(cfg.cache.max_gb * 1e9)
    if existing:
        return limit
    if mode == "memory":
        return min(limit, psutil.virtual_memory().available // 2)
    place = next(parent for parent in folder.parents if parent.is_dir())
    return min(limit, int(0.9 * shutil.disk_usage(place).free))


@torch.no_grad()
def _time_prefix(
    network: TrunkNetwork, phase: Phase, batch: int, device: torch.device, dtype: torch.dtype
) -> tuple[float, list[Tensor]]:
    """Seconds of the frozen prefix on a blank batch, and its outputs."""
    apply_phase(network, phase, dtype)
    network.to(device)
    side = network.input_size
    images = torch.zeros(batch, 3, side, side, dtype=torch.uint8, device=device)
    best = float("inf")
    for _ in range(2):  # the first folds and warms up
        started = time.perf_counter()
        maps = network.prefix(network.normalize(images))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return best, maps


@torch.no_grad()
def _time_read(codec: Codec, maps: list[Tensor], device: torch.device) -> float:
    """Seconds to copy a stored batch out and bring it into the step's form."""
    fields = codec.encode([m.float() for m in maps])
    best = float("inf")
    for _ in range(2):
        started = time.perf_counter()
        codec.decode([field.clone() for field in fields], device)
        best = min(best, time.perf_counter() - started)
    return best
