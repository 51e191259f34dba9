"""The user's functions as a test plays them: what a handler does is written down in its cast, how long it takes too.

They go through the same `api` as anybody's code, in all of its forms (a return value, `sendMessage` with and without a
flow, a listener, sends from `start` and `stop`), and tell their life what they were given and what they sent.
"""

from __future__ import annotations

from typing import Any

from streamer.runtime.algorithm import Algorithm
from streamer.runtime.api import Api
from streamer.testing.keyed import text_of
from streamer.testing.life import Life, Make
from streamer.testing.outcome import Cast, RefusalError, Sends

COUNTED = "counted"
"""The keyed state in which keepers count what they get."""


def algorithm(node: str, cast: Cast, handler_s: float, *, stateful: bool, keeps: bool) -> Make:
    """The functions of a node of this cast; a handler call takes `handler_s`."""

    def make(life: Life) -> Algorithm:
        actor = _Actor(node, cast, handler_s, life, keeps=keeps)
        if stateful:
            stop = actor.say_farewell if node in cast.farewells else None
            return Algorithm(name=node, start=actor.start_stateful, init=None, stop=stop, exit=None)
        return Algorithm(name=node, start=actor.start_stateless, init=None, stop=None, exit=None)

    return make


class _Actor:
    def __init__(self, node: str, cast: Cast, handler_s: float, life: Life, *, keeps: bool) -> None:
        self._keeps = keeps
        self._node = node
        self._cast = cast
        self._handler_s = handler_s
        self._life = life
        self._api: Api | None = None

    def start_stateless(self, args: dict[str, Any], api: Api) -> object:
        """A single message goes on as the return value, more of them by `sendMessage`."""
        message = args["streamInput"]["message"]
        sends = self._behave(message, api)
        if len(sends) == 1 and sends[0][0] is None:
            self._life.emits(sends[0][1])
            return self._cast.wrap(sends[0][1])
        self._send(api, sends)
        return None

    def start_stateful(self, args: dict[str, Any], api: Api) -> None:  # noqa: ARG002  # HKube's signature
        self._api = api
        if self._node in self._cast.starts:
            self._send(api, [(None, message) for message in self._cast.starts[self._node]])
        else:
            api.registerInputListener(lambda message, _origin: self._send(api, self._behave(message, api)))
            if self._keeps:
                api.state.counter(COUNTED)
            api.startMessageListening()

    def say_farewell(self, args: dict[str, Any]) -> None:  # noqa: ARG002  # HKube's signature
        if self._api is not None:
            self._send(self._api, [(None, self._cast.farewells[self._node])])

    def _behave(self, given: object, api: Api) -> list[tuple[str | None, str]]:
        life, message = self._life, text_of(given)
        life.takes(given)
        life.work_for(self._handler_s)
        if (self._node, message) in self._cast.poison:
            life.die()
        if self._keeps:
            api.state.counter(COUNTED).add(message)
        try:
            return list(self._cast.behaviours[self._node](message))
        except RefusalError as refused:
            self._send(api, refused.sends)
            raise

    def _send(self, api: Api, sends: Sends) -> None:
        for flow, message in sends:
            self._life.emits(message)
            api.sendMessage(self._cast.wrap(message), flow)
