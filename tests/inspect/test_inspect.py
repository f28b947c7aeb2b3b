"""`python -m tlx.inspect` with FiftyOne, a real database server and a real browser (tier `viz`).

The database is the one that FIFTYONE_DATABASE_URI names, else `secantusdb` in a process of its own
where it is installed, else FiftyOne's own MongoDB.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psutil
import pytest

import tests.report.helpers_planted as planted
from tlx.common.errors import DataError, ToolError
from tlx.data.fixes import FOUND, TRUTH, Fix, read_fixes
from tlx.inspect.__main__ import make_dataset, save_fixes
from tlx.inspect.app import open_app
from tlx.inspect.backend import import_fiftyone
from tlx.inspect.runs import SeenRuns, load_runs

pytestmark = pytest.mark.viz
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and importlib.util.find_spec("playwright")),
    reason="playwright or Chromium is not installed",
)
PAGE_MS = 180_000  # the App loads a minute long where other tests have the cores
BROWSER_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, f"{process.args} ended early"
        time.sleep(0.2)
    raise AssertionError(f"nothing listens on port {port}")


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables for a FiftyOne that shares nothing with the user's: database, settings, plugins."""
    folder = tmp_path_factory.mktemp("fiftyone")
    own = {
        "FIFTYONE_CONFIG_PATH": str(folder / "config.json"),
        "FIFTYONE_DATABASE_DIR": str(folder / "mongo"),
        "FIFTYONE_DATABASE_NAME": f"tlx{os.getpid()}",
        "FIFTYONE_DEFAULT_DATASET_DIR": str(folder / "datasets"),
        "FIFTYONE_PLUGINS_DIR": str(folder / "plugins"),
    }
    server = Path(sys.executable).with_name("secantusd-py")
    if "FIFTYONE_DATABASE_URI" in os.environ or not server.is_file():
        yield os.environ | own
        return
    port = free_port()
    command = [
        str(server),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--storage-path",
        str(folder / "db"),
    ]
    with (folder / "db.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)
        try:
            wait_for_port(port, process)
            yield os.environ | own | {"FIFTYONE_DATABASE_URI": f"mongodb://127.0.0.1:{port}"}
        finally:
            end(process)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted.plant(tmp_path_factory.mktemp("planted"))


class App:
    """A running `python -m tlx.inspect`."""

    def __init__(self, study: Path, environment: dict[str, str], log: Path) -> None:
        self.port, self.log = free_port(), log
        command = [sys.executable, "-m", "tlx.inspect", str(study), "--no-browser"]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)], stdout=file, stderr=subprocess.STDOUT,
                text=True, env=environment,
            )  # fmt: skip
        wait_for_port(self.port, self.process)
        self.url = self._url()

    def _url(self) -> str:
        for _ in range(600):
            if found := re.search(r"http://127\.0\.0\.1:\S+", self.log.read_text()):
                return found[0]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())


@pytest.fixture(scope="module")
def app(
    study: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    running = App(study, environment, tmp_path_factory.mktemp("app") / "log.txt")
    yield running
    end(running.process)


def use(environment: dict[str, str]) -> None:
    """Let FiftyOne in this process use the same database."""
    os.environ.update({k: v for k, v in environment.items() if k.startswith("FIFTYONE_")})


@pytest.fixture(scope="module")
def dataset(app: App, environment: dict[str, str]) -> Any:
    """The App's dataset, read through a second client."""
    use(environment)
    return import_fiftyone().load_dataset(app.url.rsplit("/", 1)[-1])


def names(view: Any) -> list[str]:
    return [Path(image).stem for image in view.values("image")]


def test_the_saved_views_hold_exactly_what_was_planted(dataset: Any) -> None:
    assert set(dataset.list_saved_views()) == set(planted.VIEWS)
    for view, expected in planted.VIEWS.items():
        shown = names(dataset.load_saved_view(view))
        assert (set(shown), len(shown)) == (expected, len(expected)), view


def test_a_view_shows_the_boxes_that_are_wrong_and_no_others(dataset: Any) -> None:
    first, second = (label.replace("=", "_").replace("-", "_") for label in planted.RUNS.values())
    missed = dataset.load_saved_view(f"missed objects: {planted.RUNS['none']}")
    assert missed.count("ground_truth.detections") == 1 + 1 + 3
    alarms = dataset.load_saved_view("false alarms")
    assert alarms.values(f"{first}.detections.label") == [["plate"]]
    assert alarms.values(f"{first}.detections.px") == [[[float(v) for v in planted.NOTHING]]]
    assert alarms.count(f"{second}.detections") == 0
    assert alarms.count("ground_truth.detections") == 1


def test_fiftyone_evaluates_every_run_as_we_do(dataset: Any) -> None:
    for label in planted.RUNS.values():
        run = label.replace("=", "_").replace("-", "_")
        strong = import_fiftyone().ViewField("confidence") >= 0.3
        shown = dataset.filter_labels(run, strong, only_matches=False)
        judged = shown.count_values(f"{run}.detections.eval_{run}")
        kinds = shown.count_values(f"{run}.detections.kind")
        assert judged["tp"] == kinds["hit"]
        wrong = ("false alarm", "wrong class", "low IoU")
        assert judged["fp"] == sum(kinds.get(kind, 0) for kind in wrong)
        objects = dataset.count_values(f"ground_truth.detections.eval_{run}")
        truth = dataset.count_values(f"ground_truth.detections.{run}")
        assert objects["tp"] == truth["hit"]
        assert objects["fn"] == sum(truth.get(k, 0) for k in ("missed", "wrong class", "low IoU"))


def test_the_app_listens_on_this_machine_only_and_reports_to_no_one(app: App, dataset: Any) -> None:
    tree = [psutil.Process(app.process.pid), *psutil.Process(app.process.pid).children(True)]
    listening = {
        c.laddr.ip
        for p in tree
        for c in p.net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    reached = {c.raddr.ip for p in tree for c in p.net_connections("inet") if c.raddr}
    assert reached <= {"127.0.0.1"}
    told = {p.environ().get("FIFTYONE_DO_NOT_TRACK") for p in tree[1:]}
    assert told <= {"1", "true"}, "the server is not told to report nothing"
    assert told


@needs_browser
def test_the_page_shows_the_planted_failures(app: App, tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        hosts: set[str | None] = set()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        for view in ("false alarms", "missed objects"):
            count = len(planted.VIEWS[view])
            page.goto(f"{app.url}?view={quote(view.replace(' ', '-'))}")
            shown = page.locator("[data-cy=entry-counts]")
            expect(shown).to_have_text(f"{count} sample{'s' * (count > 1)}", timeout=PAGE_MS)
        browser.close()
    # The App's page itself asks for two typefaces, and does without them.
    assert hosts - {None, "fonts.googleapis.com", "fonts.gstatic.com"} == {"127.0.0.1"}


@pytest.fixture(scope="module")
def own(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> SeenRuns:
    """Another study, whose dataset is made in this process."""
    use(environment)
    return load_runs([planted.plant(tmp_path_factory.mktemp("own"))])


def test_tags_become_a_fix_list_and_survive_a_new_dataset(
    own: SeenRuns, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "fixes.csv"
    with pytest.raises(DataError, match="not looked at yet"):
        save_fixes(own, path)
    first = make_dataset(own, 0.3)
    by_name = {Path(sample["image"]).stem: sample for sample in first}
    by_name["empty"].tags.append("remove")
    by_name["low"]["ground_truth"].detections[0].tags.append("wrong box")
    for run in own.runs:
        by_name["wrong"][run.field].detections[0].tags.append("missing object")
    for sample in by_name.values():
        sample.save()
    corners = tuple(float(value) for value in planted.BIG)
    expected = {
        Fix("test/empty.jpg", "remove"),
        Fix("test/low.jpg", "wrong box", TRUTH, "gun", corners),
        Fix("test/wrong.jpg", "missing object", FOUND, "plate", corners),
    }
    study = own.runs[0].folder.parent
    command = [sys.executable, "-m", "tlx.inspect", str(study), "--fixes", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "1 remove" in done.stdout
    assert set(read_fixes(path)) == expected
    created = first.created_at
    assert make_dataset(own, 0.3).created_at == created, "made anew for nothing"
    assert make_dataset(own, 0.5).created_at > created
    save_fixes(own, path)
    assert set(read_fixes(path)) == expected


def test_a_taken_port_is_refused(own: SeenRuns) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(ToolError, match="choose one with --port"):
            open_app(None, listener.getsockname()[1], browser=False)
