"""Order and augmentation are pure functions of seed, epoch and index; batches are what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from tlx.common.errors import DataError
from tlx.config.schema import DataConfig
from tlx.data.augment import EvalTransform, TrainAugment, view_rng
from tlx.data.dataset import EpochBatches, batch_sizes, batches_per_epoch
from tlx.data.module import DetectionData, Loaders, build_data


@pytest.fixture(scope="module")
def data(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> DetectionData:
    cfg = DataConfig(name="tiny", format="voc", root=str(tiny_set), group_near_duplicates=False)
    return build_data(cfg, tmp_path_factory.mktemp("cache"))


def batches(data: DetectionData, workers: int, steps: int = 0, seed: int = 3) -> list[torch.Tensor]:
    loaders = Loaders(data, 96, 4, workers, zoom_out=2.0, seed=seed)
    out = []
    for batch in loaders.train(lambda: steps):
        out += [batch.images, batch.targets.boxes, batch.targets.labels, batch.indices]
    return out


def test_batches_do_not_depend_on_workers_or_the_global_random_state(data: DetectionData) -> None:
    torch.manual_seed(1)
    one = batches(data, 0)
    state = torch.random.get_rng_state()
    torch.manual_seed(99)
    two = batches(data, 2)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    torch.manual_seed(1)
    batches(data, 0)
    assert torch.equal(state, torch.random.get_rng_state())
    other = batches(data, 0, seed=4)
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_position_follows_from_the_steps_done(data: DetectionData) -> None:
    whole = batches(data, 0)
    per_batch = 4
    later = batches(data, 0, steps=2)
    assert all(torch.equal(a, b) for a, b in zip(whole[2 * per_batch :], later, strict=True))
    next_epoch = batches(data, 0, steps=len(whole) // per_batch)
    assert len(next_epoch) == len(whole)
    assert not torch.equal(whole[3], next_epoch[3])


def test_an_epoch_shows_every_picture_once_but_the_rest_of_a_batch() -> None:
    sampler = EpochBatches(10, 3, seed=0, steps_done=lambda: 0)
    assert len(sampler) == 3
    shown = [index for batch in sampler for _, index in batch]
    assert len(shown) == len(set(shown)) == 9
    small = EpochBatches(2, 24, seed=0, steps_done=lambda: 0)
    assert [len(batch) for batch in small] == [2]


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [
        (320, 8, [8] * 40),  # the embedded sample
        (233, 24, [24] * 9),  # 17 left out: a fourteenth
        (30, 24, [15, 15]),  # 6 would be left out: a fifth
        (47, 24, [24, 23]),
        (9, 8, [5, 4]),
        (10, 9, [9]),  # a tenth, and not more
        (7, 4, [4, 3]),
        (3, 2, [2]),  # a batch of one is never made
        (5, 2, [2, 2]),
        (5, 1, [1] * 5),
        (1, 24, [1]),
    ],
)
def test_no_more_than_a_tenth_of_a_set_is_left_out_of_an_epoch(
    count: int, batch_size: int, sizes: list[int]
) -> None:
    assert batch_sizes(count, batch_size) == sizes
    sampler = EpochBatches(count, batch_size, seed=0, steps_done=lambda: 0)
    assert [len(batch) for batch in sampler] == sizes
    assert len(sampler) == batches_per_epoch(count, batch_size) == len(sizes)
    shown = [index for step in range(len(sizes)) for _, index in sampler.at(step)]
    assert len(set(shown)) == sum(sizes)


def test_what_an_epoch_leaves_out_is_at_most_a_tenth_or_a_single_batch_of_one() -> None:
    for count in range(1, 120):
        for batch_size in range(1, 40):
            sizes = batch_sizes(count, batch_size)
            assert max(sizes) <= batch_size
            assert sum(sizes) >= 0.9 * count or (batch_size == 2 and count - sum(sizes) == 1)
            assert min(sizes) > 1 or 1 in (count, batch_size)


def test_augmentation_follows_its_seed_and_keeps_boxes_on_their_objects() -> None:
    pixels = np.full((80, 120, 3), 100, np.uint8)
    pixels[20:60, 30:90] = (250, 250, 250)
    boxes, labels = np.array([[30.0, 20.0, 90.0, 60.0]]), np.array([1])
    augment = TrainAugment(96, zoom_out=3.0)
    seen = set()
    for index in range(60):
        image, out, _ = augment(pixels, boxes, labels, view_rng(0, 1, index))
        again, same, _ = augment(pixels, boxes, labels, view_rng(0, 1, index))
        assert torch.equal(image, again)
        assert torch.equal(out, same)
        assert image.shape == (3, 96, 96)
        assert image.dtype == torch.uint8
        seen.add(tuple(out.flatten().tolist()))
        if len(out):
            bright = (
                image.float().mean(0)
                > (image.float().mean(0).max() + image.float().mean(0).min()) / 2
            )
            ys, xs = torch.nonzero(bright, as_tuple=True)
            shown = torch.tensor([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]]) / 96
            if float(out[0, 2:].sub(out[0, :2]).min()) > 0.3 and bright.float().mean() < 0.9:
                assert float(box_iou(out, shown.float())) > 0.6
    assert len(seen) > 40


def test_pictures_without_boxes_pass_the_augmentation() -> None:
    augment = TrainAugment(96, zoom_out=4.0)
    none = np.zeros((0, 4)), np.zeros(0, np.int64)
    for index in range(10):
        image, boxes, labels = augment(
            np.zeros((50, 70, 3), np.uint8), *none, view_rng(0, 0, index)
        )
        assert image.shape == (3, 96, 96)
        assert boxes.shape == (0, 4)
        assert len(labels) == 0


def test_evaluation_sees_the_whole_picture() -> None:
    image, boxes, _ = EvalTransform(96)(
        np.zeros((50, 100, 3), np.uint8), np.array([[0.0, 0.0, 50.0, 25.0]]), np.array([1])
    )
    assert image.shape == (3, 96, 96)
    assert boxes.tolist() == [[0.0, 0.0, 0.5, 0.5]]


def test_negatives_stay_and_splits_are_the_sets_own(data: DetectionData) -> None:
    assert {name: len(items) for name, items in data.splits.items()} == {
        "train": 18, "val": 6, "test": 6,
    }  # fmt: skip
    assert data.classes == ["blue", "red"]
    assert data.report["counts"]["train"]["negatives"] == 3
    with pytest.raises(DataError, match="none of train, val, test"):
        Loaders(data, 96, 4, 0).evaluation("holdout")
