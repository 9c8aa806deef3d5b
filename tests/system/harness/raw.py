"""HTTP and WebSocket by hand, for what no well-behaved client would send."""

import base64
import json
import os
import socket
import struct


class RawConnection:
    def __init__(self, port: int, seconds: float = 15, source: str = "127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds, source_address=(source, 0))
        self.buffer = b""

    def send(self, data: bytes) -> None:
        """A peer that has already hung up on us is an answer too."""
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def read_some(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionError:
            return b""

    def read_until_closed(self) -> bytes:
        """All up to the end of the connection. TimeoutError where it is kept open without a word."""
        while chunk := self.read_some():
            self.buffer += chunk
        return self.buffer

    def read_head(self) -> bytes:
        while b"\r\n\r\n" not in self.buffer:
            chunk = self.read_some()
            if not chunk:
                return self.buffer
            self.buffer += chunk
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def status(self) -> int | None:
        """Status of the answer's head; None: closed without one."""
        return status_of(self.read_head())

    def close(self) -> None:
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RawWebSocket(RawConnection):
    def __init__(self, port: int, origin: str | None = None, path: str = "/connection/websocket", host: str | None = None, seconds: float = 15, source: str = "127.0.0.1", headers: tuple[str, ...] = ()):
        super().__init__(port, seconds, source)
        key = base64.b64encode(os.urandom(16)).decode()
        head = [f"GET {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *headers]
        if origin is not None:
            head.append(f"Origin: {origin}")
        self.send("\r\n".join(head).encode() + b"\r\n\r\n")
        self.head = self.read_head()
        self.upgraded = status_of(self.head)

    def frame(self, payload: bytes, opcode: int = 1, fin: bool = True, masked: bool = True, reserved: int = 0, length: int | None = None) -> None:
        """`length`: what the header claims, where it is not the payload's own."""
        self.send(make_frame(payload, opcode, fin, masked, reserved, length))

    def say(self, *commands: dict) -> None:
        self.frame("\n".join(json.dumps(command) for command in commands).encode())

    def _take(self, count: int) -> bytes | None:
        while len(self.buffer) < count:
            chunk = self.read_some()
            if not chunk:
                return None
            self.buffer += chunk
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def read_frame(self) -> tuple[int, bytes] | None:
        """(opcode, payload); None: the connection has ended."""
        frame = self.read_whole_frame()
        return None if frame is None else (frame[0] & 15, frame[1])

    def read_whole_frame(self) -> tuple[int, bytes, int] | None:
        """(first byte, payload as sent, bytes of it all with its header); None: the connection has ended."""
        head, more = self._take(2), b""
        if head is None:
            return None
        length = head[1] & 127
        if length > 125:
            more = self._take(2 if length == 126 else 8)
            if more is None:
                return None
            length = int.from_bytes(more, "big")
        payload = self._take(length)
        return None if payload is None else (head[0], payload, len(head) + len(more) + length)

    def close_code(self) -> int | None:
        """Reads up to the close frame and answers it; its code, or None where the connection ended without one."""
        while frame := self.read_frame():
            if frame[0] == 8:
                self.frame(frame[1][:2], opcode=8)
                return struct.unpack(">H", frame[1][:2])[0] if len(frame[1]) >= 2 else 1005
        return None

    def replies(self, count: int) -> list[dict]:
        """The next `count` replies and pushes; pings of the protocol are left out."""
        found: list[dict] = []
        while len(found) < count:
            frame = self.read_frame()
            assert frame is not None, f"the connection ended after {found}"
            assert frame[0] != 8, f"closed with {frame[1]!r} after {found}"
            if frame[0] == 1:
                found += [part for line in frame[1].decode().split("\n") if line and (part := json.loads(line))]
        return found


def status_of(head: bytes) -> int | None:
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") else None


def make_frame(payload: bytes, opcode: int = 1, fin: bool = True, masked: bool = True, reserved: int = 0, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack(">BB", first, bit | size)
    elif size < 65536:
        head = struct.pack(">BBH", first, bit | 126, size)
    else:
        head = struct.pack(">BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
