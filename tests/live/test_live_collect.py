"""Collected frames: a data set that tlx reads."""

from __future__ import annotations

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.live.helpers_live import Numbered, needs_cv2, number_of, numbered_frame, write_video
from tlx import capture as program
from tlx.capture import CaptureConfig, capture
from tlx.common.errors import ConfigError
from tlx.data.formats import read_annotations
from tlx.live.collect import Collection, moment
from tlx.live.keys import EnterKey


@needs_cv2
def test_every_nth_frame_of_a_video_becomes_a_voc_set(tmp_path: Path) -> None:
    clip, root = write_video(tmp_path / "clip.mp4", 50), tmp_path / "set"
    cfg = CaptureConfig(str(clip), str(root), every=20, labels="red, blue")
    assert capture(cfg, threading.Event()) == 3
    assert (
        capture(CaptureConfig(str(clip), str(root), split="val", count=1), threading.Event()) == 1
    )
    names = sorted(path.name for path in (root / "JPEGImages").iterdir())
    assert names == ["clip-000000-2.jpg", "clip-000000.jpg", "clip-000020.jpg", "clip-000040.jpg"]
    for path in (root / "JPEGImages").iterdir():
        with Image.open(path) as image:
            assert number_of(np.asarray(image)) == int(path.stem.split("-")[1])
    lists = root / "ImageSets" / "Main"
    assert (lists / "train.txt").read_text().split() == [
        "clip-000000",
        "clip-000020",
        "clip-000040",
    ]
    assert (lists / "val.txt").read_text().split() == ["clip-000000-2"]
    assert len((lists / "trainval.txt").read_text().split()) == 4
    assert (root / "labels.txt").read_text() == "red\nblue\n"


@pytest.mark.parametrize("layout", ["voc", "txt"])
def test_negatives_are_read_as_such_and_others_as_unlabelled(tmp_path: Path, layout: str) -> None:
    Collection(tmp_path, layout=layout, negatives=True, labels=["plate"]).add(
        numbered_frame(1), "a"
    )
    Collection(tmp_path, layout=layout).add(numbered_frame(2), "b")
    found = {a.image.stem: a for a in read_annotations(layout, tmp_path, ["plate"])}
    assert (found["a"].split, found["a"].unused, len(found["a"].boxes)) == ("train", None, 0)
    assert found["b"].unused == "unlabelled"


def test_a_camera_is_saved_on_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Camera(Numbered):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for frame in super().__iter__():
                time.sleep(0.005)
                yield frame

    monkeypatch.setattr(program, "open_source", lambda *_: Camera(10**6, live=True))
    stop = threading.Event()
    keys = EnterKey(stop, io.StringIO("\n\n"))
    time.sleep(0.05)
    stop.clear()  # the end of the text has set it; the two presses are still to be used
    cfg = CaptureConfig("cam", str(tmp_path), format="txt", keys=True, count=2)
    assert capture(cfg, stop, keys) == 2
    assert len(list((tmp_path / "train").glob("*.jpg"))) == 2
    assert not keys.take()


def test_q_ends() -> None:
    stop = threading.Event()
    keys = EnterKey(stop, io.StringIO("\nq\n\n"))
    assert stop.wait(2)
    assert [keys.take(), keys.take()] == [True, False]


def test_wrong_wishes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="split=dev is none of train, val, test"):
        Collection(tmp_path, split="dev")
    with pytest.raises(ConfigError, match="format=coco is none of voc, txt"):
        Collection(tmp_path, layout="coco")
    Collection(tmp_path, labels=["a"])
    with pytest.raises(ConfigError, match="names other classes"):
        Collection(tmp_path, labels=["b"])
    with pytest.raises(ConfigError, match="every=0"):
        capture(CaptureConfig(str(tmp_path), str(tmp_path), every=0), threading.Event())
    for wrong in ("every=0", "count=0"):  # no page either, which such a key is not of
        with pytest.raises(ConfigError, match=f"{wrong} must be 1 or more"):
            program.main([f"source={tmp_path}", f"output={tmp_path}", wrong])


def test_several_that_collect_at_once_take_no_name_twice(tmp_path: Path) -> None:
    """Nor that of a picture of another ending, whose annotation would be taken for its own."""
    (tmp_path / "JPEGImages").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "JPEGImages" / "Clip.png")
    collections = [Collection(tmp_path) for _ in range(6)]
    together = threading.Barrier(len(collections))

    def collect(collection: Collection) -> Path:
        together.wait(10)
        return collection.add(numbered_frame(1), "clip")

    with ThreadPoolExecutor(len(collections)) as pool:
        paths = list(pool.map(collect, collections))
    assert sorted(path.stem for path in paths) == [f"clip-{n}" for n in range(2, 8)]
    assert len((tmp_path / "ImageSets" / "Main" / "train.txt").read_text().split()) == 6


def test_names_sort_by_time() -> None:
    first = moment()
    time.sleep(0.003)
    assert first < moment()
    assert len(first) == len("20240131-235959-123")
