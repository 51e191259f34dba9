"""How the user's `async` functions are called for one message, or for a batch, and how their calls are put together.

Each is the counterpart of a class in `calls`, for calls that overlap: nothing is shared between two of them, so the
arguments of each are its own, and what it gives goes into the turn of its own call.
"""

from __future__ import annotations

import inspect
from typing import Any

from streamer.clock import Clock
from streamer.runtime.algorithm import Algorithm, Form
from streamer.runtime.calls import StatefulCalls, answer_each
from streamer.runtime.instance import Instance
from streamer.runtime.overlap import ContextTurn, Invoke, Overlap
from streamer.runtime.turn import HAND_WORDS, Hand, Turn

__all__ = ["ContextTurn", "functions", "listeners", "overlap"]


def functions(algorithm: Algorithm, args: dict[str, Any], api: object) -> Invoke:
    """The calls of a stateless node's `onMessages` or `start`."""
    start, on_messages = algorithm.start, algorithm.on_messages

    async def call_batch(turn: Turn, bodies: list[Any], first: int, origin: str) -> None:  # noqa: ARG001  # HKube's stateless code has it in args
        assert on_messages is not None
        answers = await on_messages(bodies, api)
        turn.join(first, len(bodies))
        answer_each(turn, answers, first, len(bodies))

    async def call_start(turn: Turn, bodies: list[Any], first: int, origin: str) -> None:
        assert start is not None
        given = await start({**args, "streamInput": {"message": bodies[0], "origin": origin}}, api)
        if given is not None and not turn.take_each(given):
            turn.answer(given, first)

    async def call_generator(turn: Turn, bodies: list[Any], first: int, origin: str) -> None:
        assert start is not None
        async for given in start({**args, "streamInput": {"message": bodies[0], "origin": origin}}, api):
            if given is not None:
                turn.answer(given, first)

    if on_messages is not None:
        return call_batch
    return call_generator if algorithm.form is Form.ASYNC_GENERATOR else call_start


def listeners(calls: StatefulCalls) -> Invoke:
    """The calls of all listeners of a stateful node, `async` ones and plain ones, one after the other."""

    async def call_all(turn: Turn, bodies: list[Any], first: int, origin: str) -> None:
        given = bodies if calls.whole else bodies[0]
        for listener in calls.batch_listeners or calls.listeners:
            answer = listener(given, origin)
            if inspect.isawaitable(answer):
                await answer
        turn.join(first, len(bodies))

    return call_all


def overlap(instance: Instance, invoke: Invoke, hand: Hand, clock: Clock, *, whole: bool) -> Overlap:
    """A turn for each call that may be at work, with its part of the words that survive a kill."""
    concurrency = min(instance.assignment.concurrency, len(hand) // HAND_WORDS)
    hands = [hand[at : at + HAND_WORDS] for at in range(0, concurrency * HAND_WORDS, HAND_WORDS)]
    turns = [(Turn(instance.exits, instance.emit, h, instance.pump, instance.outbox.refusing), h) for h in hands]
    for turn, _ in turns:
        turn.holds = instance.holds
    instance.inbox.pace.least = 2 * concurrency
    observe = instance.handler_seconds.observe
    ahead, in_place_s = instance.inbox.ahead, instance.failures.in_place_s
    return Overlap(invoke, turns, clock, observe, ahead, instance.handled, in_place_s, whole=whole)
