"""A child process with its output in a file, ended by all means; stacks are taken from one that hangs."""

import os
import pathlib
import shutil
import subprocess

from .waiting import wait_for


class Process:
    def __init__(self, name: str, command: list[str], log: pathlib.Path, env: dict[str, str] | None = None, cwd: pathlib.Path | None = None):
        self.name, self.command, self.log_path = name, command, log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self.child.pid

    def alive(self) -> bool:
        return self.child.poll() is None

    def log(self) -> str:
        """What this run of the process wrote."""
        with self.log_path.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode("utf-8", "replace")

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log().splitlines()[-lines:])

    def signal(self, number: int) -> None:
        if self.alive():
            self.child.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Exit status (negative: signal). A process that is still there is killed, after its stacks were taken."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            stacks = self.stacks()
            self.kill()
            raise AssertionError(f"{self.name} did not end within {seconds:g} s\n{self.tail()}\n{stacks}") from None

    def kill(self) -> None:
        if self.alive():
            self.child.kill()
        self.child.wait(30)

    def stacks(self) -> str:
        gdb = shutil.which("gdb")
        if not gdb or not self.alive():
            return "(no stacks: no gdb here)"
        try:
            done = subprocess.run(
                [gdb, "-p", str(self.pid), "-batch", "-nx", "-ex", "set pagination off", "-ex", "thread apply all bt 24"],
                capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
            )
            return done.stdout[-20000:]
        except subprocess.TimeoutExpired:
            return "(no stacks: gdb did not answer)"

    def cpu_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> float:
        """Resident memory of the process itself."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def children(self) -> list[int]:
        path = pathlib.Path(f"/proc/{self.pid}/task")
        found = []
        for task in path.iterdir() if path.exists() else []:
            try:
                found += [int(word) for word in (task / "children").read_text().split()]
            except OSError:
                continue
        return found


def gone(pid: int) -> bool:
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"


def wait_gone(pid: int, seconds: float) -> None:
    wait_for(lambda: gone(pid), seconds, f"process {pid} to be gone")


