"""What was found, as rows to read, as values, and as things to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Todo:
    """Something to install or to do; `required`: nothing works before."""

    what: str
    required: bool = False


@dataclass
class Section:
    """What was found about one thing.

    Attributes:
        key: its name in the JSON object; title: on the console.
        rows: a name and what is told of it.
        facts: the same as plain values.
    """

    key: str
    title: str
    rows: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    todo: list[Todo] = field(default_factory=list)


def todo_of(sections: list[Section]) -> list[Todo]:
    """Everything to do, what is required first, nothing twice."""
    found = list(dict.fromkeys(todo for section in sections for todo in section.todo))
    return sorted(found, key=lambda todo: not todo.required)


def as_text(sections: list[Section]) -> str:
    """The sections, and at the end what to do."""
    lines = []
    for section in sections:
        wide = max((len(name) for name, _ in section.rows), default=0)
        lines.append(section.title)
        lines += [f"  {name:{wide}}  {told}".rstrip() for name, told in section.rows]
        lines.append("")
    todo = todo_of(sections)
    if not todo:
        return "\n".join([*lines, "All is well."])
    lines.append("To do")
    for number, each in enumerate(todo, 1):
        lines.append(f"  {number}. {each.what}{' (required)' if each.required else ''}")
    return "\n".join(lines)


def as_dict(sections: list[Section]) -> dict[str, Any]:
    """The same as one object of plain values."""
    todo = todo_of(sections)
    return {
        **{section.key: section.facts for section in sections},
        "todo": [{"what": each.what, "required": each.required} for each in todo],
        "well": not todo,
    }


def size(count: float) -> str:
    """Bytes in words: `3.2 GB`, of 10⁹ bytes."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
