"""The end of a run, in words: figures, warnings, and commands that run when they are pasted."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from tests.conftest import Compose, tiny_overrides
from tests.helpers_process import run_program
from tlx.common.cli import hydra_command
from tlx.common.errors import ConfigError, WeightsError
from tlx.config.check import conf_dir
from tlx.config.typed import stored_config, to_yaml
from tlx.export.commands import commands
from tlx.records.learned import diverged
from tlx.report.comparison.cautions import cautions
from tlx.report.comparison.records import Record
from tlx.runtime.source import load_source
from tlx.training.closing import closing, one_line, shortages

RECORD: dict[str, Any] = {
    "name": "freeze=4-seed=0-a1",
    "epochs": 30,
    "loss": [[1.0, 1, 12.0], [9.0, 600, 1.5]],
    "best": {"epoch": 20, "map": 0.41, "map_50": 0.72},
    "test": {"map": 0.4, "map_50": 0.7, "images": 50, "boxes": 80},
    "data_report": {
        "root": "/data/my set",
        "counts": {"train": {"images": 300}, "test": {"images": 50, "boxes": 80}},
    },
    "time": {"fit_s": 61.2},
}


def with_losses(*losses: float) -> dict[str, Any]:
    return RECORD | {"loss": [[float(i), 100 * i, loss] for i, loss in enumerate(losses, 1)]}


def test_the_block_says_what_was_trained_and_found() -> None:
    text = closing(RECORD, Path("runs/a=b"))
    assert "300 pictures, 600 steps in 30 epochs, 61 s" in text
    assert "epoch 21 of 30, on val mAP@.5 0.720, mAP 0.410" in text
    assert "mAP@.5 0.700, mAP 0.400 on 50 pictures with 80 boxes" in text
    assert "!" not in text
    assert "python -m tlx.evaluate checkpoint=runs/a=b" in text
    assert "'source=/data/my set'" in text


def test_a_run_that_diverged_is_said_so_in_block_line_and_report() -> None:
    record = with_losses(12, 14, 4e6, 5e7, 5e7)
    assert "diverged: its loss began at 12 and ended at 5e+07" in closing(record, Path("r"))
    assert "diverged" in one_line(record)
    records = [Record(Path("r"), record)]
    arm = type("Arm", (), {"records": records, "label": "a", "first": records[0]})
    assert any("diverged" in line for line in cautions([arm]))  # type: ignore[list-item]


@pytest.mark.parametrize(
    "losses", [(12, 8, 1), (0, 12, 11), (12, 110, 60, 9), (), (15,), (0.2, 99)]
)
def test_a_high_or_uneven_loss_has_not_diverged(losses: tuple[float, ...]) -> None:
    assert diverged(with_losses(*losses)) is None


@pytest.mark.parametrize("course", [None, 3, [1], [[1, 2, "x"]], [[1, 2, 10**400]], {"a": 1}])
def test_a_damaged_course_is_unknown(course: object) -> None:
    record = RECORD | {"loss": course}
    assert diverged(record) is None
    assert closing(record, Path("r"))


def test_nothing_learned_few_steps_and_few_boxes_are_warned_of() -> None:
    counts = {"train": {"images": 9}, "test": {"boxes": 5}}
    text = closing(
        with_losses(12) | {
            "best": {"epoch": 0, "map": 0.0, "map_50": 0.0}, "test": {"map_50": 0.0},
            "data_report": {"counts": counts},
        },
        Path("r"),
    )  # fmt: skip
    assert "Nothing has learned" in text
    assert "Few steps: 100 " in text
    assert "Few test boxes: 5, " in text
    assert shortages(200, 30) == shortages(None, None) == []


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    line = re.sub(r"^python ", f"'{sys.executable}' ", line)
    return subprocess.run(
        line, shell=True, capture_output=True, text=True, timeout=300, check=False, cwd=cwd
    )


def test_every_command_that_a_run_prints_runs_as_it_is(tiny_set: Path, tmp_path: Path) -> None:
    """In folders of spaces, quotes, `=`, and letters beyond ASCII; with the default workers."""
    pictures = tmp_path / "pictures of Zoë's = $1"
    shutil.copytree(tiny_set, pictures)
    given = [
        o for o in tiny_overrides(pictures, tmp_path / "it's mine") if "workers" not in o
    ]  # fmt: skip
    given += ["backbone.name=mobilenet_v1", "backbone.weights=scratch", "freeze=none"]
    done = shell(hydra_command("tlx.train", *given), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Few steps: 6 " in done.stdout + done.stderr
    _, _, after = done.stdout.partition("next:\n")
    lines = [line.strip() for line in after.splitlines() if line.strip()]
    assert [line.split()[2] for line in lines] == [
        "tlx.evaluate", "tlx.predict", "tlx.export", "tlx.report",
    ]  # fmt: skip
    for line in lines:
        if "tlx.export" in line and not _can_export():
            continue
        # A shell reads it; the program need not import everything anew.
        read = shell(f"python() {{ printf '%s\\n' \"$@\"; }}; {line}", tmp_path)
        flag, *words = read.stdout.splitlines()
        assert flag == "-m"
        told = run_program(*words, cwd=tmp_path)
        assert told.returncode == 0, f"{line}\n{told.stdout}\n{told.stderr}"
    (record,) = (tmp_path / "it's mine").rglob("record.json")
    assert json.loads(record.read_text())["status"] == "finished"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_commands_beside_an_artefact_keep_its_name_in_one_word(
    precision: str, tmp_path: Path
) -> None:
    """Pasted into a shell in which every program prints its words."""
    name = "it's a=b; $HOME-int8.onnx"
    description = {
        "backbone": "b", "input_size": 96, "precision": precision, "classes": ["a"], "tlx": "0",
        "checkpoint": "c", "checkpoint_sha256": "0" * 64, "format": "onnx", "opset": 13,
        "outputs": ["scores"],
        "input": {"name": "i", "shape": [1], "colour": "RGB", "of_pixels_0_255": "x", "range": 0},
    }  # fmt: skip
    blocks = commands(tmp_path / name, description).split("```bash\n")[1:]
    programs = ("python", "python3", "detectnet", "trtexec")
    printing = "".join(f"{each}() {{ printf '%s\\n' {each} \"$@\" --; }}\n" for each in programs)
    told = shell(printing + "\n".join(block.split("```")[0] for block in blocks), tmp_path)
    assert told.returncode == 0, told.stderr
    lines = [line.split("\n") for line in told.stdout.split("\n--\n") if line]
    assert len(lines) == (9 if precision == "int8" else 8)
    stem = name.removesuffix(".onnx")
    words = {word for line in lines for word in line}
    # detectnet takes the float file of an int8 export.
    plain = name.replace("-int8", "") if precision == "int8" else name
    assert {f"model={name}", f"--model={plain}", f"--onnx={plain}", name,
            f"--saveEngine={stem}.engine"} <= words  # fmt: skip
    assert not any("it's" in word and stem.removesuffix("-int8") not in word for word in words)


def test_advice_that_names_a_place_can_be_pasted(tmp_path: Path) -> None:
    path = tmp_path / "it's a=b" / "w.pth"
    path.parent.mkdir()
    torch.save({"Conv2d_0.conv.weight": torch.zeros(32, 3, 3, 3)}, path)
    with pytest.raises(WeightsError) as raised:
        load_source(path)
    line = str(raised.value).partition("train them first: ")[2]
    words = shlex.split(line)
    assert words[:4] == ["python", "-m", "tlx.train", "backbone=mobilenet_v1"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        assert compose("config", overrides=words[3:]).backbone.weights == str(path)


def test_a_foreign_cache_of_a_run_can_be_pasted(tiny_config: Compose, tmp_path: Path) -> None:
    cfg = tiny_config()
    cfg.cache_dir = str(tmp_path / "it's a=b")
    (tmp_path / "config.yaml").write_text(to_yaml(cfg))
    with pytest.raises(ConfigError) as raised:
        stored_config(tmp_path / "config.yaml", "elsewhere")
    (word,) = shlex.split(re.search("add (.*) if that", str(raised.value))[1])
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        assert compose("config", overrides=[word]).cache_dir == cfg.cache_dir


def _can_export() -> bool:
    return find_spec("onnx") is not None and find_spec("onnxruntime") is not None
