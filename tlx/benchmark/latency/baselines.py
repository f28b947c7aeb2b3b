"""What tlx is compared with: the same weights in eager PyTorch, as usual code runs them.

`eager` is the plain network (batch norm not folded, default memory format) with torchvision's NMS.
`peer` is that network with the post-processing of pytorch-ssd's predictor: per class, a loop in
Python that picks the best box and drops what overlaps it.
Both read and resize as tlx does, so that the differences are the network's and the NMS's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tlx.benchmark.latency.pipeline import CANDIDATES, Bars, Pipeline, read
from tlx.config.schema import DetectorConfig
from tlx.data.framing import WHOLE, Framing
from tlx.models.detector import Detector
from tlx.models.inference import run_blocks
from tlx.models.postprocess import select
from tlx.runtime.postprocess import Found

EAGER, PEER = "eager", "peer"
PEER_CANDIDATES = 200  # `candidate_size` of its predictor
PEER_EPSILON = 1e-5  # in the denominator of its IoU


class PlainNetwork(nn.Module):
    """The detector block by block, nothing folded or re-ordered."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        plain = copy.deepcopy(detector).to(memory_format=torch.contiguous_format)
        self.blocks = nn.ModuleList(block for _, block in plain.trunk())
        self.heads, self.taps = plain.heads, plain.taps
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised (N, 3, S, S) -> logits (N, P, C), box outputs (N, P, 4)."""
        logits, offsets = self.heads(run_blocks(self.blocks, self.taps, x))
        return logits, offsets


def baselines(
    detector: Detector, cfg: DetectorConfig, model: str, framing: Framing = WHOLE
) -> list[Pipeline]:
    """Both arms on one network, which sees pictures by `framing`."""
    network = PlainNetwork(detector)
    conventions = detector.conventions
    mean, std = (255 * np.array(v, np.float32) for v in (conventions.mean, conventions.std))
    planes = [torch.from_numpy(v).view(3, 1, 1) for v in (mean, std)]
    bars = Bars(framing, detector.input_size)

    def normalise(image: np.ndarray) -> Tensor:
        # As torchvision's transforms.
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return tensor.float().sub_(planes[0]).div_(planes[1])[None]

    def peer_normalise(image: np.ndarray) -> Tensor:
        # As pytorch-ssd's transforms: float32 channels last, then the axes turned.
        scaled = (image.astype(np.float32) - mean) / std
        return torch.from_numpy(scaled).permute(2, 0, 1)[None]

    def decode(outputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        scores, boxes = detector.decode(outputs)
        return scores[0], boxes[0]

    shared: dict[str, Callable[[Any], Any]] = {
        "read": read,
        "resize": bars.resize,
        "normalise": normalise,
        "network": torch.no_grad()(network),
        "decode": decode,
    }

    def torchvision_nms(raw: tuple[Tensor, Tensor]) -> Found:
        scores, boxes = raw
        found = select(
            scores[:, 1:], boxes.clamp(0, 1), cfg.score_threshold, cfg.nms_iou,
            cfg.max_detections, CANDIDATES,
        )  # fmt: skip
        return bars.off(Found(found.boxes.numpy(), found.scores.numpy(), found.labels.numpy()))

    def peer_nms(raw: tuple[Tensor, Tensor]) -> Found:
        return bars.off(predictor_nms(*raw, cfg.score_threshold, cfg.nms_iou))

    return [
        Pipeline(model, EAGER, {**shared, "nms": torchvision_nms}),
        Pipeline(model, PEER, {**shared, "normalise": peer_normalise, "nms": peer_nms}),
    ]


def predictor_nms(scores: Tensor, boxes: Tensor, threshold: float, iou: float) -> Found:
    """Scores (P, C), boxes (P, 4) -> detections, by the steps of pytorch-ssd's predictor."""
    picked_boxes, picked_scores, picked_labels = [], [], []
    for label in range(1, scores.shape[1]):
        mask = scores[:, label] > threshold
        if not mask.any():
            continue
        own_boxes, own_scores = boxes[mask], scores[mask, label]
        keep = _pick(own_boxes, own_scores, iou)
        picked_boxes.append(own_boxes[keep])
        picked_scores.append(own_scores[keep])
        picked_labels += [label] * len(keep)
    if not picked_boxes:
        return Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    values = torch.cat(picked_scores).numpy()
    order = np.argsort(-values, kind="stable")
    corners = torch.cat(picked_boxes).clamp(0, 1).numpy()
    return Found(corners[order], values[order], np.array(picked_labels, np.int64)[order])


def _pick(boxes: Tensor, scores: Tensor, iou: float) -> list[int]:
    """Greedy NMS, one best box at a time, all of it in tensor operations as the peer's is."""
    waiting = scores.sort(descending=True).indices[:PEER_CANDIDATES]
    picked = []
    while len(waiting):
        best = waiting[0]
        picked.append(int(best))
        waiting = waiting[1:]
        if not len(waiting):
            break
        others = boxes[waiting]
        low = torch.max(others[:, :2], boxes[best][None, :2])
        high = torch.min(others[:, 2:], boxes[best][None, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        areas = (others[:, 2:] - others[:, :2]).clamp(min=0).prod(1)
        own = (boxes[best, 2:] - boxes[best, :2]).clamp(min=0).prod()
        waiting = waiting[shared / (areas + own - shared + PEER_EPSILON) <= iou]
    return picked
