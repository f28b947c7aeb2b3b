"""`tlx data convert`: what is written is read back equal, in one piece, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_set
from tests.data.helpers_data_check import devkit, exit_code, xml
from tests.data.helpers_tools import HELD, SIZE, TOOLS, pictures
from tests.data.test_formats_tools import held
from tlx.common.errors import ConfigError, DataError, StorageError
from tlx.data.check import check
from tlx.data.commands.convert import ConvertConfig, convert
from tlx.data.formats import find_format, read_annotations, stated_classes
from tlx.data.writers import WRITERS


def found_in(folder: Path) -> dict[str, Any]:
    """{stem: (split, difficult, boxes)} of what is read back, after a strict check."""
    annotations = read_annotations(find_format("auto", folder), folder, stated_classes(folder))
    checked = check(annotations, stated_classes(folder), strict=True)
    return {
        item.image.stem: (
            item.split,
            item.difficult.tolist(),
            [checked.classes[label - 1] for label in item.labels],
            item.boxes.round(3).tolist(),
        )
        for item in checked.items
    }


def _set(root: Path) -> None:
    """Splits, a negative, a difficult box, corners of a fraction, names with spaces."""
    stems = devkit(root)
    boxes = [("gun", (1.25, 2.5, 30.75, 40.0)), ("a &amp; b &lt;c&gt;", (10.0, 2.0, 63.0, 47.125))]
    text = xml(f"{stems[0]}.png", boxes).replace("</object><", "<difficult>1</difficult></object><")
    (root / "Annotations" / f"{stems[0]}.xml").write_text(text)
    (root / "Annotations" / f"{stems[1]}.xml").write_text(xml(f"{stems[1]}.png", []))


_LISTED: list[str] = []  # the folders that were listed, while a test counts
sys.addaudithook(lambda event, _: _LISTED.append(event) if event in _LISTINGS else None)
_LISTINGS = ("os.listdir", "os.scandir")


@pytest.mark.parametrize("to", WRITERS)
def test_a_folder_is_not_listed_for_each_picture(to: str, tmp_path: Path) -> None:
    """It was for each XML, and so reading took the square of the pictures: hours for 100,000."""
    listings = []
    for count in (12, 36):
        devkit(tmp_path / f"{count}", count)
        out = tmp_path / f"{to}{count}"
        convert(ConvertConfig(to=to, root=str(tmp_path / f"{count}"), output=str(out)))
        _LISTED.clear()
        read_annotations(find_format("auto", out), out, stated_classes(out))
        listings.append(len(_LISTED))
    assert 0 < listings[0] == listings[1]


@pytest.mark.parametrize("to", WRITERS)
def test_what_is_written_is_read_back_equal(to: str, tmp_path: Path) -> None:
    _set(tmp_path / "set")
    convert(ConvertConfig(to=to, root=str(tmp_path / "set"), output=str(tmp_path / "out")))
    before, after = found_in(tmp_path / "set"), found_in(tmp_path / "out")
    if "difficult" not in WRITERS[to].keeps:
        before = {k: (s, [False] * len(d), n, b) for k, (s, d, n, b) in before.items()}
    assert after == before
    assert {split for split, *_ in after.values()} == {"train", "val", "test"}
    digests = {p.name: p.read_bytes() for p in (tmp_path / "set").rglob("*.png")}
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").rglob("*.png")} == digests


@pytest.mark.parametrize("to", WRITERS)
def test_a_set_without_splits_stays_without(to: str, tmp_path: Path) -> None:
    TOOLS["labelme"][1](tmp_path / "set")
    convert(ConvertConfig(to=to, root=str(tmp_path / "set"), output=str(tmp_path / "out")))
    found = read_annotations(find_format("auto", tmp_path / "out"), tmp_path / "out", None)
    assert held(found) == HELD
    assert {a.split for a in found} == {None}


def test_the_order_of_classes_is_kept(tmp_path: Path) -> None:
    _set(tmp_path / "set")
    names = ["gun", "a & b <c>"]
    for to in WRITERS:
        out = tmp_path / to
        convert(ConvertConfig(
            to=to, root=str(tmp_path / "set"), output=str(out), classes="gun,a & b <c>"
        ))  # fmt: skip
        assert stated_classes(out) == names


def test_splits_are_cut_as_training_cuts_them(tmp_path: Path) -> None:
    write_set(tmp_path / "set", {"train": 30})
    convert(ConvertConfig(
        to="yolo", root=str(tmp_path / "set"), output=str(tmp_path / "out"), splits="cut",
        cache_dir=str(tmp_path / "cache"),
    ))  # fmt: skip
    splits = [split for split, *_ in found_in(tmp_path / "out").values()]
    assert len(splits) == 30
    assert {*splits} == {"train", "val", "test"}


def test_pictures_are_linked_or_left_out(tmp_path: Path) -> None:
    TOOLS["labelme"][1](tmp_path / "set")
    common = {"root": str(tmp_path / "set"), "to": "coco"}
    convert(ConvertConfig(output=str(tmp_path / "a"), pictures="link", **common))
    (link, *_) = sorted((tmp_path / "a").rglob("*.png"))
    assert link.resolve() == tmp_path / "set" / link.name
    convert(ConvertConfig(output=str(tmp_path / "b"), pictures="none", **common))
    assert not [*(tmp_path / "b").rglob("*.png")]
    with pytest.raises(ConfigError, match="pictures=move is none of copy, link, none"):
        convert(ConvertConfig(output=str(tmp_path / "c"), pictures="move", **common))


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    TOOLS["labelme"][1](tmp_path / "set")
    root, out = str(tmp_path / "set"), tmp_path / "out"
    out.mkdir()
    convert(ConvertConfig(to="voc", root=root, output=str(out)))
    before = sorted(out.rglob("*"))
    with pytest.raises(StorageError, match="is not empty"):
        convert(ConvertConfig(to="coco", root=root, output=str(out)))
    assert sorted(out.rglob("*")) == before
    with pytest.raises(ConfigError, match="lies in the set"):
        convert(ConvertConfig(to="voc", root=root, output=f"{root}/deeper"))
    with pytest.raises(ConfigError, match="to=pascal is none of"):
        convert(ConvertConfig(to="pascal", root=root, output=str(tmp_path / "x")))


def test_what_fails_on_the_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TOOLS["labelme"][1](tmp_path / "set")
    copies = iter(range(9))

    def full(*_: object) -> None:
        if next(copies):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StorageError, match="No space left on device: free space"):
        convert(ConvertConfig(
            to="voc", root=str(tmp_path / "set"), output=str(tmp_path / "out")
        ))  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_names_that_two_pictures_have_are_told_apart(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split in ("train", "val"):
        TOOLS["labelme"][1](root / split)
    pictures(root / "train", ("A B", "c:d"))
    for to in WRITERS:
        convert(ConvertConfig(to=to, root=str(root), output=str(tmp_path / to)))
        assert sorted(found_in(tmp_path / to)) == ["a b", "a b_2", "c", "c_2"]


def test_faults_are_printed_and_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stems = devkit(tmp_path / "set")
    bad = [("gun", (1.0, 2.0, 30.0, 40.0)), ("gun", (30.0, 2.0, 20.0, 40.0))]
    (tmp_path / "set/Annotations" / f"{stems[0]}.xml").write_text(xml(f"{stems[0]}.png", bad))
    (tmp_path / "set/JPEGImages" / f"{stems[1]}.png").unlink()
    out = f"output={tmp_path / 'out'}"
    assert exit_code("convert", f"root={tmp_path / 'set'}", "to=coco", out) == 0
    said = capsys.readouterr().out
    assert "voc -> coco: 11 pictures, 11 boxes: train 5, val 3, test 3" in said
    assert "1 inverted-box: box dropped" in said
    assert "1 missing-image: image dropped" in said
    assert len(found_in(tmp_path / "out")) == 11
    assert exit_code("convert", "to=coco", out + "2") == 2
    assert "root=FOLDER of the set" in capsys.readouterr().err


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_of_stored_pixels_are_written_upright(tmp_path: Path, orientation: int) -> None:
    """As every viewer shows them: not every format can say that a box is of the stored pixels."""
    root = tmp_path / "set"
    root.mkdir()
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[4:20, 8:40] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(root / "a.png", exif=exif)
    (root / "a.xml").write_text(xml("a.png", [("x", (8, 4, 40, 20))]))
    convert(ConvertConfig(to="yolo", root=str(root), output=str(tmp_path / "out")))
    (split, _, _, [box]), = found_in(tmp_path / "out").values()  # fmt: skip
    turned = Image.open(root / "a.png")
    from PIL import ImageOps

    white = np.argwhere(np.asarray(ImageOps.exif_transpose(turned).convert("L")) > 128)
    (y1, x1), (y2, x2) = white.min(0).tolist(), (white.max(0) + 1).tolist()
    assert (split, box) == (None, [x1, y1, x2, y2])


# --------------------------------------------------------------------------------- pre-labels


def _predictions(folder: Path, ending: str) -> Path:
    """A file of `tlx.predict` on the pictures of `folder`."""
    rows = [
        {"image": f"/elsewhere/{name}.png", "width": SIZE[0], "height": SIZE[1], "detections": [
            *({"class": kind, "score": 0.9, "box": box} for kind, *box in boxes),
            {"class": "cat", "score": 0.1, "box": [0, 0, 9, 9]},
        ]}
        for name, boxes in HELD.items()
    ]  # fmt: skip
    path = folder.with_suffix(ending)
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    path.write_text(json.dumps(rows) if ending == ".json" else lines)
    return path


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_prelabels_for_cvat_are_corrected_and_read_back(tmp_path: Path, ending: str) -> None:
    pictures(tmp_path / "new")
    source = _predictions(tmp_path / "new", ending)
    out = tmp_path / "out"
    convert(ConvertConfig(
        to="cvat", predictions=str(source), root=str(tmp_path / "new"), output=str(out)
    ))  # fmt: skip
    assert held(read_annotations("cvat", out, None)) == HELD
    text = (out / "annotations.xml").read_text()
    assert text.count('source="auto"') == 3
    corrected = text.replace('xtl="4"', 'xtl="6"').replace('source="auto"', 'source="manual"')
    (out / "annotations.xml").write_text(corrected)
    assert held(read_annotations("cvat", out, None))["c"] == [("big dog", 6, 3, 32, 24)]


def test_prelabels_for_label_studio_are_corrected_and_read_back(tmp_path: Path) -> None:
    pictures(tmp_path / "new")
    source = _predictions(tmp_path / "new", ".json")
    out = tmp_path / "out"
    convert(ConvertConfig(
        to="labelstudio", predictions=str(source), root=str(tmp_path / "new"), output=str(out)
    ))  # fmt: skip
    with pytest.raises(DataError, match="holds no labelstudio annotations"):
        read_annotations("labelstudio", out, None)  # nobody has looked at them yet
    tasks = json.loads((out / "tasks.json").read_text())
    for number, task in enumerate(tasks):  # as Label Studio exports them
        (found,) = task["predictions"]
        assert (found["model_version"], found["result"][0]["score"]) == ("tlx", 0.9)
        task |= {"id": number, "annotations": [{"id": number, "result": found["result"]}]}
    tasks[1]["annotations"][0]["result"][0]["value"]["x"] = 100 * 6 / 64
    (out / "tasks.json").write_text(json.dumps(tasks))
    found = held(read_annotations("labelstudio", out, None))
    assert (found["a b"], found["c"]) == (HELD["a b"], [("big dog", 6, 3, 34, 24)])


def test_prelabels_of_a_run_are_those_of_its_predictions(tmp_path: Path) -> None:
    pictures(tmp_path / "set")
    truth = {"boxes": [], "labels": [], "ignored": []}
    found = {"boxes": [[4, 3, 32, 24], [1, 1, 9, 70]], "labels": [1, 2], "scores": [0.9, 0.6]}
    image = {"image": "c.png", "sha256": "0", "width": 64, "height": 48, "truth": truth,
             "found": found}  # fmt: skip
    content = {"version": 1, "split": "test", "score_floor": 0.05,
               "classes": ["big dog", "cat"], "images": [image]}  # fmt: skip
    run = tmp_path / "run"
    (run / "predictions").mkdir(parents=True)
    (run / "predictions/test.json").write_text(json.dumps(content))
    for source in (run, run / "predictions/test.json"):
        out = tmp_path / f"out-{source.name}"
        convert(ConvertConfig(
            to="cvat", predictions=str(source), root=str(tmp_path / "set"), output=str(out)
        ))  # fmt: skip
        read = held(read_annotations("cvat", out, None))
        assert read == {"c": [("big dog", 4, 3, 32, 24), ("cat", 1, 1, 9, 48)]}
    with pytest.raises(ConfigError, match=r"record\.json names no data root"):
        convert(ConvertConfig(to="cvat", predictions=str(run), output=str(tmp_path / "x")))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"frame": 3, "time_s": 0.1, "detections": []}, "row 1: a frame of a video"),
        ({"image": "c.png", "width": 99, "height": 48, "detections": []}, "was 99x48"),
        ({"image": "gone.png", "width": 64, "height": 48, "detections": []}, "no picture below"),
        ({"image": "../new.json", "width": 64, "height": 48, "detections": []}, "no picture"),
        ({"image": "c.png", "width": 64, "height": 48,
          "detections": [{"class": "a", "score": 1, "box": [1, 2]}]}, "a box of 2 numbers"),
        (7, "row 1"),
    ],
)  # fmt: skip
def test_predictions_that_fit_no_picture_are_refused(tmp_path: Path, row: Any, words: str) -> None:
    pictures(tmp_path / "new")
    source = tmp_path / "new.json"
    source.write_text(json.dumps([row]))
    with pytest.raises(DataError, match=words):
        convert(ConvertConfig(
            to="cvat", predictions=str(source), root=str(tmp_path / "new"),
            output=str(tmp_path / "out"),
        ))  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_what_a_killed_program_left_is_removed_and_what_another_writes_is_not(
    tmp_path: Path,
) -> None:
    devkit(tmp_path / "set")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f".out.{ended.pid}.partial"
    others = [tmp_path / f".out.{os.getppid()}.partial", tmp_path / f".out2.{ended.pid}.partial"]
    for folder in (left, *others):
        (folder / "images").mkdir(parents=True)
    convert(ConvertConfig(to="voc", root=str(tmp_path / "set"), output=str(tmp_path / "out")))
    assert not left.exists()
    assert all(folder.is_dir() for folder in others)
