"""docs/extending.md: its files are written, its commands and examples are run, in its order."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tlx.train  # noqa: F401  so that forks have it
from tests.conftest import REPOSITORY

BLOCK = re.compile(r"(?:^`([\w./-]+)`:\n\n)?^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def write_boats(root: Path) -> None:
    """30 pictures with a bright or a dark rectangle each, and their table."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    lines = ["image,xmin,ymin,xmax,ymax,class"]
    for i in range(30):
        pixels = rng.integers(90, 160, (80, 96, 3), dtype=np.uint8)
        x, y = (int(v) for v in rng.integers(0, 40, 2))
        w, h = (int(v) for v in rng.integers(25, 40, 2))
        name = ("sail", "motor")[i % 2]
        pixels[y : y + h, x : x + w] = 250 if name == "sail" else 5
        Image.fromarray(pixels).save(root / "images" / f"{i}.png")
        lines.append(f"{i}.png,{x},{y},{x + w},{y + h},{name}")
    (root / "annotations.csv").write_text("\n".join(lines) + "\n")


def execute(arguments: list[str], folder: Path) -> None:
    """`python -m MODULE …` or `python -c CODE` in the folder; a fork has imported all already."""
    told = folder / "told.txt"
    process = multiprocessing.get_context("fork").Process(
        target=_enter, args=(arguments, folder, told)
    )
    process.start()
    process.join(300)
    assert process.exitcode == 0, f"{shlex.join(arguments)}\n{told.read_text()}"


def _enter(arguments: list[str], folder: Path, told: Path) -> None:
    os.chdir(folder)
    os.environ["TLX_CACHE"] = str(folder / "cache")
    with told.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    kind, what, *rest = arguments
    sys.path.insert(0, str(folder))
    sys.argv = [what, *rest]
    if kind == "-c":
        exec(compile(what, "an example", "exec"), {})
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the page, with every command of it done."""
    folder = tmp_path_factory.mktemp("extending")
    write_boats(folder / "boats")
    text = (REPOSITORY / "docs" / "extending.md").read_text("utf-8")
    blocks = [match.groups() for match in BLOCK.finditer(text)]
    assert len(blocks) == text.count("```") / 2
    for path, _, _, content in blocks:
        if path:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
    for path, _, language, content in blocks:
        if path:
            continue
        if language == "python":
            execute(["-c", content], folder)
        elif language == "bash":
            for line in content.strip().splitlines():
                words = shlex.split(line)
                assert words[0] == "python"
                run = next(iter((folder / "runs" / "boats").glob("freeze=all*")), Path("none"))
                words = [word.replace("=RUN", f"={run}") for word in words[1:]]
                if words[:2] == ["-m", "tlx.train"] and "--cfg" not in words:
                    words += ["trainer.workers=1", "trainer.progress=false"]
                execute(words, folder)
    return folder


def test_the_whole_page(project: Path) -> None:
    [run] = (project / "runs" / "boats").iterdir()
    record = json.loads((run / "record.json").read_text())
    assert record["status"] == "finished"
    assert (record["detector"], record["policy"], record["data"]) == ("grid", "gradual", "boats")
    # Two phases of the policy, each proved; one loader process, which knows the augmentation.
    assert [phase["frozen_blocks"] for phase in record["phases"]] == [17, 0]
    assert record["phases"][0]["hash_before"] == record["phases"][0]["hash_after"] is not None
    assert record["loggers"]["lines"] == {"file": "lines.jsonl", "fault": None}
    steps = [json.loads(line) for line in (run / "lines.jsonl").read_text().splitlines()]
    assert [row["step"] for row in steps if "loss" in row] == [row[1] for row in record["loss"]]
    assert (run / "csv" / "metrics.csv").is_file()
    described = json.loads((project / "packed" / "model.json").read_text())
    assert described["format"] == "onnx_gz"
    assert described["parity"]["passed"]
    checked = json.loads((project / "check" / "check.json").read_text())
    assert checked["classes"] == ["sail", "motor"]


def test_resuming_asks_for_the_plug_ins(project: Path) -> None:
    """A run's folder may be a stranger's: what it names is not imported."""
    [run] = (project / "runs" / "boats").iterdir()
    with pytest.raises(AssertionError, match=r"add plugins=\[mine\] if they are yours"):
        execute(["-m", "tlx.train", f'resume="{run}"'], project)
    execute(["-m", "tlx.train", f'resume="{run}"', "plugins=[mine]"], project)
