"""The loop from source to outputs."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.live.helpers_live import (
    FlakyDevice,
    Numbered,
    find_red,
    needs_cv2,
    number_of,
    read_video,
    square_at,
    write_video,
)
from tlx.common.errors import DataError
from tlx.live.address import open_source
from tlx.live.camera import Backoff, Camera
from tlx.live.json_writer import JsonLines
from tlx.live.loop import run
from tlx.live.model import PlainModel
from tlx.live.outputs import open_outputs
from tlx.live.overlay import PARTS, Overlay
from tlx.live.stop import stop_on_signals
from tlx.live.tracker import Tracker
from tlx.live.writers import Shown
from tlx.models.postprocess import Detections

RED = PlainModel(find_red, ["red"])
OVERLAY = Overlay(PARTS, RED.classes)


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@needs_cv2
@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_video_goes_in_and_a_video_comes_out(tmp_path: Path, batch_size: int) -> None:
    source = open_source(str(write_video(tmp_path / "clip.mp4", 50)))
    writers = open_outputs(str(tmp_path / "out"), source, threading.Event())
    summary = run(source, RED, OVERLAY, writers, tracker=Tracker(), batch_size=batch_size)
    assert (summary.frames, summary.detections, summary.dropped) == (50, 50, 0)
    assert summary.objects == 1
    assert set(summary.stages_ms) == {"wait", "detect", "track", "draw", "write"}
    rows = rows_of(tmp_path / "out" / "detections.jsonl")
    assert [row["frame"] for row in rows] == list(range(50))
    for row in rows:
        x, y = square_at(row["frame"])
        assert row["detections"][0]["box"] == pytest.approx([x, y, x + 30, y + 30], abs=3)
    assert {d.get("track") for row in rows[2:] for d in row["detections"]} == {1}
    frames, fps = read_video(tmp_path / "out" / "clip.mp4")
    assert [number_of(frame) for frame in frames] == list(range(50))
    assert fps == 25


def test_the_threshold_counts_what_is_at_least_it(tmp_path: Path) -> None:
    for threshold, found in ((0.89, 3), (0.91, 0)):
        summary = run(Numbered(3), RED, OVERLAY, [], threshold=threshold)
        assert summary.detections == found


def test_pictures_are_drawn_only_for_somebody(tmp_path: Path) -> None:
    summary = run(Numbered(3), RED, OVERLAY, [JsonLines(tmp_path / "a.jsonl")])
    assert "draw" not in summary.stages_ms
    assert len(rows_of(tmp_path / "a.jsonl")) == 3


def test_a_slow_model_drops_a_cameras_frames_and_keeps_their_numbers(tmp_path: Path) -> None:
    def slow(frames: list[np.ndarray]) -> list[Detections]:
        assert len(frames) == 1, "a camera's frames must not wait for others"
        time.sleep(0.02)
        return find_red(frames)

    class Clocked(Numbered):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for frame in super().__iter__():
                time.sleep(0.004)
                yield frame

    source = Clocked(100, live=True)
    writers = [JsonLines(tmp_path / "a.jsonl")]
    summary = run(source, PlainModel(slow, ["red"]), OVERLAY, writers, batch_size=8)
    rows = rows_of(tmp_path / "a.jsonl")
    assert summary.dropped > 30
    assert summary.frames + summary.dropped == 100
    for row in rows:  # what was found belongs to the frame that the row names
        assert row["detections"][0]["box"][0] == pytest.approx(square_at(row["frame"])[0])


def test_a_camera_that_comes_back_goes_on_in_the_same_outputs(tmp_path: Path) -> None:
    device, stop = FlakyDevice(3, None, 4, None, None, 1), threading.Event()
    source = Camera("cam", "cam", device.connect, lambda x: x, backoff=Backoff(0.05, 0.1))

    class StopAfter:
        draws = False
        count = 0

        def write(self, shown: Shown) -> None:
            self.count += 1
            if shown.frame.index == 7:
                stop.set()

        def close(self) -> None: ...

    summary = run(source, RED, OVERLAY, [StopAfter(), JsonLines(tmp_path / "a.jsonl")], stop=stop)
    assert summary.stopped
    assert summary.reconnects == 2
    assert summary.frames + summary.dropped == 8
    assert rows_of(tmp_path / "a.jsonl")[-1]["frame"] == 7


def test_max_frames_ends_a_source_without_end() -> None:
    source = Numbered(10**9)
    assert run(source, RED, OVERLAY, [], max_frames=10, batch_size=4).frames == 10
    assert source.closed


class Closing:
    """An output that fails on a frame, and notes that it was completed."""

    draws = True

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.closed, self.images = error, 0, 0

    def write(self, shown: Shown) -> None:
        self.images += isinstance(shown.image, Image.Image)
        if self.error and shown.frame.index == 2:
            raise self.error

    def close(self) -> None:
        self.closed += 1


def test_outputs_are_completed_when_one_fails() -> None:
    good, bad = Closing(), Closing(OSError(28, "No space left on device", "/out/a.png"))
    with pytest.raises(DataError, match=r"/out/a.png: cannot be written \(No space left"):
        run(Numbered(10), RED, OVERLAY, [good, bad])
    assert (good.closed, bad.closed, good.images) == (1, 1, 3)


def test_outputs_are_completed_when_the_source_breaks_off() -> None:
    device, good = FlakyDevice(3), Closing()
    source = Camera("cam", "cam", device.connect, lambda x: x, backoff=Backoff(0.01), give_up=0.05)
    with pytest.raises(DataError, match="gave no frame"):
        run(source, RED, OVERLAY, [good])
    assert good.closed == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_is_noted_and_the_handler_given_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    stop = threading.Event()
    with stop_on_signals(stop):
        os.kill(os.getpid(), number)
        assert stop.wait(5)
    assert signal.getsignal(number) == before


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = threading.Event()
        with stop_on_signals(stop):
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.wait(0.1)
    finally:
        signal.signal(signal.SIGHUP, before)
