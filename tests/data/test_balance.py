"""Balanced sampling: frequencies by the formula, epochs as long as ever, copies told apart."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Compose
from tests.training.test_resume import assert_resumed
from tlx.activations.codec import Codec, Field
from tlx.activations.phase import PhaseCache
from tlx.activations.store import ActivationStore
from tlx.data.balance import draw, repeat_factors
from tlx.data.dataset import EpochBatches
from tlx.data.formats.annotations import Item
from tlx.data.module import Loaders, build_data
from tlx.training.run import run


def item(*labels: int) -> Item:
    count = len(labels)
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (count, 1))
    return Item(Path("a"), boxes, np.array(labels, int), np.zeros(count, bool), (10, 10), "0" * 64)


def test_factors_by_hand() -> None:
    # Of 8 pictures class 1 is in 6, class 2 in 2, class 3 in none; one shows nothing.
    items = [item(1), item(1, 1), item(1), item(1), item(1), item(1, 2), item(2, 2), item()]
    factors, told = repeat_factors(items, ["often", "rare", "none"], 0.5)
    twice = math.sqrt(0.5 / 0.25)
    np.testing.assert_allclose(factors, [1, 1, 1, 1, 1, twice, twice, 1])
    assert told["classes"]["often"] == {"pictures": 6, "factor": 1.0}
    assert told["classes"]["rare"] == {"pictures": 2, "factor": pytest.approx(twice)}
    assert told["classes"]["none"] == {"pictures": 0, "factor": 1.0}
    total = 6 + 2 * twice
    assert told["times_an_epoch"] == pytest.approx([8 / total, 8 * twice / total])
    assert (repeat_factors(items, ["often", "rare", "none"], 0.25)[0] == 1).all()


def test_pictures_come_up_as_often_as_their_factors_say() -> None:
    factors = np.array([1.0] * 20 + [2.5] * 4 + [7.0])
    expected = 25 * factors / factors.sum()
    times = np.zeros(25)
    for epoch in range(2000):
        drawn = draw(np.random.default_rng([3, epoch]), factors)
        assert len(drawn) == len(set(drawn)) == 25  # copies are told apart
        count = np.bincount(np.array(drawn) % 25, minlength=25)
        assert (np.abs(count - expected) < 1).all()  # never a whole time more or less
        assert (count[np.array(drawn) % 25] > np.array(drawn) // 25).all()
        times += count
    np.testing.assert_allclose(times / 2000, expected, atol=0.04)


def test_the_order_is_of_seed_and_epoch_and_the_default_is_what_it_was() -> None:
    def order(seed: int, factors: np.ndarray | None) -> list[list[tuple[int, int]]]:
        batches = EpochBatches(10, 4, seed, lambda: 0, factors=factors)
        return [batches.at(number) for number in (7, 0, 3, 4, 7)]

    factors = np.array([1.0] * 8 + [4.0] * 2)
    assert order(1, factors) == order(1, factors) != order(2, factors)
    assert order(1, None) != order(1, factors)
    usual = np.random.default_rng([1, 0]).permutation(10).tolist()
    assert [index for _, index in order(1, None)[1]] == usual[:4]
    assert [len(batch) for batch in order(1, factors)] == [len(batch) for batch in order(1, None)]


def test_copies_are_different_views(tiny_config: Compose, tmp_path: Path) -> None:
    cfg = tiny_config("data.sampling=balanced", "data.repeat_threshold=1").data
    data = build_data(cfg, tmp_path / "cache", 96)
    data.factors = np.array([1.0] * 17 + [60.0])
    loader = Loaders(data, 96, 18, workers=0).train(lambda: 0)
    [batch] = list(loader)
    copies = np.flatnonzero(batch.indices.numpy() % 18 == 17)
    assert len(copies) >= 13
    views = {batch.images[i].numpy().tobytes() for i in copies}
    assert len(views) == len(copies)
    # With two views of each there are two; they are those that other epochs have of the picture.
    fixed = Loaders(data, 96, 18, workers=0, views=2).train(lambda: 0)
    [batch] = list(fixed)
    copies = np.flatnonzero(batch.indices.numpy() % 18 == 17)
    assert len({batch.images[i].numpy().tobytes() for i in copies}) == 2


def test_a_slot_of_the_cache_holds_one_view(tiny_config: Compose, tmp_path: Path) -> None:
    """Copies read and fill slots whose view is theirs: else boxes would be of other pixels."""
    data = build_data(tiny_config().data, tmp_path / "cache", 96)
    data.factors = np.array([1.0] * 16 + [6.0, 30.0])
    views = 3
    store = ActivationStore(None, views * 18, [Field((1,), np.dtype(np.float32))], {})
    cache = PhaseCache(store, Codec("f32", [(1, 1, 1)]), 18)
    held: dict[int, bytes] = {}
    for epoch in range(4):
        loader = Loaders(data, 96, 6, workers=0, views=views).train(lambda at=epoch: 3 * at)  # type: ignore[misc]
        for batch in loader:
            slots = cache.slots(batch.view, batch.indices.tolist())
            for slot, image, boxes in zip(slots, batch.images, batch.targets.boxes, strict=True):
                seen = image.numpy().tobytes()
                assert held.setdefault(slot, seen) == seen
                assert boxes.isfinite().all()
    assert len(held) > 20
    assert max(held) < 54


BALANCED = [
    "data.sampling=balanced", "data.repeat_threshold=1", "freeze=8", "trainer.workers=1",
]  # fmt: skip


def test_a_balanced_run_goes_on_where_it_was_stopped(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny_config(*BALANCED, "cache=memory", "cache.views=2")
    assert_resumed(cfg, tmp_path, [2], monkeypatch)
    report = run(cfg, tmp_path / "whole")["data_report"]["sampling"]
    assert report["rule"] == "repeat factor"
    assert report["classes"]["red"]["pictures"] + report["classes"]["blue"]["pictures"] == 15
