"""The page's server: what it answers, and what it refuses whoever asks."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from tests.capture.helpers_capture import serving
from tests.live.helpers_live import SQUARE, Numbered, number_of, square_at
from tlx import capture as program
from tlx.common.errors import ConfigError
from tlx.data.formats import read_annotations
from tlx.data.formats.pictures import decode
from tlx.labelling.server import LARGEST, PageServer, parse_serve

GOOD = {"name": "red", "corners": [10, 20, 50, 60], "origin": None}


def tree(root: Path) -> dict[str, bytes]:
    """What a folder holds."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != ".capture.lock"
    }


def test_a_frame_is_frozen_saved_and_changed(tmp_path: Path) -> None:
    root = tmp_path / "set"
    with serving(root) as client:
        _, jpeg, headers = client.raw("GET", f"/{client.token}/api/live.jpg?after=-1")
        assert Image.open(io.BytesIO(jpeg)).size == (160, 120)
        status, frame = client.post("api/freeze", {"frame": int(headers["X-Frame"])})
        assert (status, frame["width"], frame["height"]) == (200, 160, 120)
        _, shown, _ = client.raw("GET", f"/{client.token}/api/frame.jpg?frame={frame['frame']}")
        ask = {"frame": frame["frame"], "split": "val", "boxes": [GOOD]}
        status, made = client.post("api/save", ask)
        assert status == 200, made
        assert made["counts"]["splits"]["val"] == {
            "pictures": 1, "empty": 0, "boxes": {"red": 1, "blue": 0},
        }  # fmt: skip
        # What is on the page is what is saved, to the byte; and asked again it is saved once.
        assert (root / "JPEGImages" / f"{made['picture']}.jpg").read_bytes() == shown
        assert client.post("api/save", ask)[1]["picture"] == made["picture"]
        assert client.get("api/pictures") == {"pictures": [made["picture"]]}

        status, again = client.post("api/change", {
            "picture": made["picture"], "revision": made["revision"], "split": "test",
            "boxes": [{"name": "blue", "corners": [1, 2, 30.4, 40], "origin": 0}],
        })  # fmt: skip
        assert status == 200, again
        assert (again["split"], again["boxes"][0]["corners"]) == ("test", [1, 2, 30, 40])
        status, told = client.post("api/change", {
            "picture": made["picture"], "revision": made["revision"], "split": "val", "boxes": []
        })  # fmt: skip
        assert status == 422
        assert "changed by somebody else" in told["error"]
    (annotation,) = read_annotations("voc", root, ["red", "blue"])
    assert (annotation.split, annotation.names) == ("test", ["blue"])
    assert not (root / "ImageSets" / "Main" / "val.txt").exists()


HOSTILE: list[tuple[str, Any, str]] = [
    ("no box", {"boxes": None}, "a list of at most"),
    ("too many", {"boxes": [GOOD] * 1001}, "a list of at most"),
    ("text", {"boxes": ["x"]}, "box 1: an object"),
    ("NaN", {"boxes": [GOOD, GOOD | {"corners": [1, 2, float("nan"), 4]}]}, "box 2: its corners"),
    ("infinite", {"boxes": [GOOD | {"corners": [1, 2, 1e400, 4]}]}, "must be finite"),
    ("huge", {"boxes": [GOOD | {"corners": [1, 2, 1e300, 4]}]}, "leaves the picture of 160x120"),
    ("outside", {"boxes": [GOOD | {"corners": [-1, 2, 30, 40]}]}, "leaves the picture"),
    ("inverted", {"boxes": [GOOD | {"corners": [50, 20, 10, 60]}]}, "empty or upside down"),
    ("thin", {"boxes": [GOOD | {"corners": [10, 20, 10.4, 60]}]}, "empty or upside down"),
    ("three corners", {"boxes": [GOOD | {"corners": [1, 2, 3]}]}, "four numbers"),
    ("a truth", {"boxes": [GOOD | {"corners": [True, 2, 3, 4]}]}, "four numbers"),
    ("texts", {"boxes": [GOOD | {"corners": ["1", "2", "3", "4"]}]}, "four numbers"),
    ("class", {"boxes": [GOOD | {"name": "green"}]}, "'green' is none of the classes"),
    ("class list", {"boxes": [GOOD | {"name": ["red"]}]}, "none of the classes"),
    ("class markup", {"boxes": [GOOD | {"name": "<script>"}]}, "none of the classes"),
    ("origin", {"boxes": [GOOD | {"origin": 0}]}, "has no object 0"),
    ("origin text", {"boxes": [GOOD | {"origin": "0"}]}, "origin is no number"),
    ("split", {"split": "dev"}, "split=dev is none of train, val, test"),
    ("split path", {"split": "../../train"}, "is none of"),
    ("split list", {"split": ["train"]}, "is none of"),
    ("frame", {"frame": 10**6}, "kept no longer"),
    ("frame text", {"frame": "../0"}, "a number is expected"),
    ("frame huge", {"frame": 1e400}, "a number is expected"),
    ("frame none", {"frame": None}, "a number is expected"),
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(tmp_path_factory.mktemp("hostile") / "set") as client:
        yield client, client.post("api/freeze", {})[1]["frame"], tmp_path_factory


@pytest.fixture
def at(hostile: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A client, a frozen frame, and the folder that must stay as it is."""
    client, frame, _ = hostile
    return client, frame, Path(client.get("api/state")["folder"])


@pytest.mark.parametrize(("what", "change", "message"), HOSTILE, ids=[h[0] for h in HOSTILE])
def test_what_is_wrong_is_named_and_nothing_is_written(
    at: Any, what: str, change: dict[str, Any], message: str
) -> None:
    client, frame, root = at
    before = tree(root.parent)
    status, told = client.post(
        "api/save", {"frame": frame, "split": "train", "boxes": [GOOD]} | change
    )
    assert status == 422
    assert message in told["error"]
    assert "\n" not in told["error"]
    assert tree(root.parent) == before


NAMES = [
    "../secret", "..", "", "/etc/passwd", "a/b", "a\\b", "secret\0", "%2e%2e%2fsecret", "x" * 9999,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_no_name_from_outside_becomes_a_path(at: Any, name: str) -> None:
    client, _, root = at
    (root.parent / "secret.jpg").write_bytes(b"secret")
    (root / "secret.xml").write_text("<annotation/>")
    for path in ("api/picture", "api/picture.jpg"):
        status, body, _ = client.raw("GET", f"/{client.token}/{path}?picture={quote(name)}")
        assert status in (400, 422), (status, body)
    ask = {"picture": name, "revision": "x", "split": "train", "boxes": []}
    status, told = client.post("api/change", ask)
    assert (status, "no picture of this set" in str(told)) == (422, True) or status == 400
    for path in (f"../{name}", f"api/../../{name}", name, f"page.css/{name}"):
        assert client.raw("GET", f"/{client.token}/{quote(path)}")[0] == 404 or not name


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400), (b"{", 400), (b"[]", 400), (b"null", 400), (b"\xff\xfe{}", 400),
        (b'{"a":' * 50_000, 400), (b'{"frame": ' + b"9" * 5000 + b"}", 400),
        (b" " * (LARGEST + 1), 413),
    ],
)  # fmt: skip
def test_damaged_bodies(at: Any, content: bytes, status: int) -> None:
    client = at[0]
    if len(content) > LARGEST:  # it is refused by its length, before a byte of it is read
        found, body, _ = client.raw("POST", f"/{client.token}/api/save", b"{}",
                                    Content_Length=str(10**8))  # fmt: skip
    else:
        found, body, _ = client.raw("POST", f"/{client.token}/api/save", content)
    assert found == status
    assert "error" in json.loads(body)


def test_who_may_ask(at: Any) -> None:
    client = at[0]
    good = f"/{client.token}/api/state"
    assert client.raw("GET", good)[0] == 200
    for host in ("localhost", "127.0.0.1", "192.168.1.7", "[::1]"):
        assert client.raw("GET", good, Host=f"{host}:{client.port}")[0] == 200, host
    refused: list[tuple[str, dict[str, str | None]]] = [
        ("/api/state", {}), ("/", {}), ("/page.js", {}), ("//api/state", {}),
        (f"/{client.token[:-1]}/api/state", {}), (f"/{client.token}x/api/state", {}),
        (f"/%C3%A9{client.token}/api/state", {}),
        (good, {"Host": f"evil.example:{client.port}"}), (good, {"Host": None}),
        (good, {"Host": "127.0.0.1:1"}), (good, {"Host": "127.0.0.1"}),
        (good, {"Host": f"127.0.0.1.evil.example:{client.port}"}),
        (good, {"Origin": "http://evil.example"}), (good, {"Origin": "null"}),
        (good, {"Origin": f"https://127.0.0.1:{client.port}"}),
        (good, {"Sec_Fetch_Site": "cross-site"}), (good, {"Sec_Fetch_Site": "same-site"}),
    ]  # fmt: skip
    for path, headers in refused:
        status, body, _ = client.raw("GET", path, **headers)
        assert (status, client.token.encode() in body) == (403, False), (path, headers)
    origin = f"http://127.0.0.1:{client.port}"
    assert client.raw("POST", f"/{client.token}/api/freeze", b"{}", Origin=origin)[0] == 200
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        found = client.raw("POST", f"/{client.token}/api/freeze", b"{}", Content_Type=kind)
        assert found[0] == 415, kind
    for method in ("PUT", "DELETE", "OPTIONS", "HEAD"):
        assert client.raw(method, good)[0] == 501
    assert client.raw("GET", f"/{client.token}/api/save")[0] == 404


def test_what_a_page_may_do_is_said_to_the_browser(at: Any) -> None:
    client = at[0]
    status, body, headers = client.raw("GET", f"/{client.token}/")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Referrer-Policy"] == "no-referrer"  # the address is the key
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert status == 200
    assert b"http://" not in body
    assert b"https://" not in body


def test_suggestions_are_of_the_sets_classes(tmp_path: Path) -> None:
    with serving(tmp_path / "set", model=True) as client:
        frame = client.post("api/freeze", {})[1]["frame"]
        status, told = client.post("api/suggest", {"frame": frame})
        x, y = square_at(frame)
        (box,) = told["suggestions"]
        assert (status, box["name"], box["score"]) == (200, "red", 0.9)  # the model says Red
        assert max(abs(a - b) for a, b in zip(box["corners"], [x, y, x + SQUARE, y + SQUARE],
                                              strict=True)) <= 1  # fmt: skip
        made = client.post("api/save", {"frame": frame, "split": "train", "boxes": []})[1]
        assert client.post("api/suggest", {"picture": made["picture"]})[1] == told
    other = serving(tmp_path / "other", classes=("gun",), model=True)
    with pytest.raises(ConfigError, match="finds Red, and the set has gun"), other:
        pass


def test_a_file_waits_for_those_who_label_and_its_end_is_said(tmp_path: Path) -> None:
    source = Numbered(3, fps=1000)
    with serving(tmp_path / "set", source) as client:
        seen = [client.post("api/freeze", {})[1]["frame"]]
        for _ in range(2):
            seen.append(client.post("api/next", {"frame": seen[-1]})[1]["frame"])
        assert seen == [0, 1, 2]
        status, told = client.post("api/next", {"frame": 2})
        assert (status, told["error"]) == (422, "the source has ended")
        status, _, headers = client.raw("GET", f"/{client.token}/api/live.jpg?after=2")
        assert (status, headers["X-Ended"]) == (204, "1")
        assert client.get("api/state")["ended"]
        for number in seen:  # what was frozen can be saved after the end
            ask = {"frame": number, "split": "train", "boxes": []}
            assert client.post("api/save", ask)[0] == 200
    for path in (tmp_path / "set" / "JPEGImages").iterdir():
        pixels = decode(path, rotate=False, max_side=1000)
        assert number_of(pixels) == int(path.stem.split("-")[1])


def test_two_pages_save_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "set", Numbered(1000, live=True)) as client:
        frames = [client.post("api/freeze", {})[1]["frame"]]
        names: list[str] = []

        def save() -> None:
            ask = {"frame": frames[0], "split": "train", "boxes": [GOOD]}
            names.append(client.post("api/save", ask)[1]["picture"])

        threads = [threading.Thread(target=save) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(names)) == 1
    assert len(read_annotations("voc", tmp_path / "set", ["red", "blue"])) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["labels=a", "every=3", "label=page"], "label=page and every=… exclude each other"),
        (["labels=a", "format=txt", "label=page"], "exclude each other"),
        (["labels=a", "keys=true", "serve=8000"], "serve=… is of label=page"),
        (["labels=a", "label=window", "serve=8000"], "leave it out"),
        (["labels=a", "label=pge"], "did you mean label=page"),
        (["labels=a", "serve=here"], "is not HOST:PORT"),
        (["labels=a", "serve=host:99999"], "is not HOST:PORT"),
        (["labels=a", "threshold=2"], "must be between 0 and 1"),
        (["labels=a", "split=dev"], "split=dev is none of"),
        ([], "labels=… is missing"),
        (["labels=a,A"], "are one class"),
        (["labels=background"], "always label 0"),
        (["labels=a,b\tc"], "is no name of a class"),
    ],
)
def test_wrong_keys_are_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    source = [f"source={tmp_path / 'a.png'}", f"output={tmp_path / 'set'}"]
    with pytest.raises(ConfigError, match=message) as raised:
        program.main([*source, *arguments])
    assert "\n" not in str(raised.value)


def test_addresses() -> None:
    assert parse_serve("8000") == ("127.0.0.1", 8000)
    assert parse_serve("0.0.0.0:0") == ("0.0.0.0", 0)
    assert parse_serve("[::1]:80") == ("::1", 80)
    with PageServer("127.0.0.1", 0, {}) as first:
        assert first.address == f"http://127.0.0.1:{first.port}/{first.token}/"
        assert len(first.token) >= 20
        with PageServer("127.0.0.1", 0, {}) as second:
            assert first.token != second.token
        with pytest.raises(ConfigError, match="cannot be listened on"):
            PageServer("127.0.0.1", first.port, {})
    with pytest.raises(ConfigError, match="cannot be listened on"):
        PageServer("no.such.host.invalid", 0, {})
