"""`tlx data download openimages` against servers of this machine that break off, err and lie."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.data.helpers_openimages import PLATE, addresses, jpeg, plates, put
from tests.data.helpers_server import FileServer, serve
from tlx.common.download import DownloadError
from tlx.common.errors import ConfigError, DataError, StorageError
from tlx.data.commands.download import main
from tlx.data.formats import read_annotations
from tlx.data.formats.sniff import detect_format
from tlx.data.openimages.layout import COLUMNS, DESCRIPTIONS, SUMMARY

TRAIN = "/openimages/2018_04/train/train-annotations-bbox.csv"
DESCRIPTIONS_AT = "/openimages/2018_04/class-descriptions-boxable.csv"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY)}
PICTURES = 36  # of the set below, with a plate


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve() as state:
        put(state, plates())
        yield state


def arguments(server: FileServer, folder: Path, **keys: object) -> list[str]:
    given: dict[str, object] = {
        "classes": PLATE, "root": folder / "plates", "cache_dir": folder / "cache", "workers": 4,
        "retries": 3, "backoff": 0.01, "timeout": 1, **addresses(server), **keys,
    }  # fmt: skip
    return ["openimages", *(f"{key}={value}" for key, value in given.items() if value is not None)]


def fetch(server: FileServer, folder: Path, **keys: object) -> Path:
    main(arguments(server, folder, **keys))
    return folder / "plates"


def tree(root: Path) -> dict[str, bytes]:
    """Every file but the lock."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".download.lock"
    }


def chosen(root: Path, split: str) -> list[dict[str, str]]:
    with (root / f"sub-{split}-annotations-bbox.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def summary(root: Path) -> dict[str, Any]:
    return json.loads((root / SUMMARY).read_text())


def picture(split: str, number: int) -> str:
    code = {"train": 1, "validation": 2, "test": 3}[split]
    return f"/open-images-dataset/{split}/{code:04x}{number:012x}.jpg"


def test_the_folder_is_the_true_layout(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = fetch(server, tmp_path, classes=PLATE.lower())
    names = tree(root)
    pictures = [name for name in names if name.endswith(".jpg")]
    subs = {f"sub-{split}-annotations-bbox.csv" for split in ("train", "validation", "test")}
    assert set(names) - set(pictures) == {DESCRIPTIONS, SUMMARY, *subs}
    for name in pictures:
        assert names[name] == server.files[f"/open-images-dataset/{name}"]
    rows = chosen(root, "train")
    assert tuple(rows[0]) == (*COLUMNS, "id", "ClassName")
    assert {(row["id"], row["ClassName"], row["LabelName"]) for row in rows} == {
        ("/m/01jfm_", PLATE, "/m/01jfm_")
    }
    # 24 pictures with one or two plates in turn.
    assert len(rows) == 36
    assert {f"train/{row['ImageID']}.jpg" for row in rows} == {n for n in pictures if "train" in n}
    told = capsys.readouterr().out
    assert "  Image count:  36\n  Bounding box count:  54\n" in told
    assert summary(root)["statistics"]["splits"]["validation"]["boxes"] == 9
    read = read_annotations("openimages", root, None)
    assert len(read) == PICTURES
    assert sum(len(each.boxes) for each in read) == 54
    assert {each.split for each in read} == {"train", "val", "test"}
    # Once more: nothing is asked, not even whether it has changed.
    count = len(server.asked)
    fetch(server, tmp_path, classes=PLATE.lower())
    assert len(server.asked) == count
    assert tree(root) == names
    # Another subset shares the boxes of all classes.
    fetch(server, tmp_path, root=tmp_path / "people", classes="Person", max_images=5)
    assert server.got(".csv").count(TRAIN) == 1


def test_statistics_alone_fetch_no_picture(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(server, tmp_path, stats_only="true", root=None, classes=f"person,{PLATE}")
    told = capsys.readouterr().out
    assert "    Person:  48/84 = 0.57\n" in told  # of train, by hand: 2 x 24 beside 36 plates
    assert not [each for each in server.asked if each.path.endswith(".jpg")]
    fetch(server, tmp_path, stats_only="true", max_images=12, splits="train,test")
    told = capsys.readouterr().out
    assert "validation" not in told
    assert "  Image count:  12\n" in told
    assert not (tmp_path / "plates").exists()


def test_a_server_that_errs_gives_the_same_tree(server: FileServer, tmp_path: Path) -> None:
    right = tree(fetch(server, tmp_path / "right"))
    server.asked.clear()
    faults: list[int | str] = ["cut", "stall", "reset", "damage", 500, 503, 429, "drip"]
    for number, fault in enumerate(faults):
        server.faults[picture("train", number)] = [fault, "cut"]
    server.faults[TRAIN] = [503, "reset", "stall", "damage"]
    server.stall = 1.5
    root = fetch(server, tmp_path / "erring", retries=6)
    assert tree(root) == right
    assert not summary(root)["left_out"]


def test_the_boxes_go_on_where_they_broke(server: FileServer, tmp_path: Path) -> None:
    made = plates()
    made.rows["train"] += made.rows["train"][:1] * 20_000
    put(server, made)
    whole = len(server.files[TRAIN])
    server.faults[TRAIN] = ["cut", "ALWAYS"]
    with pytest.raises(DownloadError, match=r"train-annotations-bbox\.csv could not be fetched"):
        # Three pieces of half of what is left are worth a try each; then too little comes.
        fetch(server, tmp_path, stats_only="true", retries=0)
    kept = next((tmp_path / "cache").rglob("train-annotations-bbox.csv.partial"))
    have = kept.stat().st_size
    assert whole / 2 < have < whole
    server.faults.clear()
    server.asked.clear()
    fetch(server, tmp_path, stats_only="true")
    assert [each.range for each in server.asked if each.path == TRAIN] == [f"bytes={have}-"]
    assert kept.with_name("train-annotations-bbox.csv").read_bytes() == server.files[TRAIN]
    assert not list(kept.parent.glob("*.partial*"))


def test_what_is_gone_is_named_and_left_out(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del server.files[picture("train", 1)]
    server.faults[picture("validation", 2)] = [403, "ALWAYS"]
    server.faults[picture("test", 3)] = ["damage", "ALWAYS"]
    server.files[picture("test", 4)] = jpeg(1)[:-300]  # as it lies there: cut off
    root = fetch(server, tmp_path)
    left_out = {
        (each["split"], each["image"][-1]): each["reason"] for each in summary(root)["left_out"]
    }
    assert left_out[("train", "1")] == "the server says 404 Not Found (NoSuchKey)"
    assert left_out[("validation", "2")] == "the server says 403 Forbidden (AccessDenied)"
    assert "the server states the MD5" in left_out[("test", "3")]
    assert left_out[("test", "4")].startswith("it does not decode")
    assert len(left_out) == 4
    named = {
        row["ImageID"] for split in ("train", "validation", "test") for row in chosen(root, split)
    }
    assert len(named) == 32
    assert all(each.image.is_file() for each in read_annotations("openimages", root, None))
    assert summary(root)["statistics"]["images"] == 32
    assert "4 pictures could not be had" in capsys.readouterr().out
    assert server.got(".jpg").count(picture("test", 3)) == 4  # with all its tries
    gone = [each for each in server.asked if each.status == 404 and each.method == "GET"]
    assert [each.path for each in gone] == [picture("train", 1)]


def test_a_server_that_refuses_all_is_no_set_with_few_pictures(
    server: FileServer, tmp_path: Path
) -> None:
    for number in range(24):
        server.faults[picture("train", number)] = [403, "ALWAYS"]
    with pytest.raises(DataError, match=r"21 of 36 pictures are not to be had .*403 Forbidden"):
        fetch(server, tmp_path, workers=1)
    assert not (tmp_path / "plates" / SUMMARY).exists()
    with pytest.raises(DataError, match=r"12 of 12 pictures are not to be had .*pictures=.*right"):
        fetch(server, tmp_path, pictures=f"{server.url}/elsewhere", max_images=12)


def test_what_is_no_such_file_is_not_kept(server: FileServer, tmp_path: Path) -> None:
    """As a network gives that wants a login first, or a proxy that packs what it passes on."""
    for path in (DESCRIPTIONS_AT, TRAIN):
        right, server.files[path] = server.files[path], gzip.compress(b"<html>Log in</html>")
        with pytest.raises(DownloadError, match=f"{path} is not the file: .*It is not kept"):
            fetch(server, tmp_path)
        server.files[path] = right
    fetch(server, tmp_path)


def test_the_folder_says_itself_what_it_is(server: FileServer, tmp_path: Path) -> None:
    """`data=auto`, as the last line of the program and the documentation have it."""
    assert detect_format(fetch(server, tmp_path)) == "openimages"


def test_a_network_that_goes_keeps_what_came(server: FileServer, tmp_path: Path) -> None:
    for number in range(12, 24):
        server.faults[picture("train", number)] = ["reset", "ALWAYS"]
    with pytest.raises(DownloadError, match=r"of 36 pictures could not be fetched .*goes on from"):
        fetch(server, tmp_path, retries=1)
    came = server.got(".jpg")
    assert len(came) >= 12
    server.faults.clear()
    root = fetch(server, tmp_path, retries=1)
    assert sorted(server.got(".jpg")) == sorted(set(server.got(".jpg")))
    assert len([name for name in tree(root) if name.endswith(".jpg")]) == PICTURES
    with pytest.raises(
        DownloadError, match=r"class-descriptions-boxable\.csv could not be fetched"
    ):
        fetch(server, tmp_path / "other", annotations="http://127.0.0.1:9/x", retries=0)


def test_the_disk_is_looked_at_before_the_first_picture(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    mean = sum(len(server.files[picture("train", n)]) for n in range(24)) / 24
    full = shutil._ntuple_diskusage(10**9, 10**9, int(mean * 30))  # type: ignore[attr-defined]
    fetch(server, tmp_path, stats_only="true")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    caplog.set_level("INFO")
    with pytest.raises(StorageError, match=r"free, and .* are to come: free space"):
        fetch(server, tmp_path)
    assert "36 pictures to come" in caplog.text
    assert "the mean of 24 that were asked for" in caplog.text
    assert not server.got(".jpg")


def test_what_makes_no_sense_is_one_line(server: FileServer, tmp_path: Path) -> None:
    wrong: dict[str, dict[str, object]] = {
        "did you mean 'Vehicle registration plate'": {"classes": "vehicle plate registration"},
        "classes=… is missing": {"classes": None},
        "root=… is missing": {"root": None},
        "splits=val is none of train, validation, test": {"splits": "train,val"},
        "max_images=0 must be at least 1": {"max_images": 0},
        "workers=0 must be at least 1": {"workers": 0},
        "retries=-1 must be at least 0": {"retries": -1},
        "there is no class-descriptions-boxable.csv in it": {"annotations": tmp_path},
    }
    for told, keys in wrong.items():
        with pytest.raises((ConfigError, DataError), match=told):
            fetch(server, tmp_path, **keys)
    with pytest.raises(ConfigError, match="no set that can be downloaded: did you mean openimages"):
        main(["openimage", "classes=x"])
    assert not server.got(".jpg")


def test_annotations_may_lie_in_a_folder(server: FileServer, tmp_path: Path) -> None:
    for path, content in server.files.items():
        if path.endswith(".csv"):
            (tmp_path / "csv").mkdir(exist_ok=True)
            (tmp_path / "csv" / Path(path).name).write_bytes(content)
    root = fetch(server, tmp_path, annotations=tmp_path / "csv", max_images=4)
    assert not server.got(".csv")
    assert summary(root)["statistics"]["images"] == 4


def test_nothing_is_fetched_offline(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLX_OFFLINE", "1")
    with pytest.raises(DownloadError, match="TLX_OFFLINE is set"):
        fetch(server, tmp_path)
    assert not server.asked


def test_several_at_once_fetch_each_picture_once(server: FileServer, tmp_path: Path) -> None:
    server.pause = 0.005
    done = []
    threads = [
        threading.Thread(target=lambda: done.append(fetch(server, tmp_path))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 3
    assert len(server.got()) == PICTURES + 4


def killed(command: list[str], server: FileServer, point: int) -> int:
    """Start a program and kill it as the server's request of this number begins; how it ended."""
    started = threading.Event()
    process: subprocess.Popen[bytes] | None = None

    def kill(count: int) -> None:
        if count >= point and started.wait(20) and process is not None:
            process.kill()

    server.begun = kill
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    started.set()
    code = process.wait(60)
    server.begun = lambda count: None
    return code


def test_killed_at_random_points_it_ends_as_the_same_tree(tmp_path: Path) -> None:
    """-9 as the n-th request begins, five times; no picture that was stored is asked for again."""
    with serve() as server:
        put(server, plates())
        right = tree(fetch(server, tmp_path / "right"))
        server.asked.clear()
        server.pause = 0.002
        root = tmp_path / "killed" / "plates"
        command = [sys.executable, "-m", "tlx.data", "download",
                   *arguments(server, tmp_path / "killed")]  # fmt: skip
        # Within the annotations (the first four requests), and among the pictures.
        points = [3, *sorted(random.Random().sample(range(5, 38), 4))]
        stored: set[str] = set()
        for point in points:
            assert killed(command, server, point) == -signal.SIGKILL, points
            there = (
                {name for name in tree(root) if name.endswith(".jpg")} if root.exists() else set()
            )
            assert stored <= there
            stored = there
        count = len(server.asked)
        subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=60, check=True)
        assert tree(root) == right, points
        later = {each.path for each in server.asked[count:] if each.method == "GET"}
        assert not later & {f"/open-images-dataset/{name}" for name in stored}
        # What was on its way at a kill may come twice; nothing else does.
        got = server.got()
        assert len(got) <= PICTURES + 4 + 4 * len(points), points
        assert set(got) >= {f"/open-images-dataset/{n}" for n in right if n.endswith(".jpg")}
