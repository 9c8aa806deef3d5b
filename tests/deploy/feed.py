"""Numbered readings at a pace, through whatever is done to the brokers meanwhile: all of them are delivered in the end."""

import json
import threading

import confluent_kafka

MACHINES = 12
SITE = "the-test"


class Feed(threading.Thread):
    def __init__(self, bootstrap: str, per_second: int = 40, **properties):
        super().__init__(daemon=True)
        self.producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 240000, "log_level": 0, **properties})
        self.per_second, self.sent, self.delivered, self.failures = per_second, 0, 0, []
        self._end = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._end.wait(1 / self.per_second):
            self.sent += 1
            machine = f"test-{self.sent % MACHINES}"
            self.producer.produce("readings", json.dumps({"machine": machine, "site": SITE, "cpu": self.sent % 100, "n": self.sent}), machine, on_delivery=self._done)
            self.producer.poll(0)

    def _done(self, error, _) -> None:
        if error:
            self.failures.append(error)
        else:
            self.delivered += 1

    def finish(self) -> dict[str, int]:
        """Ends, waits for the last acknowledgement, and gives the last number of each machine."""
        self._end.set()
        self.join(30)
        assert self.producer.flush(120) == 0, "records were not delivered in time"
        assert not self.failures, self.failures[:3]
        assert self.delivered == self.sent
        last = {}
        for n in range(1, self.sent + 1):
            last[f"test-{n % MACHINES}"] = n
        return last
