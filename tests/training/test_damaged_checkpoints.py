"""Checkpoints and stored configurations that are damaged, foreign, or could not be written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from tests.conftest import Compose, tiny_overrides
from tests.training.helpers_stop import assert_equal_runs, stop_next_run
from tlx.common.errors import ConfigError, StorageError, WeightsError
from tlx.config.schema import RunConfig
from tlx.config.typed import stored_config, to_yaml
from tlx.training.interrupt import Interrupted
from tlx.training.run import run


@pytest.fixture(scope="module")
def two_runs(
    tiny_set: Path, tmp_path_factory: pytest.TempPathFactory, compose_config: Compose
) -> tuple[Path, RunConfig]:
    """A folder with `run`, which was stopped in its second epoch, and the undisturbed `whole`."""
    folder = tmp_path_factory.mktemp("two_runs")
    cfg = compose_config(*tiny_overrides(tiny_set, folder), "freeze=8", "trainer.workers=1")
    with pytest.MonkeyPatch.context() as patch:
        stop_next_run(patch, 5)
        with pytest.raises(Interrupted):
            run(cfg, folder / "run")
    run(cfg, folder / "whole")
    return folder, cfg


@pytest.fixture
def interrupted(two_runs: tuple[Path, RunConfig], tmp_path: Path) -> RunConfig:
    """Those runs in `tmp_path`, with their configuration."""
    shutil.copytree(two_runs[0], tmp_path, dirs_exist_ok=True)
    return deepcopy(two_runs[1])


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "a flipped bit": lambda content: (
        content[: (i := len(content) // 2)] + bytes([content[i] ^ 4]) + content[i + 1 :]
    ),
}


def test_damage_to_one_checkpoint_leaves_the_other(tiny_config: Compose, tmp_path: Path) -> None:
    """Also after an epoch that was the best, when both hold the same."""
    run(tiny_config("freeze=8", "trainer.epochs=1"), tmp_path / "run")
    last, best = (tmp_path / "run" / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    assert last.read_bytes() == best.read_bytes()
    with last.open("r+b") as file:
        file.write(bytes(100))
    assert last.read_bytes() != best.read_bytes()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_last_checkpoint_gives_way_to_the_best(
    damage: str, interrupted: RunConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"
    last = checkpoints / "last.ckpt"
    last.write_bytes(DAMAGE[damage](last.read_bytes()))
    record = run(interrupted, tmp_path / "run")
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")
    assert [note["checkpoint"] for note in record["resumed"]] == ["best.ckpt"]
    assert "last.ckpt cannot be read as weights" in caplog.text
    assert "after step 3, instead" in caplog.text


def test_where_every_checkpoint_is_damaged_the_way_on_is_said(
    interrupted: RunConfig, tmp_path: Path
) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"
    for path in checkpoints.glob("*.ckpt"):
        path.write_bytes(b"")
    before = (tmp_path / "run" / "record.json").read_bytes()
    with pytest.raises(WeightsError, match=r"best\.ckpt .* To start this run anew, delete"):
        run(interrupted, tmp_path / "run")
    assert (tmp_path / "run" / "record.json").read_bytes() == before


def test_checkpoints_of_another_configuration_are_not_continued(
    interrupted: RunConfig, tmp_path: Path
) -> None:
    interrupted.trainer.head_lr = 0.5
    with pytest.raises(ConfigError, match="belongs to a run of another configuration"):
        run(interrupted, tmp_path / "run")


def test_a_full_disk_costs_no_checkpoint(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny_config("freeze=8", "trainer.checkpoint_minutes=0")
    save = pl.Trainer.save_checkpoint

    def fail(trainer: pl.Trainer, path: Path, *more: Any) -> None:
        save(trainer, path, *more)
        if trainer.global_step == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(pl.Trainer, "save_checkpoint", fail)
        with pytest.raises(StorageError, match=r"last\.ckpt cannot be written: No space left"):
            run(cfg, tmp_path / "run")
    record = run(cfg, tmp_path / "run")
    run(cfg, tmp_path / "whole")
    assert record["resumed"][0]["step"] == 1
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")


STORED = {
    "an interpolation": ("seed: 0", "seed: ${oc.env:HOME}", "interpolation"),
    "an escape": ("seed: 0", "seed: !!python/object/apply:os.system [id]", "cannot be read"),
    "half": (None, "", "cannot be read|is not"),
    "another cache": ("cache_dir: ", "cache_dir: /somewhere/else #", "names the cache_dir"),
    "another type": ("seed: 0", "seed: [0]", "does not fit"),
    "an unknown key": ("seed: 0", "seed: 0\nsede: 1", "does not fit"),
    "a list": (None, "- 1\n- 2\n", "no configuration"),
}


@pytest.mark.parametrize("name", STORED)
def test_a_stored_configuration_is_read_as_a_strangers(
    name: str, tiny_config: Compose, tmp_path: Path
) -> None:
    cfg = tiny_config()
    path = tmp_path / "config.yaml"
    text = to_yaml(cfg)
    old, new, message = STORED[name]
    path.write_text(text.replace(old, new, 1) if old else new or text[: len(text) // 2] + "\n :")
    with pytest.raises(ConfigError, match=message) as raised:
        stored_config(path, cache_dir=str(cfg.cache_dir))
    assert "\n" not in str(raised.value)
    path.write_text(text)
    assert stored_config(path, cache_dir=str(cfg.cache_dir)) == cfg
