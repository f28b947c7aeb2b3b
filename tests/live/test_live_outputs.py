"""Overlay and outputs: what is drawn, and what is written where."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.live.helpers_live import (
    HEIGHT,
    WIDTH,
    Numbered,
    find_red,
    needs_cv2,
    number_of,
    numbered_frame,
    read_video,
)
from tlx.common.errors import ConfigError
from tlx.common.files import output_names
from tlx.live.frame import Frame
from tlx.live.json_writer import JsonArray, JsonLines
from tlx.live.meter import Meter
from tlx.live.outputs import open_outputs
from tlx.live.overlay import PARTS, Overlay, parse_parts
from tlx.live.pictures import Pictures
from tlx.live.row import make_row
from tlx.live.video_writer import VideoWriter
from tlx.live.writers import NumberedPictures, OnePicture, Shown, numbered
from tlx.models.postprocess import Detections


def shown(index: int, time_s: float = 0.0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Shown:
    pixels = np.asarray(Image.fromarray(numbered_frame(index)).resize(size))
    frame = Frame(index, time_s, pixels)
    return Shown(frame, Image.fromarray(pixels), {"frame": index, "detections": []})


def busy_meter() -> Meter:
    meter = Meter()
    for _ in range(3):
        meter.add("network", 0.010)
        meter.frame_done()
    return meter


def changed(parts: str, tracks: list[int | None]) -> np.ndarray:
    """Where an overlay changes a frame, bool (H, W)."""
    pixels = np.full((240, 320, 3), 90, np.uint8)
    box = torch.tensor([[0.25, 0.5, 0.75, 0.75]])
    found = Detections(box, torch.tensor([0.8]), torch.tensor([1]))
    overlay = Overlay(parse_parts(parts, PARTS), ["plate"])
    image = overlay.draw(pixels, found, tracks, busy_meter())
    assert (pixels == 90).all(), "the frame itself must not be drawn on"
    return (np.asarray(image) != 90).any(-1)


def test_each_part_of_the_overlay_adds_ink_where_it_belongs() -> None:
    assert not changed("none", [None]).any()
    outline = changed("boxes", [None])
    assert outline[120, 80:240].all()
    assert not outline[130:170, 90:230].any(), "a box is not filled"
    assert not outline[:115].any(), "no caption was asked for"
    widths = [changed(f"boxes,{parts}", [7])[100:118].any(0).sum()
              for parts in ("labels", "labels,tracks", "labels,tracks,confidence")]  # fmt: skip
    assert 0 < widths[0] < widths[1] < widths[2]
    assert changed("boxes,tracks", [None])[:115].sum() == 0, "no number, no caption"
    rate, both = changed("fps", [None]), changed("fps,times", [None])
    assert rate[220:].any()
    assert not rate[:200].any()
    assert both.sum() > rate.sum()


def test_an_unknown_part_is_named() -> None:
    with pytest.raises(ConfigError, match="'lines' is none of boxes, labels"):
        parse_parts("boxes,lines", PARTS)
    assert parse_parts(None, PARTS) == PARTS


def test_the_meter_is_a_mean_over_the_last_frames() -> None:
    meter = Meter()
    for seconds in [1.0] * 100 + [0.010] * 30:
        meter.add("network", seconds)
        meter.frame_done()
    assert meter.recent_ms() == {"network": pytest.approx(10)}
    assert meter.mean_ms()["network"] == pytest.approx(1000 * 100.3 / 130)
    meter.add("resize", 0.8, frames=8)
    assert meter.recent_ms()["resize"] == pytest.approx(100)


def test_a_row_is_in_pixels_and_names_tracks() -> None:
    frame = Frame(3, 0.12, numbered_frame(3))
    found = find_red([numbered_frame(3)])[0]
    row = make_row(frame, found, [5], ["red"])
    assert (row["frame"], row["time_s"], row["width"], row["height"]) == (3, 0.12, WIDTH, HEIGHT)
    (detection,) = row["detections"]
    assert (detection["class"], detection["track"]) == ("red", 5)
    assert detection["box"] == pytest.approx([6, 50, 36, 80], abs=1e-4)


def test_numbers_fill_the_pattern(tmp_path: Path) -> None:
    assert [numbered("a_%i.jpg", 7), numbered("%04d.png", 7)] == ["a_7.jpg", "0007.png"]
    writer = NumberedPictures(tmp_path / "deep" / "f%02i.png")
    rows = [shown(i) for i in (4, 9)]
    for row in rows:
        writer.write(row)
    names = sorted(path.name for path in (tmp_path / "deep").iterdir())
    assert names == ["f00.png", "f01.png"]
    assert number_of(np.asarray(Image.open(tmp_path / "deep" / "f01.png"))) == 9
    assert rows[1].row["annotated"] == "f01.png"
    for bad in ("%i-%i.jpg", "%s.jpg"):
        with pytest.raises(ConfigError, match="exactly one %i"):
            NumberedPictures(tmp_path / bad)


def test_one_picture_is_not_overwritten(tmp_path: Path) -> None:
    writer = OnePicture(tmp_path / "a.png")
    writer.write(shown(1))
    with pytest.raises(ConfigError, match="put %i in its name"):
        writer.write(shown(2))
    assert number_of(np.asarray(Image.open(tmp_path / "a.png"))) == 1


def test_json_is_written_as_it_comes(tmp_path: Path) -> None:
    lines, array = JsonLines(tmp_path / "a.jsonl"), JsonArray(tmp_path / "a.json")
    for i in range(3):
        lines.write(shown(i))
        array.write(shown(i))
    on_disk = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in on_disk] == [0, 1, 2]
    assert not (tmp_path / "a.json").exists(), "half an array is no JSON"
    lines.close()
    array.close()
    assert [row["frame"] for row in json.loads((tmp_path / "a.json").read_text())] == [0, 1, 2]
    JsonArray(tmp_path / "none.json").close()
    assert json.loads((tmp_path / "none.json").read_text()) == []
    assert len(list(tmp_path.iterdir())) == 3


@needs_cv2
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".avi", ".webm"])
def test_a_video_holds_each_frame_once(tmp_path: Path, ending: str) -> None:
    writer = VideoWriter(tmp_path / f"a{ending}", 20, paced=False)
    for i in range(40):
        # The file's own clock may be anything; and a camera may come back in another size.
        size = (WIDTH, HEIGHT) if i < 30 else (2 * WIDTH, 2 * HEIGHT)
        writer.write(shown(i, time_s=i * 7.0, size=size))
    writer.close()
    frames, fps = read_video(tmp_path / f"a{ending}")
    assert [number_of(frame) for frame in frames] == list(range(40))
    assert fps == pytest.approx(20)
    assert frames[35].shape == (HEIGHT, WIDTH, 3)


@needs_cv2
def test_a_cameras_video_plays_in_real_time(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.avi", 20, paced=True)
    # 10 frames/s for 2 s, nothing for an hour, 40 frames/s for 1 s.
    times = [5 + i / 10 for i in range(20)] + [3605 + i / 40 for i in range(40)]
    for i, time_s in enumerate(times):
        writer.write(shown(i, time_s))
    writer.close()
    frames, _ = read_video(tmp_path / "a.avi")
    assert len(frames) == pytest.approx(2 * 20 + 20, abs=3)
    seen = [number_of(frame) for frame in frames]
    assert seen == sorted(seen)
    assert len(set(seen[:38])) == pytest.approx(20, abs=1), "each slow frame is shown twice"
    assert len(set(seen[42:])) == pytest.approx(len(seen[42:]), abs=1)


@needs_cv2
def test_odd_sides_are_written(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", 20, paced=False)
    for i in range(5):
        writer.write(shown(i, size=(161, 121)))
    writer.close()
    assert len(read_video(tmp_path / "a.mp4")[0]) == 5


@pytest.mark.parametrize(
    ("output", "stills", "kinds"),
    [
        ("out", True, ["PictureFolder", "JsonArray"]),
        ("out/%i.jpg", True, ["NumberedPictures", "JsonArray"]),
        ("out/%i.jpg", False, ["NumberedPictures", "JsonLines"]),
        ("one.jpg", True, ["OnePicture", "JsonArray"]),
        ("a.json", False, ["JsonArray"]),
        ("a.jsonl", True, ["JsonLines"]),
        ("none", False, []),
        pytest.param("out", False, ["VideoWriter", "JsonLines"], marks=needs_cv2),
        pytest.param("a.webm", False, ["VideoWriter", "JsonLines"], marks=needs_cv2),
    ],
)
def test_an_output_is_told_by_its_ending(
    tmp_path: Path, output: str, stills: bool, kinds: list[str]
) -> None:
    source = Pictures([]) if stills else Numbered(1)
    where = output if output == "none" else str(tmp_path / output)
    writers = open_outputs(where, source, threading.Event())
    for writer in writers:
        writer.close()
    assert [type(writer).__name__ for writer in writers] == kinds


def test_a_counter_needs_a_picture(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"picture's ending"):
        open_outputs(str(tmp_path / "%i"), Numbered(1), threading.Event())


@pytest.mark.parametrize("output", ["set", "set/a.png", "set/%i.png", "link", "x/../set/a.png"])
def test_the_source_is_never_overwritten(tmp_path: Path, output: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to(folder)
    paths = [folder / "a.png", folder / "0.png"]
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(ConfigError, match="would overwrite it"):
        open_outputs(str(tmp_path / output), Pictures(paths), threading.Event())


def test_pictures_of_one_stem_never_share_an_output() -> None:
    paths = [Path(name) for name in ("a.jpg", "a-2.jpg", "a.png", "x/A.jpg", "a-2.png")]
    names = output_names(paths)
    assert names == ["a.png", "a-2.png", "a-3.png", "A-4.png", "a-2-2.png"]
