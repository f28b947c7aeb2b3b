"""`policy=auto`: short runs at several depths, the better half of them longer, then the run.

A sweeper of Optuna's or Ax's would not be simpler: their trials do not come in paired seeds, and
Hydra's plugin for Optuna has no pruning and holds Optuna below 3.
"""

from __future__ import annotations

import copy
import logging
import math
from pathlib import Path
from typing import Any

from tlx.common.errors import DivergenceError
from tlx.common.files import write_json, write_text
from tlx.common.lock import run_lock
from tlx.config.check import make_policy
from tlx.config.identity import fingerprint, run_label
from tlx.config.schema import RunConfig
from tlx.config.typed import plain, to_yaml
from tlx.freeze.depth import freeze_label
from tlx.freeze.policies.auto import Auto
from tlx.models.blocks import saved_passes
from tlx.records.learned import floor
from tlx.records.pilot import PILOT, read_decision
from tlx.records.quality import quality_of
from tlx.records.record import Record, new_record
from tlx.study.decision import Rung, decide
from tlx.study.short_run import diverged, fit_seconds, shared_dataset, short_run, shortened
from tlx.training.check import check_run
from tlx.training.run import run

log = logging.getLogger(__name__)

FOLDER = "pilot"
_SHARE = 20  # the first rung's epochs: this part of the run's
_IN_VAIN = 4  # no more than this part of the run's epochs are spent on runs that find nothing


def start(cfg: RunConfig, run_dir: Path) -> Record:
    """Run a configuration in `run_dir`; with `policy=auto` let a pilot choose the depth first."""
    if cfg.policy["name"] == "auto":
        check_run(cfg)
        cfg = at_depth(cfg, pilot(cfg, run_dir)["choice"])
    return run(cfg, run_dir)


def at_depth(cfg: RunConfig, depth: Any) -> RunConfig:
    """The same configuration with a fixed depth."""
    fixed = copy.deepcopy(cfg)
    fixed.policy = {"name": "fixed"}
    fixed.freeze = depth
    return fixed


def pilot(cfg: RunConfig, run_dir: Path) -> dict[str, Any]:
    """Find a depth with runs below `run_dir/pilot`; the decision and its numbers (`pilot.json`).

    Finished pilot runs are not repeated and a decision stands, so that a kill costs little. The
    test split is left alone.

    Raises:
        BusyError: another process is working in the folder.
        ConfigError: a depth that cannot be run.
        Interrupted: a stop was asked for.
        TlxError: a pilot run failed (a loss that diverges is no failure but a bad depth).
    """
    policy = make_policy(cfg)
    assert isinstance(policy, Auto)
    seeds = [cfg.seed + i for i in range(policy.seeds)]
    # The deeper one is taken for its cheaper steps, so a set counts by what it saves.
    depths = sorted(
        policy.depths, key=lambda depth: saved_passes(check_run(at_depth(cfg, depth))[0].frozen)
    )
    remaining = {freeze_label(depth): depth for depth in depths}
    with run_lock(run_dir):
        known = read_decision(run_dir)
        if known is not None and known.get("fingerprint") == fingerprint(plain(cfg)):
            return known
        write_text(run_dir / "config.yaml", to_yaml(cfg))
        epochs = policy.epochs or math.ceil(cfg.trainer.epochs / _SHARE)
        rungs: list[Rung] = []
        runs: list[Record] = []
        while True:
            rung, climbed = _climb(cfg, run_dir / FOLDER, remaining, seeds, epochs)
            rungs.append(rung)
            runs += climbed
            # Scores of nothing would put depths out by chance: all of them go on.
            kept = rung.better_half() if rung.learned else rung.sound()
            if len(kept) < 2 or (rung.learned and len(remaining) <= 2):
                break
            if not rung.learned and 2 * epochs > cfg.trainer.epochs / _IN_VAIN:
                break
            remaining = {label: remaining[label] for label in kept}
            epochs *= 2
        decision = {
            "version": 1,
            "fingerprint": fingerprint(plain(cfg)),
            **decide(rungs).as_dict(),
            "seeds": seeds,
            "seconds": sum(fit_seconds(record) for record in runs),
            "dataset": shared_dataset(
                [record.get("dataset") for record in runs], run_dir / FOLDER, "pilot"
            ),
            "rungs": [{"epochs": rung.epochs, "scores": rung.scores} for rung in rungs],
        }
        write_json(run_dir / PILOT, decision)
    log.info("pilot: %s", decision["words"])
    return decision


def _climb(
    cfg: RunConfig, folder: Path, depths: dict[str, Any], seeds: list[int], epochs: int
) -> tuple[Rung, list[Record]]:
    """Run every depth with every seed; the scores, and the records behind them."""
    scores: dict[str, list[float | None]] = {label: [] for label in depths}
    records: list[Record] = []
    count = 0
    quality = quality_of(new_record(plain(cfg)))
    for seed in seeds:
        for label, depth in depths.items():
            count += 1
            job = shortened(at_depth(cfg, depth), seed, epochs)
            target = folder / run_label(plain(job))
            log.info(
                "pilot run %d of %d at %d epochs: freeze=%s seed=%d",
                count, len(depths) * len(seeds), epochs, label, seed,
            )  # fmt: skip
            record = short_run(job, target, quality.pilot, "pilot run")
            scores[label].append(
                None if diverged(record) else float(record["best"][quality.pilot.key])
            )
            records.append(record)
    known = {label: [s for s in row if s is not None] for label, row in scores.items()}
    score = quality.pilot.name
    rung = Rung(
        epochs, {k: row if len(row) == len(seeds) else None for k, row in known.items()},
        floor(records[0]), score,
    )  # fmt: skip
    if not rung.ranking():
        raise DivergenceError(
            f"the loss diverged at every depth ({', '.join(depths)}): lower trainer.base_lr and "
            "trainer.head_lr, or set trainer.clip_norm"
        )
    for label, row in rung.scores.items():
        told = "diverged" if row is None else " ".join(f"{score:.3f}" for score in row)
        log.info("pilot: freeze=%s val %s %s", label, score, told)
    return rung, records
