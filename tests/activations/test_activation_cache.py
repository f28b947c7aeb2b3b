"""Training on cached activations: the losses of training without, and no blind trust in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Compose, tiny_overrides
from tlx.cache import clear, entries
from tlx.common.errors import ConfigError
from tlx.training.run import run


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


@pytest.mark.parametrize(("dtype", "first", "mean"), [("f16", 5e-4, 0.02), ("u8", 5e-3, 0.05)])
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
