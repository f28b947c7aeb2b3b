"""`data=guns`, `data=plates` without a folder: fetched on first use, once, or two lines say why."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import stat
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import tests.data.helpers_openimages as small_openimages
from tests.data.helpers_published import (
    COUNT,
    as_kaggle,
    as_repository,
    files,
    known,
    packed,
    plugin,
    pretend,
)
from tests.data.helpers_server import FileServer, serve
from tests.helpers_process import run_program
from tests.helpers_shared import SHARED, needs_shared
from tlx.common.errors import ConfigError, DataError
from tlx.config.check import check_config
from tlx.config.composition import composed
from tlx.config.schema import DATA_SOURCES
from tlx.data.commands.check import check_set
from tlx.data.commands.download import main as download
from tlx.data.found import Found
from tlx.data.module import build_data
from tlx.data.prepare import NOTE, prepared, subset_name
from tlx.data.published import PUBLISHED, PublishedSet
from tlx.records.record import read_record


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve() as state:
        yield state


@pytest.fixture
def guns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of the small set that `data=guns` is."""
    (tmp_path / "made").mkdir()
    contents = files(tmp_path / "made")
    pretend(monkeypatch, known(contents, tmp_path / "made"))
    return contents


def cfg(tmp_path: Path, *overrides: str) -> list[str]:
    return ["data=guns", f"cache_dir={tmp_path / 'cache'}", "data.group_near_duplicates=false",
            *overrides]  # fmt: skip


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_set_comes_from_a_mirror_in_whatever_layout(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guns: dict[str, bytes]
) -> None:
    monkeypatch.setenv("TLX_DATA_MIRROR", f"{server.url}/sets/")
    server.files["/sets/guns.zip"] = as_kaggle(guns)
    server.faults["/sets/guns.zip"] = ["cut", 503]
    _, data = check_set(cfg(tmp_path), Found())
    root = tmp_path / "cache" / "data" / "guns"
    assert data.report["root"] == str(root)
    assert data.report["source"] == {
        "set": "guns", "from": f"{server.url}/sets/guns.zip", "known_pictures": True,
    }  # fmt: skip
    assert sum(len(items) for items in data.splits.values()) == COUNT
    assert names(root) == {n for n in guns if not n.endswith(".xml")} | {NOTE}
    assert {path.name for path in root.parent.iterdir()} == {"guns", ".guns.lock"}
    count = len(server.asked)
    assert check_set(cfg(tmp_path), Found())[1].membership == data.membership
    assert len(server.asked) == count


def test_the_repository_is_the_second_source(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guns: dict[str, bytes]
) -> None:
    server.files["/repository.zip"] = as_repository(guns)
    pretend(monkeypatch, replace(PUBLISHED["guns"], archive=f"{server.url}/repository.zip"))
    monkeypatch.setitem(__import__("sys").modules, "kagglehub", None)  # as if not installed
    _, data = check_set(cfg(tmp_path), Found())
    assert data.report["source"]["from"] == f"{server.url}/repository.zip"
    # The texts are made from the XML files: the same boxes.
    root = Path(data.report["root"])
    assert {n: (root / n).read_bytes() for n in guns if n.endswith(".txt")} == {
        name: content for name, content in guns.items() if name.endswith(".txt")
    }


def test_without_a_network_two_lines_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLX_OFFLINE", "1")
    with pytest.raises(DataError) as caught:
        prepared(composed(cfg(tmp_path)).data, tmp_path / "cache")
    first, second = str(caught.value).splitlines()
    assert first.startswith("data=guns is not on this machine and could not be fetched (kaggle.com")
    assert first.count("TLX_OFFLINE is set") == 2
    place = tmp_path / "cache" / "data" / "guns.zip"
    assert second == (
        "Get it from https://www.kaggle.com/datasets/issaisasank/guns-object-detection and put its "
        f"zip at {place}, or give a folder with data.root=FOLDER"
    )
    assert names(tmp_path / "cache") == {".guns.lock"}
    with pytest.raises(DataError, match=r"data=plates is not .*\n.* or give a folder that has it"):
        prepared(composed(["data=plates"]).data, tmp_path / "cache")


def test_what_a_person_puts_there_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guns: dict[str, bytes]
) -> None:
    monkeypatch.setenv("TLX_OFFLINE", "1")
    monkeypatch.setenv("TLX_DATA", str(tmp_path / "sets"))
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "guns.zip").write_bytes(as_kaggle(guns))
    _, data = check_set(cfg(tmp_path), Found())
    assert data.report["root"] == str(tmp_path / "sets" / "guns")
    assert data.report["source"]["from"] == str(tmp_path / "sets" / "guns.zip")
    other = tmp_path / "other"
    (other / "guns").mkdir(parents=True)
    for name in sorted(guns)[:15]:
        (other / "guns" / name).write_bytes(guns[name])
    monkeypatch.setenv("TLX_DATA", str(other))
    _, data = check_set(cfg(tmp_path), Found())
    assert data.report["source"] == {"from": "put there by hand"}
    # And a folder that is named always wins.
    _, data = check_set(cfg(tmp_path, f"data.root={tmp_path / 'sets' / 'guns'}"), Found())
    assert data.report["root"] == str(tmp_path / "sets" / "guns")
    assert data.report["source"] is None


def link() -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo("Images/3.jpeg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, b"/etc/passwd"


def test_an_archive_leads_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guns: dict[str, bytes]
) -> None:
    outside = {
        "../../1.jpeg": b"x", "/etc/2.jpeg": b"x", "Images/..\\..\\3.jpeg": b"x",
        "Images/4.jpeg:stream": b"x", "Images/.5.jpeg": b"x", "__MACOSX/._6.jpeg": b"x",
        "Images/7.sh": b"x", "Images/a.jpeg": b"x",
    }  # fmt: skip
    kept = {name: content for name, content in guns.items() if name not in ("1.jpeg", "2.jpeg")}
    (tmp_path / "guns.zip").write_bytes(packed(outside | kept))
    monkeypatch.setenv("TLX_DATA_MIRROR", str(tmp_path))
    before = set(tmp_path.rglob("*"))
    check_root, _ = prepared(composed(cfg(tmp_path)).data, tmp_path / "cache")
    # Two of the names are plain numbers: their files lie in the set's folder like the others.
    assert names(check_root) == {*guns, NOTE}
    assert (check_root / "1.jpeg").read_bytes() == b"x"
    new = set(tmp_path.rglob("*")) - before - set(check_root.rglob("*"))
    cache = tmp_path / "cache"
    assert new == {cache, cache / "data", cache / "data" / ".guns.lock", check_root}
    assert json.loads((check_root / NOTE).read_text())["known_pictures"] is False


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda guns: b"no zip", "is no archive that can be read"),
        (lambda guns: as_kaggle(guns)[:-40], "is no archive that can be read"),
        (
            lambda guns: packed(dict(list(guns.items())[:9])),
            "it holds 3 pictures and 3 annotations",
        ),
        (lambda guns: packed({f"{f}/{n}": c for n, c in guns.items() for f in "ab"}), "twice"),
        (lambda guns: packed(guns | {"99.jpeg": bytes(3 << 20)}), "more than 0 GiB: not this set"),
        (lambda guns: _damaged(as_kaggle(guns)), r"Bad CRC-32|Error -3|invalid"),
        (lambda guns: _no_stream(as_kaggle(guns)), "is no archive that can be read .*Error -3"),
    ],
)
def test_another_archive_is_refused_and_leaves_nothing(
    content: object, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    guns: dict[str, bytes],
) -> None:  # fmt: skip
    monkeypatch.setattr("tlx.data.published._MOST_BYTES", 1 << 20)
    (tmp_path / "guns.zip").write_bytes(content(guns))  # type: ignore[operator]
    monkeypatch.setenv("TLX_DATA_MIRROR", str(tmp_path))
    with pytest.raises(DataError, match=told):
        prepared(composed(cfg(tmp_path)).data, tmp_path / "cache")
    assert names(tmp_path / "cache") == {".guns.lock"}


def _no_stream(archive: bytes) -> bytes:
    """The first file begins with a kind of block that deflate has not (RFC 1951, 3.2.3)."""
    name, extra = (int.from_bytes(archive[at : at + 2], "little") for at in (26, 28))
    begins = 30 + name + extra
    return archive[:begins] + b"\xff" + archive[begins + 1 :]


def _damaged(archive: bytes) -> bytes:
    place = archive.index(b"Images/5.jpeg") + 40
    return archive[:place] + bytes(20) + archive[place + 20 :]


def test_links_in_an_archive_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guns: dict[str, bytes]
) -> None:
    into = io.BytesIO(packed({name: c for name, c in guns.items() if name != "3.jpeg"}))
    with zipfile.ZipFile(into, "a") as archive:
        archive.writestr(*link())
    (tmp_path / "guns.zip").write_bytes(into.getvalue())
    monkeypatch.setenv("TLX_DATA_MIRROR", str(tmp_path))
    with pytest.raises(DataError, match="it holds 11 pictures and 12 annotations"):
        prepared(composed(cfg(tmp_path)).data, tmp_path / "cache")


def test_the_others_wait_for_the_one_that_fetches(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guns: dict[str, bytes]
) -> None:
    monkeypatch.setenv("TLX_DATA_MIRROR", server.url)
    server.files["/guns.zip"] = as_kaggle(guns)
    server.pause = 0.1
    data, roots = composed(cfg(tmp_path)).data, []
    threads = [
        threading.Thread(target=lambda: roots.append(prepared(data, tmp_path / "cache")[0]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert roots == [tmp_path / "cache" / "data" / "guns"] * 4
    assert len(server.asked) == 1


def test_keys_that_make_no_sense_are_refused() -> None:
    assert set(DATA_SOURCES) == {*PUBLISHED, "openimages"}
    for overrides, told in {
        ("data=auto", "data.source=gunz"): "did you mean data.source=guns",
        ("data=auto", "data.source=openimages"): r"needs the names to fetch: data.classes=\[",
        ("data=guns", "data.max_images=5"): "leave it out",
        ("data=plates", "data.max_images=0"): "must be at least 1",
        ("data=plates", "data.root=/x", "data.max_images=9"): "leave it out",
        ("data=voc",): "needs the folder that holds it",
    }.items():
        with pytest.raises(ConfigError, match=told):
            check_config(composed(overrides))
    stranger = replace(composed(["data=guns"]).data, source="gunz")
    with pytest.raises(ConfigError, match=r"did you mean data\.source=guns"):
        prepared(stranger, Path("nowhere"))
    for name in ("guns", "ppe", "plates", "fruit", "guns_openimages"):
        check_config(composed([f"data={name}"]))
    assert subset_name(["../../x", "Kitchen & dining"], None)[:-6] == "x-kitchen-dining-"
    assert len({subset_name(c, m) for c in (["a"], ["b"], ["a", "b"]) for m in (None, 5)}) == 6


def test_plates_prepare_themselves(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_openimages.put(server, small_openimages.plates())
    for key, url in small_openimages.addresses(server).items():
        monkeypatch.setenv(f"TLX_OPENIMAGES_{key.upper()}", url)
    plates = composed(["data=plates", "data.group_near_duplicates=false"]).data
    data = build_data(plates, tmp_path / "cache")
    assert {split: len(items) for split, items in data.splits.items()} == {
        "train": 24, "val": 6, "test": 6,
    }  # fmt: skip
    assert data.classes == ["Vehicle registration plate"]
    assert data.report["source"] == {
        "set": "Open Images", **small_openimages.addresses(server), "left_out": 0,
    }  # fmt: skip
    count = len(server.asked)
    assert build_data(plates, tmp_path / "cache").membership == data.membership
    assert len(server.asked) == count
    few = replace(plates, max_images=9)
    data = build_data(few, tmp_path / "cache")
    assert sum(len(items) for items in data.splits.values()) == 9
    wrong = replace(plates, classes=["vehicle registration plate"])
    with pytest.raises(ConfigError, match=r"spells it \[Vehicle registration plate\]"):
        build_data(wrong, tmp_path / "cache")


def program(tmp_path: Path, url: str) -> tuple[list[str], dict[str, str]]:
    """Arguments of a small run of the small set, and the environment that has it."""
    environment = os.environ | {
        "PYTHONPATH": plugin(tmp_path, PUBLISHED["guns"]), "TLX_DATA_MIRROR": url,
        "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled",
    }  # fmt: skip
    run = cfg(tmp_path, "plugins=small_guns", "detector.input_size=96", "trainer.epochs=1",
              "trainer.batch_size=4", "trainer.workers=0", "trainer.accelerator=cpu",
              "logger=none", "logger.predictions=0", "data.split_seed=1",
              f"runs_dir={tmp_path / 'runs'}")  # fmt: skip
    return run, environment


@pytest.mark.slow
def test_programs_find_the_set_and_a_sweep_fetches_it_once(
    server: FileServer, tmp_path: Path, guns: dict[str, bytes]
) -> None:
    server.files["/guns.zip"] = as_kaggle(guns)
    arguments, environment = program(tmp_path, server.url)
    done = run_program("tlx.train", "freeze=all,8", *arguments, "-m", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(server.asked) == 1
    folders = list((tmp_path / "runs").glob("*/freeze=*"))
    records = [read_record(folder) or {} for folder in folders]
    assert [record["status"] for record in records] == ["finished"] * 2
    for record in records:
        assert record["config"]["data"]["root"] is None
        assert record["data_report"]["root"] == str(tmp_path / "cache" / "data" / "guns")
        assert record["data_report"]["source"]["from"] == f"{server.url}/guns.zip"
    # A finished study stays finished, with neither its data nor a network.
    guns_folder = tmp_path / "cache" / "data" / "guns"
    guns_folder.rename(tmp_path / "kept")
    away = environment | {"TLX_OFFLINE": "1"}
    again = run_program("tlx.train", "freeze=all,8", *arguments, "-m", cwd=tmp_path, env=away)
    assert again.returncode == 0, again.stderr
    assert "is finished already" in again.stdout + again.stderr
    (tmp_path / "kept").rename(guns_folder)
    done = run_program(
        "tlx.evaluate", f"checkpoint={folders[0]}", f"cache_dir={tmp_path / 'cache'}",
        "plugins=small_guns", cwd=tmp_path, env=environment | {"TLX_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_sweep_without_its_data_is_one_error_before_any_run(
    tmp_path: Path, guns: dict[str, bytes]
) -> None:
    arguments, environment = program(tmp_path, "http://127.0.0.1:9")
    offline = environment | {"TLX_OFFLINE": "1"}
    done = run_program("tlx.train", "freeze=all,8", *arguments, "-m", cwd=tmp_path, env=offline)
    assert done.returncode == 2
    told = done.stderr.splitlines()
    assert len(told) == 2, done.stderr
    assert told[0].startswith(
        "DataError: data=guns is not on this machine and could not be fetched"
    )
    place = tmp_path / "cache" / "data" / "guns.zip"
    assert f"put its zip at {place}, or give a folder with data.root=FOLDER" in told[1]
    assert not (tmp_path / "runs").exists()


def test_download_takes_a_published_set_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guns: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "guns.zip").write_bytes(as_repository(guns))
    monkeypatch.setenv("TLX_DATA_MIRROR", str(tmp_path))
    download(["guns", f"root={tmp_path / 'here'}"])
    assert capsys.readouterr().out.strip() == str(tmp_path / "here")
    assert names(tmp_path / "here") == {*guns, NOTE}


class Kaggle(BaseHTTPRequestHandler):
    """What its client asks for: the version of a set, and its archive."""

    protocol_version = "HTTP/1.1"
    archive = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        one = self.path.endswith("/GetDataset")
        body = b'{"currentVersionNumber": 1}' if one else self.archive
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if one else "application/zip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.skipif(not importlib.util.find_spec("kagglehub"), reason="kagglehub is not installed")
def test_kaggles_own_client_is_the_first_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guns: dict[str, bytes]
) -> None:
    try:
        kaggle = ThreadingHTTPServer(("127.0.0.1", 7777), Kaggle)  # where its tests have theirs
    except OSError:
        pytest.skip("port 7777 is taken")
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
    Kaggle.archive = as_kaggle(guns)
    with kaggle:
        threading.Thread(target=kaggle.serve_forever, args=(0.02,), daemon=True).start()
        root, about = prepared(composed(cfg(tmp_path)).data, tmp_path / "cache")
        kaggle.shutdown()
    assert about is not None
    assert about["from"] == "kaggle.com/issaisasank/guns-object-detection"
    assert names(root) == {n for n in guns if not n.endswith(".xml")} | {NOTE}


@needs_shared
@pytest.mark.parametrize("name", ["guns", "ppe"])
def test_the_published_sets_are_known(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLX_DATA_MIRROR", str(SHARED))
    root, about = prepared(composed([f"data={name}"]).data, tmp_path)
    assert about is not None
    assert about["known_pictures"] is True
    small: PublishedSet = PUBLISHED[name]
    assert len(list(root.rglob(f"*{small.ending}"))) == small.annotations
