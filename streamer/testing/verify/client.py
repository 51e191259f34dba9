"""Those who send to the gateways of a job, and keep what became of each message.

A client that gets no answer sends the same message again, as any careful client would, and thereby may make a second
one; so it keeps how often it sent each. What was answered 200 is settled, and must be in a sink whatever happened
since. It goes on until it is told to end, also while the gateway is gone.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread
from urllib.parse import urlsplit

from streamer import clock

_CLIENTS = 4
_PAUSE_S = 0.03
_AGAIN_S = 0.2
_ANSWER_S = 10.0
"""A client that hears nothing for so long takes it that nobody has heard it."""


@dataclass(slots=True)
class Sent:
    """One message: how often it was sent, when first, and when it was answered; 0 if it was not."""

    record: str
    began: float
    times: int = 0
    answered: float = 0.0


class Clients:
    """Some clients of one gateway; `address` gives its URL as it is now, '' while there is none."""

    def __init__(self, gateway: str, address: Callable[[], str]) -> None:
        self._gateway = gateway
        self._address = address
        self._over = Event()
        self._sent: list[list[Sent]] = [[] for _ in range(_CLIENTS)]
        self._threads = [Thread(target=self._send_all, args=(n,), daemon=True) for n in range(_CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> Sequence[Sent]:
        """Let them end, and give all that they have sent."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        return [one for sent in self._sent for one in sent]

    def _send_all(self, client: int) -> None:
        number = client
        while not self._over.is_set():
            one = Sent(f"{self._gateway}#{number}", clock.now())
            self._sent[client].append(one)
            while not self._over.is_set():
                if self._post(one):
                    one.answered = clock.now()
                    break
                self._over.wait(_AGAIN_S)
            number += _CLIENTS
            self._over.wait(_PAUSE_S)

    def _post(self, one: Sent) -> bool:
        """Whether it was answered that it is settled. What was refused whole was not sent."""
        url = urlsplit(self._address())
        if not url.hostname:
            return False
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=_ANSWER_S)
        try:
            connection.connect()
            one.times += 1
            connection.request("POST", url.path, json.dumps({"id": one.record}), {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if status in (404, 503):
            one.times -= 1
        return status == 200
