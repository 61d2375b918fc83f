"""News for event loops.  Each loop with running requests has a pipe; a scheduler writes a byte when there is news, and
the loop wakes the tasks that wait.  No thread waits for an answer."""
from __future__ import annotations

import asyncio
import os
import threading

_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}
_lock = threading.RLock()  # the garbage collector may drop a stream, and so remove a hub, while a thread holds it


class Hub:
    """The requests of one event loop.  It closes its pipe when the last one has gone, so that no scheduler can write to
    a file descriptor that belongs to somebody else by then."""

    def __init__(self, loop):
        self._loop = loop
        self._waiting: dict[object, asyncio.Event] = {}
        self._read_end, self.fd = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self.fd, False)
        loop.add_reader(self._read_end, self._wake)

    def _wake(self):
        try:
            while os.read(self._read_end, 4096):
                pass
        except BlockingIOError:
            pass
        for event in list(self._waiting.values()):
            event.set()

    def add(self, request):
        self._waiting[request] = asyncio.Event()

    async def wait(self, request):
        """Sleep until there may be news of the request."""
        event = self._waiting[request]
        await event.wait()
        event.clear()

    def remove(self, request):
        """The request is finished or cancelled; may be called twice."""
        if self._waiting.pop(request, None) is not None:
            self.close_if_unused()

    def remove_soon(self, request):
        """remove() from wherever the garbage collector runs."""
        try:
            self._loop.call_soon_threadsafe(self.remove, request)
        except RuntimeError:  # the loop is closed, nobody else uses the hub
            self.remove(request)

    def close_if_unused(self):
        """For who got the hub and has no request after all, too."""
        if self._waiting:
            return
        with _lock:
            _hubs.pop(self._loop, None)
        if not self._loop.is_closed():
            self._loop.remove_reader(self._read_end)
        os.close(self._read_end)
        os.close(self.fd)


def current_hub():
    """The hub of the running event loop.  Before anything is awaited it must get a request or close_if_unused()."""
    loop = asyncio.get_running_loop()
    with _lock:
        if loop not in _hubs:
            _hubs[loop] = Hub(loop)
        return _hubs[loop]
