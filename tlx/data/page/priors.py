"""How many boxes of a set a detector's priors reach, by class and input size.

A box trains a prior well only where one overlaps it by IoU .5 (Liu et al. 2016, "Matching
strategy"); the others are left to the one prior that each object claims in any case. The share that
is reached, the recall of the best prior, is known before anything trains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

import tlx.models.backbones
import tlx.models.detectors  # noqa: F401  registers the detectors
from tlx.common.errors import ConfigError
from tlx.config.schema import Config
from tlx.data.formats.annotations import Item
from tlx.data.framing import WHOLE, Framing
from tlx.models.backbones.base import backbone_spec
from tlx.models.detector import build_detector, detector_class

USUAL = 300  # px, SSD's: shown beside a larger input, for what the larger one is worth
SIZES = (USUAL, 320, 512, 640, 800)  # px, that are tried
REACHED = 0.5  # IoU, as `tlx.models.detectors.ssd.matcher`
MENDED = 0.9  # of a class's boxes must be reached
MOST = 20_000  # boxes of a class that are looked at; of more, evenly spaced ones
_DIGITS = 5  # of 0..1: sides and centres that differ by less are one
_AT_ONCE = 2**22  # overlaps: bounds the memory

Recall = dict[str, float]


@dataclass(frozen=True)
class PriorFit:
    """The shares of boxes that priors reach.

    Attributes:
        detector: its name. size: px, the input that was asked for.
        recall: {size: {class: share}} of the sizes that were tried; classes without a box have
            none.
        boxes: {class: boxes looked at}.
        smallest: {size: side of the smallest prior, root of its area, px}.
        mends: {class: the smallest size, from that asked for on, at which `MENDED` of its boxes are
            reached}; None: none that was tried does it.
        choice: what a command line says for this detector.
    """

    detector: str
    size: int
    recall: dict[int, Recall]
    boxes: dict[str, int]
    smallest: dict[int, float]
    mends: dict[str, int | None]
    choice: str = ""

    @property
    def lost(self) -> list[str]:
        """The classes whose boxes the asked size does not reach."""
        return [name for name, share in self.recall[self.size].items() if share < MENDED]

    @property
    def never(self) -> list[str]:
        """Those that no size reaches."""
        return [name for name, size in self.mends.items() if size is None]


def prior_fit(
    cfg: Config, items: Sequence[Item], classes: Sequence[str], choice: str = "", *,
    framing: Framing = WHOLE, only: bool = False,
) -> PriorFit | None:  # fmt: skip
    """The fit at the configured size, at `USUAL` where that is smaller, and at the larger `SIZES`
    where a class is lost at the configured one.

    Args:
        choice: see `PriorFit`. framing: how the network sees the pictures. only: at the configured
            size.

    None where there is no box, or the detector cannot be built.
    """
    asked, detector = cfg.detector.input_size, cfg.detector.name
    boxes = boxes_by_class(items, classes, framing, asked)
    usual = [] if only or asked <= USUAL else [USUAL]
    larger = [] if only else [size for size in SIZES if size > asked]
    recall: dict[int, Recall] = {}
    smallest: dict[int, float] = {}
    for size, priors in _priors(cfg, [*usual, asked, *larger]):
        recall[size] = {
            name: float((best_iou(boxes[name], priors) >= REACHED).mean()) for name in boxes
        }
        smallest[size] = size * float(np.sqrt(priors[:, 2:].prod(1).min()))
        if size == asked and min(recall[size].values(), default=1.0) >= MENDED:
            break
    if asked not in recall or not boxes:
        return None
    mends = {
        name: next((s for s in recall if s >= asked and recall[s][name] >= MENDED), None)
        for name in boxes
    }
    counts = {name: len(own) for name, own in boxes.items()}
    return PriorFit(detector, asked, recall, counts, smallest, mends, choice)


def boxes_by_class(
    items: Sequence[Item], classes: Sequence[str], framing: Framing = WHOLE, side: int = 300
) -> dict[str, np.ndarray]:
    """{class: its boxes, float64 (n, 4), corners in 0..1 of the input}, difficult ones too: they
    train like all others. At most `MOST` of a class.

    Args:
        framing: how the network sees the pictures. side: of its input, px.
    """
    full = [item for item in items if len(item.boxes)]
    if not full:
        return {}
    boxes = np.concatenate([framing.shown(item.boxes, item.size, side) for item in full])
    labels = np.concatenate([item.labels for item in full])
    found = {}
    for label, name in enumerate(classes, start=1):
        mine = np.flatnonzero(labels == label)
        if len(mine):
            spaced = np.linspace(0, len(mine) - 1, min(len(mine), MOST)).astype(int)
            found[name] = boxes[mine[spaced]].astype(np.float64)
    return found


def best_iou(boxes: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """The largest IoU of each box (n, 4), corners, with any of the priors (P, 4), centre form.

    Priors of one shape that stand on a grid overlap a box most where they are nearest to it, along
    each axis for itself; others are tried one by one.
    """
    best = np.zeros(len(boxes))
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    shapes, which = np.unique(priors[:, 2:].round(_DIGITS), axis=0, return_inverse=True)
    for number, shape in enumerate(shapes):
        own = priors[which.ravel() == number, :2].round(_DIGITS)
        columns, rows = np.unique(own[:, 0]), np.unique(own[:, 1])
        if len(columns) * len(rows) == len(own):
            off = np.stack([_nearest(centres[:, 0], columns), _nearest(centres[:, 1], rows)], 1)
            best = np.maximum(best, _iou(sides, shape, off))
            continue
        step = max(1, _AT_ONCE // len(own))
        for start in range(0, len(boxes), step):
            part = slice(start, start + step)
            off = np.abs(centres[part, None] - own)
            found = _iou(sides[part, None], shape, off).max(1)
            best[part] = np.maximum(best[part], found)
    return best


def _nearest(values: np.ndarray, sorted_places: np.ndarray) -> np.ndarray:
    """How far each value is from the nearest place."""
    right = np.searchsorted(sorted_places, values).clip(1, max(1, len(sorted_places) - 1))
    right = np.minimum(right, len(sorted_places) - 1)
    return np.minimum(
        np.abs(values - sorted_places[right]), np.abs(values - sorted_places[right - 1])
    )


def _iou(sides: np.ndarray, shape: np.ndarray, off: np.ndarray) -> np.ndarray:
    """IoU of boxes and priors by their sides and the distances of their centres, all (…, 2)."""
    common = np.minimum(np.minimum(sides, shape), ((sides + shape) / 2 - off).clip(0))
    area = common.prod(-1)
    iou: np.ndarray = area / (sides.prod(-1) + shape.prod() - area)
    return iou


def _priors(cfg: Config, sizes: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """(size, priors) of the configured detector, as far as it can be built."""
    spec = detector_class(cfg.detector.name).backbone_for(backbone_spec(cfg.backbone.name))
    # Once, and without layers where that is known: the priors ask for its strides only.
    built = spec.outline() if spec.outline else spec.build(spec.conventions)
    spec = replace(spec, build=lambda _: built)
    options = asdict(cfg.detector)
    for size in sizes:
        try:
            detector = build_detector(
                cfg.detector.name, spec, spec.conventions, 1, size, options | {"input_size": size}
            )
        except ConfigError:  # the smallest maps of this detector vanish
            continue
        yield size, detector.priors.numpy().astype(np.float64)


def as_plain(fit: PriorFit) -> dict[str, object]:
    """The fit as plain values, for JSON."""
    return {
        "detector": fit.detector,
        "choice": fit.choice,
        "input_size": fit.size,
        "reached_iou": REACHED,
        "mended_share": MENDED,
        "boxes": fit.boxes,
        "smallest_prior_px": {str(size): side for size, side in fit.smallest.items()},
        "recall": {str(size): recall for size, recall in fit.recall.items()},
        "smallest_size": fit.mends,
    }
