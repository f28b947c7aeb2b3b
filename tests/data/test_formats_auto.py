"""`data.root=FOLDER` is enough: without a word of the format the files say which it is."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.data.helpers_data_check import devkit, exit_code
from tests.data.helpers_tools import TOOLS
from tlx.common.errors import DataError
from tlx.config.composition import composed
from tlx.config.schema import DataConfig
from tlx.data.formats import find_format, read_annotations
from tlx.data.formats.registry import READERS, SIGNS
from tlx.data.formats.sniff import MOST_READ
from tlx.data.module import build_data


@pytest.mark.parametrize(
    ("overrides", "name", "format"),
    [
        (["data.root=/d"], "auto", "auto"),
        (["data.root=/d", "data.format=voc"], "auto", "voc"),
        (["data=sample", "data.root=/d"], "sample", "sample"),
        (["data=guns", "data.root=/d"], "guns", "txt"),
        (["data.root=/d", "data=voc"], "voc", "voc"),
        (["experiment=published_guns", "data.root=/d"], "guns", "txt"),
        (["experiment=freeze_study", "data.root=/d"], "auto", "auto"),
        (["data.root=null"], "sample", "sample"),
        ([], "sample", "sample"),
    ],
)
def test_a_folder_alone_means_auto(overrides: list[str], name: str, format: str) -> None:
    cfg = composed(overrides)
    assert (cfg.data.name, cfg.data.format) == (name, format)


def test_an_experiment_of_ones_own_that_chooses_the_data_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    head = "# @package _global_\ndefaults:\n  - override /"
    (folder / "mine.yaml").write_text(f"{head}data: voc\n")
    (folder / "other.yaml").write_text(f"{head}backbone: mobilenet_v1\n")
    for experiment, name in (("mine", "voc"), ("other", "auto")):
        cfg = composed([f"experiment={experiment}", "data.root=/d"], tmp_path)
        assert cfg.data.name == name


def test_a_classification_has_folders_and_no_format() -> None:
    assert composed(["task=classify", "data.root=/d/birds"]).data.name == "birds"


def test_the_layout_is_said_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    TOOLS["cvat"][1](tmp_path / "set")
    cfg = DataConfig(name="auto", format="auto", root=str(tmp_path / "set"))
    cfg.group_near_duplicates = False
    with caplog.at_level(logging.INFO, "tlx.data.module"), pytest.raises(DataError):
        build_data(cfg, tmp_path / "cache")  # two pictures cannot be cut
    said = [
        record.getMessage() for record in caplog.records if "is read as" in record.msg % record.args
    ]
    assert said == [f"{tmp_path / 'set'} is read as cvat: {SIGNS['cvat'].words}"]


def test_several_formats_are_shown_with_a_file_of_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    devkit(tmp_path)
    for tool in ("cvat", "kitti"):
        TOOLS[tool][1](tmp_path)
    assert exit_code("check", f"data.root={tmp_path}", f"output={tmp_path / 'out'}") == 2
    said = capsys.readouterr().err
    told = ("3 formats", "voc (Annotations/img 00.xml, …)", "cvat (annotations.xml)",
            "kitti (training/label_2/a b.txt, …)", "data.format=")  # fmt: skip
    assert all(words in said for words in told), said


def test_every_reader_states_a_sign() -> None:
    assert {*SIGNS} == {name for name in READERS if name != "table"}  # of a plug-in's test
    assert all(sign.words and sign.endings for sign in SIGNS.values())


@pytest.mark.parametrize("tool", TOOLS)
def test_no_sign_is_that_of_two_formats(tool: str, tmp_path: Path) -> None:
    format, write = TOOLS[tool]
    write(tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            fits = [n for n, s in SIGNS.items() if path.suffix in s.endings and s.fits(content)]
            assert fits in ([], [format]), path
    assert find_format("auto", tmp_path) == format


def test_negatives_that_come_first_do_not_hide_the_boxes(tmp_path: Path) -> None:
    for number in range(MOST_READ + 1):
        (tmp_path / f"a{number}.txt").write_bytes(b"")
    (tmp_path / "b.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    assert find_format("auto", tmp_path) == "yolo"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_text_of_utf_16_is_known_and_its_reader_says_what_it_needs(
    tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "b.txt").write_bytes("\ufeff0 0.5 0.5 0.2 0.2\r\n".encode(encoding))
    assert find_format("auto", tmp_path) == "yolo"
    with pytest.raises(DataError, match=r"b\.txt: not UTF-8 text .*save it as UTF-8"):
        read_annotations("yolo", tmp_path, None)
