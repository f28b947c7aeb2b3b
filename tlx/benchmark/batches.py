"""The batches that every arm trains on: real pictures through tlx's own loader, read once."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tlx.benchmark.config import TrainBenchmark, data_config
from tlx.common.errors import DataError
from tlx.data.dataset import Batch, batch_sizes
from tlx.data.module import DetectionData, Loaders, build_data
from tlx.models.detector import Targets


def read_data(cfg: TrainBenchmark) -> DetectionData:
    """The data set that is asked for; `DataError` where its batches would not all be whole."""
    data = build_data(data_config(cfg), Path(cfg.cache_dir).expanduser())
    have = len(data.splits["train"])
    if have < cfg.batch_size:
        raise DataError(
            f"the train split holds {have} pictures, batch_size={cfg.batch_size} needs as many"
        )
    sizes = sorted(set(batch_sizes(have, cfg.batch_size)))
    if sizes != [cfg.batch_size]:
        raise DataError(
            f"the train split's {have} pictures are dealt out in batches of "
            f"{' or '.join(map(str, sizes))}, so that next to none is left out: give a batch_size "
            f"that {have} is a multiple of, or nearly"
        )
    return data


def read_batches(cfg: TrainBenchmark, data: DetectionData) -> list[Batch]:
    """Up to `cfg.batches` augmented batches, their pictures numbered anew.

    The numbers are places in an activation store of exactly these pictures. They are shuffled, so
    that a batch lies as scattered in the store as a shuffled epoch's batches do.
    """
    loader = Loaders(data, cfg.input_size, cfg.batch_size, workers=0, seed=cfg.seed).train(
        lambda: 0
    )
    batches = list(itertools.islice(loader, cfg.batches))
    generator = torch.Generator().manual_seed(cfg.seed)
    places = torch.randperm(len(batches) * cfg.batch_size, generator=generator)
    return [
        replace(batch, indices=own, view=0)
        for batch, own in zip(batches, places.split(cfg.batch_size), strict=True)
    ]


def save_batches(batches: list[Batch], path: Path) -> None:
    """Write batches for another process."""
    torch.save([_plain(batch) for batch in batches], path)


def load_batches(path: Path) -> list[Batch]:
    """What `save_batches` wrote."""
    stored: list[dict[str, Any]] = torch.load(path, weights_only=True)
    return [
        Batch(plain["images"], Targets(plain["boxes"], plain["labels"]), plain["indices"])
        for plain in stored
    ]


def _plain(batch: Batch) -> dict[str, torch.Tensor]:
    targets = batch.targets
    return {"images": batch.images, "boxes": targets.boxes, "labels": targets.labels,
            "indices": batch.indices}  # fmt: skip
