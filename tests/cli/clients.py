"""Clients of a gateway: each posts its numbers one after the other until each is answered 2xx, come what may."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Queue
from threading import Event, Thread
from urllib.parse import urlsplit

_PATIENCE_S = 60.0
_AGAIN_S = 0.02
_OK = (200, 202)


@dataclass
class Clients:
    """`answered` gets each number when its 2xx has come; `refused` counts other answers, `broken` connections."""

    url: str
    query: str = ""
    answered: Queue[int] = field(default_factory=Queue)
    refused: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    over: Event = field(default_factory=Event)

    def start(self, numbers: Sequence[int], clients: int) -> None:
        for client in range(clients):
            Thread(target=self._post_all, args=(numbers[client::clients],), daemon=True).start()

    def _post_all(self, numbers: Sequence[int]) -> None:
        connection = self._connection()
        for number in numbers:
            while not self.over.is_set() and not self._post(connection, number):
                connection.close()
                self.over.wait(_AGAIN_S)
                connection = self._connection()
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=_PATIENCE_S)

    def _post(self, connection: http.client.HTTPConnection, number: int) -> bool:
        """Whether it was answered 2xx."""
        try:
            path = urlsplit(self.url).path + self.query
            connection.request("POST", path, json.dumps({"id": number}), {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self.broken.append(type(error).__name__)
            return False
        if response.status not in _OK:
            self.refused.append(response.status)
            return False
        self.answered.put(number)
        return True
