"""Short runs: what is said where one has not finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Compose
from tlx.common.errors import TlxError
from tlx.study import short_run


def test_one_that_was_killed_says_how_to_go_on(
    tmp_path: Path, compose_config: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = {"status": "failed", "error": {"message": "the process was killed by SIGKILL"}}
    monkeypatch.setattr(short_run, "attempt", lambda *_: None)
    monkeypatch.setattr(short_run, "read_record", lambda _: killed)
    with pytest.raises(TlxError, match=r"trial .*killed by SIGKILL; the same command again goes"):
        short_run.short_run(compose_config("freeze=4"), tmp_path, None, "trial")  # type: ignore[arg-type]
