"""The figures of `tlx data check`: what priors reach, near copies, the test set's error."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_convert, box_iou

from tlx.config.composition import composed
from tlx.config.schema import Config
from tlx.data.duplicates import _all_close_pairs, _close_pairs, groups_of
from tlx.data.faults import RULES
from tlx.data.formats.annotations import Item
from tlx.data.page.near import near_groups
from tlx.data.page.priors import best_iou, prior_fit
from tlx.data.page.test_error import half_interval, largest_error
from tlx.data.page.words import prior_notes


def item(*boxes: tuple[float, ...], digest: str = "", labels: list[int] | None = None) -> Item:
    """A picture of 100 x 100 px."""
    array = np.array(boxes, np.float32).reshape(-1, 4)
    kinds = np.array(labels or [1] * len(array), np.int64)
    size, path = (100, 100), Path(f"{digest}.jpg")
    return Item(path, array, kinds, np.zeros(len(array), bool), size, digest or str(id(array)))


def test_best_iou_by_hand() -> None:
    priors = np.array([[0.25, 0.5, 0.5, 0.5], [0.75, 0.5, 0.5, 0.5]])  # two squares side by side
    boxes = np.array(
        [
            [0.0, 0.25, 0.5, 0.75],  # the left one
            [0.25, 0.25, 0.75, 0.75],  # half of either: 1/3
            [0.0, 0.25, 0.25, 0.75],  # a half of it, and nothing else: 1/2
            [0.9, 0.9, 1.0, 1.0],  # touches none
        ]
    )
    assert best_iou(boxes, priors) == pytest.approx([1, 1 / 3, 1 / 2, 0])


@pytest.mark.parametrize("on_a_grid", [True, False])
def test_best_iou_is_that_of_all_priors(on_a_grid: bool) -> None:
    rng = np.random.default_rng(0)
    corners = np.sort(rng.random((200, 2, 2)), axis=1).reshape(-1, 4)
    cfg = composed(["detector.input_size=300"])
    assert isinstance(cfg, Config)
    centres = np.stack(np.meshgrid(np.arange(0.05, 1, 0.1), np.arange(0.05, 1, 0.1)), -1)
    places = centres.reshape(-1, 2) if on_a_grid else rng.random((99, 2))
    priors = np.concatenate(
        [np.concatenate([places, np.full_like(places, side)], 1) for side in (0.1, 0.3, 0.8)]
    )
    every = box_convert(torch.from_numpy(priors), "cxcywh", "xyxy")
    expected = box_iou(torch.from_numpy(corners), every).max(1).values.numpy()
    assert best_iou(corners, priors) == pytest.approx(expected, abs=1e-4)


def test_priors_at_300_px_lose_small_boxes() -> None:
    """The smallest prior there is a fifth of the side: 60 of 300 px."""
    side = 100 * 60 / 300
    centre = 100 * (9 + 0.5) * 16 / 300  # of cell 9 at stride 16
    low, high = centre - side / 2, centre + side / 2
    fits, small = (low, low, high, high), (low, low, low + 6, low + 6)
    cfg = composed(["detector=mb1_ssd300", "backbone=mobilenet_v1"])
    assert isinstance(cfg, Config)
    items = [item(fits, small, small, small, labels=[1, 2, 2, 2])]
    fit = prior_fit(cfg, items, ["large", "small"])
    assert fit is not None
    assert fit.recall[300] == {"large": 1.0, "small": 0.0}
    assert fit.mends["large"] == 300
    assert (fit.lost, fit.never) == (["small"], ["small"])
    assert fit.smallest[300] == pytest.approx(60, abs=0.01)
    assert any("0 % of small" in note for note in prior_notes(fit))
    whole = prior_fit(cfg, [item(fits)], ["large"])
    assert whole is not None
    assert [*whole.recall] == [300]
    assert prior_notes(whole) == ["At 300 px the priors reach 90 % and more of every class."]
    assert prior_fit(cfg, [item()], ["large"]) is None


def test_what_a_larger_input_is_for_is_shown_beside_it() -> None:
    cfg = composed(["data=ppe", "data.root=nowhere"])
    assert isinstance(cfg, Config)
    assert cfg.detector.input_size == 512
    centre, half = 100 * (15 + 0.5) * 16 / 512, 100 * 51 / 512 / 2
    box = (centre - half, centre - half, centre + half, centre + half)
    fit = prior_fit(cfg, [item(box)], ["mask"])
    assert fit is not None
    assert fit.recall == {300: {"mask": 0.0}, 512: {"mask": 1.0}}
    assert fit.mends == {"mask": 512}
    assert prior_notes(fit)[1] == "At 300 px it would be 0 % of mask."


def test_the_interval_of_a_map() -> None:
    z = 1.959964
    assert half_interval(100) == pytest.approx(z / 2 / math.sqrt(100 + z**2))
    box = (0.0, 0.0, 9.0, 9.0)
    single = [item(box, digest=str(i)) for i in range(100)]
    found = largest_error(single, {})
    assert found is not None
    assert (found.apart, found.together) == pytest.approx((half_interval(100),) * 2)
    series = largest_error(single, {str(i): i // 10 for i in range(100)})  # ten series of ten
    assert series is not None
    assert (series.units, series.apart) == (10, pytest.approx(half_interval(100)))
    assert series.together == pytest.approx(half_interval(10))
    crowd = largest_error([item(*[box] * 50, digest="a"), item(*[box] * 50, digest="b")], {})
    assert crowd is not None
    assert crowd.together == pytest.approx(half_interval(2))


def test_a_rare_class_widens_the_interval() -> None:
    box = (0.0, 0.0, 9.0, 9.0)
    common = [item(box, digest=str(i)) for i in range(90)]
    rare = [item(box, digest=f"r{i}", labels=[2]) for i in range(10)]
    found = largest_error([*common, *rare], {})
    assert found is not None
    # Half of the mean over classes are 90 boxes, half are 10.
    assert found.apart == pytest.approx(half_interval(1 / (0.25 / 90 + 0.25 / 10)))
    assert largest_error([item()], {}) is None


def test_close_pairs_are_those_of_a_look_at_all() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 2000, np.uint64, endpoint=False)
    for bits in range(1, 7):
        flips = [rng.choice(64, bits, replace=False) for _ in range(40)]
        near = [h ^ np.uint64(sum(1 << int(b) for b in f)) for h, f in zip(hashes, flips)]  # noqa: B905
        hashes = np.concatenate([hashes, near])
    hashes = np.unique(hashes)
    picked = {tuple(sorted(pair)) for pair in _close_pairs(hashes, 4)}
    assert picked == {*_all_close_pairs(hashes, 4)}
    assert len(picked) >= 160
    assert groups_of([]) == []


def test_near_groups_tell_splits() -> None:
    items = [item(digest=name) for name in "aabcd"]
    groups = {"a": 0, "b": 0, "c": 1, "d": 1}
    splits = {"train": [items[0], items[3], items[4]], "test": [items[2]]}
    found = near_groups(items, groups, splits)
    assert [(group.splits, len(group.members)) for group in found] == [
        (["train", "test"], 3), (["train"], 2),
    ]  # fmt: skip
    assert found[0].identical
    assert not found[1].identical
    assert found[0].members[1][1] is None  # the copy that was dropped


def test_every_kind_has_a_verb() -> None:
    verbs = {kind: rule.verb for kind, rule in RULES.items()}
    assert {kind for kind, verb in verbs.items() if verb == "clip"} == {"clipped-box"}
    assert {kind for kind, verb in verbs.items() if verb == "repair"} == {
        "joined-picture", "renamed-picture", "scaled-boxes", "exif-rotated", "rotated-box",
        "annotated-again",
    }  # fmt: skip
    assert {kind for kind, verb in verbs.items() if verb == "keep"} == {
        "tiny-box", "exif-kept", "fix-noted",
    }  # fmt: skip
