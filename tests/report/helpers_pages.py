"""Read the page of a report as a browser would: tables, headings, pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "source", "link", "br"}


@dataclass
class Page(HTMLParser):
    """Tables by id (rows of cells, each its lines of text), headings, tags with attributes."""

    tables: dict[str, list[list[list[str]]]] = field(default_factory=dict)
    headings: list[tuple[int, str]] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: dict[str, str] = field(default_factory=dict)
    open: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.tags.append((tag, known))
        if tag == "table":
            self.tables[known["id"]] = []
        elif tag == "tr":
            next(reversed(self.tables.values())).append([])
        elif tag in ("td", "th"):
            next(reversed(self.tables.values()))[-1].append([""])
        elif tag == "small" and any(name in ("td", "th") for name, _ in self.open):
            next(reversed(self.tables.values()))[-1][-1].append("")
        elif tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((int(tag[1]), ""))
        if tag not in VOID and not self._shape(tag):
            self.open.append((tag, known.get("id", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and not self._shape(tag):
            opened, _ = self.open.pop()
            assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        names = [name for name, _ in self.open]
        if not text or "style" in names:
            return
        if "td" in names or "th" in names:
            cell = next(reversed(self.tables.values()))[-1][-1]
            cell[-1] += text
        for name in names:
            if name in ("h1", "h2", "h3", "h4"):
                level, known = self.headings[-1]
                self.headings[-1] = (level, f"{known}{text}")
        for _, id in self.open:
            if id:
                self.text[id] = f"{self.text.get(id, '')} {text}".strip()

    def _shape(self, tag: str) -> bool:
        """Elements of SVG that are closed where they are opened."""
        return tag in ("rect", "use", "image")

    def named(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element of this kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def read(html: str) -> Page:
    """Parse a page; elements that are not closed in order fail."""
    page = Page()
    page.feed(html)
    page.close()
    assert not page.open, f"not closed: {page.open}"
    return page
