"""Computing in a process that will be forked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute without compute threads.

    A fork has none of its parent's threads, and OpenMP's library waits for those that have worked
    once for ever. What the parent of a study's runs computes, it computes like this.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
