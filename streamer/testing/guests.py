"""The user's algorithms as guests of one process, where the engine gives each instance a process of its own.

Each life of an instance executes its file anew, so that a killed instance has lost what it kept in its module, as it
would have. Modules that lie beside the file are imported anew too; all others, and whatever the test had imported
itself, are shared. Calls are noted while they last: a `start` that loops would keep the only thread there is, and the
play could say neither what it waits for nor end.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from typing import Any

from streamer import clock
from streamer.errors import HarnessError, StreamEndedError
from streamer.plan.assignment import Code, Role
from streamer.runtime.algorithm import Algorithm, Form, Function, listener, load_algorithm
from streamer.runtime.api import Api
from streamer.runtime.holds import Hold
from streamer.testing.failures import Demands
from streamer.testing.life import Life, Make
from streamer.testing.virtual_loop import Completion

_GENERATORS = (Form.GENERATOR, Form.ASYNC_GENERATOR)
_INSTALLED = frozenset({"site-packages", "dist-packages"})


class Guests:
    """The user's code of one play."""

    def __init__(self, codes: Mapping[str, Code], demands: Demands) -> None:
        self._folders = {Path(code.path).parent for code in codes.values()}
        self._before = frozenset(sys.modules)
        self._path = tuple(sys.path)
        self._at_work: dict[object, tuple[str, str, float]] = {}
        self._completions: list[Completion] = []
        self.thread = 0
        self.demands = demands
        self.over = False
        self.trespass: HarnessError | None = None
        self.makes: Mapping[str, Make] = {node: self._make(node, code) for node, code in codes.items()}

    def _make(self, node: str, code: Code) -> Make:
        def make(life: Life) -> Algorithm:
            with self.at_work(node, "the file"):
                self._forget()
                loaded = load_algorithm(code)
            self._completions.append(completion := Completion(life))
            return _Guest(self, life, loaded, completion).algorithm()

        return make

    @contextmanager
    def at_work(self, node: str, function: str) -> Iterator[None]:
        """The user's function is called."""
        call = object()
        self._at_work[call] = (node, function, clock.now())
        try:
            yield
        finally:
            del self._at_work[call]

    def overdue(self, limit_s: float) -> tuple[str, str] | None:
        """Node and function of the call that has lasted for longer than that, by the machine's clock."""
        began = min(list(self._at_work.values()), key=lambda call: call[2], default=None)
        return None if began is None or clock.now() - began[2] < limit_s else began[:2]

    def check(self) -> None:
        """Raises HarnessError if a thread of an algorithm has used its api: what it wanted did not happen."""
        if self.trespass is not None:
            raise self.trespass

    def close(self) -> None:
        """Leave no module, path or loop behind; a call that goes on all the same is sent away when it uses its api."""
        self.over = True
        sys.path[:] = self._path
        self._forget()
        if not self._at_work:
            for completion in self._completions:
                completion.close()

    def _forget(self) -> None:
        for name in set(sys.modules) - self._before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and self._is_of_the_user(Path(file)):
                del sys.modules[name]

    def _is_of_the_user(self, file: Path) -> bool:
        """Beside an algorithm, and not installed there: many installed modules cannot be imported twice."""
        return not self._folders.isdisjoint(file.parents) and _INSTALLED.isdisjoint(file.parts)


class _Guest:
    """The functions of one life, as the engine is to call them."""

    def __init__(self, guests: Guests, life: Life, loaded: Algorithm, completion: Completion) -> None:
        self._guests = guests
        self._life = life
        self._loaded = loaded
        self._completion = completion
        self._listening = False

    def algorithm(self) -> Algorithm:
        loaded = self._loaded
        start = self._start_once if self._life.assignment.role is Role.STATEFUL else self._start
        return Algorithm(
            loaded.name,
            start=start if loaded.start is not None else None,
            init=self._called("init", loaded.init),
            stop=self._called("stop", loaded.stop),
            exit=self._called("exit", loaded.exit),
            on_messages=self._on_messages if loaded.on_messages is not None else None,
            form=Form.GENERATOR if loaded.form in _GENERATORS else Form.PLAIN,
        )

    def _start(self, args: dict[str, Any], api: Api) -> object:
        """Stateless: for one message."""
        assert self._loaded.start is not None
        self._guests.demands.handle(self._life, 1)
        given = self._call("start", self._loaded.start, args, GuestApi(self, api))
        each = self._loaded.form in _GENERATORS or inspect.isgenerator(given)
        return self._each(given) if each else given

    def _each(self, given: Any) -> Iterator[object]:
        with self._guests.at_work(self._node, "start"):
            yield from given

    def _start_once(self, args: dict[str, Any], api: Api) -> None:
        """Stateful: for the life of the instance."""
        assert self._loaded.start is not None
        self._call("start", self._loaded.start, args, GuestApi(self, api))

    def _on_messages(self, messages: list[object], api: Api) -> object:
        assert self._loaded.on_messages is not None
        self._guests.demands.handle(self._life, len(messages))
        return self._call("onMessages", self._loaded.on_messages, messages, GuestApi(self, api))

    def listening(self, function: Function, *, whole: bool) -> Function:
        """A listener that the user registers. Of several, the first one meets with the failures that are demanded."""
        two = listener(function)
        first, self._listening = not self._listening, True

        def hear(given: object, origin: str) -> None:
            if first:
                self._guests.demands.handle(self._life, len(given) if whole and isinstance(given, list) else 1)
            self._call("onMessages" if whole else "onMessage", two, given, origin)

        return hear

    def _called(self, name: str, function: Function | None) -> Function | None:
        return None if function is None else lambda args: self._call(name, function, args)

    def _call(self, name: str, function: Function, *arguments: object) -> object:
        with self._guests.at_work(self._node, name):
            try:
                given = function(*arguments)
            except SystemExit:
                self._life.die()
            given = _collected(given) if inspect.isasyncgen(given) else given
            return self._completion.of(given) if inspect.iscoroutine(given) else given

    @property
    def _node(self) -> str:
        return self._life.assignment.node

    def admit(self) -> None:
        """Raises HarnessError or StreamEndedError if the calling thread may not use the api, or not any more."""
        if self._guests.over:
            raise StreamEndedError("the play is over")
        if get_ident() != self._guests.thread:
            self._guests.trespass = HarnessError(
                f"node {self._node} uses its api from a thread of its own, which has no place in virtual time",
                remedy="Test this algorithm with `streamer run`, or let it use the api in its handler or in start.",
            )
            raise self._guests.trespass

    def admitting(self, found: Any) -> Any:
        """An attribute of the api; a function may be kept, so it is its call that is looked at as well."""
        self.admit()
        if not callable(found):
            return found

        def admitted(*arguments: object, **named: object) -> Any:
            self.admit()
            return found(*arguments, **named)

        return admitted


class GuestApi:
    """The api that a guest gets: the real one, for the one thread in which everything is played."""

    def __init__(self, guest: _Guest, api: Api) -> None:
        self._guest = guest
        self._api = api

    def registerInputListener(self, onMessage: Callable[..., Any]) -> None:  # noqa: N802, N803  # HKube's names
        self._guest.admit()
        self._api.registerInputListener(self._guest.listening(onMessage, whole=False))

    def registerBatchListener(self, onMessages: Callable[..., Any]) -> None:  # noqa: N802, N803  # HKube's names
        self._guest.admit()
        self._api.registerBatchListener(self._guest.listening(onMessages, whole=True))

    register_input_listener = registerInputListener
    register_batch_listener = registerBatchListener

    def hold(self, timeout_s: float | None = None) -> GuestHold:
        self._guest.admit()
        return GuestHold(self._guest, self._api.hold(timeout_s))

    def __getattr__(self, name: str) -> Any:
        return self._guest.admitting(getattr(self._api, name))


class GuestHold:
    """A hold that a guest gets, for the same one thread."""

    def __init__(self, guest: _Guest, hold: Hold) -> None:
        self._guest = guest
        self._hold = hold

    def __getattr__(self, name: str) -> Any:
        return self._guest.admitting(getattr(self._hold, name))


async def _collected(given: AsyncIterator[object]) -> list[object]:
    return [one async for one in given]
