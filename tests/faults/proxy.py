"""A network that fails on purpose: a byte pump between a client and a server, both on loopback.

Each connection has a fault, drawn by a seeded schedule from its number; a client that opens one connection a request
thus decides nothing, and the same seed gives the same faults. Bytes are pumped as they come, because headers and body
need not come together. `Proxy.force` sets one fault for all connections from then on.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Self

__all__ = ["FAULTS", "Fault", "Proxy", "draw_faults"]

Mode = Literal["pass", "reset_before", "reset_after", "drop_reply", "truncate", "stall", "slow", "blackhole", "refuse"]
_CHUNK: Final = 65_536
_RESET: Final = struct.pack("ii", 1, 0)
_PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a connection. `amount`: bytes of the reply for truncate, seconds for stall and blackhole, bytes a
    second for slow."""

    mode: Mode
    amount: float = 0.0


FAULTS: Final = (
    Fault("reset_before"), Fault("reset_after"), Fault("drop_reply"), Fault("truncate", 40), Fault("truncate", 170),
    Fault("stall", 0.15), Fault("slow", 20_000), Fault("blackhole", 0.6), Fault("refuse"),
)  # fmt: skip
PASS: Final = Fault("pass")


def draw_faults(seed: int, share: float) -> Callable[[int], Fault]:
    """A schedule: that share of the connections has a fault."""

    def fault(number: int) -> Fault:
        rng = random.Random(seed * 1_000_003 + number)
        return rng.choice(FAULTS) if rng.random() < share else PASS

    return fault


class Proxy:
    """Listens on a free port of its own and forwards to `port`, in a thread. Counts what it did."""

    def __init__(self, port: int, schedule: Callable[[int], Fault] = lambda _number: PASS) -> None:
        self._target, self._schedule = port, schedule
        self.connections = 0
        self.counts: Counter[Mode] = Counter()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def faults(self) -> int:
        return sum(count for mode, count in self.counts.items() if mode != "pass")

    def force(self, fault: Fault) -> None:
        """From now on every connection has this one."""
        self._schedule = lambda _number: fault

    def aim(self, port: int) -> None:
        """Forward to another port: the server was started again."""
        self._target = port

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        fault = self._schedule(self.connections)
        self.counts[fault.mode] += 1
        try:
            await asyncio.wait_for(self._faulty(fault, reader, writer), _PATIENCE)
        except (OSError, TimeoutError, asyncio.CancelledError):  # cancelled when the proxy ends: nothing awaits this
            _reset(writer)
        finally:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                writer.close()
                await writer.wait_closed()

    async def _faulty(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if fault.mode == "refuse":
            _reset(writer)
            return
        if fault.mode in ("reset_before", "blackhole"):
            await reader.read(_CHUNK)
            await asyncio.sleep(fault.amount)
            _reset(writer)
            return
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
        forward = asyncio.create_task(_pump(reader, back_writer))
        try:
            await self._reply(fault, back_reader, writer)
        finally:
            forward.cancel()
            back_writer.close()

    async def _reply(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if fault.mode in ("reset_after", "drop_reply"):
            await reader.read(_CHUNK)  # the server has answered: it has done what was asked
            if fault.mode == "reset_after":
                _reset(writer)
            return
        left = int(fault.amount) if fault.mode == "truncate" else None
        while data := await reader.read(_CHUNK):
            if fault.mode == "stall":
                await asyncio.sleep(fault.amount)
            if fault.mode == "slow":
                await asyncio.sleep(len(data) / fault.amount)
            writer.write(data if left is None else data[:left])
            await writer.drain()
            if left is not None:
                left -= len(data)
                if left <= 0:
                    return


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, so that the other side learns that something went wrong."""
    line = writer.get_extra_info("socket")
    if line is not None:
        with contextlib.suppress(OSError):
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
