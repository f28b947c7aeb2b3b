"""A run whose val split has no object that counts: its last weights are the result, said so."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.conftest import Compose, write_set, write_voc
from tlx.common.errors import WeightsError
from tlx.records.checkpoint import find_checkpoint
from tlx.runtime.source import load_source
from tlx.training.checkpoints import BEST, LAST
from tlx.training.closing import closing
from tlx.training.fit import CHECKPOINTS
from tlx.training.run import run


def test_the_last_checkpoint_is_used_and_every_command_says_why(
    tiny_config: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, folder = tmp_path / "set", tmp_path / "run"
    write_set(root, {"train": 12, "val": 4, "test": 4})
    for image in (root / "val").glob("*.png"):
        write_voc(image, [])
    record = run(tiny_config(f"data.root={root}", "trainer.epochs=1"), folder)
    assert "val has no box that counts" in caplog.text, "at the start"
    assert any("last.ckpt is the result" in line for line in record["data_report"]["warnings"])
    assert "last.ckpt is the result" in closing(record, folder)
    assert not (folder / CHECKPOINTS / BEST).exists()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert load_source(folder).path == folder / CHECKPOINTS / LAST
    assert "last.ckpt is the result" in caplog.text
    (folder / "record.json").unlink()
    with pytest.raises(WeightsError, match="not finished"):
        find_checkpoint(folder)
