"""Limits what a connection may send that is no request, or none any more: bytes, and time.

Uvicorn with httptools has no such limits: headers that never end fill the memory, two dozen times
as much as was sent, and connections that say nothing are kept until no other can be made; of
neither does anybody ask for a key. Knows no path.
"""

from asyncio import TimerHandle, Transport

from starlette.datastructures import Headers
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.errors import HeadTooLarge
from service.http.edge import id_of, marked, refusal

HEAD_BYTES = 2**16
"""Most bytes of a request's line, headers and trailers together."""

HEAD_S = 30.0
"""How long the head of a request may take, from the connection on or from its first byte; and the
rest of a body that nobody reads, from its answer on."""


class LimitedProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, which gives up on heads that are too long or take too long.

    The parser collects a header until its end before it says a word; so it counts as well how much
    has come since it last said one.
    """

    _head_bytes = 0
    _silent_bytes = 0
    _is_heard = False
    _is_too_much = False
    _is_whole = True
    _patience: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._has_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on, unless the parser has been silent for too long."""
        self._is_heard = False
        super().data_received(data)
        self._silent_bytes = 0 if self._is_heard else self._silent_bytes + len(data)
        if self._silent_bytes > HEAD_BYTES and not self.transport.is_closing():
            self._is_too_much = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._head_bytes, self._is_heard, self._is_whole = 0, True, False
        if self._patience is None:
            self._wait()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of its line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._count(len(name) + len(value) + len(": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._has_come()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._is_heard = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._is_whole = True
        self._has_come()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The end of an answer: of a body that is still coming, uvicorn would wait for ever."""
        super().on_response_complete()
        is_early = not self._is_whole and self.cycle is not None and self.cycle.response_complete
        if is_early and self._patience is None and not self.transport.is_closing():
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Says why, and hangs up; what is too much has a status of its own."""
        if not self._is_too_much:
            super().send_400_response(msg)
            return
        request_id = id_of(Headers())
        status, headers, body = refusal(HeadTooLarge(HEAD_BYTES), request_id)
        said = [*marked(headers, self.scheme or "http", request_id), (b"connection", b"close")]
        lines = [b"%s: %s\r\n" % pair for pair in said]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        self.transport.close()

    def _count(self, size_bytes: int) -> None:
        self._is_heard = True
        self._head_bytes += size_bytes
        if self._head_bytes > HEAD_BYTES:
            self._is_too_much = True
            # The parser makes its own error of it, which ends in `send_400_response`.
            raise HeadTooLarge(HEAD_BYTES)

    def _wait(self) -> None:
        self._patience = self.loop.call_later(HEAD_S, self.transport.close)

    def _has_come(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
