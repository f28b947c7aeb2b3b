"""One pass over the picture files of a set: what each of them is."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from tlx.common.cores import usable_cores
from tlx.common.errors import DataError
from tlx.common.progress import progress
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.pictures import Probe, UnreadablePicture, probe

AT_ONCE = 64  # files: a future for each of 100,000 takes more than the rest
MANY = 4096  # files from which on processes are worth to be started
PROCESSES = 16  # at most: each takes memory of its own, and what they find comes together in one

Look = Probe | UnreadablePicture


class _Parts(Dataset[list[Look]]):
    """`AT_ONCE` files at a time. See `look_at_all` for the arguments."""

    def __init__(self, paths: Sequence[Path], bits: int | None) -> None:
        self.paths, self.bits = paths, bits

    def __len__(self) -> int:
        return -(-len(self.paths) // AT_ONCE)

    def __getitem__(self, index: int) -> list[Look]:
        return [*map(self._attempt, self.paths[index * AT_ONCE : (index + 1) * AT_ONCE])]

    def _attempt(self, path: Path) -> Look:
        try:
            return probe(path, self.bits)
        except UnreadablePicture as error:
            return error


def look_at_all(annotations: Sequence[Annotation], bits: int | None) -> dict[Path, Look]:
    """What each picture of `annotations` is; on a terminal with a bar.

    Args:
        bits: that 16-bit files use, 8..16; None: all.

    Raises:
        DataError: a process that looked at pictures was killed.
    """
    paths = list(dict.fromkeys(a.image for a in annotations if not a.unused))
    rest = iter(paths)
    looks: dict[Path, Look] = {}
    try:
        with (
            _in_parallel(_Parts(paths, bits)) as parts,
            progress("reading pictures", len(paths)) as done,
        ):
            for part in parts:
                looks.update(zip(islice(rest, len(part)), part, strict=True))
                done(len(looks))
    except RuntimeError as error:
        if not _process_ended(error):
            raise
        raise DataError(
            f"a process that reads pictures was ended at picture {len(looks) + 1} of {len(paths)} "
            f"({paths[min(len(looks), len(paths) - 1)]}) or soon after it, by a lack of memory, by "
            "somebody, or by a picture that crashes its decoder: start again, and where it ends at "
            "the same place, take that picture out"
        ) from error
    return looks


@contextmanager
def _in_parallel(parts: _Parts) -> Iterator[Iterable[list[Look]]]:
    """The parts in order, by threads, which share a lock between the steps of each picture, or by
    processes: of many files they make a third more in the same time.

    The processes are those of a `DataLoader`: they end with this one, however it ends.
    """
    forks = "fork" in multiprocessing.get_all_start_methods()
    if len(parts.paths) < MANY or not forks or multiprocessing.current_process().daemon:
        with ThreadPoolExecutor(usable_cores()) as pool:
            yield pool.map(parts.__getitem__, range(len(parts)))
        return
    yield DataLoader(
        parts,
        batch_size=None,
        num_workers=min(usable_cores(), PROCESSES),
        collate_fn=lambda part: part,
        multiprocessing_context="fork",
        generator=torch.Generator(),  # of its own: nothing is drawn from the run's
    )


def _process_ended(error: RuntimeError) -> bool:
    """Whether it is the one by which a `DataLoader` tells, anywhere, that a process of it died."""
    return any(words in str(error) for words in ("exited unexpectedly", "is killed by signal"))
