"""The set that is written: complete after a kill, nothing of a foreign annotation lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.capture.helpers_capture import REPOSITORY
from tlx.common.errors import ConfigError, DataError
from tlx.data.formats import read_annotations
from tlx.labelling.album import Album, Changed
from tlx.live.collect import Collection
from tlx.live.voc_lists import VocLists

BOX = {"name": "gun", "corners": [1, 2, 30, 40], "origin": None}
FOREIGN = """<annotation verified="yes">
  <folder>odd</folder><filename>a.png</filename>
  <size><width>60</width><height>50</height><depth>3</depth></size>
  <object><name>gun</name><pose>Left</pose><difficult>1</difficult><mine>kept</mine>
    <bndbox><xmin>1.5</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>
  <object><name>knife</name><deleted>1</deleted>
    <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></object>
  <object><name>rifle</name>
    <bndbox><xmin>10</xmin><ymin>12</ymin><xmax>90</xmax><ymax>45</ymax></bndbox></object>
</annotation>"""
WRITER = """
import io, sys
from pathlib import Path
from PIL import Image
from tlx.labelling.album import Album
album, into = Album(Path(sys.argv[1]), ["gun"]), io.BytesIO()
Image.new("RGB", (60, 50)).save(into, "JPEG")
box = {"name": "gun", "corners": [1, 2, 30, 40], "origin": None}
print("ready", flush=True)
for i in range(100000):
    made = album.add(into.getvalue(), (60, 50), [box], ("train", "val", "test")[i % 3], "same")
    made = album.change(made.name, [box], ("val", "test", "train")[i % 3], made.revision)
    print(made.name, flush=True)
"""


def jpeg(size: tuple[int, int] = (60, 50)) -> bytes:
    import io

    into = io.BytesIO()
    Image.new("RGB", size).save(into, "JPEG")
    return into.getvalue()


def test_a_killed_writer_leaves_a_set_that_reads(tmp_path: Path) -> None:
    """Killed at random moments, by two writers at once: what was told is there, the rest whole."""
    seed, root, told = random.Random(13), tmp_path / "set", set()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    for _ in range(3):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE,
                             text=True, env=environment)
            for _ in range(2)
        ]  # fmt: skip
        for writer in writers:
            assert writer.stdout
            assert writer.stdout.readline() == "ready\n"
        time.sleep(seed.uniform(0.1, 0.6))
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            told |= set(writer.communicate()[0].split())
    assert len(told) > 5
    found = {a.image.stem: a for a in read_annotations("voc", root, ["gun"])}
    assert told <= found.keys()
    for name in told:
        assert found[name].unused is None, name
        assert found[name].boxes.tolist() == [[1, 2, 30, 40]]
        assert found[name].split in ("train", "val", "test")
    for annotation in found.values():
        Image.open(annotation.image).load()
    lists = {s: (root / "ImageSets" / "Main" / f"{s}.txt") for s in ("train", "val", "test")}
    names = [name for path in lists.values() for name in path.read_text().split()]
    assert len(names) == len(set(names)), "a picture is in two splits"
    # And it goes on: what no list names is told, and can be put right.
    album = Album(root)
    counts = album.counts()
    assert sum(s["pictures"] for s in counts["splits"].values()) + counts["unlabelled"] + counts[
        "unlisted"
    ] == len(album.names())
    for name in album.names():
        picture = album.open(name)
        if picture.split is None:
            album.change(name, [box.plain() for box in picture.boxes], "train", picture.revision)
    assert album.counts()["unlisted"] == 0


def test_what_has_an_annotation_is_listed_and_no_picture_is_in_two_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of writing, where it breaks off."""
    album = Album(tmp_path, ["gun"])

    def broken(*_: object) -> None:
        raise DataError("broken off")

    with monkeypatch.context() as patch:
        patch.setattr("tlx.labelling.album.write_boxes", broken)
        with pytest.raises(DataError, match="broken off"):
            album.add(jpeg(), (60, 50), [BOX], "train", "a")
    assert album.lists.read() == {"a": "train"}
    assert not album.open("a").annotated
    written = VocLists._write

    def first_only(lists: VocLists, name: str, lines: list[str]) -> None:
        if "a" in lines:
            raise DataError("broken off")
        written(lists, name, lines)

    with monkeypatch.context() as patch:
        patch.setattr(VocLists, "_write", first_only)
        with pytest.raises(DataError, match="broken off"):
            album.change("a", [BOX], "test", album.open("a").revision)
    assert album.lists.read() == {}


def foreign(root: Path) -> Album:
    """A set of another tool's with one odd picture."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    Image.fromarray(np.zeros((50, 60, 3), np.uint8)).save(root / "JPEGImages" / "a.png")
    (root / "Annotations" / "a.xml").write_text(FOREIGN)
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\nb c\n")
    return Album(root, ["gun"])


def test_nothing_of_a_foreign_annotation_is_lost(tmp_path: Path) -> None:
    album = foreign(tmp_path)
    picture = album.open("a")
    assert [box.name for box in picture.boxes] == ["gun", "rifle"]
    # A class that is not the set's and a box that leaves the picture are kept as long as nobody
    # changes them.
    boxes = [box.plain() for box in picture.boxes]
    boxes[0]["corners"] = [1.5, 2, 30, 40]
    changed = album.change("a", [*boxes, BOX], "test", picture.revision)
    text = (tmp_path / "Annotations" / "a.xml").read_text()
    for kept in ('verified="yes"', "<folder>odd</folder>", "<pose>Left</pose>", "<mine>kept</mine>",
                 "<difficult>1</difficult>", "<xmin>1.5</xmin>", "<deleted>1</deleted>",
                 "<xmax>90</xmax>"):  # fmt: skip
        assert kept in text, kept
    assert [box.name for box in changed.boxes] == ["gun", "rifle", "gun"]
    lists = tmp_path / "ImageSets" / "Main"
    assert (lists / "train.txt").read_text() == "b c\n"
    assert (lists / "test.txt").read_text() == "a\n"
    with pytest.raises(Changed):
        album.change("a", [], "test", picture.revision)
    boxes[1] |= {"corners": [10, 12, 91, 45]}
    with pytest.raises(DataError, match="box 2: it leaves the picture of 60x50"):
        album.change("a", boxes, "test", changed.revision)
    boxes[1] |= {"corners": [10, 12, 59.6, 45], "name": "gun"}
    assert album.change("a", boxes, "test", changed.revision).boxes[1].corners == (10, 12, 60, 45)


def test_new_names_are_no_ones(tmp_path: Path) -> None:
    album = foreign(tmp_path)
    (tmp_path / "Annotations" / "C.XML").write_text(FOREIGN)
    names = [album.add(jpeg(), (60, 50), [], "train", stem).name for stem in ("a", "A", "c", "d")]
    assert names == ["a-2", "A-3", "c-2", "d"]
    with Image.open(tmp_path / "JPEGImages" / "a.png") as image:
        assert image.format == "PNG"


def test_a_picture_turned_by_its_file_is_shown_as_its_boxes_are(tmp_path: Path) -> None:
    album = foreign(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 50)).save(tmp_path / "JPEGImages" / "t.jpg", exif=exif)
    assert (album.open("t").size, album.open("t").rotate) == ((50, 60), True)
    (tmp_path / "Annotations" / "t.xml").write_text(FOREIGN)  # says 60 x 50: as it is stored
    assert (album.open("t").size, album.open("t").rotate) == ((60, 50), False)


def test_a_set_without_lists_is_not_made_smaller(tmp_path: Path) -> None:
    """Its first list would take every other picture out of it."""
    foreign(tmp_path)
    (tmp_path / "ImageSets" / "Main" / "train.txt").unlink()
    for open_set in (Album, VocLists, Collection):
        with pytest.raises(DataError, match="no list in"):
            open_set(tmp_path)  # type: ignore[operator]


def test_classes_are_those_of_the_set(tmp_path: Path) -> None:
    foreign(tmp_path)
    assert Album(tmp_path).classes == ["gun"]
    with pytest.raises(ConfigError, match="names other classes"):
        Album(tmp_path, ["rifle"])


def test_a_damaged_annotation_is_counted_and_named(tmp_path: Path) -> None:
    album = foreign(tmp_path)
    (tmp_path / "Annotations" / "a.xml").write_text("<annotation><object>")
    assert album.counts()["damaged"] == 1
    with pytest.raises(DataError, match="malformed XML"):
        album.open("a")
    (tmp_path / "JPEGImages" / "b.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(DataError, match=r"b\.jpg"):
        album.open("b")
