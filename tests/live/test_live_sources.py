"""What `source=` means; pictures, video files and cameras as frames."""

from __future__ import annotations

import logging
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.live.helpers_live import FlakyDevice, needs_cv2, number_of, numbered_frame, write_video
from tlx.common.errors import ConfigError, DataError
from tlx.live.address import (
    CameraOptions,
    csi_pipeline,
    hide_password,
    open_source,
    parse_address,
    parse_camera_options,
)
from tlx.live.camera import Backoff, Camera

FAST = Backoff(first=0.01, longest=0.05)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("/dev/video0", "device", "/dev/video0"),
        ("v4l2:///dev/video2", "device", "/dev/video2"),
        ("0", "device", "0"),
        ("csi://1", "csi", "1"),
        ("rtsp://user:secret@cam.local:554/a.mp4", "stream", None),
        ("http://cam.local/stream.mjpg", "stream", None),
        ("https://host/clip.mp4?token=1", "video", None),
        ("clip.MP4", "video", "clip.MP4"),
        ("file://clip.mkv", "video", "clip.mkv"),
        ("shots/*.jpg", "pictures", None),
        ("shots", "pictures", None),
        ("videotestsrc ! videoconvert ! appsink", "pipeline", None),
    ],
)
def test_a_source_is_told_by_its_form(text: str, kind: str, value: str | None) -> None:
    address = parse_address(text)
    assert (address.kind, address.value) == (kind, value or text)


def test_a_folder_named_by_a_number_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "7").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_address("7").kind == "pictures"


@pytest.mark.parametrize("text", ["ftp://host/a.mp4", "csi://front"])
def test_an_unknown_scheme_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="schemes are csi"):
        parse_address(text)


def test_passwords_are_not_shown() -> None:
    assert hide_password("rtsp://me:pass@host/1") == "rtsp://me:…@host/1"
    assert hide_password("rtsp://host:554/1@2") == "rtsp://host:554/1@2"
    shown = hide_password("http://host/a.mp4?user=me&Password=pass&channel=1&access_token=abc#x")
    assert shown == "http://host/a.mp4?user=…&Password=…&channel=1&access_token=…#x"


def test_wishes_to_a_camera() -> None:
    options = parse_camera_options("1920x1080", 60, 2, None)
    assert options == CameraOptions((1920, 1080), 60, 2, None)
    pipeline = csi_pipeline("1", options)
    assert "sensor-id=1 " in pipeline
    assert "width=(int)1920, height=(int)1080, framerate=(fraction)60/1" in pipeline
    assert "flip-method=2" in pipeline
    assert pipeline.endswith("appsink drop=true max-buffers=1 sync=false")
    with pytest.raises(ConfigError, match="WIDTHxHEIGHT"):
        parse_camera_options("1920", None, 0, None)


def test_pictures_come_sorted_and_broken_ones_are_named(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG"):
        Image.fromarray(numbered_frame(ord(name[0]))).save(tmp_path / name, format="PNG")
    (tmp_path / "c.jpg").write_bytes(b"nonsense")
    frames = list(open_source(str(tmp_path)))
    assert [f.path.name for f in frames if f.path] == ["a.PNG", "b.png", "c.jpg"]
    assert [number_of(f.pixels) for f in frames if f.pixels is not None] == [ord("a"), ord("b")]
    assert (frames[2].pixels, frames[2].error) == (None, "cannot be read")


@needs_cv2
def test_a_video_gives_every_frame_in_rgb(tmp_path: Path) -> None:
    source = open_source(str(write_video(tmp_path / "clip.mp4", 60, fps=20)))
    assert (source.live, source.name, source.fps) == (False, "clip", 20)
    frames = list(source)
    assert [number_of(f.pixels) for f in frames if f.pixels is not None] == list(range(60))
    assert [f.time_s for f in frames] == pytest.approx([i / 20 for i in range(60)], abs=0.002)
    assert frames[0].pixels is not None
    assert np.abs(frames[0].pixels[65, 15].astype(int) - (230, 20, 20)).max() < 40


@needs_cv2
def test_a_video_that_is_none_or_breaks_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_source(str(tmp_path / "absent.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match="cannot be opened"):
        open_source(str(tmp_path / "text.mp4"))
    whole = write_video(tmp_path / "clip.avi", 80, code="MJPG").read_bytes()
    (tmp_path / "half.avi").write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        frames = list(open_source(str(tmp_path / "half.avi")))
    assert 10 < len(frames) < 70
    assert f"ends after {len(frames)} of about 80" in caplog.text


@needs_cv2
def test_a_camera_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DataError, match="no such device"):
        open_source("/dev/video97")


def camera(device: FlakyDevice, **options: object) -> Camera:
    return Camera("cam", "cam", device.connect, lambda x: x, backoff=FAST, **options)  # type: ignore[arg-type]


def test_a_lost_camera_is_connected_again() -> None:
    # Three frames; two attempts that fail and one that opens but gives nothing; then four more.
    device = FlakyDevice(3, None, None, 0, 4)
    source = camera(device)
    frames = []
    for frame in source:
        frames.append(frame)
        if len(frames) == 7:
            break
    assert [number_of(f.pixels) for f in frames if f.pixels is not None] == list(range(7))
    assert [f.index for f in frames] == list(range(7))
    assert (device.attempts, source.reconnects) == (5, 1)
    assert all(a.time_s <= b.time_s for a, b in pairwise(frames))
    assert [capture.released for capture in device.captures[:-1]] == [True, True]


def test_attempts_come_less_and_less_often() -> None:
    backoff = Backoff(first=0.5, longest=30)
    assert [backoff.wait(n) for n in (0, 1, 2, 6, 5000)] == [0.5, 1, 2, 30, 30]
    device = FlakyDevice(1)
    start, source = time.monotonic(), camera(device, give_up=0.4)
    with pytest.raises(DataError, match=r"gave no frame for .* give_up"):
        list(source)
    # 0.01 + 0.02 + 0.04 and then every 0.05 s: not more than a dozen in 0.4 s.
    assert 3 <= device.attempts <= 14
    assert 0.4 <= time.monotonic() - start < 2


def test_a_waiting_camera_ends_at_once() -> None:
    device = FlakyDevice(1)
    source = Camera("cam", "cam", device.connect, lambda x: x, backoff=Backoff(60, 60))
    thread = threading.Thread(target=lambda: list(source))
    thread.start()
    time.sleep(0.1)
    source.close()
    thread.join(2)
    assert not thread.is_alive()
