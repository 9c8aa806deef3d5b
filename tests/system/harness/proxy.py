"""A TCP proxy on loopback whose traffic a test can hold up, cut or refuse."""

import asyncio
import threading

from .ports import free_port


class FaultProxy:
    """Forwards to 127.0.0.1:target. `pause` holds bytes back both ways (the connection stands), `cut` resets what is open, `refuse` takes
    no new connections. All methods may be called from the test's thread."""

    def __init__(self, target: int):
        self.target, self.port = target, free_port()
        self.accepted = 0
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._refusing = False
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self._start())

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _start(self):
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        if self._refusing:
            writer.transport.abort()
            return
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        try:
            while chunk := await reader.read(65536):
                await self._flowing.wait()
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def _cut(self):
        for writer in list(self._writers):
            writer.transport.abort()

    async def _set(self, name: str, value: bool):
        if name == "refusing":
            self._refusing = value
        elif value:
            self._flowing.set()
        else:
            self._flowing.clear()

    def pause(self):
        self._call(self._set("flowing", False))

    def resume(self):
        self._call(self._set("flowing", True))

    def cut(self):
        self._call(self._cut())

    def refuse(self, refusing: bool = True):
        self._call(self._set("refusing", refusing))

    async def _close(self):
        self._server.close()
        self._flowing.set()
        await self._cut()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.wait(others, timeout=5) if others else None

    def close(self):
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
