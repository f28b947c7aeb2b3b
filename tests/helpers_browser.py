"""The browser that tests of pages drive, where the machine has one."""

from __future__ import annotations

import importlib.util
import shutil

import pytest

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and importlib.util.find_spec("playwright")),
        reason="playwright or Chromium is not installed: pip install -e '.[viz-test]', "
        "apt-get install chromium",
    ),
]
