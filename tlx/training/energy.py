"""Energy of training: counters, or codecarbon's stated estimate; no number without a source.

codecarbon runs offline in this process: it sends nothing, writes nothing and prints nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch

from tlx.common.packages import pip_install

log = logging.getLogger(__name__)

_JOULES = 3.6e6  # in a kWh
_EVERY = 15  # seconds between readings; RAPL's counters wrap after minutes at the earliest
# codecarbon's names of the ways to read a processor -> ours.
_COUNTERS = {
    "intel_rapl": "RAPL",
    "windows_emi": "Windows energy meter",
    "intel_power_gadget": "Intel Power Gadget",
}


class _Unreadable(Exception):
    """There is no figure; the message is the record's reason."""


class _Tracker:
    """A codecarbon tracker that keeps what the processor and the GPU in use have drawn, joules."""

    def __init__(self, device: torch.device) -> None:
        try:
            from codecarbon import OfflineEmissionsTracker
            from codecarbon.output import BaseOutput
        except ImportError as error:
            raise _Unreadable(f"no codecarbon: {pip_install('energy')}") from error
        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it speaks while it starts
        on_gpu = device.type == "cuda"
        tracker = self
        self.kwh = 0.0

        class Totals(BaseOutput):
            """Memory is left out: codecarbon guesses its power from its size."""

            def out(self, total: Any, delta: Any) -> None:
                tracker.kwh = total.cpu_energy + (total.gpu_energy if on_gpu else 0.0)

        self._tracker = OfflineEmissionsTracker(
            country_iso_code="FRA",  # for emissions only, which are not recorded
            tracking_mode="machine",
            measure_power_secs=_EVERY,
            output_methods=[],
            output_handlers=[Totals()],
            emissions_endpoint=None,
            electricitymaps_api_token=None,
            gpu_ids=[_uuid(device)] if on_gpu else None,
            log_level="critical",
            allow_multiple_runs=True,  # no lock file
            pue=1.0,
        )
        self._tracker.start()
        try:
            self.method, self.measured = _method(self._tracker, on_gpu)
        except BaseException:
            self.stop()
            raise

    def joules(self) -> float:
        """Drawn since the start."""
        self._tracker.flush()
        if not self.kwh > 0:
            raise _Unreadable(f"{self.method}: the reading does not move")
        return float(self.kwh * _JOULES)

    def stop(self) -> None:
        """End its thread."""
        self._tracker.stop()


def _uuid(device: torch.device) -> str:
    """The name of a GPU that NVML knows it by, whatever CUDA_VISIBLE_DEVICES hides."""
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"


def _method(tracker: Any, on_gpu: bool) -> tuple[str, bool]:
    """How the tracker reads the devices, and whether all of them have counters."""
    parts = {type(part).__name__: part for part in tracker._hardware}
    if on_gpu and not ("GPU" in parts and parts["GPU"]._get_gpu_ids()):
        raise _Unreadable("codecarbon cannot read this GPU")
    gpu = " + NVML" if on_gpu else ""
    if (processor := parts.get("CPU")) is None:
        for name in ("AppleSiliconChip", "Raspberry"):
            if name in parts:
                return f"{name}{gpu}", True
        raise _Unreadable("codecarbon found no processor to read")
    if counter := _COUNTERS.get(processor._mode):
        return f"{counter}{gpu}", True
    if processor._mode != "cpu_load":
        raise _Unreadable("codecarbon can tell neither the power nor the load of this processor")
    if tracker._force_cpu_power is not None:
        power = f"{processor._tdp:.0f} W as CODECARBON_FORCE_CPU_POWER states"
    else:
        power = f"{processor._tdp:.0f} W of the {_known(processor._model)}"
    return f"estimate: load of the machine × {power}{gpu}", False


def _known(model: str) -> str:
    """The model of a processor, where codecarbon's list has it; it guesses where it has not."""
    from codecarbon.core import cpu, hardware_cache

    if hardware_cache.get_cached_tdp(cpu)._get_cpu_power_from_registry(model) is None:
        raise _Unreadable(
            f"no counter can be read, and codecarbon does not know the power of '{model}'; "
            "CODECARBON_FORCE_CPU_POWER=WATTS states it"
        )
    return model


class EnergyMeter(pl.Callback):
    """Energy of fit, over all processes of a run; whatever goes wrong becomes a reason."""

    def __init__(self) -> None:
        self._before: float | None = 0.0  # joules of earlier processes; None: one had no reading
        self._methods: dict[str, bool] = {}  # method -> measured
        self._reason: str | None = None
        self._tracker: _Tracker | None = None
        self._now = 0.0  # joules of this process

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start to read."""
        self._try(lambda: self._open(pl_module.device))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read for the last time."""
        self._read()
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Stop reading."""
        self._close()

    def state_dict(self) -> dict[str, Any]:
        """The energy so far: a resumed run goes on from the checkpoint's, as its times do."""
        self._read()
        return {"joules": self._total(), "methods": self._methods, "reason": self._reason}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take an earlier process's energy over."""
        self._before = state_dict["joules"]
        self._methods = dict(state_dict["methods"])
        self._reason = state_dict["reason"]

    def summary(self) -> dict[str, Any]:
        """`record["energy"]`."""
        joules = self._total()
        return {
            "joules": joules,
            "method": "; ".join(self._methods) or "none",
            "measured": joules is not None and all(self._methods.values()),
            "reason": None if joules is not None else self._reason,
        }

    def _total(self) -> float | None:
        return None if self._reason or self._before is None else self._before + self._now

    def _open(self, device: torch.device) -> None:
        self._tracker = _Tracker(device)
        self._methods[self._tracker.method] = self._tracker.measured

    def _read(self) -> None:
        if (tracker := self._tracker) is not None:

            def read() -> None:
                self._now = tracker.joules()

            self._try(read)

    def _close(self) -> None:
        if self._tracker is not None:
            self._try(self._tracker.stop)
        self._tracker = None

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except _Unreadable as error:
            self._reason = self._reason or str(error)
        except Exception as error:  # whatever a package may raise: no run ends for a side figure
            log.debug("no energy", exc_info=True)
            self._reason = self._reason or f"codecarbon failed: {type(error).__name__}: {error}"
