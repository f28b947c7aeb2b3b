"""What jetson-inference's `detectnet` makes of a picture and of a network's outputs.

It resizes by nearest neighbour, takes x/127.5 - 1 whatever the network was trained with, keeps
one class a prior and merges boxes instead of suppressing them, so its mAP is not that of
`tlx.evaluate`. The rules are those of detectNet.cpp, postProcessSSD_ONNX and clusterDetections.

Which boxes are merged has changed at the end of 2022. Before, boxes of different classes that
overlap became one, the better of the two (`interclass`; the source keeps it behind
CLUSTER_INTERCLASS). Since then only boxes of one class are merged (`classwise`).
"""

from __future__ import annotations

import numpy as np

from tlx.runtime.postprocess import Found

THRESHOLD = 0.5  # its default, --threshold
OVERLAP = 0.75  # its default, --clustering
CLASSWISE, INTERCLASS = "classwise", "interclass"
CLUSTERINGS = (CLASSWISE, INTERCLASS)  # the first, of the source of today, is the default
MEAN = STD = (127.5, 127.5, 127.5)  # x/127.5 - 1


def nearest(image: np.ndarray, side: int) -> np.ndarray:
    """uint8 (H, W, 3) -> (side, side, 3) by the device's nearest-neighbour arithmetic.

    Source place = cut off(place * source / side), in float32 as on the GPU.
    """
    rows, columns = (
        (np.arange(side, dtype=np.float32) * (np.float32(length) / np.float32(side))).astype(int)
        for length in image.shape[:2]
    )
    return image[rows][:, columns]


def cluster(
    scores: np.ndarray,
    boxes: np.ndarray,
    size: tuple[int, int],
    threshold: float = THRESHOLD,
    overlap: float = OVERLAP,
    clustering: str = CLASSWISE,
) -> Found:
    """One picture's scores (P, C), background first, and boxes (P, 4) in 0..1 -> its detections.

    In the order of the priors, each with its best class of at least `threshold` joins the first
    box with which its intersection is more than `overlap` of the larger area: the union of both,
    with the higher score. `classwise` it joins boxes of its own class only; `interclass` any, and
    of two classes the better box stays as it is.

    Args:
        size: width and height of the picture; on the device, boxes end at its last pixel.
    """
    labels = scores[:, 1:].argmax(1) + 1
    best = scores[np.arange(len(scores)), labels]
    scale = np.array([*size, *size], np.float32)
    clusters = np.zeros((0, 6), np.float32)  # box in pixels, score, label
    for prior in np.flatnonzero(best >= threshold):
        box, score, label = boxes[prior] * scale, best[prior], labels[prior]
        near = _share(clusters, box) > overlap
        if clustering == CLASSWISE:
            near &= clusters[:, 5] == label
        joined = np.flatnonzero(near)
        if len(joined) and clusters[joined[0], 5] != label:
            if score > clusters[joined[0], 4]:
                clusters[joined[0]] = [*box, score, label]
        elif len(joined):
            row = clusters[joined[0]]
            row[:2] = np.minimum(row[:2], box[:2])
            row[2:4] = np.maximum(row[2:4], box[2:])
            row[4] = max(row[4], score)
        else:
            clusters = np.vstack([clusters, [*box, score, label]]).astype(np.float32)
    found = clusters[np.argsort(-clusters[:, 4], kind="stable")]
    corners = np.maximum(found[:, :4], 0)
    corners[:, 2:] = np.where(corners[:, 2:] >= scale[2:], scale[2:] - 1, corners[:, 2:])
    return Found(corners / scale, found[:, 4], found[:, 5].astype(np.int64))


def _share(clusters: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection of a box with each cluster, as a share of the larger of the two areas."""
    sides = np.minimum(clusters[:, 2:4], box[2:]) - np.maximum(clusters[:, :2], box[:2])
    shared = np.maximum(sides, 0).prod(1)
    areas = (clusters[:, 2:4] - clusters[:, :2]).prod(1)
    return shared / np.maximum(np.maximum(areas, (box[2:] - box[:2]).prod()), 1e-12)
