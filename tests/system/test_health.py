"""`weir health`: one question to a node, an exit code that supervisors understand, and the reason in words."""

from harness.fleet import topology
from harness.node import Node, weir
from harness.ports import free_port
from harness.waiting import wait_for

UNAVAILABLE = 69  # EX_UNAVAILABLE
USAGE = 64  # EX_USAGE


def test_a_ready_node_is_healthy_and_ready(tmp_path):
    node = Node(tmp_path, topology("embedded", "embedded", "readings", "dead")).start().ready()
    try:
        for arguments, word in ((("health", node.url), "healthy"), (("health", node.url + "/", "--ready"), "ready")):
            done = weir(*arguments)
            assert (done.returncode, done.stdout.strip(), done.stderr) == (0, word, "")
    finally:
        node.stop()
    assert weir("health", node.url).returncode == UNAVAILABLE


def test_a_node_that_waits_is_healthy_but_not_ready_and_says_why(tmp_path):
    node = Node(tmp_path, topology(f"127.0.0.1:{free_port()}", f"redis://127.0.0.1:{free_port()}", "readings", "dead")).start()
    try:
        wait_for(lambda: weir("health", node.url).returncode == 0, 30, "the node to answer")
        done = weir("health", node.url, "--ready")
        assert done.returncode == UNAVAILABLE and "503" in done.stderr and "redis" in done.stderr.lower(), done.stderr
        assert not done.stdout
    finally:
        node.stop()


def test_nobody_there_and_no_address_are_different_ends():
    done = weir("health", f"http://127.0.0.1:{free_port()}", "--timeout", "2", seconds=10)
    assert done.returncode == UNAVAILABLE and done.stderr.strip()
    assert weir("health", "nowhere at all").returncode == USAGE
    assert weir("health", "--timeout", "0").returncode == USAGE
