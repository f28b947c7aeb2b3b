"""Runs of `python -m tlx.classify`: the proof, the record, continuation, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra.types import RunMode
from omegaconf import OmegaConf

import tlx.study.program as program
import tlx.training.fit
from tests.classify.helpers_classify import CLASSES, config, tiny, write_picture, write_set
from tlx.classify.checkpoint import load_classifier
from tlx.classify.export import read_data
from tlx.common.errors import ConfigError, DataError
from tlx.config.check import check_config
from tlx.records.digest import sealed
from tlx.report.comparison.records import load_records
from tlx.training.run import run


class Crash(pl.Callback):
    """Stop as a kill would, in the given optimizer step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step + 1 == self.step:
            raise RuntimeError("killed")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])


def test_two_phases_prove_the_freeze_and_record_the_test(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", {"train": 4, "val": 2, "test": 2})
    cfg = tiny(root, tmp_path, "freeze=all", "policy=two_phase", "policy.unfreeze_at=0.5",
               "policy.then=14", "policy.lr_scale=0.01")  # fmt: skip
    record = run(cfg, tmp_path / "run")
    assert record["status"] == "finished"
    first, second = record["phases"]
    assert (first["frozen_blocks"], second["frozen_blocks"]) == (17, 15)
    assert second["lr_scale"] == 0.01
    for phase in (first, second):
        assert phase["hash_before"] == phase["hash_after"] is not None
    test = record["test"]
    assert test["pictures"] == 6
    assert list(test["per_class"]) == CLASSES
    matrix = torch.tensor(test["confusion"]["pictures"])
    assert matrix.sum(1).tolist() == [2, 2, 2]
    assert test["accuracy"] == pytest.approx(float(matrix.trace() / 6))
    assert record["step_time"]["steps"] == 3  # two epochs of two, one to warm up
    assert len(record["accuracy"]) == 2
    assert json.loads((tmp_path / "run/record.json").read_text()) == sealed(record)
    lines = (tmp_path / "run/predictions.csv").read_text().splitlines()
    assert lines[0] == "picture,class,found,probability"
    assert sum(line.split(",")[1] == line.split(",")[2] for line in lines[1:]) == matrix.trace()
    assert run(cfg, tmp_path / "run")["finished"] == record["finished"]  # not trained again
    (read,) = load_records([tmp_path / "run"]).records
    assert read.quality.task == "classification"
    assert read.tested("accuracy") == test["accuracy"]


@pytest.mark.parametrize(
    "workers", [pytest.param(0, marks=pytest.mark.slow), 1, pytest.param(2, marks=pytest.mark.slow)]
)
def test_a_killed_run_goes_on_to_the_same_numbers(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One loader process is the default."""
    root = write_set(tmp_path / "set", {"train": 4, "val": 1, "test": 1})
    cfg = tiny(
        root, tmp_path, "freeze=8", "trainer.checkpoint_minutes=0", f"trainer.workers={workers}"
    )
    whole = run(cfg, tmp_path / "whole")
    make_trainer = tlx.training.fit.make_trainer
    with monkeypatch.context() as patch:
        patch.setattr(
            tlx.training.fit, "make_trainer",
            lambda *a, callbacks, **o: make_trainer(*a, callbacks=[*callbacks, Crash(4)], **o),
        )  # fmt: skip
        with pytest.raises(RuntimeError, match="killed"):
            run(cfg, tmp_path / "killed")
    assert json.loads((tmp_path / "killed/record.json").read_text())["status"] == "failed"
    resumed = run(cfg, tmp_path / "killed")
    assert resumed["resumes"] == 1
    assert resumed["resumed"][0]["workers"] == workers
    for key in ("loss", "accuracy"):
        assert [row[1:] for row in resumed[key]] == [row[1:] for row in whole[key]]
    assert resumed["test"] == whole["test"]
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("freeze=heads", "freeze=all leaves a classifier its head"),
        ("freeze=17", "past the last block"),
        ("policy=two_phase freeze=none", "deeper"),
        ("trainer.select_by=map_50", "none of accuracy"),
        ("data.least_area=0", "data.least_area=0"),
        ("data.val_fraction=0.6 data.test_fraction=0.5", "leave something"),
        ("backbone.weights=scratch freeze=4", "random weights"),
    ],
)
def test_nonsense_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_config(config(*override.split()))


def test_names_follow_the_data() -> None:
    assert config().name == "classify-shapes-efficientnet_lite0"
    cfg = config("data.root=/data/birds", "freeze=all", "policy=two_phase")
    assert cfg.name == "classify-birds-efficientnet_lite0"
    assert [len(phase.frozen) for phase in check_config(cfg)] == [17, 0]


def test_a_wrong_configuration_is_one_readable_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hydra = SimpleNamespace(runtime=SimpleNamespace(output_dir=str(tmp_path)), mode=RunMode.RUN)
    monkeypatch.setattr(program, "HydraConfig", SimpleNamespace(get=lambda: hydra))
    with pytest.raises(SystemExit) as end:
        program.job(OmegaConf.structured(config("freeze=99")))
    assert end.value.code == 2
    assert "ConfigError: freeze=99 goes past the last block" in capsys.readouterr().err


def test_a_run_is_of_its_own_pictures_only(tmp_path: Path) -> None:
    """Neither finished nor going on, where the folders have changed since."""
    root = write_set(tmp_path / "set", {"": 12})
    record = run(tiny(root, tmp_path), tmp_path / "run")
    assert run(tiny(root, tmp_path), tmp_path / "run") == record
    before = read_data(load_classifier(tmp_path / "run/checkpoints/best.ckpt")[1], None, tmp_path)
    for i in range(12):
        write_picture(root / "red" / f"new{i}.png", "red", 1000 + i)
    with pytest.raises(DataError, match=r"is finished, on other data than today's: train had"):
        run(tiny(root, tmp_path), tmp_path / "run")
    assert json.loads((tmp_path / "run/record.json").read_text()) == sealed(record)
    after = read_data(load_classifier(tmp_path / "run/checkpoints/best.ckpt")[1], None, tmp_path)
    tested = [[item.image for item in data.splits["test"]] for data in (before, after)]
    assert tested[0] == tested[1]
    assert len(tested[0]) == record["test"]["pictures"]
