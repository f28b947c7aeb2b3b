"""Damaged and hostile runs, checkpoints and networks: an error in words or an answer, as in
test_mutations.py, through the programs that read them.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from safetensors.torch import save_file

import tlx.classify.export
import tlx.common.errors
import tlx.evaluate
import tlx.export.__main__
import tlx.predict
import tlx.report.__main__
import tlx.training.fit
from tests.classify.helpers_classify import write_checkpoint as write_classifier
from tests.classify.helpers_classify import write_set as write_folders
from tests.data.helpers_codecs import JSON, LINES, ONNX, SAFETENSORS, TORCH, WANDB, YAML
from tests.data.helpers_mutations import Target, content, faults, program
from tests.export.helpers_export import write_checkpoint, write_pytorch_ssd, written
from tests.models.helpers_tf import V1, write_npz
from tests.report.helpers_illustrated import ARMS, write_study
from tests.study.helpers_trained import config_of, exported, trained
from tlx.classify.k210 import check_k210
from tlx.config.check import check_config
from tlx.config.typed import plain, stored_config
from tlx.data.module import build_data
from tlx.export.contract import check_detectnet, check_labels
from tlx.inspect.runs import load_runs
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import resolve
from tlx.records.record import new_record, read_record
from tlx.report.from_wandb import fetch
from tlx.report.to_wandb import _study
from tlx.runtime.source import load_source
from tlx.study.progress import Planned, progress_line
from tlx.training.closing import closing, one_line
from tlx.training.detection import Detect
from tlx.training.run import run
from tlx.wandb.service import finish_run, open_run


def killed(folder: Path) -> None:
    """A run to go on with, that has one checkpoint."""
    shutil.copytree(trained() / "killed", folder / "run")
    (folder / "run" / "checkpoints" / "best.ckpt").unlink(missing_ok=True)


def finished(folder: Path) -> None:
    """A finished run."""
    shutil.copytree(trained() / "finished", folder / "run")
    (folder / "run" / "checkpoints" / "last.ckpt").unlink()
    shutil.copy(trained() / "set" / "test" / "000.png", folder / "0.png")


def _cache() -> str:
    return f"cache_dir={trained() / 'cache'}"


def _resume(folder: Path) -> None:
    cfg = stored_config(folder / "run" / "config.yaml", str(trained() / "cache"))
    run(cfg, folder / "run")


def _stored(folder: Path) -> None:
    """As far as training's first step."""
    cfg = stored_config(folder / "run" / "config.yaml", str(trained() / "cache"))
    check_config(cfg)
    data = build_data(cfg.data, trained() / "cache")
    Detect().network(cfg, data.classes, new_record(plain(cfg)))
    _study([folder])


def _finished_record(folder: Path) -> None:
    plan = [Planned("a", 0, folder / "run"), Planned("a", 1, folder / "none")]
    progress_line(plan, 1)
    record = read_record(folder / "run")
    if record is not None and record.get("status") == "finished":
        closing(record, folder / "run")
        one_line(record)


def _evaluate(folder: Path) -> None:
    program(tlx.evaluate.main, f"checkpoint={folder / 'run'}", _cache(), "batch_size=4")


def _predict(folder: Path) -> None:
    program(
        tlx.predict.main, f"model={folder / 'run'}", f"source={folder / '0.png'}",
        f"output={folder / 'found'}", "threshold=0",
    )  # fmt: skip


def _export(folder: Path) -> None:
    program(
        tlx.export.__main__.main, f"checkpoint={folder / 'run'}", "format=onnx",
        f"output={folder / 'onnx'}", _cache(),
    )  # fmt: skip


def artefact(folder: Path, metadata: bool = True) -> None:
    """An exported folder; without metadata the model.json beside the file counts."""
    shutil.copytree(exported(), folder / "onnx")
    path = next((folder / "onnx").glob("*.onnx")).rename(folder / "onnx" / "model.onnx")
    described = (folder / "onnx" / "model.json").read_text()
    (folder / "onnx" / "model.json").write_text(
        described.replace("ssd-efficientnet_lite0.onnx", "model.onnx")
    )
    if not metadata:
        model = onnx.load(path)
        del model.metadata_props[:]
        onnx.save(model, path)
    shutil.copy(trained() / "set" / "test" / "000.png", folder / "0.png")


def _artefact(folder: Path) -> None:
    path = folder / "onnx" / "model.onnx"
    check_detectnet(path, folder / "onnx" / "labels.txt")
    program(
        tlx.predict.main, f"model={path}", f"source={folder / '0.png'}",
        f"output={folder / 'found'}", "threshold=0",
    )  # fmt: skip
    program(tlx.evaluate.main, f"model={path}", _cache())


def _report(folder: Path) -> None:
    tlx.report.__main__.main([str(folder / "study"), "--output", str(folder / "report")])


def _study_folder(folder: Path) -> None:
    write_study(folder, arms=[*ARMS][1:3], seeds=(0, 1))
    (folder / "study" / "broken" / "record.json").unlink()


def _inspected(folder: Path) -> None:
    seen = load_runs([folder / "study"], root=folder / "data")
    assert seen.runs


def _pytorch_ssd(folder: Path) -> None:
    write_pytorch_ssd(folder / "mb1.pth")
    content("labels.txt", "BACKGROUND\nred\nblue\ngreen\n")(folder)


def _named(folder: Path) -> None:
    load_source(folder / "mb1.pth", folder / "labels.txt")
    check_labels(folder / "labels.txt", 4)


def _safetensors(folder: Path) -> None:
    write_pytorch_ssd(folder / "mb1.pth")
    state = torch.load(folder / "mb1.pth", weights_only=True)
    kept = {key: value.contiguous() for key, value in state.items() if "num_batches" not in key}
    save_file(kept, folder / "w.safetensors")
    (folder / "mb1.pth").unlink()


def _weights(file: str) -> Callable[[Path], object]:
    return lambda folder: resolve(backbone_spec("mobilenet_v1"), str(folder / file))


def _npz(folder: Path) -> None:
    write_npz(folder / "w.npz", V1, 1)


def _mirrored(folder: Path) -> None:
    cfg = config_of(trained())
    values: Any = plain(cfg)
    opened, _ = open_run(
        "offline", upload_s=10, dir=str(folder), name="freeze=8-seed=0", job_type="train",
        project="p", group="g", config=values,
    )  # fmt: skip
    for step in range(1, 4):
        opened.log({"step": step, "epoch": 0, "seconds": 1.5 * step, "loss": 9.0 / step})
    opened.log({"step": 3, "epoch": 0, "seconds": 5.0, "val_map": 0.1, "val_map_50": 0.2})
    record = read_record(trained() / "finished") or {}
    opened.summary.update({key: record[key] for key in ("status", "test", "bound", "time")})
    finish_run(opened, 0, 10)
    (file,) = folder.rglob("run-*.wandb")
    shutil.move(file, folder / "run-a.wandb")
    shutil.rmtree(folder / "wandb")


def _fetched(folder: Path) -> None:
    runs, _ = fetch(str(folder / "run-a.wandb"), folder / "out")
    tlx.report.__main__.main([str(runs), "--output", str(folder / "report")])


def _classifier(folder: Path) -> None:
    write_folders(folder / "set", {"train": 2, "val": 1, "test": 1})
    write_classifier(folder / "best.ckpt", folder / "set")


def _classify_export(folder: Path) -> None:
    program(
        tlx.classify.export.main, f"checkpoint={folder / 'best.ckpt'}",
        f"output={folder / 'onnx'}", f"root={folder / 'set'}", f"cache_dir={folder / 'cache'}",
    )  # fmt: skip


def _kept(folder: Path) -> None:
    write_checkpoint(folder / "best.ckpt")
    written(folder / "best.ckpt", "onnx", folder / "onnx")
    next((folder / "onnx").glob("*.onnx")).rename(folder / "k.onnx")


ONE = "study/freeze=none-seed=0"
TARGETS = {
    "checkpoint, evaluate": Target("run/checkpoints/best.ckpt", finished, _evaluate, TORCH, 6),
    "checkpoint, predict": Target("run/checkpoints/best.ckpt", finished, _predict, TORCH, 6),
    "checkpoint, export": Target("run/checkpoints/best.ckpt", finished, _export, TORCH, 2, 60),
    "checkpoint, resume": Target("run/checkpoints/last.ckpt", killed, _resume, TORCH, 6),
    "configuration": Target("run/config.yaml", killed, _stored, YAML),
    "record, resume": Target("run/record.json", killed, _resume, JSON, 4, 60),
    "record, finished": Target("run/record.json", finished, _finished_record, JSON),
    "record, run again": Target("run/record.json", finished, _resume, JSON, 2, 60),
    "report, record": Target(f"{ONE}/record.json", _study_folder, _report, JSON, 3, 80),
    "report, predictions": Target(
        f"{ONE}/predictions/test.json", _study_folder, _report, JSON, 3, 80
    ),
    "report, picture": Target("data/00 & co.png", _study_folder, _report, None, 2, 40),
    "inspect, record": Target(f"{ONE}/record.json", _study_folder, _inspected, JSON),
    "inspect, predictions": Target(f"{ONE}/predictions/test.json", _study_folder, _inspected, JSON),
    "ONNX": Target("onnx/model.onnx", artefact, _artefact, ONNX, 4),
    "model.json": Target(
        "onnx/model.json", functools.partial(artefact, metadata=False), _artefact, JSON, 4
    ),
    "artefact's labels": Target("onnx/labels.txt", artefact, _artefact, LINES, 4, 60),
    "picture to predict": Target("0.png", finished, _predict, None, 4),
    "pytorch-ssd": Target("mb1.pth", _pytorch_ssd, _named, TORCH, 6),
    "pytorch-ssd's labels": Target("labels.txt", _pytorch_ssd, _named, LINES),
    "safetensors": Target("w.safetensors", _safetensors, _weights("w.safetensors"), SAFETENSORS),
    "npz": Target("w.npz", _npz, _weights("w.npz"), None),
    "W&B": Target("run-a.wandb", _mirrored, _fetched, WANDB, 2, 120),
    "classifier": Target("best.ckpt", _classifier, _classify_export, TORCH, 3, 120),
    "class folders": Target("set/train/red/0.png", _classifier, _classify_export, None, 2, 40),
    "K210": Target("k.onnx", _kept, lambda f: check_k210(f / "k.onnx"), ONNX),
}


@pytest.fixture
def master(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The whole sample."""
    folder = tmp_path / "master"
    folder.mkdir()
    TARGETS[request.node.callspec.params["name"]].sample(folder)
    return folder


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_runs_end_in_words(name: str, master: Path, tmp_path: Path) -> None:
    target = TARGETS[name]
    assert [*faults(target, master, name, range(target.quick), tmp_path / "trials")] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_runs_end_in_words_many(name: str, master: Path, tmp_path: Path) -> None:
    target = TARGETS[name]
    assert [*faults(target, master, name, range(target.many), tmp_path / "trials")] == []
