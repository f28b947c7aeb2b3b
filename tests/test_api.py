"""tlx in Python: a study, its report, and a run that is used; the same as on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tlx
from tests.classify.helpers_classify import write_set
from tests.study.helpers_trained import trained
from tlx.common.errors import ConfigError, DataError
from tlx.records.record import read_record
from tlx.training.run import run as make


def test_nothing_heavy_is_imported_until_it_is_asked_for() -> None:
    code = "import sys, tlx; tlx.__version__; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'studdy'"):
        tlx.studdy  # noqa: B018


STUDY = """
import json, sys, torch, tlx
torch.set_num_threads(2)
convolution = torch.nn.Conv2d(8, 8, 3)
convolution(torch.rand(4, 8, 64, 64)).sum().backward()
root, folder = sys.argv[1:]
config = {"trainer.epochs": 1, "trainer.batch_size": 6, "detector.input_size": 96,
          "data.group_near_duplicates": False, "trainer.threads": 1, "trainer.accelerator": "cpu",
          "logger": "none", "cache_dir": folder + "/cache"}
study = tlx.Study(data="voc", root=root, freeze=["none", 4, "scratch"], seeds=[3], config=config,
                  runs_dir=folder + "/runs")
records = study.run()
print(json.dumps([records == study.run(), [str(run) for run in study.folders]]))
"""


def test_a_study_is_made_reported_and_not_made_again(tiny_set: Path, tmp_path: Path) -> None:
    """By a script that has computed: a fork of it would wait for compute threads that it has not;
    nor is the script run again."""
    done = subprocess.run(
        [sys.executable, "-c", STUDY, str(tiny_set), str(tmp_path)],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same, folders = json.loads(done.stdout.splitlines()[-1])
    assert same, "the second time nothing is made"
    records = [read_record(Path(folder)) or {} for folder in folders]
    assert [record["status"] for record in records] == ["finished"] * 3
    assert [(r["freeze"], r["seed"], r["weights"]["source"] == "scratch") for r in records] == [
        ("none", 3, False), ("4", 3, False), ("none", 3, True)
    ]  # fmt: skip
    assert [Path(folder).parent.parent for folder in folders] == [tmp_path / "runs"] * 3
    page = tlx.report(tmp_path / "runs", tmp_path / "report", accept_loss=0.05)
    assert page.name == "index.html"
    told = json.loads((page.parent / "report.json").read_text())
    assert len(told["rows"]) == 3
    assert told["recommendation"]["limits"]["accepted_map_loss"] == 0.05


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"config": {"resume": "runs/x"}}, "resume is no key of a study's config"),
        ({"config": {"freeze": 8}}, "freeze is no key of a study's config"),
        ({"freeze": "all"}, "give lists"),
        ({"seeds": 0}, "a study without a run"),
        ({"config_dir": "/nowhere"}, "is no folder"),
        ({"task": "classify", "data": "guns"}, "its folder is data.root="),
        ({"data": "gunz"}, "did you mean data=guns?"),
        ({"config": {"trainer.epoch": 3}}, "did you mean trainer.epochs=3?"),
        ({"freeze": ["none", 99]}, "freeze=99 goes past the last block"),
        ({"data": "voc"}, "data.root=/path/to/it"),
        ({"task": "segment"}, "task"),
    ],
)
def test_what_cannot_mean_anything_is_refused_at_once(
    wrong: dict, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words.replace("?", r"\?")):
        tlx.Study(runs_dir=tmp_path / "runs", **wrong)
    assert not (tmp_path / "runs").exists()


def test_values_are_those_that_were_given(tmp_path: Path) -> None:
    given = {"data.classes": ["two words", "a,b", "null", "1.0"], "logger": ["csv", "none"]}
    study = tlx.Study(data="voc", root=tmp_path, freeze=[4], config=given)
    [cfg] = study.configs
    assert cfg.data.classes == ["two words", "a,b", "null", "1.0"]  # type: ignore[attr-defined]
    assert cfg.logger.name == ["csv", "none"]


def test_a_run_finds_objects_in_files_pixels_and_images() -> None:
    run = tlx.load(trained() / "finished")
    assert run.record["status"] == "finished"
    assert run.classes == ["blue", "red"]
    path = next((trained() / "set" / "test").glob("*.png"))
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
        found = [run.predict(given, 0.0) for given in (path, str(path), pixels, image)]
    assert found[0]
    assert found[0] == found[1] == found[2] == found[3]
    scores = [one.score for one in found[0]]
    assert scores == sorted(scores, reverse=True)
    boxes = np.array([one.box for one in found[0]])
    assert boxes.max() > 1.5, "pixels, not fractions"
    assert run.predict(path, 1.0) == []
    with pytest.raises(DataError, match="uint8"):
        run.predict(pixels.astype(float))


def test_a_classifier_names_the_class_of_a_picture(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", {"train": 6, "val": 2, "test": 2})
    study = tlx.Study(
        task="classify", root=root, freeze=["all"], runs_dir=tmp_path / "runs",
        config={
            "data.group_near_duplicates": False, "data.input_size": 32, "trainer.epochs": 2,
            "trainer.batch_size": 6, "trainer.workers": 0, "trainer.warmup_steps": 1,
            "trainer.timer_warmup": 1, "trainer.accelerator": "cpu", "logger": "none",
            "cache_dir": tmp_path / "cache",
        },
    )  # fmt: skip
    [record] = [make(cfg, folder) for cfg, folder in zip(study.configs, study.folders, strict=True)]
    run = tlx.load(study.folders[0])
    file = tlx.load(study.folders[0] / "checkpoints" / "best.ckpt")
    assert file.predict(root / "test" / "red" / "0.png") == run.predict(root / "test/red/0.png")
    [best, *_] = run.predict(root / "test" / "red" / "0.png")
    assert best.box is None
    assert best.label in record["classes"]
    rows = (study.folders[0] / "predictions.csv").read_text().splitlines()[1:]
    [row] = [row.split(",") for row in rows if row.startswith("test/red/0.png")]
    assert (best.label, f"{best.score:.4f}") == (row[2], row[3])
