"""A run goes on from the weights that it began from, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Compose
from tests.training.helpers_stop import stop_next_run
from tlx.common.errors import ConfigError
from tlx.training.interrupt import Interrupted
from tlx.training.run import run


def test_a_start_that_has_changed_stops_the_resume(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start may be a run that still trains: its best checkpoint is another one by then."""
    for name, more in (("a", []), ("b", ["seed=1", "backbone.padding=same"])):
        given = ["backbone=mobilenet_v1", "weights=scratch", "trainer.epochs=1", *more]
        run(tiny_config(*given), tmp_path / name, test=False)
    start = tmp_path / "start.ckpt"
    shutil.copy(tmp_path / "a/checkpoints/last.ckpt", start)
    cfg = tiny_config("backbone=mobilenet_v1", f"weights={start}", "freeze=all")
    stop_next_run(monkeypatch, 2)
    with pytest.raises(Interrupted):
        run(cfg, tmp_path / "run")
    shutil.copy(tmp_path / "b/checkpoints/last.ckpt", start)
    with pytest.raises(ConfigError, match="was begun from other weights than"):
        run(cfg, tmp_path / "run")
    shutil.copy(tmp_path / "a/checkpoints/last.ckpt", start)
    record = run(cfg, tmp_path / "run")
    assert (record["status"], record["resumes"]) == ("finished", 1)
