"""`trainer.batch_size=auto`: the rule, what is tried, and that a run keeps what was chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import tlx.training.batch_size as batch_size
from tests.conftest import Compose, tiny_overrides
from tests.helpers_process import run_program
from tests.training.helpers_stop import assert_equal_runs, stop_next_run
from tlx.common.errors import ConfigError
from tlx.config.check import check_config
from tlx.config.identity import fingerprint
from tlx.config.typed import plain
from tlx.training.batch_size import candidates, largest_that_fits
from tlx.training.interrupt import Interrupted
from tlx.training.run import run


@pytest.mark.parametrize(
    ("pictures", "epochs", "accumulate", "largest"),
    [
        (5000, 40, 1, 64),
        (1023, 40, 1, 32),  # 15 batches of 64
        (512, 40, 1, 32),  # 16 batches of 32
        (512, 40, 2, 16),  # as many steps, of two batches
        (512, 3, 1, 4),  # 3 x 64 steps with 8 are too few for a run
        (18, 2, 1, 2),  # whatever it leaves
    ],
)
def test_an_epoch_and_a_run_keep_enough_steps(
    pictures: int, epochs: int, accumulate: int, largest: int
) -> None:
    found = candidates(pictures, epochs, accumulate)
    assert found[0] == 2
    assert found[-1] == largest
    assert found == sorted(found)


def test_nothing_is_tried_that_cannot_be_expected_to_fit() -> None:
    tried: list[int] = []

    def measure(size: int) -> int:
        tried.append(size)
        return 100 + 10 * size

    assert largest_that_fits([2, 4, 8, 16, 32, 64], 500, measure) == 16
    assert tried == [2, 4, 8, 16], "32 is expected to take 520"

    def runs_out(size: int) -> int:
        if size > 8:
            raise torch.cuda.OutOfMemoryError
        return 1

    assert largest_that_fits([2, 4, 8, 16, 32], 500, runs_out) == 8
    assert largest_that_fits([2, 4], 500, lambda size: 501) is None
    assert largest_that_fits([2, 4, 8], 500, lambda size: 400 if size < 8 else 501) == 2


def test_a_step_that_is_tried_takes_more_memory_the_larger_it_is(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured in earnest; a run of so few pictures has one candidate, so more are given."""
    seen: list[tuple[int, int]] = []

    def tell(sizes: Any, budget: int, measure: Any) -> int:
        seen.extend((size, measure(size)) for size in (2, 32))
        return 4

    monkeypatch.setattr(batch_size, "largest_that_fits", tell)
    record = run(tiny_config("trainer.batch_size=auto", "trainer.epochs=1"), tmp_path / "run")
    assert record["batch_size"] == 4
    (_, two), (_, many) = seen
    # 32 pictures of 96 px: 30 more take at least their first map in float32, 32 x 48 x 48.
    assert many - two > 30 * 4 * 32 * 48 * 48


def test_a_run_keeps_what_was_chosen_at_first(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On whatever machine: another measurement must not change its batches."""

    def six(sizes: list[int], budget: int, measure: Any) -> int:
        assert measure(2) > 0  # a step of a copy leaves no trace in the run
        return 6

    monkeypatch.setattr(batch_size, "largest_that_fits", six)
    cfg = tiny_config("freeze=8", "trainer.batch_size=auto", "trainer.checkpoint_minutes=60")
    whole = run(cfg, tmp_path / "whole")
    assert (whole["batch_size"], whole["chosen_batch_size"]) == (6, 6)
    assert whole["config"]["trainer"]["batch_size"] == "auto"
    assert whole["fingerprint"] == fingerprint(plain(cfg))
    named = run(tiny_config("freeze=8", "trainer.batch_size=6"), tmp_path / "named")
    assert named["chosen_batch_size"] is None
    assert named["fingerprint"] != whole["fingerprint"]
    assert_equal_runs(tmp_path / "whole", tmp_path / "named")
    with monkeypatch.context() as patch:
        stop_next_run(patch, 4)
        with pytest.raises(Interrupted):
            run(cfg, tmp_path / "stopped")
    monkeypatch.setattr(batch_size, "largest_that_fits", lambda *_: 2)
    record = run(cfg, tmp_path / "stopped")
    assert record["chosen_batch_size"] == 6
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")


def test_where_nothing_fits_it_is_said(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_size, "SHARE", 0.0)
    with pytest.raises(ConfigError, match=r"trainer.batch_size=auto: a step of 2 pictures takes"):
        run(tiny_config("trainer.batch_size=auto"), tmp_path / "run")


def test_what_is_no_batch_size_is_refused(compose_config: Compose) -> None:
    for wrong in ("0", "2.5", "large", "true", "[8]", "null"):
        with pytest.raises(ConfigError, match=r"trainer.batch_size=.* must be a whole number"):
            check_config(compose_config(f"trainer.batch_size={wrong}"))
    with pytest.raises(ConfigError, match="policy=auto compares depths at one batch size"):
        check_config(compose_config("trainer.batch_size=auto", "policy=auto"))
    check_config(compose_config("trainer.batch_size=auto"))


def test_a_sweep_refuses_it(tiny_set: Path, tmp_path: Path) -> None:
    overrides = [o for o in tiny_overrides(tiny_set, tmp_path) if "batch_size" not in o]
    done = run_program("tlx.train", "-m", "freeze=4,8", "trainer.batch_size=auto", *overrides)
    assert done.returncode == 2
    assert "run the arm that freezes the least with it" in done.stderr
