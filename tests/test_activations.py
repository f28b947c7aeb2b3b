"""Cached activations: exact, shared, never trusted blindly, and no loss when killed."""

from __future__ import annotations

import json
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Compose, tiny_overrides
from torch import Tensor

from tlx.activations.codec import Codec
from tlx.activations.key import digest, ingredients
from tlx.activations.plan import forecast
from tlx.activations.store import CHECKS, ActivationStore
from tlx.cache import clear, entries
from tlx.data.module import build_data
from tlx.errors import ConfigError
from tlx.run import build_detector, run

SHAPES = [(6, 5, 4), (3, 2, 2)]


def maps(count: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(count, *shape, generator=generator).contiguous(
            memory_format=torch.channels_last
        )
        * 3
        for shape in SHAPES
    ]


def stored(folder: Path | None) -> tuple[ActivationStore, Codec]:
    codec = Codec("f32", SHAPES)
    return ActivationStore(folder, 10, codec.fields, {"made": "by a test"}), codec


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_float32_comes_back_bit_equal(place: str, tmp_path: Path) -> None:
    store, codec = stored(tmp_path / "a" if place == "disk" else None)
    x = maps(3)
    assert not store.filled([7, 2, 5])
    store.write([7, 2, 5], codec.encode(x))
    store.flush()
    assert store.filled([7, 2, 5])
    assert store.filled([2])
    assert not store.filled([2, 3])
    back = codec.decode(store.read([5, 7]), torch.device("cpu"))
    for a, b in zip(back, x, strict=True):
        assert torch.equal(a, b[[2, 0]])
        assert a.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("dtype", "bound"), [("f16", 2.0**-11), ("u8", 0.5 / 255)])
def test_rounding_is_bounded(dtype: str, bound: float) -> None:
    """f16 rounds to 11 significant bits; u8 to half of a 255th of each channel's range."""
    codec = Codec(dtype, SHAPES)
    x = maps(4)
    for a, b in zip(codec.decode(codec.encode(x), torch.device("cpu")), x, strict=True):
        scale = b.abs() if dtype == "f16" else b.amax((2, 3), True) - b.amin((2, 3), True)
        assert float(((a - b).abs() / scale.clamp_min(1e-3)).max()) <= bound * 1.001
    flat = [torch.full((1, *shape), 2.5) for shape in SHAPES]  # a channel without a range
    back = codec.decode(codec.encode(flat), torch.device("cpu"))
    assert all(torch.equal(a, b) for a, b in zip(back, flat, strict=True))


def test_what_was_stored_is_stored_for_others_and_for_workers(tmp_path: Path) -> None:
    store, codec = stored(tmp_path / "a")
    store.write([0, 1], codec.encode(maps(2)))
    store.flush()
    other, _ = stored(tmp_path / "a")
    assert other.filled([0, 1])
    assert other.filled_count() == 2
    for original in (store, stored(None)[0]):
        # What a DataLoader does where processes are not forked.
        worker: ActivationStore = ForkingPickler.loads(ForkingPickler.dumps(original))
        original.write([4], codec.encode(maps(1, seed=3)))
        original.flush()
        assert worker.filled([4])
        assert torch.equal(worker.read([4])[0], codec.encode(maps(1, seed=3))[0])


def test_altered_bytes_are_found_and_the_slot_is_emptied(tmp_path: Path) -> None:
    store, codec = stored(tmp_path / "a")
    store.write([0, 1], codec.encode(maps(2)))
    store.flush()
    path = tmp_path / "a" / "field0.bin"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(bytes(content))
    other, _ = stored(tmp_path / "a")
    assert not other.filled([0])
    assert other.filled([1])
    other.write([0], codec.encode(maps(2))[:1] + [f[:1] for f in codec.encode(maps(2))[1:]])
    other.flush()
    assert other.filled([0, 1])


@pytest.mark.parametrize("damage", ["truncated", "meta", "gone"])
def test_a_damaged_folder_is_laid_out_anew(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    store, codec = stored(folder)
    store.write([0], codec.encode(maps(1)))
    store.flush()
    if damage == "truncated":
        (folder / "field1.bin").write_bytes(b"\0" * 5)
    elif damage == "meta":
        (folder / "meta.json").unlink()
    else:
        (folder / CHECKS).unlink()
    again, _ = stored(folder)
    assert not again.filled([0])
    again.write([0], codec.encode(maps(1)))
    again.flush()
    assert again.filled([0])


def test_a_kill_between_data_and_checksum_leaves_the_slot_empty(tmp_path: Path) -> None:
    store, codec = stored(tmp_path / "a")
    store._arrays[0][3] = codec.encode(maps(1))[0][0].numpy()
    assert not stored(tmp_path / "a")[0].filled([3])


def test_the_key_follows_all_that_decides_the_activations(
    tiny_config: Compose, tmp_path: Path
) -> None:
    cfg = tiny_config()
    data = build_data(cfg.data, tmp_path / "cache")
    detector = build_detector(cfg, data.classes, {})
    items = data.splits["train"]
    given: dict[str, Any] = {"views": 2, "seed": 0, "zoom_out": 4.0, "dtype": "f16"}
    key = digest(ingredients(detector, 5, items, **given))
    assert key == digest(ingredients(detector, 5, items, **given))
    others = [
        ingredients(detector, 6, items, **given),
        ingredients(detector, 5, items[1:], **given),
        *(ingredients(detector, 5, items, **{**given, name: value})
          for name, value in (("views", 3), ("seed", 1), ("zoom_out", 1.0), ("dtype", "u8"))),
    ]  # fmt: skip
    with torch.no_grad():
        detector.backbone.blocks["mbconv_4"].bn2.running_mean[0] += 1e-6
    others.append(ingredients(detector, 5, items, **given))
    assert len({key, *map(digest, others)}) == len(others) + 1


def test_forecast_arithmetic() -> None:
    out = forecast(epochs=10, views=2, pictures=100, batches=4, slot_bytes=1000,
                   prefix_s=0.5, exact_prefix_s=1.0, read_s=0.1)  # fmt: skip
    assert out.bytes == 200_000
    assert out.fill_s == pytest.approx(8.0)  # 2 views x 4 batches x 1 s
    assert out.saved_s == pytest.approx(1.6)  # 4 batches x 0.4 s
    # Filling took 4 s more than not caching; 1.6 s an epoch pay that back in the third.
    assert out.payback_epochs == 2 + 3
    assert out.verdict("auto", 10**6) is None
    assert out.verdict("disk", 10**6) is None
    assert "over" in str(out.verdict("disk", 10**5))
    slow = forecast(epochs=10, views=2, pictures=100, batches=4, slot_bytes=1000,
                    prefix_s=0.1, exact_prefix_s=0.1, read_s=0.2)  # fmt: skip
    assert slow.payback_epochs is None
    assert slow.verdict("auto", 10**6)
    assert slow.verdict("disk", 10**6) is None


def losses(record: dict[str, Any]) -> list[float]:
    return [row[2] for row in record["loss"]]


# A low rate: at a high one training multiplies any rounding.
BASE = ["freeze=8", "cache.views=2", "trainer.epochs=4", "trainer.head_lr=0.002"]


@pytest.fixture(scope="module")
def uncached(
    tiny_set: Path, tmp_path_factory: pytest.TempPathFactory, compose_config: Compose
) -> Any:
    folder = tmp_path_factory.mktemp("uncached")
    return run(compose_config(*tiny_overrides(tiny_set, folder), *BASE, "cache=off"), folder / "r")


@pytest.mark.parametrize(
    ("mode", "workers"), [("disk", 0), ("memory", 0), ("disk", 1), ("memory", 1)]
)
def test_a_float32_cache_changes_no_loss(
    mode: str, workers: int, tiny_config: Compose, tmp_path: Path, uncached: dict[str, Any]
) -> None:
    cfg = tiny_config(*BASE, f"cache={mode}", "cache.dtype=f32", f"trainer.workers={workers}")
    record = run(cfg, tmp_path / "run")
    assert record["engine"]["caches"][0]["used"]
    assert losses(record) == losses(uncached)
    assert record["map"][-1][2] == uncached["map"][-1][2]


@pytest.mark.parametrize(("dtype", "first", "mean"), [("f16", 1e-4, 0.02), ("u8", 5e-3, 0.05)])
def test_rounded_caches_stay_near(
    dtype: str,
    first: float,
    mean: float,
    tiny_config: Compose,
    tmp_path: Path,
    uncached: dict[str, Any],
) -> None:
    """The first step differs by rounding alone; later ones by what training makes of it."""
    record = run(tiny_config(*BASE, "cache=disk", f"cache.dtype={dtype}"), tmp_path / "run")
    exact = losses(uncached)
    assert losses(record) != exact
    assert losses(record)[0] == pytest.approx(exact[0], rel=first)
    assert np.mean(losses(record)) == pytest.approx(np.mean(exact), rel=mean)


def test_a_second_run_finds_the_cache_filled_and_sees_the_same(
    tiny_config: Compose, tmp_path: Path
) -> None:
    cfg = tiny_config(*BASE, "cache=disk")
    first = run(cfg, tmp_path / "one")
    second = run(cfg, tmp_path / "two")
    assert first["engine"]["caches"][0]["filled_at_start"] == 0
    assert second["engine"]["caches"][0]["filled_at_start"] == 1
    assert losses(first) == losses(second)
    # Bytes altered on disk are not trained on.
    (folder,) = entries(tmp_path / "cache", "activations")
    field = np.memmap(folder / "field0.bin", np.uint8, "r+")
    field[::1000] ^= 0x40
    field.flush()
    third = run(cfg, tmp_path / "three")
    assert losses(third) == losses(first)
    assert clear(tmp_path / "cache", "activations") > 0
    assert entries(tmp_path / "cache", "activations") == []


def test_after_an_unfreeze_the_cache_stops_at_the_new_boundary(
    tiny_config: Compose, tmp_path: Path
) -> None:
    policy = ["policy=two_phase", "policy.unfreeze_at=0.5", "policy.then=4", "cache.dtype=f32"]
    cached = run(tiny_config(*BASE, *policy, "cache=disk"), tmp_path / "cached")
    plain = run(tiny_config(*BASE, *policy, "cache=off"), tmp_path / "plain")
    assert [c["used"] for c in cached["engine"]["caches"]] == [True, True]
    assert losses(cached) == losses(plain)
    folders = entries(tmp_path / "cache", "activations")
    metas = [json.loads((folder / "meta.json").read_text()) for folder in folders]
    assert sorted(meta["blocks"] for meta in metas) == [5, 9]


def test_auto_declines_what_does_not_pay_and_disk_refuses_what_does_not_fit(
    tiny_config: Compose, tmp_path: Path
) -> None:
    record = run(tiny_config("freeze=8", "cache.views=2", "trainer.epochs=2"), tmp_path / "a")
    (note,) = record["engine"]["caches"]
    assert not note["used"]
    assert "pay back" in note["reason"]
    with pytest.raises(ConfigError, match=r"over cache\.max_gb"):
        run(tiny_config(*BASE, "cache=disk", "cache.max_gb=0.0001"), tmp_path / "b")
    with pytest.raises(ConfigError, match=r"cache\.views=8"):
        run(tiny_config("freeze=8", "cache=disk"), tmp_path / "c")
