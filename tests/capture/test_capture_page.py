"""The page in a real headless browser: ten pictures labelled, trained on and evaluated."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.capture.helpers_capture import REPOSITORY
from tests.conftest import tiny_overrides
from tests.helpers_browser import CHROMIUM, FLAGS, needs_browser
from tests.helpers_process import run_program
from tests.live.helpers_live import SQUARE, needs_cv2, number_of, square_at, write_video
from tlx.data.formats import read_annotations
from tlx.data.formats.pictures import decode

pytestmark = [needs_cv2, *needs_browser]
WIDE, NARROW = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
SPLITS = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
WAIT = 60_000  # ms: other work may have the cores
SHOTS = os.environ.get("TLX_CAPTURE_SHOTS")  # a folder for pictures of the page, to look at


@contextmanager
def program(*arguments: object) -> Iterator[str]:
    """A running `python -m tlx.capture`; its address."""
    command = [sys.executable, "-m", "tlx.capture", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address
        yield address[0]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@contextmanager
def opened(browser: Any, address: str, viewport: dict[str, int], **options: Any) -> Iterator[Any]:
    """A page without a single error or foreign request."""
    context = browser.new_context(viewport=viewport, **options)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on(
        "request",
        lambda r: None if r.url.startswith((address, "blob:", "data:")) else wrong.append(r.url),
    )
    page.goto(address)
    wait(page, "S.mode === 'live' && S.frame >= 0")
    yield page
    assert wrong == []
    context.close()


def shoot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def on_screen(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the picture lies in the window."""
    page.locator("#canvas").scroll_into_view_if_needed()
    area = page.locator("#canvas").bounding_box()
    return area["x"] + x * area["width"] / page.evaluate("S.width"), area["y"] + y * area[
        "height"
    ] / page.evaluate("S.height")


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*on_screen(page, *start))
    page.mouse.down()
    page.mouse.move(*on_screen(page, (start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    page.mouse.move(*on_screen(page, *end))
    page.mouse.up()


def square(page: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Corners of the red square in the frozen frame."""
    x, y = square_at(page.evaluate("S.frame"))
    return (x, y), (x + SQUARE, y + SQUARE)


def wait(page: Any, condition: str) -> None:
    """Until it is so. Asked again and again: the page forbids `eval`, which Playwright waits by."""
    end = time.monotonic() + WAIT / 1000
    while not page.evaluate(f"!S.busy && ({condition})"):
        assert time.monotonic() < end, (condition, page.locator("#status").inner_text())
        page.wait_for_timeout(20)


def corners(page: Any) -> list[list[float]]:
    return page.evaluate("S.boxes.map((box) => box.corners)")


def press_next(page: Any, times: int = 1) -> None:
    for _ in range(times):
        before = page.evaluate("S.frame")
        page.keyboard.press("n")
        wait(page, f"S.mode === 'frozen' && S.frame > {before}")


@pytest.mark.slow
def test_ten_pictures_are_labelled_trained_on_and_evaluated(browser: Any, tmp_path: Path) -> None:
    clip, root = write_video(tmp_path / "clip.mp4", 400), tmp_path / "set"
    with (
        program(f"source={clip}", f"output={root}", "labels=red,blue") as address,
        opened(browser, address, WIDE) as page,
    ):
        page.keyboard.press("Space")
        wait(page, "S.mode === 'frozen'")
        for number, split in enumerate(SPLITS):
            page.get_by_role("radio", name=split).check()
            drag(page, *square(page))
            page.keyboard.press("1")
            page.keyboard.press("s")
            wait(page, "S.mode === 'saved'")
            assert f"Saved in {split}" in page.locator("#status").inner_text()
            if number == 2:
                shoot(page, "wide")
            if number < len(SPLITS) - 1:
                press_next(page, 4)
        assert page.locator("#counts").inner_text().split() == [
            "train", "val", "test", "pictures", "6", "2", "2", "without", "object", "0", "0", "0",
            "red", "6", "2", "2", "blue", "0", "0", "0",
        ]  # fmt: skip
    found = read_annotations("voc", root, ["red", "blue"])
    assert [sum(a.split == s for a in found) for s in ("train", "val", "test")] == [6, 2, 2]
    for annotation in found:
        number = number_of(decode(annotation.image, rotate=False, max_side=1 << 20))
        assert annotation.image.stem == f"clip-{number:06d}"  # what was frozen is what was saved
        x, y = square_at(number)
        assert annotation.names == ["red"]
        assert np.abs(annotation.boxes - [[x, y, x + SQUARE, y + SQUARE]]).max() <= 1

    overrides = tiny_overrides(root, tmp_path)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
    done = run_program("tlx.train", *overrides, "name=own", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    run = next(iter((tmp_path / "runs").rglob("record.json"))).parent
    output = tmp_path / "figures.json"
    done = run_program("tlx.evaluate", f"checkpoint={run}", f"output={output}", cwd=tmp_path,
                       env=environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text())["images"] == 2


def test_keys_undo_and_boxes_that_are_edited(browser: Any, tmp_path: Path) -> None:
    clip, root = write_video(tmp_path / "clip.mp4", 100), tmp_path / "set"
    with (
        program(f"source={clip}", f"output={root}", "labels=red,blue") as address,
        opened(browser, address, WIDE) as page,
    ):
        page.keyboard.press("Space")
        wait(page, "S.mode === 'frozen'")
        drag(page, (20, 20), (60, 60))
        drag(page, (100, 20), (140, 60))
        assert corners(page) == [[20, 20, 60, 60], [100, 20, 140, 60]]
        page.keyboard.press("2")  # the chosen one, the second
        assert page.evaluate("S.boxes.map((box) => box.name)") == ["red", "blue"]
        drag(page, (120, 40), (130, 50))  # moves it
        drag(page, (150, 70), (155, 80))  # its corner
        assert corners(page)[1] == [110, 30, 155, 80]
        page.mouse.click(*on_screen(page, 40, 40))
        page.keyboard.press("Delete")
        assert corners(page) == [[110, 30, 155, 80]]
        for _ in range(3):
            page.keyboard.press("Control+z")
        assert corners(page) == [[20, 20, 60, 60], [100, 20, 140, 60]]
        page.keyboard.press("Control+Shift+z")
        page.keyboard.press("Control+y")
        assert corners(page)[1] == [110, 30, 155, 80]
        page.keyboard.press("Escape")
        drag(page, (30, 90), (-30, 500))  # beyond the edge: the box ends there
        assert corners(page)[2] == [0, 90, 30, 120]
        page.keyboard.press("Space")  # not saved: it asks first
        wait(page, "S.warned")
        assert "Not saved yet" in page.locator("#status").inner_text()
        page.keyboard.press("s")
        wait(page, "S.mode === 'saved'")
        page.keyboard.press("Space")
        wait(page, "S.mode === 'live'")
        # The saved picture is opened again, a box changes its class by the list, one goes.
        page.get_by_role("button", name=re.compile("Open clip")).click()
        wait(page, "S.mode === 'saved' && S.boxes.length === 3")
        page.get_by_label("Box 1: class").select_option("blue")
        page.get_by_label("Box 3: delete").click()
        page.get_by_role("radio", name="test").check()
        shoot(page, "edited")
        page.get_by_role("button", name="Save", exact=True).click()
        wait(page, "!S.dirty")
    (annotation,) = read_annotations("voc", root, ["red", "blue"])
    assert (annotation.split, annotation.names) == ("test", ["blue", "blue"])
    assert annotation.boxes.tolist() == [[20, 20, 60, 60], [110, 30, 155, 80]]


def test_a_phone_draws_by_touch(browser: Any, tmp_path: Path) -> None:
    clip, root = write_video(tmp_path / "clip.mp4", 100), tmp_path / "set"
    with (
        program(f"source={clip}", f"output={root}", "labels=red,blue") as address,
        opened(browser, address, NARROW, has_touch=True, is_mobile=True) as page,
    ):
        page.get_by_role("button", name="Freeze").tap()
        wait(page, "S.mode === 'frozen'")
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
        touch(page, *square(page))
        assert len(corners(page)) == 1
        shoot(page, "narrow")
        page.get_by_role("button", name="Save", exact=True).tap()
        wait(page, "S.mode === 'saved'")
        # Every control has a name and room for a finger.
        small = page.evaluate(
            "[...document.querySelectorAll('button, select')].filter((e) => e.offsetHeight && "
            "e.offsetHeight < 36).map((e) => e.outerHTML)"
        )
        assert small == []
        nameless = page.evaluate(
            "[...document.querySelectorAll('button, select, input, canvas')].filter((e) => "
            "!(e.ariaLabel || e.textContent.trim() || e.closest('label'))).map((e) => e.outerHTML)"
        )
        assert nameless == []
    (annotation,) = read_annotations("voc", root, ["red", "blue"])
    x, y = square_at(int(annotation.image.stem.split("-")[1]))
    assert np.abs(annotation.boxes - [[x, y, x + SQUARE, y + SQUARE]]).max() <= 1


def touch(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A finger as the browser's own protocol moves it."""
    session = page.context.new_cdp_session(page)
    for kind, place in (("touchStart", start), ("touchMove", end), ("touchEnd", None)):
        points = []
        if place:
            x, y = on_screen(page, *place)
            points = [{"x": x, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_suggestions_are_taken_changed_or_dismissed(browser: Any, tmp_path: Path) -> None:
    from tests.capture.helpers_capture import serving

    with (
        serving(tmp_path / "set", model=True) as client,
        opened(browser, f"http://{client.host}/{client.token}/", WIDE) as page,
    ):
        page.keyboard.press("Space")
        wait(page, "S.mode === 'frozen' && S.boxes.length === 1")
        shoot(page, "suggested")
        page.keyboard.press("s")  # nobody took it: it asks, and then leaves it out
        wait(page, "S.untaken")
        assert "neither accepted nor dismissed" in page.locator("#status").inner_text()
        page.keyboard.press("s")
        wait(page, "S.mode === 'saved'")
        assert "without any object. 1 suggested not taken" in page.locator("#status").inner_text()
        press_next(page)
        wait(page, "S.boxes.length === 1")
        page.keyboard.press("a")
        page.keyboard.press("s")
        wait(page, "S.mode === 'saved'")
        press_next(page)
        wait(page, "S.boxes.length === 1")
        page.keyboard.press("d")
        assert corners(page) == []
        page.keyboard.press("Control+z")
        assert len(corners(page)) == 1
    found = read_annotations("voc", tmp_path / "set", ["red", "blue"])
    assert [a.names for a in found] == [[], ["red"]]
