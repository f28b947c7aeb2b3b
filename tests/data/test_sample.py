"""The rendered sample: same bytes for a seed, true boxes, and safe on disk."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlx.common.errors import ConfigError
from tlx.data import sample
from tlx.data.formats import read_annotations
from tlx.data.sample import CLASSES, SIZE, ensure_sample
from tlx.data.scene import MIN_VISIBLE, SUPERSAMPLE, draw_street, render_scene

COUNTS = {"train": 6, "val": 2, "test": 2}


def contents(root: Path) -> dict[str, bytes]:
    """Every file below the folder."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def read_boxes(xml: Path) -> np.ndarray:
    """(n, 4) xyxy as written."""
    corners = ("xmin", "ymin", "xmax", "ymax")
    rows = [[float(b.findtext(c, "")) for c in corners] for b in ET.parse(xml).iter("bndbox")]
    return np.array(rows).reshape(-1, 4)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_sample(tmp_path_factory.mktemp("cache"), workers=1, **COUNTS)


def test_bytes_do_not_depend_on_folder_or_workers(root: Path, tmp_path: Path) -> None:
    assert contents(ensure_sample(tmp_path, workers=2, **COUNTS)) == contents(root)


def test_workers_start_no_compute_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    main, names = sys.modules["__main__"], sample.THREAD_COUNTS
    assert sample._run(os.getenv, names, 2) == ["1"] * len(names)  # type: ignore[arg-type]
    assert sys.modules["__main__"] is main
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_workers_do_not_run_the_main_program_again(root: Path, tmp_path: Path) -> None:
    """A script without a `__main__` guard, which "spawn" would otherwise start once a worker."""
    script = tmp_path / "program.py"
    script.write_text(
        "import pathlib, sys\n"
        "from tlx.data.sample import ensure_sample\n"
        "print('main program')\n"
        f"ensure_sample(pathlib.Path(sys.argv[1]), workers=2, **{COUNTS})\n"
    )
    done = subprocess.run(
        [sys.executable, script, tmp_path / "cache"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "main program\n", "")
    assert contents(tmp_path / "cache" / root.name) == contents(root)


def test_another_seed_draws_other_pictures_beside_the_first(root: Path) -> None:
    other = ensure_sample(root.parent, seed=1, train=1, val=0, test=0, workers=1)
    assert other.parent == root.parent
    assert other != root
    assert (other / "train/0000.jpg").read_bytes() != (root / "train/0000.jpg").read_bytes()


def test_a_larger_set_begins_with_the_smaller_one(root: Path, tmp_path: Path) -> None:
    larger = contents(ensure_sample(tmp_path, train=7, val=2, test=2, workers=1))
    smaller = contents(root)
    assert all(larger[name] == smaller[name] for name in smaller if name != "manifest.json")


def test_layout_manifest_and_annotations(root: Path) -> None:
    manifest = json.loads((root / "manifest.json").read_text())
    files = contents(root)
    del files["manifest.json"]
    assert manifest["files"] == {n: hashlib.sha256(c).hexdigest() for n, c in files.items()}
    assert (manifest["seed"], manifest["counts"]) == (0, COUNTS)
    for split, count in COUNTS.items():
        expected = {f"{split}/{i:04d}.{kind}" for i in range(count) for kind in ("jpg", "xml")}
        assert {n for n in files if n.startswith(split)} == expected
    for xml in root.glob("*/*.xml"):
        tree = ET.parse(xml)
        with Image.open(xml.with_name(tree.findtext("filename", ""))) as picture:
            assert (picture.size, picture.mode) == (SIZE, "RGB")
        assert [tree.findtext(f"size/{k}") for k in ("width", "height", "depth")] == [
            *map(str, SIZE),
            "3",
        ]
        assert all(o.findtext("name") == "plate" for o in tree.iter("object"))
        assert all(o.findtext("difficult") == "0" for o in tree.iter("object"))


def test_the_projects_own_reader_reads_it(root: Path) -> None:
    annotations = read_annotations("voc", root, list(CLASSES))
    assert sorted((a.split, a.image.name) for a in annotations) == sorted(
        (split, f"{i:04d}.jpg") for split, count in COUNTS.items() for i in range(count)
    )
    for annotation in annotations:
        np.testing.assert_array_equal(
            annotation.boxes, read_boxes(annotation.image.with_suffix(".xml"))
        )


def test_boxes_are_inside_the_picture_and_negatives_exist() -> None:
    """Over 60 scenes: area, size range and about one street in eight without a plate."""
    scenes = [render_scene(np.random.default_rng([3, i]))[1] for i in range(60)]
    boxes = np.concatenate(scenes)
    assert boxes.dtype == np.float64
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= SIZE).all()
    assert ((boxes[:, 2:] - boxes[:, :2]) > (20, 5)).all()
    shares = (boxes[:, 2] - boxes[:, 0]) / SIZE[0]
    assert 0.2 < np.median(shares) < 0.3
    assert shares.max() < 0.55
    assert 3 <= sum(len(b) == 0 for b in scenes) <= 14
    assert max(map(len, scenes)) >= 2


def test_boxes_bound_exactly_the_pixels_of_their_plates() -> None:
    """Leave one plate out of the clean street: all that changes is what its box holds."""
    checked = 0
    for seed in range(24):
        full = draw_street(seed, SIZE)
        for number, (share, box) in full.plates().items():
            if share < MIN_VISIBLE:
                continue
            without = draw_street(seed, SIZE, {number})
            assert number not in without.plates()
            rows, columns = np.nonzero(
                (np.asarray(full.image) != np.asarray(without.image)).any(axis=2)
            )
            low = np.array([columns.min(), rows.min()]) / SUPERSAMPLE
            high = np.array([columns.max() + 1, rows.max() + 1]) / SUPERSAMPLE
            np.testing.assert_allclose(box, [*low, *high], atol=1.0)
            checked += 1
    assert checked > 15


def test_plates_that_are_mostly_hidden_are_neither_drawn_nor_boxed() -> None:
    """Find such a plate among many streets; the rendered scene must leave it out."""
    for i in range(400):
        seed = int(np.random.default_rng([9, i]).integers(2**62))  # the street of the scene below
        seen = draw_street(seed, SIZE).plates()
        if any(share < MIN_VISIBLE for share, _ in seen.values()):
            break
    else:
        pytest.fail("no street hides a plate")
    _, boxes = render_scene(np.random.default_rng([9, i]))
    np.testing.assert_array_equal(
        boxes, np.array([b for s, b in seen.values() if s >= MIN_VISIBLE]).reshape(-1, 4)
    )


def test_other_sizes_are_drawn_too() -> None:
    picture, boxes = render_scene(np.random.default_rng(5), (160, 160))
    assert picture.size == (160, 160)
    assert (boxes <= 160).all()


def test_second_call_does_not_render(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    monkeypatch.setattr(sample, "_render", lambda *_: pytest.fail("rendered again"))
    assert ensure_sample(root.parent, **COUNTS) == root
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before


@pytest.mark.parametrize("damage", ["missing", "empty", "manifest", "no manifest"])
def test_a_damaged_set_is_rendered_again(tmp_path: Path, damage: str) -> None:
    counts = {"train": 1, "val": 1, "test": 0}
    folder = ensure_sample(tmp_path, workers=1, **counts)
    whole = contents(folder)
    if damage == "missing":
        (folder / "val/0000.jpg").unlink()
    elif damage == "empty":
        (folder / "train/0000.xml").write_bytes(b"")
    elif damage == "manifest":
        (folder / "manifest.json").write_text("{")
    else:
        (folder / "manifest.json").unlink()
    assert ensure_sample(tmp_path, workers=1, **counts) == folder
    assert contents(folder) == whole
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_the_loser_of_a_race_keeps_the_winners_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"train": 1, "val": 0, "test": 0}
    render = sample._render
    winner: dict[Path, int] = {}

    def lose(*args: object) -> None:
        monkeypatch.setattr(sample, "_render", render)
        folder = ensure_sample(tmp_path, workers=1, **counts)  # somebody else is faster
        winner.update({p: p.stat().st_ino for p in folder.rglob("*.jpg")})
        render(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(sample, "_render", lose)
    folder = ensure_sample(tmp_path, workers=1, **counts)
    assert {p: p.stat().st_ino for p in folder.rglob("*.jpg")} == winner
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_an_interrupted_rendering_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "render_scene", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ensure_sample(tmp_path, workers=1, **COUNTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"train": -1}, {"workers": 0}])
def test_senseless_arguments_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="sample"):
        ensure_sample(tmp_path, **wrong)
