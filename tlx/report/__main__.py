"""tlx.report: compare finished runs, and say what the evidence supports.

Usage
  python -m tlx.report RUNS... [KEY=VALUE ...]
  python -m tlx.report from_wandb=SOURCE output=DIR [KEY=VALUE ...]

Runs that differ in nothing but the seed form one arm; an arm's figures are the mean and the range
(smallest to largest) over its seeds. Failed, interrupted and running runs are listed, not counted.
Detectors are judged by mAP, classifiers by accuracy and macro F1; of a mixture the task that most
runs have is compared.

  RUNS             run folders (with a record.json), or folders with run folders at any depth
  from_wandb       read the runs from Weights & Biases instead: a folder with files of offline runs,
                   ENTITY/PROJECT or ENTITY/PROJECT/GROUP; their folders are written to DIR/runs
  to_wandb         true: show the report in Weights & Biases too, in the group of the study
  keep             true: what the report is made from is copied to output/runs too (some hundred kB
                   a run, without paths of this machine), which makes the same report anywhere
  output           folder of the report (default: the folder `report` inside the first of RUNS)
  map_level        validation mAP@.5 (of classifiers: accuracy; 0 to 1) that arms are timed to
                   (default: the lowest best of the runs that learned from pretrained weights)
  level            the same
  loss_level       training loss, smoothed over an epoch, that arms are timed to (default: the
                   highest of the runs' last, which every run reaches)
  benchmark        a JSON file with latencies on a device by policy, for the chart of mAP against
                   latency: rows like {"policy": "freeze=4", "latency_ms": 23.4, "device": "Pi 5"},
                   or what tools/jetson_benchmark.py --output wrote on a Jetson (docs/report.md)

What you can afford; the report names the cheapest arm that keeps to it:

  train_minutes    longest training, with its validations
  memory_gb        largest peak memory of training (10⁹ bytes)
  latency_ms       longest time for a picture; see benchmark
  accept_map_loss  loss of test mAP@.5 (of classifiers: accuracy) against the best arm that you
                   accept (default 0.02)
  accept_loss      the same

Every key may be written --key VALUE too.

Examples
  python -m tlx.report runs/my-sweep
  python -m tlx.report runs/none runs/freeze-8 output=reports/none-or-8
  python -m tlx.report runs/my-sweep map_level=0.6
  python -m tlx.report runs/my-sweep train_minutes=20 accept_map_loss=0.01
  python -m tlx.report from_wandb=my-team/tlx/my-sweep output=reports/my-sweep

Written to the output folder (an earlier report there is replaced):
  index.html    the report to read: one page that needs no network and no other file
  report.md     verdict in words, warnings, table, plots, figures by class, environment
  report.json   the rows of the table, the tests, and the points of every plot, unrounded
  report.csv    one row a run, all scalar figures
  *.png, *.svg  loss and mAP against time, step time by parts, memory, test mAP against training
                time (and latency), trials of tuned rates, freeze=4 against freeze=8, best
                against worst arm, classes (of classifiers: accuracy, F1 by class, confusion)

Exit code 0: a report was written; 2: there was nothing to report, an argument was wrong, or
Weights & Biases did not take the report.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from tlx.common.cli import Options
from tlx.common.console import stdout_console
from tlx.common.errors import TlxError
from tlx.report.build import PAGE, advise, read_comparison, write_report
from tlx.report.comparison.candidates import Limits
from tlx.report.from_wandb import fetch
from tlx.report.keep import KEPT, keep_runs
from tlx.report.show import show
from tlx.report.to_wandb import mirror_report


def parser() -> Options:
    """The command line of `python -m tlx.report`; the text above says what each key is."""
    found = Options("python -m tlx.report", __doc__)
    found.add_argument("runs", nargs="*", type=Path)
    found.add_argument("--from-wandb")
    found.add_argument("--to-wandb", action="store_true")
    found.add_argument("--keep", action="store_true")
    found.add_argument("--output", type=Path)
    found.add_argument("--map-level", "--level", dest="main_level", type=float)
    found.add_argument("--loss-level", type=float)
    found.add_argument("--benchmark", type=Path)
    found.add_argument("--train-minutes", type=float)
    found.add_argument("--memory-gb", type=float)
    found.add_argument("--latency-ms", type=float)
    found.add_argument(
        "--accept-map-loss", "--accept-loss", dest="accepted_loss", type=float,
        default=Limits.accepted_loss,
    )  # fmt: skip
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    command = parser()
    given = command.parse_args(arguments)
    if given.from_wandb is None and not given.runs:
        command.error("give RUNS, or from_wandb=SOURCE output=DIR")
    if given.from_wandb is not None and (given.runs or given.output is None):
        command.error("from_wandb=… takes no RUNS, and needs output=DIR")
    output = given.output or given.runs[0] / "report"
    left_out: list[str] = []
    try:
        if given.from_wandb is not None:
            folder, left_out = fetch(given.from_wandb, output)
            given.runs = [folder]
        elif given.keep:
            left_out = keep_runs(given.runs, output)
            given.runs = [output / KEPT]  # the report is of the copies, so that they make it again
        limits = Limits(given.train_minutes, given.memory_gb, given.latency_ms, given.accepted_loss)
        comparison = read_comparison(
            given.runs,
            main_level=given.main_level,
            loss_level=given.loss_level,
            benchmark=given.benchmark,
        )
        report = write_report(
            comparison, given.runs, output, benchmark=given.benchmark, limits=limits
        )
    except TlxError as error:
        print(f"tlx.report: {error}", file=sys.stderr)
        return 2
    show(comparison, advise(comparison, given.benchmark, limits))
    console = stdout_console()
    for warning in left_out:
        console.print(Text(f"warning: {warning}", style="yellow"))
    console.print(Text(f"report: {report.with_name(PAGE)}"), soft_wrap=True)
    if given.to_wandb:
        try:
            place = mirror_report(output, given.runs)
        except TlxError as error:
            print(f"tlx.report: {error}", file=sys.stderr)
            return 2
        console.print(Text(f"Weights & Biases: {place}"), soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
