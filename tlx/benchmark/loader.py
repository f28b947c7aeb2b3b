"""Images/s of the training loader on one core: tlx against torchvision's recipe for SSD."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tlx.benchmark.config import TrainBenchmark
from tlx.benchmark.usual_loader import ZOOM_OUT, torchvision_recipe, torchvision_sample
from tlx.config.schema import DataConfig
from tlx.data.augment import TrainAugment, view_rng
from tlx.data.cache import ImageCache
from tlx.data.dataset import TrainSplit
from tlx.data.formats.annotations import Item
from tlx.data.formats.pictures import decode
from tlx.data.module import DetectionData

SOURCES = ((300, 225), (640, 480), (1024, 768))  # width, height in pixels
REPEATS = 5
JPEG_QUALITY = 90
MAX_SIDE = DataConfig.max_side


@dataclass(frozen=True)
class Source:
    """Pictures of one size, as files and decoded in tlx's cache."""

    name: str
    items: list[Item]
    cache: ImageCache


def loader_rows(cfg: TrainBenchmark, data: DetectionData) -> list[dict[str, Any]]:
    """CPU time of each loader on pictures of each size, its turns interleaved."""
    threads = torch.get_num_threads()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sources = [_make_source(cfg, data, size, Path(folder)) for size in SOURCES]
        torch.set_num_threads(1)
        try:
            for source in sources:
                rows += _measure(cfg, source)
        finally:
            torch.set_num_threads(threads)
    return rows


def _make_source(
    cfg: TrainBenchmark, data: DetectionData, size: tuple[int, int], folder: Path
) -> Source:
    """The data set's own pictures, stretched to `size` and written as JPEG."""
    name = f"{size[0]}x{size[1]}"
    # IoU crops are the costly part, and a picture without boxes gets none.
    chosen = sorted(data.splits["train"], key=lambda item: len(item.boxes) == 0)
    items = []
    for number, item in enumerate(chosen[: cfg.loader_pictures]):
        path = folder / f"{name}-{number}.jpg"
        Image.fromarray(data.cache[item.digest]).resize(size, Image.Resampling.BICUBIC).save(
            path, quality=JPEG_QUALITY
        )
        scale = np.array([size[0] / item.size[0], size[1] / item.size[1]] * 2, np.float32)
        digest = sha256(path.read_bytes()).hexdigest()
        boxes = item.boxes.reshape(-1, 4) * scale
        items.append(Item(path, boxes, item.labels, item.difficult, size, digest))
    return Source(name, items, ImageCache.build(items, folder / "cache", max_side=MAX_SIDE))


def _measure(cfg: TrainBenchmark, source: Source) -> list[dict[str, Any]]:
    loaders = {
        "tlx warm": _tlx_warm(cfg, source),
        "tlx cold": _tlx_cold(cfg, source),
        "torchvision": _torchvision(cfg, source),
    }
    rates: dict[str, list[float]] = {name: [] for name in loaders}
    for turn in range(1 + REPEATS):  # the first warms up
        for name, load in loaders.items():
            started = time.process_time()
            for index in range(len(source.items)):
                load(turn, index)
            rate = len(source.items) / (time.process_time() - started)
            if turn:
                rates[name].append(rate)
    return [
        {
            "source": source.name,
            "loader": name,
            "images_per_s": float(np.median(found)),
            "images_per_s_interval": np.percentile(found, [10, 90]).tolist(),
        }
        for name, found in rates.items()
    ]


Load = Callable[[int, int], object]  # (view, index) -> an augmented picture with boxes and labels


def _tlx_warm(cfg: TrainBenchmark, source: Source) -> Load:
    augment = TrainAugment(cfg.input_size, ZOOM_OUT)
    split = TrainSplit(source.items, source.cache, augment, cfg.seed)
    return lambda view, index: split.__getitems__([(view, index)])


def _tlx_cold(cfg: TrainBenchmark, source: Source) -> Load:
    augment = TrainAugment(cfg.input_size, ZOOM_OUT)

    def load(view: int, index: int) -> object:
        item = source.items[index]
        image = decode(item.image, rotate=False, max_side=MAX_SIDE)
        boxes = item.boxes * (image.shape[1] / item.size[0])
        return augment(image, boxes, item.labels, view_rng(cfg.seed, view, index))

    return load


def _torchvision(cfg: TrainBenchmark, source: Source) -> Load:
    recipe = torchvision_recipe(cfg.input_size)
    samples = [
        torchvision_sample(decode(item.image, rotate=False, max_side=max(item.size)), item)
        for item in source.items
    ]
    return lambda view, index: recipe(*samples[index])
