"""TLS in front of a server that speaks none, in records of whatever size."""

from __future__ import annotations

import asyncio
import random
import ssl
import subprocess
import threading
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from pathlib import Path

SIZES = (1, 7, 100, 5_000, 40_000)
"""Bytes that are handed on at a time; above 16 kB they are several records."""


class TlsDoor:
    """127.0.0.1:``port`` speaks TLS and leads to 127.0.0.1:``upstream``; served by a thread of its own."""

    def __init__(self, upstream: int, home: Path, rng: random.Random) -> None:
        self.certificate, key = home / "cert.pem", home / "key.pem"
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        argv += ["-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout", str(key)]
        subprocess.run([*argv, "-out", str(self.certificate)], check=True, capture_output=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._upstream, self._rng = upstream, rng
        self.port, self._opened = 0, threading.Event()
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> TlsDoor:
        self._thread.start()
        assert self._opened.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._opened.set()
        await self._stop.wait()
        server.close()
        carried = asyncio.all_tasks() - {asyncio.current_task()}
        for task in carried:
            task.cancel()
        await asyncio.gather(*carried, return_exceptions=True)
        await server.wait_closed()  # from Python 3.12 on: for its connections, too
        await asyncio.sleep(0)  # a transport closes its socket in the turn after

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            await asyncio.gather(self._carry(reader, server_writer), self._carry(server_reader, writer))
        finally:
            writer.transport.abort()
            server_writer.transport.abort()

    async def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(self._rng.choice(SIZES)):
                writer.write(data)
                await writer.drain()
        writer.close()
