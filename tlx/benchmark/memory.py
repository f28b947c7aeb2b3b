"""Resident memory that training steps add, each arm in a process of its own.

In one process the arms would hand each other their freed memory, and only the largest would show.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import torch

from tlx.benchmark.arms import Maker, Slot
from tlx.benchmark.batches import load_batches
from tlx.benchmark.config import TrainBenchmark
from tlx.benchmark.step import Stepper
from tlx.environment import peak_rss_bytes, reset_peak_rss
from tlx.host import set_up_host

STEPS = 3


def added_memory(cfg: TrainBenchmark, slot: Slot, classes: int, batches: Path) -> int | None:
    """Peak RSS over the first steps less the RSS before them, bytes; None where the process died.

    Args:
        batches: a file of `save_batches`.
    """
    # Not forked: the child must not inherit the parent's heap, nor its threads' locks.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(sender, cfg, slot, classes, batches))
    child.start()
    sender.close()  # so that the end of the child ends the wait below
    try:
        return int(receiver.recv())
    except EOFError:
        return None
    finally:
        child.join()


def _measure(answer: Connection, cfg: TrainBenchmark, slot: Slot, classes: int, path: Path) -> None:
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
    answer.send(peak_rss_bytes() - before)


def _release_freed() -> None:
    """Give back what making the arm used for a while: the first step would reuse it, uncounted."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
