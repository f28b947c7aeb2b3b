"""Where an unfinished run goes on: the newest of its checkpoints that is whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tlx.common.errors import ConfigError, TlxError, WeightsError, first_line
from tlx.common.version import __version__
from tlx.config.identity import fingerprint
from tlx.data.dataset import Batch, EpochBatches
from tlx.models.backbones.base import Conventions
from tlx.models.backbones.weights import own_meta, read_torch
from tlx.records.digest import BEST, LAST
from tlx.records.record import Record, now

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resume:
    """A checkpoint to continue from.

    Attributes:
        path: the file. step: optimizer steps behind it. meta: what it says of itself.
    """

    path: Path
    step: int
    meta: dict[str, Any]

    def note(self, record: Record, workers: int) -> None:
        """Tell the record when, where and by which version the run went on.

        Versions before 0.2.0 wrote no such note, and with loader processes (`trainer.workers`, 1
        by default) they went on with the batches of the run's beginning.
        """
        record["resumes"] += 1
        record["resumed"].append(
            {
                "at": now(),
                "checkpoint": self.path.name,
                "step": self.step,
                "workers": workers,
                "tlx": __version__,
            }
        )

    def check_start(
        self, begun: Mapping[str, Any] | None, today: Mapping[str, Any], conventions: Conventions
    ) -> None:
        """Refuse to go on where the run would be built from other weights than it was begun from.

        Its tensors are restored, but the conventions are those of the start; and what is cached of
        frozen blocks is stored under the start's.

        Args:
            begun: `weights` of the record that the run had; None where that is lost.

        Raises:
            ConfigError: file or conventions have changed.
        """
        then = begun["sha256"] if begun else today["sha256"]
        stored = asdict(Conventions(**self.meta["conventions"]))
        changed = [k for k, v in asdict(conventions).items() if _plain(stored[k]) != _plain(v)]
        if changed or then != today["sha256"]:
            raise ConfigError(
                f"{self.path} was begun from other weights than {today['source']} holds today "
                f"(sha256 {str(then)[:8]}…, now {str(today['sha256'])[:8]}…): bring that file "
                "back, where nothing writes to it, or train under another name (name=…), or "
                f"delete {self.path.parent} to start anew"
            )

    def check_order(self, batches: EpochBatches) -> None:
        """Refuse to go on where the epochs so far were dealt out in other batches.

        Earlier versions left out what did not fill a batch, however much of a small set it was.

        Raises:
            ConfigError: the number of batches has changed since the run was begun.
        """
        dealt = self.meta.get("batches_per_epoch", batches.count // batches.batch_size)
        if dealt != len(batches):
            raise ConfigError(
                f"{self.path} was begun with {dealt} batches an epoch, and now the "
                f"{batches.count} pictures are dealt out in {len(batches)}: delete "
                f"{self.path.parent} to start the run anew"
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def find_resume(folder: Path, of: str) -> Resume | None:
    """The state of `last.ckpt`, or of `best.ckpt` where that is damaged; None where is none.

    Args:
        folder: a run's folder of checkpoints.
        of: fingerprint of the configuration that is to go on.

    Raises:
        WeightsError: there are checkpoints, and each of them is damaged.
        ConfigError: they belong to a run of another configuration.
    """
    faults: list[WeightsError] = []
    for name in (LAST, BEST):
        path = folder / name
        if not path.exists():
            continue
        try:
            found = _read(path)
        except WeightsError as error:
            faults.append(error)
            continue
        if _fingerprint(found) != of:
            raise ConfigError(
                f"{path} belongs to a run of another configuration: give this one a folder of its "
                f"own, or delete {folder} to start anew in it"
            )
        if faults:
            log.warning(
                "%s. Continuing from %s, after step %d, instead: what came behind it is trained "
                "again",
                faults[0], path, found.step,
            )  # fmt: skip
        return found
    if not faults:
        return None
    told = "; ".join(map(str, faults))
    raise WeightsError(f"{told}. To start this run anew, delete the folder {folder}")


def _fingerprint(found: Resume) -> str | None:
    """Of the run that the checkpoint belongs to; None where its configuration is another task's."""
    try:
        return fingerprint(OmegaConf.create(found.meta["config"]))
    except (OmegaConfBaseException, KeyError, TypeError, AttributeError):
        return None


def _read(path: Path) -> Resume:
    content = read_torch(path)
    meta = own_meta(content, path)
    step = content.get("global_step")
    if not isinstance(step, int) or step < 0:
        raise WeightsError(f"{path} is no checkpoint that training can continue from")
    return Resume(path, step, meta)


class Restored(pl.Callback):
    """Whether the state of a checkpoint has carried a first step."""

    def __init__(self, resume: Resume | None) -> None:
        self.resume, self.done = resume, False

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """The state fits the run: what fails from here on has other reasons."""
        self.done = True

    def explain(self, error: Exception) -> None:
        """Raise `WeightsError` for what Lightning says of a state that it cannot take over."""
        if self.resume is None or self.done or isinstance(error, (TlxError, OSError)):
            return
        log.debug("the state of %s", self.resume.path, exc_info=error)
        raise WeightsError(
            f"{self.resume.path} cannot be continued from ({type(error).__name__}: "
            f"{first_line(error)}): delete it to go on from {BEST}, where there is one"
        ) from error


class ExpectedBatches(pl.Callback):
    """Stop a training that is given other pictures than its order says.

    What the order was asked and what a step gets are far apart (loader processes, Lightning's own
    bookkeeping, a checkpoint), and a wrong batch is seen in no figure.
    """

    def __init__(self, batches: EpochBatches) -> None:
        self.batches = batches

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Compare the batch of every step."""
        step = trainer.global_step
        number = self.batches.first_of(step) + batch_idx % self.batches.accumulate
        expected = self.batches.at(number)
        if batch.keys != expected:
            raise RuntimeError(
                f"step {step + 1} was given the pictures {batch.keys[:4]}… (epoch, index), and not "
                f"{expected[:4]}…: the loader and the checkpoint disagree; please report this"
            )
