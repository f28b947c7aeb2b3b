"""Figures of a model as it is deployed: any backend, tlx's input or that of `detectnet`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tlx.common.errors import ConfigError
from tlx.config.schema import DetectorConfig
from tlx.data.formats.annotations import Item
from tlx.data.formats.pictures import decode
from tlx.data.module import DetectionData, Loaders
from tlx.evaluation.evaluator import Evaluator, Figures
from tlx.evaluation.gather import Gather
from tlx.models.postprocess import CANDIDATES
from tlx.runtime.base import Runtime
from tlx.runtime.detectnet import CLASSWISE, cluster
from tlx.runtime.postprocess import Found, select
from tlx.runtime.preprocess import DETECTNET, TLX, normalize, prepare, refuse_detectnet, scaling
from tlx.runtime.tensors import as_tensors

NO_LIMIT = 1 << 30  # px: the device reads pictures at their own size
BATCH = 16  # pictures; the runtime cuts it to what its graph takes

# One picture's scores (P, C) and boxes (P, 4), and the picture -> its detections.
Post = Callable[[np.ndarray, np.ndarray, Item], Found]


def tlx_inputs(runtime: Runtime, data: DetectionData, split: str) -> Iterator[np.ndarray]:
    """Batches of a split, read and framed as every evaluation of tlx does."""
    loader = Loaders(data, runtime.meta.input_size, BATCH, workers=0).evaluation(split)
    mean, std = scaling(runtime.meta, TLX)
    for batch in loader:
        pictures = batch.images.permute(0, 2, 3, 1).numpy()
        yield np.stack([normalize(picture, mean, std) for picture in pictures])


def detectnet_inputs(runtime: Runtime, items: list[Item]) -> Iterator[np.ndarray]:
    """Pictures, one by one, as `detectnet` reads, resizes and scales them.

    They are turned upright where the data set's boxes are: the device does not read EXIF.
    """
    for item in items:
        image = decode(
            item.image, rotate=item.rotate, max_side=NO_LIMIT, digest=item.digest, bits=item.bits
        )
        yield prepare(image, runtime.meta, DETECTNET)[None]


def measure(
    runtime: Runtime, inputs: Iterator[np.ndarray], items: list[Item], posts: Mapping[str, Post],
    gather: Callable[[], Gather],
) -> dict[str, Figures]:  # fmt: skip
    """All figures after each kind of post-processing, in one pass over the pictures.

    Args:
        items: what `inputs` show, one each: pictures, or their tiles.
    """
    evaluators = {name: Evaluator(list(runtime.meta.classes)) for name in posts}
    gathers = {name: gather() for name in posts}
    done = 0
    for images in inputs:
        for scores, boxes in zip(*runtime.raw(images), strict=True):
            for name, post in posts.items():
                found = as_tensors(post(scores, boxes, items[done]))
                evaluators[name].update(*gathers[name].add([found]))
            done += 1
    assert all(gathered.complete for gathered in gathers.values())
    return {name: evaluator.compute() for name, evaluator in evaluators.items()}


def by_nms(cfg: DetectorConfig) -> Post:
    """tlx's post-processing with a run's thresholds."""
    return lambda scores, boxes, item: select(
        scores, boxes, cfg.score_threshold, cfg.nms_iou, cfg.max_detections, CANDIDATES
    )


def by_clustering(clustering: str) -> Post:
    """`detectnet`'s post-processing with its default thresholds."""
    return lambda scores, boxes, item: cluster(scores, boxes, item.size, clustering=clustering)


def evaluate_deployed(
    runtime: Runtime,
    data: DetectionData,
    split: str,
    cfg: DetectorConfig,
    mode: str,
    clustering: str = CLASSWISE,
) -> Figures:
    """Figures of a split; for `detectnet` with the steps that lead there from tlx's own figure.

    Pictures are shown as `data.framing` says.

    The steps, under `steps`: `tlx`; `detectnet_input`, the device's resize and scaling with tlx's
    NMS; `detectnet`, its threshold and clustering too, which are the figures returned. Which
    clustering that was (`tlx.runtime.detectnet`) stands under `clustering`.
    """
    if mode == DETECTNET:
        refuse_detectnet(runtime.meta)
    if data.framing.letterbox != runtime.meta.framing.letterbox:
        raise ConfigError(
            f"the model sees {runtime.meta.framing.words}, and the data are set up to show "
            f"{data.framing.words}"
        )
    items = data.splits[split]

    def gather() -> Gather:
        side = runtime.meta.input_size
        return Gather(items, data.framing, side, cfg.nms_iou, cfg.max_detections)

    if runtime.nms_inside:
        return _evaluate_whole(runtime, data, split, mode, gather())
    shown, inputs = data.framing.cut(items), tlx_inputs(runtime, data, split)
    tlx_figures = measure(runtime, inputs, shown, {TLX: by_nms(cfg)}, gather)
    if mode == TLX:
        return tlx_figures[TLX]
    posts = {"detectnet_input": by_nms(cfg), DETECTNET: by_clustering(clustering)}
    steps = tlx_figures | measure(runtime, detectnet_inputs(runtime, items), items, posts, gather)
    told = {name: _short(row) for name, row in steps.items()}
    return {**steps[DETECTNET], "clustering": clustering, "steps": told}


def _evaluate_whole(
    runtime: Runtime, data: DetectionData, split: str, mode: str, gather: Gather
) -> Figures:
    """A graph with NMS inside: its detections are taken as they are."""
    if mode != TLX:
        raise ConfigError(
            f"preprocess={mode} needs scores and boxes of all priors; this model has NMS inside: "
            "export it with format=onnx"
        )
    evaluator = Evaluator(list(runtime.meta.classes))
    for images in tlx_inputs(runtime, data, split):
        found = [as_tensors(one) for one in runtime.detect(images)]
        evaluator.update(*gather.add(found))
    assert gather.complete
    return evaluator.compute()


def _short(figures: Figures) -> dict[str, Any]:
    return {name: figures[name] for name in ("map", "map_50", "map_75", "voc07_ap50")}
