"""predict and capture as a user runs them on videos; memory over 10,000 frames."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.helpers_process import run_program
from tests.live.helpers_live import (
    find_red,
    needs_cv2,
    number_of,
    read_video,
    write_checkpoint,
    write_video,
)
from tlx import capture, predict
from tlx.common.errors import ConfigError
from tlx.live.address import open_source
from tlx.live.loop import run
from tlx.live.model import PlainModel
from tlx.live.outputs import open_outputs
from tlx.live.overlay import PARTS, Overlay
from tlx.live.tracker import Tracker
from tlx.live.writers import Shown

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("model") / "tiny.ckpt")


def run_predict(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_program("tlx.predict", *arguments, env=ENVIRONMENT)


def predict_video(checkpoint: Path, folder: Path, frames: int) -> None:
    clip = write_video(folder / "clip.mp4", frames)
    done = run_predict(f"model={checkpoint}", f"source={clip}", "threshold=0.3",
                       f"output={folder / 'found.mp4'}", "overlay=fps,times", "track=true",
                       "device=cpu")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{frames} frames" in done.stdout
    assert "network" in done.stdout
    rows = [json.loads(line) for line in (folder / "found.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == list(range(frames))
    seen, fps = read_video(folder / "found.mp4")
    assert [number_of(frame) for frame in seen] == list(range(frames))
    assert fps == 25


@needs_cv2
def test_predict_on_a_video(checkpoint: Path, tmp_path: Path) -> None:
    predict_video(checkpoint, tmp_path, 25)


@needs_cv2
@pytest.mark.slow
def test_predict_on_30_seconds_of_video(checkpoint: Path, tmp_path: Path) -> None:
    predict_video(checkpoint, tmp_path, 30 * 25)


def test_numbered_pictures_as_detectnet_writes_them(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(3):
        Image.new("RGB", (64, 48), (40 * i, 0, 0)).save(tmp_path / f"in_{i}.jpg")
    (tmp_path / "none.txt").write_text("no picture")
    predict.main([f"checkpoint={checkpoint}", f"source={tmp_path / 'in_*.jpg'}",
                  f"output={tmp_path / 'out' / 'o_%i.jpg'}", "device=cpu"])  # fmt: skip
    assert capsys.readouterr().out.startswith("3 pictures, ")
    rows = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [(Path(r["image"]).name, r["annotated"]) for r in rows] == [
        ("in_0.jpg", "o_0.jpg"), ("in_1.jpg", "o_1.jpg"), ("in_2.jpg", "o_2.jpg"),
    ]  # fmt: skip
    assert all((tmp_path / "out" / row["annotated"]).is_file() for row in rows)


@needs_cv2
def test_ctrl_c_completes_the_outputs(checkpoint: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames := 800)
    command = [sys.executable, "-m", "tlx.predict", f"model={checkpoint}", f"source={clip}",
               f"output={tmp_path / 'found.mp4'}", "device=cpu", "threshold=0.9"]  # fmt: skip
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    lines = tmp_path / "found.jsonl"
    while running.poll() is None and not (lines.is_file() and lines.stat().st_size > 1000):
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=300)
    rows = lines.read_text().splitlines()
    assert running.returncode == 130
    assert 0 < len(rows) < frames
    assert f"{len(rows)} frames" in out
    assert len(read_video(tmp_path / "found.mp4")[0]) == len(rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["source=x"], "model=… is missing"),
        (["model=x"], "source=… is missing"),
        (["model=x", "checkpoint=y", "source=z"], "mean the same"),
        (["model=x", "source=y", "overlay=lines"], "'lines' is none of"),
        (["model=x", "source=y", "size=big"], "WIDTHxHEIGHT"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_loaded(
    arguments: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        predict.main(arguments)


@needs_cv2
def test_capture_from_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_video(tmp_path / "clip.mp4", 31)
    arguments = [f"source={clip}", f"output={tmp_path / 'set'}"]
    capture.main([*arguments, "every=15"])
    assert "3 pictures" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="needs a camera"):
        capture.main([*arguments, "keys=true"])


@needs_cv2
@pytest.mark.slow
def test_memory_stays_flat_over_10_000_frames(tmp_path: Path) -> None:
    """Decoding, detection by colour, tracking, overlay, video and JSON; resident memory."""
    source = open_source(str(write_video(tmp_path / "clip.mp4", 10_000)))
    process, memory = psutil.Process(), []

    class Scale:
        draws = False

        def write(self, shown: Shown) -> None:
            if shown.frame.index % 500 == 499:
                memory.append(process.memory_info().rss)

        def close(self) -> None: ...

    model = PlainModel(find_red, ["red"])
    writers = open_outputs(str(tmp_path / "out.mkv"), source, threading.Event())
    summary = run(source, model, Overlay(PARTS, model.classes), [*writers, Scale()],
                  tracker=Tracker(), batch_size=8)  # fmt: skip
    assert (summary.frames, summary.detections, summary.dropped) == (10_000, 10_000, 0)
    # A kept frame in a hundred would be 5 MiB; the first 1,000 frames fill buffers and caches.
    assert max(memory[2:]) - memory[1] < 2 * MEBIBYTE
