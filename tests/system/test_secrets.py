"""Secrets reach Redis and Kafka and nobody else."""

import pathlib

from harness.fleet import topology
from harness.node import weir
from harness.ports import free_port
from harness.waiting import wait_for

SECRET = "s3cr3t-Zauberwort-äöü"


def assert_nowhere(text: str, where: str):
    for form in (SECRET, "s3cr3t", "Zauberwort"):
        assert form not in text, f"the secret is in {where}"


def everywhere(node) -> dict[str, str]:
    seen = {"log": node.log(), "command line": pathlib.Path(f"/proc/{node.process.pid}/cmdline").read_text()}
    for pid in node.process.children():
        seen[f"command line of child {pid}"] = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    for path in ("/api/v1/topology", "/api/v1/nodes", "/metrics", "/readyz", "/healthz"):
        seen[path] = node.get(path).text
    return seen


def test_the_redis_password_is_masked(kraft, make_redis, weir_node, tmp_path):
    """Given by a file, by the environment and in the URL; it works, and shows up nowhere."""
    password = "s3cr3t-Zauberwort"
    server = make_redis()
    server.client().acl_setuser("weir", enabled=True, passwords=["+" + password], keys=["*"], channels=["*"], commands=["+@all"])
    server.client().acl_setuser("default", enabled=True, reset_passwords=True, passwords=["+" + password + "-other"])
    file = tmp_path / "password"
    file.write_text(password + "\n", encoding="utf-8")
    for redis in (
        {"url": server.url, "username": "weir", "password": {"file": str(file)}},
        {"url": f"redis://weir:${{WEIR_TEST_PASSWORD}}@127.0.0.1:{server.port}"},
        {"url": server.url, "username": "weir", "password": "${WEIR_TEST_PASSWORD}"},
    ):
        made = topology(kraft.bootstrap, server.url, kraft.topic("readings", 1))
        made["topology"] = f"fleet{len(made['topology'])}{free_port()}"
        made["redis"] = redis
        made["kafka"]["properties"] = {"sasl.password": "s3cr3t-kafka", "ssl.key.password": "s3cr3t-key"}
        node = weir_node(made, env={"WEIR_TEST_PASSWORD": password})
        for where, text in everywhere(node).items():
            assert_nowhere(text, where)
        assert node.stop() == 0
        assert_nowhere(node.log(), "log")


def test_a_wrong_password_is_an_error_that_does_not_repeat_it(kraft, make_redis, weir_node):
    server = make_redis(arguments=("--requirepass", "right"))
    made = topology(kraft.bootstrap, server.url, kraft.topic("readings", 1))
    made["redis"] = {"url": f"redis://:{SECRET}@127.0.0.1:{server.port}"}
    node = weir_node(made, ready=False)
    wait_for(lambda: "WRONGPASS" in node.log() or "refused" in node.log().lower() or "password" in node.log().lower(), 30, lambda: f"the trouble to be named\n{node.tail()}")
    assert_nowhere(node.log(), "log")


def test_problems_of_a_topology_do_not_repeat_secrets(tmp_path):
    file = tmp_path / "topology.json"
    file.write_text(
        f'{{"topology":"x","redis":{{"url":"redis://u:{SECRET}@","password":["{SECRET}"]}},"kafka":{{"properties":{{"sasl.password":{{"a":"{SECRET}"}}}}}},"sources":{{}},"tables":{{}}}}',
        encoding="utf-8",
    )
    for command in ("check", "run", "graph"):
        done = weir(command, str(file))
        assert done.returncode == 78
        assert_nowhere(done.stdout + done.stderr, f"output of {command}")
