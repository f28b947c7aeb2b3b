"""Energy of a run: a figure with its source, or null with its reason; never the end of a run."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Compose
from tlx.training.energy import EnergyMeter
from tlx.training.run import run

needs_codecarbon = pytest.mark.skipif(
    importlib.util.find_spec("codecarbon") is None, reason="needs the extra `energy`"
)


@pytest.fixture
def without_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose processor shows nothing but its load, of a model that nobody has heard of."""
    from codecarbon.core import cpu, hardware_cache, util

    monkeypatch.setattr(cpu, "is_rapl_available", lambda *_: False)
    for module in (cpu, util):
        monkeypatch.setattr(module, "detect_cpu_model", lambda: "Nonesuch 9000")
    monkeypatch.setattr(hardware_cache, "_tdp", None)
    monkeypatch.setattr(hardware_cache, "_plans", {})


def energy_of(compose: Compose, folder: Path) -> dict[str, Any]:
    record = run(compose("freeze=8", "trainer.epochs=1", "logger.predictions=0"), folder)
    assert record["status"] == "finished"
    json.dumps(record, allow_nan=False)
    return dict(record["energy"]) | {"fit_s": record["time"]["fit_s"]}


def test_without_the_package_it_is_null_and_says_what_to_install(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    energy = energy_of(tiny_config, tmp_path)
    assert (energy["joules"], energy["measured"], energy["method"]) == (None, False, "none")
    assert "pip install 'tlx-detect[energy]'" in energy["reason"]


@needs_codecarbon
@pytest.mark.usefixtures("without_counters")
def test_a_stated_power_gives_an_estimate_quietly_and_offline(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    calls = []

    def refuse(*arguments: Any, **_: Any) -> None:
        calls.append(arguments)  # what is raised here may be caught
        raise OSError("no network")

    monkeypatch.setenv("CODECARBON_FORCE_CPU_POWER", "100")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    energy = energy_of(tiny_config, tmp_path / "run")
    # codecarbon takes 10 % to 100 % of the stated 100 W, by load.
    assert 0.5 * 10 * energy["fit_s"] < energy["joules"] < 1.5 * 100 * energy["fit_s"]
    assert energy["measured"] is False
    assert "100 W as CODECARBON_FORCE_CPU_POWER states" in energy["method"]
    assert energy["reason"] is None
    assert not calls
    assert not list((tmp_path / "here").iterdir())
    assert not list((tmp_path / "run").rglob("emissions*"))
    assert "codecarbon" not in "".join(capfd.readouterr())


@needs_codecarbon
@pytest.mark.usefixtures("without_counters")
def test_an_unknown_processor_gives_no_guess(tiny_config: Compose, tmp_path: Path) -> None:
    energy = energy_of(tiny_config, tmp_path)
    assert energy["joules"] is None
    assert "Nonesuch 9000" in energy["reason"]


@needs_codecarbon
def test_a_failure_of_the_package_ends_no_run(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("codecarbon.OfflineEmissionsTracker.__init__", fail)
    energy = energy_of(tiny_config, tmp_path)
    assert energy["joules"] is None
    assert "out of luck" in energy["reason"]


def meter(joules: float | None, now: float, reason: str | None = None) -> dict[str, Any]:
    """The summary of a run of two processes: the first drew `joules`, the second `now`."""
    resumed = EnergyMeter()
    resumed.load_state_dict({"joules": joules, "methods": {"RAPL": True}, "reason": reason})
    resumed._now = now
    resumed._methods["estimate"] = False
    return resumed.summary()


def test_a_resumed_run_adds_up_and_a_gap_stays_a_gap() -> None:
    both = meter(20.0, 5.0)
    assert both == {
        "joules": 25.0, "method": "RAPL; estimate", "measured": False, "reason": None,
    }  # fmt: skip
    gap = meter(None, 5.0, "no codecarbon")
    assert (gap["joules"], gap["reason"]) == (None, "no codecarbon")
