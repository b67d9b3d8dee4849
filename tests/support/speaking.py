"""Uvicorn with a protocol of ours and an application of the test's, for as long as a block."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import uvicorn
from live_server import free_port


@contextmanager
def speaking(application: Any, protocol: type[Any], *, keep_alive_s: int) -> Iterator[int]:
    """Gives the port that it listens at."""
    port = free_port()
    config = uvicorn.Config(
        application,
        port=port,
        http=protocol,
        log_config=None,
        lifespan="off",
        timeout_keep_alive=keep_alive_s,
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield port
    server.should_exit = True
    thread.join(10)
