"""Real runs on a tiny set, trained once a process, for the tests of the programs that read runs."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl

import tlx.training.fit
from tests.conftest import composed, tiny_overrides, write_set
from tests.export.helpers_export import written
from tlx.config.schema import RunConfig
from tlx.training.run import run

_KEEP: list[TemporaryDirectory[str]] = []  # until the process ends


class _Crash(pl.Callback):
    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == 3:
            raise RuntimeError("killed")


def config_of(folder: Path, *overrides: str) -> RunConfig:
    every = [*tiny_overrides(folder / "set", folder), "freeze=8", "trainer.checkpoint_minutes=0"]
    return composed(*every, *overrides)


@functools.cache
def trained() -> Path:
    """A folder with a set, a run that was killed in its second epoch, and one that finished."""
    _KEEP.append(TemporaryDirectory(prefix="tlx-mutations-"))
    folder = Path(_KEEP[-1].name)
    write_set(folder / "set", {"train": 12, "val": 4, "test": 4})
    cfg = config_of(folder)
    make_trainer = tlx.training.fit.make_trainer
    tlx.training.fit.make_trainer = lambda *a, callbacks=(), **o: make_trainer(
        *a, callbacks=[*callbacks, _Crash()], **o
    )
    try:
        run(cfg, folder / "killed")
    except RuntimeError:
        pass
    finally:
        tlx.training.fit.make_trainer = make_trainer
    shutil.copytree(folder / "killed", folder / "finished")
    run(cfg, folder / "finished")
    return folder


@functools.cache
def exported() -> Path:
    """A folder with the ONNX file of the finished run."""
    folder = trained() / "onnx"
    written(trained() / "finished", "onnx", folder)
    return folder
