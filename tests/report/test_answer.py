"""The tables of the answer are those that the committed studies make."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

ANSWER = runpy.run_path(str(Path(__file__).parents[2] / "experiments" / "answer.py"))


@pytest.mark.parametrize("page", ANSWER["PAGES"], ids=lambda page: str(page.parent.name))
def test_its_tables_are_those_of_the_studies(page: Path) -> None:
    assert "<!-- study " in page.read_text()
    assert ANSWER["filled"](page) == page.read_text(), "run: python experiments/answer.py"


@pytest.mark.parametrize("page", ANSWER["PAGES"], ids=lambda page: page.name)
def test_each_figure_is_linked_to_a_record_that_is_there(page: Path) -> None:
    links = [part.split(")")[0] for part in page.read_text().split("](")[1:]]
    records = [link for link in links if link.endswith("record.json")]
    assert len(records) >= 4
    assert all((page.parent / record).is_file() for record in records)


def test_what_was_exported_is_the_run_that_was_trained() -> None:
    study = ANSWER["EXPERIMENTS"] / "plates_transfer"
    made_from = {
        json.loads(path.read_text())["checkpoint_sha256"]
        for path in study.glob("exports/*/model.json")
    }
    runs = (ANSWER["EXPERIMENTS"] / "detector_start" / "runs" / "sample").glob("*/record.json")
    trained = {json.loads(path.read_text())["checkpoint"]["sha256"] for path in runs}
    assert len(made_from) == 1
    assert made_from <= trained
