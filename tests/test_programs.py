"""The programs as a user runs them: sweep, evaluate, predict, and their errors."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.conftest import tiny_overrides
from tests.helpers_process import run_program
from tlx.records.digest import file_sha256
from tlx.records.predictions import read_predictions
from tlx.report.comparison.records import load_records
from tlx.report.comparison.sweep import with_seeds

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}


def program(
    name: str, *arguments: object, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return run_program(f"tlx.{name}", *arguments, cwd=cwd, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def sweep(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A sweep of one good, one impossible and one good job, with W&B in offline mode."""
    folder = tmp_path_factory.mktemp("sweep")
    overrides = [o for o in tiny_overrides(tiny_set, folder) if not o.startswith("logger")]
    arguments = ["-m", "freeze=none,heads,8", "name=study", "logger=wandb", *overrides,
                 "logger.predictions=6"]  # fmt: skip
    done = program("train", *arguments, cwd=folder)
    assert done.returncode == 1, done.stderr
    assert "frozen with random weights" in done.stderr  # the extras, as the weights show
    assert "freeze=8" in done.stdout
    # So little training finds nothing: the words at the end say so, beside the table
    assert "Nothing has learned" in done.stdout or "No arm can be recommended" in done.stdout
    assert "index.html" in done.stdout
    return folder, arguments


def records(folder: Path) -> dict[str, dict]:
    found = {}
    for path in (folder / "runs" / "study").glob("*/record.json"):
        record = json.loads(path.read_text())
        found[record["freeze"]] = record | {"folder": path.parent, "mtime": path.stat().st_mtime_ns}
    return found


def test_a_failed_job_is_recorded_and_the_others_go_on(sweep: tuple[Path, list[str]]) -> None:
    found = records(sweep[0])
    assert {k: r["status"] for k, r in found.items()} == {
        "none": "finished", "heads": "failed", "8": "finished",
    }  # fmt: skip
    assert found["heads"]["error"]["type"] == "FreezeError"
    best = found["none"]["folder"] / "checkpoints" / "best.ckpt"
    assert found["none"]["checkpoint"] == {"file": "best.ckpt", "sha256": file_sha256(best)}
    assert found["heads"]["checkpoint"] is None
    report = sweep[0] / "runs" / "study" / "report"
    assert "freeze=8" in (report / "report.md").read_text()
    assert (report / "loss_vs_time.png").stat().st_size > 10_000


def test_the_command_for_more_seeds_is_that_of_the_sweep(sweep: tuple[Path, list[str]]) -> None:
    kept = [r for r in load_records([sweep[0] / "runs"]).records if r.status == "finished"]
    line = with_seeds(kept, [0, 1])
    assert line is not None
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "tlx.train"]
    assert set(words[3:]) == {*sweep[1], "seed=0,1"}


def test_the_same_sweep_again_skips_what_is_finished(sweep: tuple[Path, list[str]]) -> None:
    before = records(sweep[0])
    done = program("train", *sweep[1], cwd=sweep[0])
    assert done.returncode == 1
    after = records(sweep[0])
    assert {k: r["mtime"] for k, r in after.items() if k != "heads"} == {
        k: r["mtime"] for k, r in before.items() if k != "heads"
    }
    assert "is finished already" in done.stdout + done.stderr


def test_a_run_leaves_everything_a_comparison_needs(sweep: tuple[Path, list[str]]) -> None:
    record = records(sweep[0])["8"]
    folder = record["folder"]
    for name in ("config.yaml", "metrics.csv", "freeze.txt", "faults.json",
                 "checkpoints/best.ckpt", "checkpoints/last.ckpt"):  # fmt: skip
        assert (folder / name).is_file(), name
    assert len(list((folder / "predictions").glob("*.png"))) == 6
    assert record["test"]["images"] == 6
    seen = read_predictions(folder)
    assert (len(seen.images), seen.classes) == (6, ["blue", "red"])
    assert {image.image for image in seen.images} == {f"test/{i:03d}.png" for i in range(6)}
    assert sum(len(i.truth.boxes) for i in seen.images) == record["test"]["boxes"]
    assert set(record["test"]["per_class"]) == {"red", "blue"}
    for key in ("map", "map_50", "map_75", "voc07_ap50"):
        assert 0 <= record["test"][key] <= 1
    for key in ("median_s", "p10_s", "p90_s", "data_s", "forward_s", "backward_s", "optimizer_s"):
        assert record["step_time"][key] > 0
    step = record["step_time"]
    parts = sum(step[k] for k in ("data_s", "forward_s", "backward_s", "optimizer_s"))
    assert parts == pytest.approx(step["median_s"], rel=0.5)
    assert 1 / 3 < record["bound"]["step_share"] < 1
    assert record["memory"]["peak_rss_bytes"] > 50e6
    assert record["environment"]["torch"] == torch.__version__
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + len(record["loss"]) + len(record["map_50"])
    assert list((folder / "wandb").glob("offline-run-*")), "no offline W&B run beside the record"


def test_evaluate_repeats_the_records_figures(
    sweep: tuple[Path, list[str]], tmp_path: Path
) -> None:
    record = records(sweep[0])["none"]
    output = tmp_path / "figures.json"
    # Quoted, as a path with `=` must be for `tlx.train`.
    done = program("evaluate", f'checkpoint="{record["folder"]}"', f"output={output}",
                   f"cache_dir={sweep[0] / 'cache'}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(output.read_text())
    for key in ("map", "map_50", "map_75", "voc07_ap50"):
        assert figures[key] == pytest.approx(record["test"][key], abs=1e-6)
    assert "VOC07" in done.stdout


def test_predict_draws_and_lists(
    sweep: tuple[Path, list[str]], tiny_set: Path, tmp_path: Path
) -> None:
    record = records(sweep[0])["none"]
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    for i, name in enumerate(("a.png", "deep/a.png", "b.PNG")):
        Image.open(tiny_set / "test" / f"{i:03d}.png").save(source / name)
    (source / "broken.jpg").write_bytes(b"\xff\xd8nonsense")
    done = program("predict", f"checkpoint={record['folder']}", f"source={source}",
                   f"output={tmp_path / 'out'}", "threshold=0.0")  # fmt: skip
    assert done.returncode == 1
    assert "broken.jpg" in done.stderr
    rows = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert len(rows) == 4
    good = [row for row in rows if "error" not in row]
    assert len({row["annotated"] for row in good}) == 3
    for row in good:
        assert (tmp_path / "out" / row["annotated"]).is_file()
        for detection in row["detections"]:
            x1, y1, x2, y2 = detection["box"]
            assert 0 <= x1 <= x2 <= row["width"]
            assert 0 <= y1 <= y2 <= row["height"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("evaluate", ["checkpoint=nowhere"], "nowhere is neither a checkpoint nor a run folder"),
        ("evaluate", ["split=test"], "checkpoint=… is missing"),
        ("predict", ["checkpoint=x", "sources=y"], "sources"),
        ("predict", ["--nonsense"], "not KEY=VALUE"),
        ("train", ["resume=/nonexistent-run"], "no config.yaml"),
        ("report", ["/nonexistent-run"], "nonexistent-run"),
    ],
)
def test_errors_are_one_line(name: str, arguments: list[str], message: str, tmp_path: Path) -> None:
    done = program(name, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"tlx": {}, "state_dict": {}, "hook": os.system}, path)
    done = program("predict", f"checkpoint={path}", f"source={tmp_path}")
    assert done.returncode == 2
    assert "refused" in done.stderr
