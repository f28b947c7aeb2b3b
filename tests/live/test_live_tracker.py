"""Tracking by overlap: the same object keeps its number."""

from __future__ import annotations

import torch

from tlx.live.tracker import Tracker
from tlx.models.postprocess import Detections

NOTHING = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


def at(*boxes: tuple[float, float], labels: tuple[int, ...] = (), side: float = 0.2) -> Detections:
    """Square boxes by their upper left corners."""
    corners = torch.tensor([[x, y, x + side, y + side] for x, y in boxes]).reshape(-1, 4)
    classes = torch.tensor(labels or (1,) * len(boxes), dtype=torch.int64)
    return Detections(corners, torch.full((len(boxes),), 0.9), classes)


def test_a_number_comes_with_the_third_frame_and_stays() -> None:
    tracker = Tracker()
    seen = [tracker.update(at((0.1 + 0.01 * i, 0.3))) for i in range(6)]
    assert seen == [[None], [None], [1], [1], [1], [1]]
    assert tracker.count == 1


def test_two_objects_that_pass_each_other_do_not_swap() -> None:
    tracker = Tracker(min_frames=1)
    left, right = [], []
    for i in range(30):
        # Listed in another order in every other frame: the order must not matter.
        boxes = [(0.02 * i, 0.30), (0.6 - 0.02 * i, 0.45)]
        numbers = tracker.update(at(*(boxes if i % 2 else boxes[::-1])))
        left.append(numbers[0 if i % 2 else 1])
        right.append(numbers[1 if i % 2 else 0])
    assert len(set(left)) == len(set(right)) == 1
    assert set(left) != set(right)


def test_the_pairs_overlap_most_in_sum() -> None:
    # IoU of the tracks at .3 and .405 with the detections: .60 and .54, .57 and .10. Whoever takes
    # the largest first leaves the second track without a detection.
    tracker = Tracker(overlap=0.3, min_frames=1)
    assert tracker.update(at((0.3, 0.0), (0.405, 0.0))) == [1, 2]
    assert tracker.update(at((0.35, 0.0), (0.24, 0.0))) == [2, 1]


def test_a_gap_is_bridged_and_a_long_one_is_not() -> None:
    tracker = Tracker(min_frames=1, drop_frames=5)
    assert tracker.update(at((0.5, 0.5))) == [1]
    for _ in range(4):
        assert tracker.update(NOTHING) == []
    assert tracker.update(at((0.5, 0.5))) == [1]
    for _ in range(5):
        tracker.update(NOTHING)
    assert tracker.update(at((0.5, 0.5))) == [2]
    assert len(tracker.tracks) == 1, "tracks that ended must be forgotten"


def test_flickering_noise_gets_no_number() -> None:
    tracker = Tracker(min_frames=3)
    for _ in range(10):
        assert tracker.update(at((0.5, 0.5))) == [None]
        tracker.update(NOTHING)
    assert tracker.count == 0


def test_classes_are_kept_apart() -> None:
    tracker = Tracker(min_frames=1)
    assert tracker.update(at((0.1, 0.1), (0.1, 0.1), labels=(1, 2))) == [1, 2]
    assert tracker.update(at((0.1, 0.1), (0.1, 0.1), labels=(2, 1))) == [2, 1]
    assert tracker.update(at((0.1, 0.1), labels=(3,))) == [3]


def test_a_jump_is_another_object() -> None:
    tracker = Tracker(min_frames=1)
    tracker.update(at((0.1, 0.1)))
    assert tracker.update(at((0.5, 0.1))) == [2]
