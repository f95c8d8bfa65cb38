"""How connections end when a process is asked to stop: each gets a last word.

uvicorn closes a connection at once that has no request under way, also one whose request is on its way: the asker would
find it closed. Here such a connection may ask for a moment longer, is answered, and told to close.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LAST_WORD_S = 1.0


class PartingProtocol(HttpToolsProtocol):
    """A connection of uvicorn that is not closed without having been listened to."""

    is_parting = False

    def shutdown(self) -> None:
        """See HttpToolsProtocol: called once, when the process has stopped to accept connections."""
        self.is_parting = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LAST_WORD_S, self._end)
        else:
            super().shutdown()

    def on_headers_complete(self) -> None:
        """See HttpToolsProtocol: a request is known, and its answer begins afterwards."""
        super().on_headers_complete()
        if self.is_parting and self.cycle is not None:
            self.cycle.keep_alive = False  # the answer says `Connection: close`, and so it is

    def _end(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()
