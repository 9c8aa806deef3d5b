"""`weir demo`: the one command of the README, watched in a real browser."""

import pathlib
import shutil
import signal
import subprocess

import pytest
import requests
from harness.demo import running_demo
from harness.node import ROOT
from harness.waiting import wait_for


@pytest.fixture
def demo(tmp_path):
    with running_demo(tmp_path) as running:
        yield running


def test_the_demo_says_where_its_page_is_and_its_tables_live(demo):
    """Tables of all three kinds have rows that change, and a job writes one of them."""
    process, url = demo
    wait_for(lambda: url in process.log(), 10, lambda: f"the address of the page\n{process.tail()}")
    tables = requests.get(url + "/api/v1/tables", timeout=10).json()["tables"]
    assert {table["kind"] for table in tables} == {"latest", "aggregate", "log"}

    def snapshot(name: str) -> str:
        return requests.get(f"{url}/api/v1/tables/{name}", params={"limit": 50}, timeout=10).text

    before = {table["name"]: snapshot(table["name"]) for table in tables}
    wait_for(lambda: all(snapshot(name) != text for name, text in before.items()), 60, lambda: f"all tables to change: {[n for n, t in before.items() if snapshot(n) == t]} did not")
    process.signal(signal.SIGINT)
    assert process.wait(30) == 0


@pytest.mark.parametrize("arguments", [("--width", "1280"), ("--width", "390", "--height", "844", "--dark", "--reduced")], ids=["wide and light", "phone and dark"])
def test_the_dashboard_shows_values_change(demo, arguments, tmp_path):
    """Headless Chromium: connected, a cell changes, every section by keyboard, no error in the console, nothing asked of other hosts, no sideways scrolling."""
    browser = shutil.which("chromium")
    assert browser, "scripts/setup --tests installs chromium"
    process, url = demo
    picture = tmp_path / "dashboard.png"
    done = subprocess.run(["node", str(ROOT / "tests" / "sdk" / "dashboard.mjs"), "--url", url, "--out", str(picture), "--browser", browser, *arguments], capture_output=True, text=True,
                          timeout=180, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{process.tail()}"
    assert pathlib.Path(picture).stat().st_size > 10_000
