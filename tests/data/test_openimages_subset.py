"""Which boxes and pictures of Open Images a subset has, and how they are counted."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import pytest

from tests.data.helpers_openimages import CLASSES, PLATE, Made, plates
from tlx.common.errors import ConfigError, DataError
from tlx.data.openimages.boxes import Images, Rule, matching
from tlx.data.openimages.choose import at_most_boxes, at_most_images, shares
from tlx.data.openimages.names import find_classes, read_descriptions, split_names
from tlx.data.openimages.statistics import in_words, statistics


def plain(images: Images) -> dict[str, dict[str, int]]:
    return dict(images.all_counts())


def count(path: Path, *names: str, rule: Rule | None = None) -> Images:
    images = Images()
    asked = {name: CLASSES[name] for name in names}
    for row in matching(path, asked, rule or Rule(), lambda read: None):
        images.add(row[0], row[-1])
    return images


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    made = Made()
    made.add("train", "a", "Apple")
    made.add("train", "a", "Apple", group=1)
    made.add("train", "a", "Orange")
    made.add("train", "b", "Apple", depiction=1)
    made.add("train", "b", "Orange", depiction=-1)  # unknown
    made.add("train", "c", "Person")
    made.add("train", "d", "Apple", depiction=1)
    made.add("train", "e", "Orange")
    made.rows["train"].append(made.rows["train"][-1])  # the same row twice
    made.add("train", "e", "Orange", group=1, depiction=1)
    path = tmp_path / "train-annotations-bbox.csv"
    path.write_bytes(made.csv("train"))
    return path


def test_the_rule_of_the_peers_counts_groups_and_leaves_depictions_out(boxes: Path) -> None:
    # By hand: a: 2 apples, 1 orange; b: 1 orange (its apple is drawn); d: nothing; e: 2 oranges.
    found = count(boxes, "Apple", "Orange")
    assert plain(found) == {
        "a": {"Apple": 2, "Orange": 1}, "b": {"Orange": 1}, "e": {"Orange": 2},
    }  # fmt: skip
    assert found.boxes() == {"Orange": 4, "Apple": 2}
    alone = count(boxes, "Apple", "Orange", rule=Rule(group_of=False))
    assert alone.boxes() == {"Orange": 4, "Apple": 1}
    every = count(boxes, "Apple", "Orange", rule=Rule(depictions=True))
    assert every.boxes() == {"Orange": 5, "Apple": 4}
    assert set(every) == {"a", "b", "d", "e"}
    assert plain(count(boxes, "Apple")) == {"a": {"Apple": 2}}


def test_statistics_are_printed_as_the_peers_print_them(boxes: Path) -> None:
    told = statistics({"train": count(boxes, "Apple", "Orange"), "test": Images()})
    assert (told["images"], told["boxes"], told["classes"]) == (3, 6, {"Orange": 4, "Apple": 2})
    assert told["splits"]["train"] == {
        "images": 3,
        "boxes": 6,
        "classes": {"Orange": 4, "Apple": 2},
    }
    text = in_words(told)
    assert " 'train' set statistics\n" in text
    assert "  Image count:  3\n  Bounding box count:  6\n" in text
    assert "    Orange:  4/6 = 0.67\n    Apple:  2/6 = 0.33\n" in text
    assert text.count(" Overall statistics") == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a,xclick,/m/014j1m,1,0.1", "2: 'a,xclick,/m/014j1m,1,0.1' has 5 columns, not 13"),
        ("a,xclick", "2: 'a,xclick' has too few columns"),
        ("../../x,x,/m/014j1m,1,0,1,0,1,0,0,0,0,0", "2: '../../x' is no ImageID"),
        ("\xff,x,/m/014j1m,1,0,1,0,1,0,0,0,0,0", "is no text"),
    ],
)
def test_a_damaged_line_is_named(boxes: Path, line: str, told: str) -> None:
    header = boxes.read_text().splitlines()[0]
    boxes.write_bytes(f"{header}\n{line}\n".encode("latin-1"))
    with pytest.raises(DataError, match=re.escape(told)):
        count(boxes, "Apple")
    boxes.write_text("<Error>NoSuchKey</Error>")
    with pytest.raises(DataError, match="the column ImageID is missing"):
        count(boxes, "Apple")


def test_columns_are_found_by_name(boxes: Path) -> None:
    # Version 6 has eight more, of the clicks, behind.
    header, *rows = boxes.read_text().splitlines()
    wider = [f"Extra,{header},XClick1X", *(f"x,{row},0.5" for row in rows)]
    other = boxes.with_name("wider.csv")
    other.write_text("\r\n".join(wider) + "\r\n")
    assert plain(count(other, "Apple", "Orange")) == plain(count(boxes, "Apple", "Orange"))


def test_large_files_are_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    made = plates()
    made.rows["train"] += made.rows["train"][:1] * 40_000  # a picture of a person
    path.write_bytes(made.csv("train"))
    assert path.stat().st_size > 3e6
    tracemalloc.start()
    found = count(path, PLATE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 24
    assert peak < 500_000


def test_names_are_found_in_any_case_and_the_nearest_is_told(tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    path.write_text("LabelName,DisplayName\n" + "".join(f"{m},{n}\n" for n, m in CLASSES.items()))
    known = read_descriptions(path)
    assert known == CLASSES
    found = find_classes(split_names("orange, VEHICLE registration Plate"), known)
    assert list(found) == ["Orange", PLATE]  # the order of the labels, in every split
    assert split_names('Apple, "one, of two",Pear') == ["Apple", "one, of two", "Pear"]
    for wrong, told in {
        "Vehicle registration plates": "did you mean 'Vehicle registration plate'",
        "aple": "did you mean 'Apple'",
        "plate": "did you mean 'Vehicle registration plate'",  # and not the nearer 'Apple'
        "Zeppelin": "no class of Open Images with boxes$",
        "apple,Apple": "named twice",
    }.items():
        with pytest.raises(ConfigError, match=told):
            find_classes(split_names(wrong), known)
    with pytest.raises(ConfigError, match="names no class"):
        split_names(" , ")
    path.write_text("/m/1,Apple\nnonsense\n")
    with pytest.raises(DataError, match=r"classes.csv:2: expected MID,name"):
        read_descriptions(path)


def test_rows_of_a_picture_need_not_stand_together() -> None:
    images = Images()
    for image, name in [("a", "Apple"), ("b", "Apple"), ("a", "Pear"), ("a", "Apple")]:
        images.add(image, name)
    assert plain(images) == {"a": {"Apple": 2, "Pear": 1}, "b": {"Apple": 1}}
    images.add("b", "Pear")
    assert images.counts("b") == {"Apple": 1, "Pear": 1}
    assert images.boxes() == {"Apple": 3, "Pear": 2}


def test_shares_are_dealt_by_the_largest_remainder() -> None:
    # The peer's plates: 5365, 385, 1109 of 6859; by hand 1564.366, 112.261, 323.371 of 2000.
    sizes = {"train": 5365, "validation": 385, "test": 1109}
    assert shares(sizes, 2000) == {"train": 1564, "validation": 112, "test": 324}
    assert sum(shares(sizes, 2000).values()) == 2000
    assert shares({"a": 1000, "b": 1, "c": 0}, 10) == {"a": 9, "b": 1, "c": 0}
    assert shares({"a": 0}, 5) == {"a": 0}


def many() -> dict[str, Images]:
    splits = {}
    for split, count in (("train", 700), ("validation", 100), ("test", 200)):
        images = splits[split] = Images()
        for i in range(count):
            image = f"{split}{i}"
            for _ in range(1 + i % 3):
                images.add(image, "Apple" if i % 4 else "Pear")
            if i % 10 == 0:
                images.add(image, "Orange")
    return splits


def holding(splits: dict[str, Images], name: str) -> int:
    return sum(name in counts for images in splits.values() for _, counts in images.all_counts())


def test_fewer_pictures_keep_the_shares_of_splits_and_classes() -> None:
    splits = many()
    chosen = at_most_images(splits, 200, seed=0)
    assert [len(images) for images in chosen.values()] == [140, 20, 40]
    # A fifth of all; pears are counted exactly but where they lie beside oranges.
    for name in ("Apple", "Pear", "Orange"):
        assert abs(holding(chosen, name) - holding(splits, name) / 5) <= 10
    again = at_most_images(many(), 200, seed=0)
    assert {s: plain(i) for s, i in again.items()} == {s: plain(i) for s, i in chosen.items()}
    other = at_most_images(splits, 200, seed=1)
    assert set(other["train"]) != set(chosen["train"])
    fewer = at_most_images(splits, 100, seed=0)
    assert set(fewer["train"]) < set(chosen["train"])
    for split, images in chosen.items():
        for image, counts in images.all_counts():
            assert counts == splits[split].counts(image)
    assert at_most_images(splits, 1000, seed=0) == splits


def test_fewer_boxes_come_in_whole_pictures() -> None:
    splits = many()
    chosen = at_most_boxes(splits, 100, seed=0)
    total: dict[str, int] = {}
    for split, images in chosen.items():
        for image, counts in images.all_counts():
            assert counts == splits[split].counts(image)
        for name, boxes in images.boxes().items():
            total[name] = total.get(name, 0) + boxes
    assert all(boxes <= 100 for boxes in total.values())
    assert total["Apple"] > 90
    assert total["Pear"] > 90
    assert all(chosen.values())
    again = at_most_boxes(many(), 100, seed=0)
    assert {s: plain(i) for s, i in again.items()} == {s: plain(i) for s, i in chosen.items()}
