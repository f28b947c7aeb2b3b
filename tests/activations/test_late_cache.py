"""A cached prefix that grows: exact, read by loader processes, resumed, and gone at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Compose
from tests.freeze.test_every_backbone import published
from tests.training.helpers_stop import assert_equal_courses, stop_next_run
from tlx.activations.late import LateCache
from tlx.training.interrupt import Interrupted
from tlx.training.run import run

NAME = "mobilenet_v3_small"


def test_a_growing_prefix_is_cached_phase_by_phase(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, bool]] = []
    outputs = LateCache.outputs

    def noted(self: LateCache, batch: Any, network: Any) -> Any:
        read.append((network.prefix_length, len(batch.images) == 0))
        return outputs(self, batch, network)

    monkeypatch.setattr(LateCache, "outputs", noted)
    common = [
        f"backbone={NAME}", f"backbone.weights={published(NAME, tmp_path)}", "freeze=1",
        "policy=freezeout", "policy.first=0.5", "trainer.epochs=4", "trainer.batch_size=9",
        "cache.views=1", "cache.dtype=f32", "trainer.val_every=4", "trainer.workers=1",
        "trainer.checkpoint_minutes=60",
    ]  # fmt: skip
    plain = run(tiny_config(*common, "cache=off"), tmp_path / "off")
    cfg = tiny_config(*common, "cache=disk")
    cached = run(cfg, tmp_path / "disk")
    assert [row[2] for row in cached["loss"]] == [row[2] for row in plain["loss"]]
    assert [phase["prefix_blocks"] for phase in cached["phases"]] == [0, 1, 2]
    assert [phase["first_epoch"] for phase in cached["phases"]] == [0, 1, 2]
    notes = cached["engine"]["caches"]
    assert [note["used"] for note in notes] == [False, True, True]
    # Two batches an epoch; the last phase has two epochs, of which the second is read.
    assert read == [(1, False)] * 2 + [(2, False)] * 2 + [(2, True)] * 2
    assert not list((tmp_path / "cache/activations").iterdir()), "deleted behind the run"
    with monkeypatch.context() as patch:
        stop_next_run(patch, 7)
        with pytest.raises(Interrupted):
            run(cfg, tmp_path / "stopped")
    read.clear()
    run(cfg, tmp_path / "stopped")
    assert [length for length, _ in read] == [2], "the loader may have begun before it was found"
    assert_equal_courses(tmp_path / "disk", tmp_path / "stopped")


def test_what_trains_first_is_not_cached_in_memory(tiny_config: Compose, tmp_path: Path) -> None:
    cfg = tiny_config(
        f"backbone={NAME}", f"backbone.weights={published(NAME, tmp_path)}", "freeze=all",
        "policy=freezeout", "policy.first=0.5", "cache=memory", "cache.views=1",
    )  # fmt: skip
    record = run(cfg, tmp_path / "run")
    notes = record["engine"]["caches"]
    assert not any(note["used"] for note in notes)
    assert "on disk" in notes[1]["reason"]
    assert json.loads((tmp_path / "run/record.json").read_text())["status"] == "finished"
