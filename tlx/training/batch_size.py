"""`trainer.batch_size=auto`: the largest batch that memory holds and that leaves enough steps."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence

import psutil
import torch

from tlx.common.errors import ConfigError
from tlx.config.check import AUTO
from tlx.config.schema import RunConfig
from tlx.data.dataset import batches_per_epoch, steps_per_epoch
from tlx.freeze.apply import apply_phase, trainable_parameters
from tlx.freeze.policies.base import Phase, least_frozen
from tlx.models.trunk import TrunkNetwork
from tlx.records.environment import peak_rss_bytes, reset_peak_rss
from tlx.training.closing import FEW_STEPS
from tlx.training.host import return_freed_memory
from tlx.training.optimizer import make_optimizer
from tlx.training.precision import Loss
from tlx.training.resume import Resume

log = logging.getLogger(__name__)

LARGEST = 64
LEAST_STEPS = 16  # of an epoch: fewer are few updates for the pictures seen
SHARE = 0.8  # of the free memory, that a step may take: loaders and validation want some too


def settled(
    cfg: RunConfig, network: TrunkNetwork, phases: tuple[Phase, ...], pictures: int,
    device: torch.device, loss: Loss, resume: Resume | None,
) -> RunConfig:  # fmt: skip
    """The configuration with a number for its batch size; itself where it has one.

    A resumed run keeps what was chosen at first, which its checkpoint says.

    Raises:
        ConfigError: not even the smallest batch fits.
    """
    if cfg.trainer.batch_size != AUTO:
        return cfg
    chosen = resume.meta.get("batch_size") if resume else None
    if not isinstance(chosen, int):
        chosen = _chosen(cfg, network, phases, pictures, device, loss)
    found = copy.deepcopy(cfg)
    found.trainer.batch_size = chosen
    return found


def candidates(pictures: int, epochs: int, accumulate: int) -> list[int]:
    """Powers of two, at most `LARGEST`, that leave an epoch `LEAST_STEPS` optimizer steps, and the
    run the steps that a training takes to begin to show; the smallest, 2, is always one."""

    def leaves_enough(size: int) -> bool:
        steps = steps_per_epoch(batches_per_epoch(pictures, size), accumulate)
        return steps >= LEAST_STEPS and steps * epochs >= FEW_STEPS

    sizes = [2**k for k in range(1, LARGEST.bit_length()) if 2**k <= LARGEST]
    return [size for size in sizes if size == sizes[0] or leaves_enough(size)]


def largest_that_fits(
    sizes: Sequence[int], budget: int, measure: Callable[[int], int]
) -> int | None:
    """The largest of the ascending `sizes` whose step takes no more than `budget` bytes.

    None is tried that must be expected not to fit: what a smaller one took is scaled up, which
    counts what does not grow with the batch too, and errs on the side of less memory.
    """
    best, used = None, 0
    for size in sizes:
        if best is not None and used * size / best > budget:
            break
        try:
            used = measure(size)
        except torch.cuda.OutOfMemoryError:
            break
        if used > budget:
            break
        best = size
    return best


def _chosen(
    cfg: RunConfig, network: TrunkNetwork, phases: tuple[Phase, ...], pictures: int,
    device: torch.device, loss: Loss,
) -> int:  # fmt: skip
    sizes = candidates(pictures, cfg.trainer.epochs, cfg.trainer.accumulate)
    on_gpu = device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else psutil.virtual_memory().available

    def measure(size: int) -> int:
        _step(cfg, network, phases, size, device, loss)
        if on_gpu:
            return torch.cuda.max_memory_reserved(device)
        return max(0, peak_rss_bytes() - before)

    _forget_peaks(on_gpu)
    # Taken once: the C library keeps what a step has freed.
    before = psutil.Process().memory_info().rss
    chosen = largest_that_fits(sizes, int(SHARE * free), measure)
    _forget_peaks(on_gpu)  # what was tried is no memory of the run
    if chosen is None:
        raise ConfigError(
            f"trainer.batch_size=auto: a step of {sizes[0]} pictures takes more than {SHARE:.0%} "
            f"of the {free / 2**20:.0f} MiB that are free: lower the input size, or free memory"
        )
    log.info(
        "batch size: %d, of %s that leave enough steps; %.0f MiB are free",
        chosen, ", ".join(map(str, sizes)), free / 2**20,
    )  # fmt: skip
    return chosen


def _forget_peaks(on_gpu: bool) -> None:
    return_freed_memory()
    reset_peak_rss()
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _step(
    cfg: RunConfig, network: TrunkNetwork, phases: tuple[Phase, ...], size: int,
    device: torch.device, loss: Loss,
) -> None:  # fmt: skip
    """One step of a copy of the network, of blank pictures, where the least is frozen."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        trial = copy.deepcopy(network).to(device).train()
        apply_phase(trial, least_frozen(phases))
        side = trial.input_size
        images = torch.zeros(size, 3, side, side, dtype=torch.uint8, device=device)
        loss(trial, trial.features(trial.normalize(images))).backward()
        make_optimizer(cfg.trainer, trainable_parameters(trial, phases)).step()
