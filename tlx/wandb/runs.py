"""A run as W&B knows it, and one run out of the files that its processes left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tlx.wandb.media import PICTURES

INTEGERS = ("step", "epoch")
TABLE = "table-file"  # the `_type` of a table


@dataclass
class MirroredRun:
    """What W&B holds of one run.

    Attributes:
        project, group, name, job_type, tags: as given when the run was opened.
        started: when its last process began, ISO 8601, UTC; None where W&B does not know.
        config: the resolved configuration.
        rows: W&B's history rows that have a `step`, in the order in which they were logged.
        summary: the record without its series.
        images: pictures with boxes. tables: key -> {"columns": [...], "data": [[...], ...]}.
        exit_code: None while it runs, or where it was killed.
        sources: the files or the address it was read from, oldest first.
    """

    id: str
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    name: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    started: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    images: int = 0
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    exit_code: int | None = None
    sources: list[str] = field(default_factory=list)

    def add_history(self, item: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Take in one row of W&B's history, and give its media back."""
        plain, media = split_media(item)
        if PICTURES in media:
            self.images += int(media[PICTURES].get("count", 1))
        known = {key: value for key, value in plain.items() if value is not None}
        if "step" in known:
            self.rows.append({k: int(v) if k in INTEGERS else float(v) for k, v in known.items()})
        return media


def split_media(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What W&B holds under names that are ours: plain values, and media as objects with a `_type`.

    The service gives media as objects, a file spreads them over keys `NAME._type`, `NAME.path`.
    """
    plain: dict[str, Any] = {}
    media: dict[str, dict[str, Any]] = {
        key.removesuffix("._type"): {} for key in values if key.endswith("._type")
    }
    for key, value in values.items():
        name = next((name for name in media if key.startswith(f"{name}.")), None)
        if name is not None:
            media[name][key.removeprefix(f"{name}.")] = value
        elif isinstance(value, Mapping) and "_type" in value:
            media[key] = dict(value)
        elif not key.startswith("_"):  # those are W&B's own
            plain[key] = value
    return plain, media


def is_validation(row: Mapping[str, Any]) -> bool:
    """Whether a row is a validation's; else it is a training step's."""
    return "loss" not in row


def merge(parts: Iterable[MirroredRun]) -> MirroredRun:
    """One run out of the parts that its processes left, oldest first.

    Every process mirrors the course from its beginning, so the newest row of a step is the one that
    counts; what an older part alone has (its successor was killed early) is kept.
    """
    first, *later = parts
    merged = first
    for part in later:
        rows = {(row["step"], is_validation(row)): row for row in (*merged.rows, *part.rows)}
        merged = MirroredRun(
            id=part.id,
            project=part.project,
            entity=part.entity,
            group=part.group,
            name=part.name,
            job_type=part.job_type,
            tags=part.tags,
            started=part.started,
            config=part.config or merged.config,
            rows=[rows[key] for key in sorted(rows)],
            summary=part.summary or merged.summary,
            images=part.images or merged.images,
            tables=merged.tables | part.tables,
            exit_code=part.exit_code,
            sources=merged.sources + part.sources,
        )
    return merged
