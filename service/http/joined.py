"""Sends the head of an answer together with the first of its body. Knows no request.

Uvicorn writes them one after the other, and each goes out at once: two calls of the system, and a
client that is woken for the head finds no answer yet and sleeps again.
"""

from asyncio import AbstractEventLoop, Transport

JOINED_BYTES = 2**16
"""A body from this size on is not copied to stand behind its head."""

CONTINUE = b"HTTP/1.1 100 "
"""Begins what is said before an answer, and what a client may wait for."""


class Joined:
    """The transport of one answer.

    A head waits for its body until the event loop comes round, and no longer.

    Args:
        transport: where all of it goes.
        loop: runs it.
    """

    __slots__ = ("_began", "_head", "_loop", "_transport")

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._began = False

    def write(self, data: bytes) -> None:
        """Send bytes, those of the head not before others come."""
        if not self._began and not data.startswith(CONTINUE):
            self._began, self._head = True, data
            self._loop.call_soon(self._send_head)
        elif self._head and len(data) < JOINED_BYTES:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        else:
            self._send_head()
            self._transport.write(data)

    def close(self) -> None:
        """Send what is left, and hang up."""
        self._send_head()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it hangs up."""
        return self._transport.is_closing()

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head:
            self._transport.write(head)
