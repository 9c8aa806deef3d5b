"""uWebSockets by way of PyPI `socketify`: one topic, published to natively. Prints {"port","control"}; a text message to /publish on the same
port holds a publication a line. Ends with its standard input.

A publication is a call of uWebSockets' own publish, which joins for each socket what is published in one round of its loop."""

import json
import os
import resource
import socket
import sys
import threading

from socketify import App, OpCode


def main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = App()
    options = {"idle_timeout": 0, "max_payload_length": 1 << 20, "max_backpressure": 16 << 20}

    def publish(_, message, __) -> None:
        for line in message.split("\n"):
            app.publish("rows", line, OpCode.TEXT)

    app.ws("/", {**options, "open": lambda ws: ws.subscribe("rows"), "message": lambda *_: None})
    app.ws("/publish", {**options, "message": publish})
    app.listen({"port": port, "host": "127.0.0.1"}, lambda _: print(json.dumps({"port": port, "control": f"{port}/publish"}), flush=True))
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    # app.run() polls between Python's loop and uWebSockets' own; this is uWebSockets' alone, which sleeps while nothing happens.
    app.loop.uv_loop.run()


if __name__ == "__main__":
    main()
