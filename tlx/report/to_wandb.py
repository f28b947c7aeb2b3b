"""A report in W&B: a run of job type `report` in the study's group."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tlx.common.errors import DataError
from tlx.common.files import read_yaml
from tlx.report.comparison.records import Record
from tlx.wandb.media import artifact_name
from tlx.wandb.service import ServiceError, bounded, finish_run, open_run, staged_in

JOB = "report"
UPLOAD_S = 300.0
_IN_SUMMARY = ("verdict", "warnings", "recommendation", "levels")  # of report.json


def mirror_report(report: Path, paths: Sequence[Path]) -> str:
    """Show a written report in W&B: figures, table and page; returns where it is.

    Project and group are those of the first run. Every call opens a new run in W&B: reports are
    snapshots of a growing study.

    Args:
        report: the report's folder.
        paths: folders of the runs that were compared, or folders that hold those.

    Raises:
        DataError: no run tells its study, or W&B does not take the report, which is complete in
            its folder all the same.
    """
    project, group, mode = _study(paths)
    try:
        run, mode = open_run(
            mode, upload_s=UPLOAD_S, name=f"report-{group}", project=project, group=group,
            job_type=JOB, dir=str(report),
        )  # fmt: skip
        place = run.url if mode == "online" else str(Path(run.dir).parent)
        try:
            with staged_in(report / "wandb"):
                bounded(lambda: _log(run, report, group), UPLOAD_S)
        except ServiceError:
            finish_run(run, 1, UPLOAD_S)
            raise
        finish_run(run, 0, UPLOAD_S)
    except ServiceError as error:
        raise DataError(
            f"Weights & Biases did not take the report ({error}); it is complete in {report}"
        ) from error
    return str(place)


def _study(paths: Sequence[Path]) -> tuple[str, str, str]:
    """Project, group and mode of the first run that has its configuration."""
    for record in (file for path in paths for file in sorted(path.rglob("record.json"))):
        file = record.with_name("config.yaml")
        if file.is_file():
            try:
                stored = read_yaml(file)
            except (OSError, ValueError) as error:
                raise DataError(f"{file} cannot be read: {error}") from error
            cfg = Record(record.parent, stored if isinstance(stored, dict) else {})
            project = cfg.text("logger", "project") or "tlx"
            group = cfg.text("name") or record.parent.parent.name
            return project, group, cfg.text("logger", "mode") or "auto"
    raise DataError("no run folder has a config.yaml, which names the study in Weights & Biases")


def _log(run: Any, report: Path, group: str) -> None:
    import wandb

    # W&B's own files lie in the report's folder too.
    files = [p for p in sorted(report.rglob("*")) if p.is_file()]
    files = [p for p in files if p.relative_to(report).parts[0] not in ("wandb", "runs")]
    figures = {f"figures/{p.stem}": wandb.Image(str(p)) for p in files if p.suffix == ".png"}
    if figures:
        run.log(figures)
    written = json.loads((report / "report.json").read_text(encoding="utf-8"))
    columns, rows = flat_table(written.get("rows", []))
    run.log({"comparison": wandb.Table(columns=[*columns], data=rows, allow_mixed_types=True)})
    page = report / "index.html"
    if page.is_file():
        run.log({"page": wandb.Html(page.read_text(encoding="utf-8"), inject=False)})
    run.summary.update({key: written[key] for key in _IN_SUMMARY if key in written})
    artifact = wandb.Artifact(artifact_name(f"report-{group}"), "report")
    for path in files:
        artifact.add_file(str(path), path.relative_to(report).as_posix(), skip_cache=True)
    run.log_artifact(artifact)


def flat_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of scalars: nested names are joined by dots, lists become text."""
    flat = [dict(_flatten(row)) for row in rows]
    columns = list(dict.fromkeys(key for row in flat for key in row))
    return columns, [[row.get(column) for column in columns] for row in flat]


def _flatten(value: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        inner = [(f"{name}.{key}" if name else str(key), item) for key, item in value.items()]
        return [pair for key, item in inner for pair in _flatten(item, key)]
    scalar = value is None or isinstance(value, str | int | float)
    return [(name, value if scalar else json.dumps(value))]
