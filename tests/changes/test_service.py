"""Open streams of the service as a process: its end, readers that never read, and what is logged."""

import asyncio
import socket
from pathlib import Path

import httpx2
import pytest
import websockets
from websockets.asyncio.client import connect

from bench.following import EventListener
from bench.listeners import Trial
from tests.callers import ok
from tests.profiles import count
from tests.servers.service import ServiceProcess, StartService

DEAF_READERS = 16
LARGE = 400_000


@pytest.mark.more_with_all
async def test_every_listener_gets_what_was_acknowledged_in_order(service: StartService) -> None:
    """In small; `python -m bench.listeners` is the whole of it."""
    trial = Trial(service(workers=2, log_level="error"))
    outcome = await trial.run(
        seconds=count(fast=2.5, all=5), writers=6, listeners=12, cuts=4, writes_a_second=count(fast=6, all=3)
    )
    assert outcome.faults == []
    assert outcome.cuts >= 12 * 4
    assert outcome.expected.total() > 50


@pytest.mark.any_database
@pytest.mark.parametrize("workers", [1, 2])
async def test_it_stops_soon_although_streams_are_open(service: StartService, workers: int) -> None:
    running = service(workers=workers)
    headers = running.headers("ann")
    async with httpx2.AsyncClient(base_url=running.base_url, headers=headers, trust_env=False) as client:
        ticket = ok(await client.post("/tickets"))["ticket"]
    url = running.base_url.replace("http", "ws")
    listeners = [EventListener(running.base_url, headers) for _ in range(4)]
    listening = [asyncio.create_task(one.connection()) for one in listeners]
    async with (
        connect(f"{url}/ws?ticket={ticket}", proxy=None) as one,
        connect(f"{url}/ws", additional_headers=headers, proxy=None) as two,
    ):
        await asyncio.gather(one.recv(), two.recv())
        while not all(listener.connected_at for listener in listeners):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(running.terminate)
        # Event streams end as they should, with the last chunk, and not in the middle of something.
        await asyncio.wait_for(asyncio.gather(*listening), 30)
        for each in (one, two):
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(each.recv(), 30)
            assert each.close_code == 1012
    assert ticket not in running.log
    assert '"route":"/ws"' in running.log
    assert "Traceback" not in running.log
    # Nobody had to be cut off: that is what the log would say.
    assert "exceeded" not in running.log


@pytest.mark.any_database
async def test_readers_that_never_read_cost_no_memory(service: StartService) -> None:
    running = service()
    headers = running.headers("ann")
    async with httpx2.AsyncClient(base_url=running.base_url, headers=headers, timeout=30, trust_env=False) as client:
        chat = ok(await client.post("/chats", json={}))["chat_id"]

        async def write(count: int) -> None:
            for _ in range(count):
                ok(await client.post(f"/chats/{chat}/messages", json={"role": "user", "content": "x" * LARGE}))

        await write(20)
        deaf = [deaf_reader(running, number % 2 == 0) for number in range(DEAF_READERS)]
        await asyncio.sleep(0.5)
        before = resident_bytes(running)
        await write(40)
        # To all of them that would be 256 MB.
        assert resident_bytes(running) - before < 80_000_000
        for one in deaf:
            one.close()


def deaf_reader(running: ServiceProcess, events: bool) -> socket.socket:
    """A client that asks for everything and reads nothing of it."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", running.port))
    lines = [f"{name}: {value}" for name, value in running.headers("ann").items()]
    if events:
        head = ["GET /events HTTP/1.1", "Host: x", *lines]
    else:
        upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        head = ["GET /ws HTTP/1.1", "Host: x", *upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *lines]
    made.sendall("\r\n".join([*head, "", ""]).encode())
    return made


def resident_bytes(running: ServiceProcess) -> int:
    """The memory of the process."""
    lines = Path(f"/proc/{running.process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
