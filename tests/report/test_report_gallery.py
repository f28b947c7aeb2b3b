"""Pictures of a report: which are shown, which part of them, and what counts as a failure."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tests.report.helpers_planted as planted
from tlx.records.predictions import (
    Found,
    ImagePredictions,
    Truth,
    read_predictions,
    write_predictions,
)
from tlx.report.build import read_comparison
from tlx.report.gallery import Gallery, make_gallery
from tlx.report.gallery.pictures import (
    MOST_WRONG,
    Window,
    around,
    picture_path,
    read_pixels,
    run_view,
)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two runs on pictures with one known failure each (helpers_planted.py)."""
    return planted.plant(tmp_path)


def gallery_of(study: Path) -> Gallery:
    return make_gallery(read_comparison([study]))


def test_kinds_are_those_that_were_planted(study: Path) -> None:
    none, four = gallery_of(study).counts
    # By hand from planted.PLANTS: 12 objects that count; "weak" is below the shown score.
    assert (none.arm, none.objects, none.hits) == ("freeze=none", 12, 5)
    assert (none.missed, none.false_alarms, none.wrong_class, none.low_iou) == (5, 1, 1, 1)
    assert (four.arm, four.objects, four.hits) == ("freeze=4", 12, 6)
    assert (four.missed, four.false_alarms, four.wrong_class, four.low_iou) == (4, 0, 1, 1)


def test_failures_shown_are_those_that_were_planted(study: Path) -> None:
    gallery = gallery_of(study)
    assert gallery.notes == []
    false = gallery.false_alarms
    assert [case.view.title for case in false] == ["freeze=none"]
    assert "plate 0.80" in false[0].view.note
    x1, y1, x2, y2 = planted.NOTHING
    (box,) = [box for box in false[0].view.boxes if box.kind == "false"]
    assert (box.x, box.y, box.width, box.height) == (x1, y1, x2 - x1, y2 - y1)
    titles = [case.view.title for case in gallery.missed]
    # Both runs miss the weak one and the three of "loss", one run misses "missed".
    assert titles == ["missed by 2 of 2 runs"] * 4 + ["missed by 1 of 2 runs"]


def test_samples_hold_an_object_and_every_arm(study: Path) -> None:
    samples = gallery_of(study).samples
    assert len(samples) == 6
    names = [Path(sample.name).stem for sample in samples]
    assert not {"empty", "crowd"} & set(names)
    for sample in samples:
        assert [view.title for view in sample.views] == ["truth", "freeze=none", "freeze=4"]
        assert (sample.window.width, sample.window.height) == planted.SIZE


def test_runs_on_other_pictures_are_left_out(study: Path) -> None:
    run = next(p.parent for p in study.rglob("record.json") if planted.RUNS["4"] in str(p))
    predictions = read_predictions(run)
    predictions.images.pop()
    write_predictions(run, predictions)
    gallery = gallery_of(study)
    assert [counts.arm for counts in gallery.counts] == ["freeze=none"]
    assert "other test pictures" in gallery.notes[0]


def test_damaged_predictions_are_named(study: Path) -> None:
    path = next(study.rglob("test.json"))
    path.write_text("{")
    gallery = gallery_of(study)
    assert gallery.runs == 1
    assert str(path) in gallery.notes[0]


def _decoded(window: Window) -> Image.Image:
    kind, data = window.uri.split(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_window_holds_its_box_and_stays_inside() -> None:
    pixels = np.zeros((300, 1000, 3), np.uint8)
    pixels[280:300, 980:1000] = (255, 255, 255)
    window = around(pixels, np.array([980.0, 280.0, 1000.0, 300.0]))
    # The window is 0.3 x 1000 px wide, moved left and up to end at the picture's corner.
    assert (window.x, window.y, window.width, window.height) == (700, 0, 300, 300)
    picture = _decoded(window).convert("L")
    assert picture.size == (280, 280)
    assert picture.getpixel((275, 275)) > 200
    assert picture.getpixel((20, 20)) < 50


def test_a_picture_is_turned_as_it_was_tested(tmp_path: Path, study: Path) -> None:
    run = next(p.parent for p in study.rglob("record.json"))
    image = read_predictions(run).images[0]
    path = picture_path(str(study.parent / "set"), image)
    found = read_pixels(path, image)
    assert found is not None
    assert found.shape == (image.height, image.width, 3)
    wrong = tmp_path / "wrong.png"
    Image.new("RGB", planted.SIZE).save(wrong)
    assert read_pixels(wrong, image) is None, "not the file that was tested"
    assert read_pixels(tmp_path / "absent.png", image) is None


def test_a_hundred_false_alarms_do_not_hide_the_picture() -> None:
    scores = np.linspace(0.4, 0.9, 100)
    boxes = np.tile(np.array([[0.0, 0.0, 10.0, 10.0]]), (100, 1))
    image = ImagePredictions(
        "a.jpg", "00", 100, 80,
        Truth(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, bool)),
        Found(boxes, np.ones(100, np.int64), scores),
    )  # fmt: skip
    view = run_view("freeze=4", image, ["plate"])
    assert view.note == f"0 found, 0 missed, 100 wrong ({MOST_WRONG} drawn)"
    assert [box.text for box in view.boxes] == [
        f"✗ {score:.2f}" for score in sorted(scores, reverse=True)[:MOST_WRONG]
    ]
