"""The clients of examples/clients against `weir demo`, as their folder says."""

import shutil
import subprocess

from harness.demo import running_demo
from harness.node import ROOT
from harness.ports import free_port
from harness.processes import Process
from harness.waiting import wait_for

CLIENTS = ROOT / "examples" / "clients"


def run(*command: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done


def test_pages_and_a_program_show_the_demo_live(tmp_path):
    """One demo for all: the plain page, the page with React, and the program for Node.js."""
    browser = shutil.which("chromium")
    assert browser, "scripts/setup --tests installs chromium"
    for folder in ("node", "react"):
        run("scripts/npm-env", f"examples/clients/{folder}")
    run("npm", "--prefix", str(CLIENTS / "react"), "run", "--silent", "build")
    ports = {"plain": free_port(), "react": free_port()}
    origins = ",".join(f'"http://127.0.0.1:{port}"' for port in ports.values())
    with running_demo(tmp_path, "--set", f"http.origins=[{origins}]") as (node, url):
        for name, port in ports.items():
            server = Process(f"serve {name}", ["node", str(CLIENTS / "serve.mjs"), name, "--port", str(port)], tmp_path / f"{name}.log")
            try:
                wait_for(lambda server=server: "http://" in server.log(), 20, lambda server=server: f"the page's server\n{server.tail()}")
                done = subprocess.run(["node", str(ROOT / "tests" / "sdk" / "example.mjs"), "--url", f"http://127.0.0.1:{port}/?node={url}", "--browser", browser, "--out", str(tmp_path / f"{name}.png")],
                                      capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
                assert done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}\n{node.tail()}"
                assert "ms old" in done.stdout, done.stdout
            finally:
                server.kill()
        lines = run("node", str(CLIENTS / "node" / "watch.mjs"), url, "4").stdout.splitlines()
        assert len(lines) == 4 and "cores" in lines[0] and "ms old" in lines[-1], lines
