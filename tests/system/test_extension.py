"""examples/extension, built against the installed development package as a user would, and run on embedded parts."""

import json
import pathlib
import subprocess

import pytest
import requests
from harness.demo import wait_ready
from harness.node import BINARY, ROOT, weir
from harness.ports import free_port
from harness.processes import Process
from harness.waiting import wait_for

EXAMPLE = ROOT / "examples" / "extension"
TOPOLOGY = EXAMPLE / "topology.jsonc"


def run(*command: str, seconds: float = 600) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}\n{done.stderr[-4000:]}"


@pytest.fixture(scope="module")
def site_weir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The example's binary. Of the tree of the binary under test, so that nothing is compiled twice."""
    tree = BINARY.resolve().parent
    cache = tree / "CMakeCache.txt"
    if not cache.exists() or "WEIR_SANITIZE:STRING=\n" not in cache.read_text(encoding="utf-8"):
        # WEIR_BINARY names another build, by hand; `scripts/test system` always tests a release tree, where this runs.
        pytest.skip(f"{tree} is no build tree, or one with sanitizers, which a user's program has not")
    folder = tmp_path_factory.mktemp("extension")
    prefix, build = folder / "prefix", folder / "build"
    run("cmake", "--build", str(tree), "--target", "weir_development")
    run("cmake", "--install", str(tree), "--component", "development", "--prefix", str(prefix))
    installed = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file()}
    assert {"include/weir/extension.hpp", "include/weir/program.hpp", "lib/libweir.a", "lib/cmake/weir/weirConfig.cmake"} <= installed
    # A copy, so that nothing of the source tree can be found by way of the example.
    source = folder / "source"
    source.mkdir()
    for name in ("CMakeLists.txt", "main.cpp"):
        (source / name).write_bytes((EXAMPLE / name).read_bytes())
    run("cmake", "-S", str(source), "-B", str(build), f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
    run("cmake", "--build", str(build))
    return build / "site-weir"


def test_the_stock_binary_refuses_steps_that_it_does_not_have():
    done = weir("check", str(TOPOLOGY))
    assert done.returncode == 78, done.stdout
    for kind, name in (("reader", "csv"), ("processor", "site-lookup"), ("writer", "report-files")):
        assert f"unknown {kind} '{name}'; this program has no {kind}s" in done.stderr, done.stderr
    assert weir("run", str(TOPOLOGY)).returncode == 78


def test_a_program_of_ones_own_keeps_the_command_line_and_checks_its_steps(site_weir, tmp_path):
    def own(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(site_weir), *arguments], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)

    assert own("check", str(TOPOLOGY)).returncode == 0, own("check", str(TOPOLOGY)).stderr
    assert own("--version").stdout == weir("--version").stdout
    assert own("--help").stdout == weir("--help").stdout.replace(str(BINARY), str(site_weir))
    wrong = tmp_path / "wrong.jsonc"
    wrong.write_text(TOPOLOGY.read_text(encoding="utf-8").replace('"site-lookup"', '"site-lokup"'), encoding="utf-8")
    done = own("check", str(wrong))
    assert done.returncode == 78
    assert "unknown processor 'site-lokup'; did you mean 'site-lookup'? this program has: site-lookup" in done.stderr


def test_its_job_reads_processes_and_writes_by_its_own_steps(site_weir, tmp_path):
    port = free_port()
    reports = tmp_path / "reports"
    reports.mkdir()
    readings = tmp_path / "readings.csv"
    readings.write_bytes((EXAMPLE / "readings.csv").read_bytes())
    process = Process("site-weir", [str(site_weir), "run", str(TOPOLOGY), "--set", f"http.listen=127.0.0.1:{port}"], tmp_path / "site-weir.log",
                      {"READINGS": str(readings), "REPORTS": str(reports)})
    url = f"http://127.0.0.1:{port}"

    try:
        wait_ready(process, url)
        answers = []

        def ran() -> bool:  # 503 while the scheduler is looking the job up
            answers.append(requests.post(url + "/api/v1/jobs/import/run", timeout=30))
            return answers[-1].status_code != 503

        wait_for(ran, 30, lambda: f"the job to run\n{process.tail()}")
        assert answers[-1].status_code == 200, f"{answers[-1].text}\n{process.tail()}"
        execution = answers[-1].json()
        assert execution["status"] == "COMPLETED", execution
        # Of six lines: one machine is switched off, one unknown, and one line is broken.
        assert (execution["read"], execution["filtered"], execution["skipped"], execution["written"]) == (6, 1, 2, 2), execution
        wanted = {"north": {"n": 2, "cpu_avg": 20.0}, "south": {"n": 1, "cpu_avg": 50.0}}
        wait_for(lambda: requests.get(url + "/api/v1/tables/by_site", timeout=10).json()["rows"] == wanted, 10, "the table to have the result")
        files = sorted(reports.iterdir())
        assert [file.name for file in files] == [f"import-{execution['fire']}-0.jsonl"]
        assert {line["key"]: line["row"] for line in map(json.loads, files[0].read_text(encoding="utf-8").splitlines())} == wanted

        # What a step throws fails its execution, with its name, and nothing else: the next one is well again.
        readings.unlink()
        failed = requests.post(url + "/api/v1/jobs/import/run", timeout=30).json()
        assert failed["status"] == "FAILED"
        assert failed["message"].startswith("reader 'csv': can't read the names of the fields"), failed
        readings.write_text("machine,cpu,state\nm3,1,on\n", encoding="utf-8")
        again = requests.post(url + "/api/v1/jobs/import/run", timeout=30).json()
        assert (again["status"], again["read"]) == ("COMPLETED", 1), again
        metrics = requests.get(url + "/metrics", timeout=10).text
        for step in ("reader", "processor", "writer"):
            assert f'weir_job_step_seconds_total{{job="import",step="{step}"}}' in metrics
    finally:
        process.kill()
