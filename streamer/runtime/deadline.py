"""The `ttl` of a node: a handler call that takes longer is interrupted, and one that goes on ends its process.

Only the interpreter can interrupt a plain function, by an exception that another thread asks for; and it raises that
wherever the thread is by then: in the middle of our own bookkeeping, or in the handler's next call. So the call and the
watchdog take one token from a list, which only one of them can get. While the user's code runs, the token lies there;
whoever leaves that code (the call that ends, or one into the api) takes it back first, and if it is gone, waits until
the exception was asked for and takes that back. So it can only be raised in the user's code. Time spent in the api, as
when the next nodes are full, does not count. `async` handlers are cancelled by their own loop and need none of that. An
alarm signal would do for the main thread only, where handlers of stateful nodes are not.
"""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread, get_ident
from typing import Any, cast

from streamer.clock import Clock
from streamer.errors import HandlerTimeoutError
from streamer.limits import TTL_LOOK_LEAST_S, TTL_LOOK_S
from streamer.runtime.algorithm import Algorithm, Form, Function, form_of, listener

_END = object()
_set_async_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exception.argtypes = (ctypes.c_ulong, ctypes.py_object)
_take_back = ctypes.PyDLL(None).PyThreadState_SetAsyncExc
_take_back.argtypes = (ctypes.c_ulong, ctypes.c_void_p)


class _Call:
    """One call of a plain handler. `entered_at` is None while it is not in the user's code."""

    __slots__ = ("entered_at", "struck", "thread", "used_s")

    def __init__(self) -> None:
        self.thread = get_ident()
        self.entered_at: float | None = None
        self.used_s = 0.0
        self.struck = False

    def used(self, now: float) -> float:
        entered_at = self.entered_at
        return self.used_s if entered_at is None else self.used_s + now - entered_at


class Deadline:
    """Of the handlers of one instance. The watchdog calls `overdue` for a call that outlives twice its time."""

    def __init__(self, ttl_s: float, clock: Clock, overdue: Callable[[float], None]) -> None:
        class OverdueError(HandlerTimeoutError):
            def __init__(self) -> None:
                super().__init__(f"the call took longer than the ttl of its node, {ttl_s:g} s")

        OverdueError.__name__ = OverdueError.__qualname__ = HandlerTimeoutError.__name__
        OverdueError.__module__ = HandlerTimeoutError.__module__
        self._error = OverdueError
        self._ttl_s = ttl_s
        self._clock = clock
        self._overdue = overdue
        self._tokens: list[_Call] = []
        self._call: _Call | None = None
        self._waiting: dict[object, float] = {}
        self._over = Event()

    # -- the watchdog ----------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Begin to look."""
        Thread(target=self._watch, name="ttl", daemon=True).start()

    def close(self) -> None:
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(min(TTL_LOOK_S, max(TTL_LOOK_LEAST_S, self._ttl_s / 4))):
            self.look()

    def look(self) -> None:
        """Interrupt what is over its time, and give up what is over twice its time."""
        now, call = self._clock(), self._call
        began = min(list(self._waiting.values()), default=now)
        late = call is not None and call.entered_at is not None and call.used(now) >= 2 * self._ttl_s
        if late or now - began >= 2 * self._ttl_s:
            self._overdue(self._ttl_s)
        elif call is not None and not call.struck and call.used(now) >= self._ttl_s:
            self._strike(now)

    def _strike(self, now: float) -> None:
        try:
            call = self._tokens.pop()
        except IndexError:
            return  # it is leaving the user's code
        if call.used(now) < self._ttl_s:
            self._tokens.append(call)  # another one has begun meanwhile
        else:
            _set_async_exception(call.thread, self._error)
            call.struck = True

    # -- plain calls -----------------------------------------------------------------------------------------------

    def _enter(self, call: _Call) -> None:
        call.entered_at = self._clock()
        if not call.struck:
            self._tokens.append(call)

    def _leave(self, call: _Call) -> None:
        """The user's code is left: from here on nothing can be raised by the watchdog."""
        while not call.struck:
            try:
                self._tokens.pop()
                break
            except IndexError:
                time.sleep(0)  # the watchdog has the token, and is about to strike or to put it back
        if call.struck:
            _take_back(call.thread, None)
        now = self._clock()
        call.used_s, call.entered_at = call.used(now), None

    def _within(self, call: _Call, function: Function, *arguments: object) -> Any:
        """Call the user's function."""
        try:
            self._call = call
            self._enter(call)
            try:
                return function(*arguments)
            finally:
                self._leave(call)
        finally:
            call.entered_at = self._call = None

    def _plain(self, function: Function) -> Function:
        def guarded(*arguments: object) -> Any:
            call = _Call()
            given = self._within(call, function, *arguments)
            return self._each(call, given) if isinstance(given, Generator) else given

        return guarded

    def _each(self, call: _Call, values: Iterator[object]) -> Iterator[object]:
        """What a generator gives, within the time of one call altogether."""
        while (value := self._within(call, next, values, _END)) is not _END:
            yield value

    @contextmanager
    def shield(self) -> Iterator[None]:
        """The user's code has called ours, which nothing may interrupt. Raises HandlerTimeoutError if it is late."""
        call = self._call
        if call is None or call.thread != get_ident() or call.entered_at is None:
            yield
            return
        self._leave(call)
        if call.struck:
            self._enter(call)
            raise self._error
        try:
            yield
        finally:
            self._enter(call)

    # -- calls that wait -------------------------------------------------------------------------------------------

    @contextmanager
    def _noted(self) -> Iterator[None]:
        key = object()
        self._waiting[key] = self._clock()
        try:
            yield
        finally:
            del self._waiting[key]

    def _async(self, function: Function) -> Function:
        async def guarded(*arguments: object) -> Any:
            with self._noted():
                scope = asyncio.timeout(self._ttl_s)
                try:
                    async with scope:
                        return await cast("Awaitable[Any]", function(*arguments))
                except TimeoutError as error:
                    raise self._late(scope, error) from error

        return guarded

    def _async_generator(self, function: Function) -> Function:
        async def guarded(*arguments: object) -> AsyncIterator[Any]:
            with self._noted():
                scope = asyncio.timeout(self._ttl_s)
                try:
                    async with scope:
                        async for value in function(*arguments):
                            yield value
                except TimeoutError as error:
                    raise self._late(scope, error) from error

        return guarded

    def _late(self, scope: asyncio.Timeout, error: TimeoutError) -> BaseException:
        """Our own error, or the handler's, if it is not this time that is up."""
        return self._error() if scope.expired() else error

    # -- whose calls -----------------------------------------------------------------------------------------------

    def guarding(self, function: Function, form: Form) -> Function:
        """The same function, which has this form, within its time."""
        if form is Form.ASYNC:
            return self._async(function)
        return self._async_generator(function) if form is Form.ASYNC_GENERATOR else self._plain(function)

    def guarded(self, algorithm: Algorithm, *, stateful: bool) -> Algorithm:
        """The same algorithm, each of whose calls for messages has its time, and an api that nothing interrupts."""
        start, on_messages = algorithm.start, algorithm.on_messages
        if start is not None and not stateful:
            start = self.guarding(start, algorithm.form)
        if on_messages is not None:
            on_messages = self.guarding(on_messages, algorithm.form)
        return replace(algorithm, start=self._shielded(start), on_messages=self._shielded(on_messages))

    def _shielded(self, function: Function | None) -> Function | None:
        return None if function is None else lambda first, api: function(first, ShieldedApi(api, self))

    def listening(self, function: Function) -> Function:
        """A listener within its time."""
        two = listener(function)
        return self.guarding(two, form_of(two))


class ShieldedApi:
    """The api, or a hold, as the user's code gets it where its calls have a deadline."""

    def __init__(self, inner: object, deadline: Deadline) -> None:
        self._inner: Any = inner
        self._deadline = deadline

    def registerInputListener(self, onMessage: Function) -> None:  # noqa: N802, N803  # HKube's names
        self._inner.registerInputListener(self._deadline.listening(onMessage))

    def registerBatchListener(self, onMessages: Function) -> None:  # noqa: N802, N803  # HKube's names
        self._inner.registerBatchListener(self._deadline.listening(onMessages))

    register_input_listener = registerInputListener
    register_batch_listener = registerBatchListener

    def hold(self, timeout_s: float | None = None) -> ShieldedApi:
        with self._deadline.shield():
            return ShieldedApi(self._inner.hold(timeout_s), self._deadline)

    def __getattr__(self, name: str) -> Any:
        with self._deadline.shield():
            found = getattr(self._inner, name)
        if not callable(found):
            return found

        def shielded(*arguments: object, **named: object) -> Any:
            with self._deadline.shield():
                return found(*arguments, **named)

        return shielded
