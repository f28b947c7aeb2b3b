"""Tracking by overlap alone (Bochinski et al., "High-Speed Tracking-by-Detection Without Using
Image Information", 2017): a detection continues the track that its box overlaps most.

Where the paper matches greedily, frame by frame all pairs are matched at once, so that the sum of
overlaps is largest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_iou

from tlx.models.postprocess import Detections


@dataclass
class Track:
    """One object: its last box (4,), 0..1, frames with it and frames since it was seen.

    `number` is 1-based and None until it was seen often enough.
    """

    box: Tensor
    label: int
    hits: int = 1
    missed: int = 0
    number: int | None = None


class Tracker:
    """Numbers for objects that stay the same from frame to frame.

    Args:
        overlap: least IoU with a track's last box. min_frames: detections in a row before a track
            gets a number. drop_frames: frames without a detection that end a track.
            The defaults are those of jetson-inference's IoU tracker.
    """

    def __init__(self, overlap: float = 0.5, min_frames: int = 3, drop_frames: int = 15) -> None:
        self.overlap, self.min_frames, self.drop_frames = overlap, min_frames, drop_frames
        self.tracks: list[Track] = []
        self.count = 0  # tracks that got a number

    def update(self, found: Detections) -> list[int | None]:
        """The number of each detection of the next frame; None for one that is new."""
        owner = self._match(found)
        for track in self.tracks:
            track.missed += 1
        numbers: list[int | None] = []
        for i, label in enumerate(found.labels.tolist()):
            track = owner.get(i) or Track(found.boxes[i], label, hits=0)
            if i not in owner:
                self.tracks.append(track)
            track.box, track.hits, track.missed = found.boxes[i], track.hits + 1, 0
            if track.number is None and track.hits >= self.min_frames:
                self.count += 1
                track.number = self.count
            numbers.append(track.number)
        # A track without a number yet must be seen in every frame: noise is not.
        self.tracks = [t for t in self.tracks if t.missed < (self.drop_frames if t.number else 1)]
        return numbers

    def _match(self, found: Detections) -> dict[int, Track]:
        """{detection: track} of the same class with enough overlap."""
        if not self.tracks or not len(found.boxes):
            return {}
        boxes = found.boxes.new_tensor([t.box.tolist() for t in self.tracks])
        iou = box_iou(boxes, found.boxes).cpu().numpy()
        same = np.array([t.label for t in self.tracks])[:, None] == found.labels.cpu().numpy()
        # Pairs that may not be matched count nothing, so that they push no other pair aside.
        iou = np.where(same & (iou >= self.overlap), iou, 0.0)
        pairs = zip(*linear_sum_assignment(iou, maximize=True), strict=True)
        return {int(i): self.tracks[int(t)] for t, i in pairs if iou[t, i] > 0}
