"""Resident memory that training steps add, each arm in a process of its own.

In one process the arms would hand each other their freed memory, and only the largest would show.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from tlx.benchmark.arms import Maker, Slot
from tlx.benchmark.batches import load_batches
from tlx.benchmark.config import TrainBenchmark
from tlx.benchmark.step import Stepper
from tlx.records.environment import peak_rss_bytes, reset_peak_rss
from tlx.training.host import set_up_host

STEPS = 3


def added_memory(cfg: TrainBenchmark, slot: Slot, classes: int, path: Path) -> int:
    """Peak RSS over the first steps less the RSS before them, bytes; for a new process.

    Args:
        path: a file of `save_batches`.
    """
    set_up_host(cfg.threads)
    device = torch.device("cpu")
    batches = load_batches(path)
    stepper = Stepper(Maker(cfg, classes, batches, device).make(slot), batches, device)
    del batches
    _release_freed()
    reset_peak_rss()
    before = psutil.Process().memory_info().rss
    for number in range(STEPS):
        stepper.step(number)
    return peak_rss_bytes() - before


def _release_freed() -> None:
    """Give back what making the arm used for a while: the first step would reuse it, uncounted."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
