"""The api of an instance: HKube's names and ours beside them, in a handler, in start, and in threads of the user."""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from streamer.errors import FlowError, MessageError, StreamEndedError, StreamerError
from streamer.plan.assignment import Role
from streamer.runtime.algorithm import Algorithm
from streamer.runtime.api import Api
from streamer.runtime.stage import Stage
from tests.runtime.chain import Chain

Start = Callable[[dict[str, Any], Api], object]


def of(start: Start) -> Algorithm:
    return Algorithm("work", start, None, None, None)


class Stateful(Chain):
    """A chain whose middle is stateful; `api` is what its `start` was given."""

    def __init__(self, messages: list[object], start: Start | None = None) -> None:
        self._given: list[Api] = []
        self._wanted = start
        super().__init__(of(self._start), messages, role=Role.STATEFUL)
        self.work.step()
        self.algorithm.start()

    def _start(self, args: dict[str, Any], api: Api) -> object:
        self._given.append(api)
        return self._wanted(args, api) if self._wanted else None

    @property
    def api(self) -> Api:
        (api,) = self._given
        return api

    def end(self) -> list[Any]:
        """Let `start` have returned, and the stream come to its end."""
        self.algorithm.start_returned.set()
        return self.finish().outcome


# -- names -------------------------------------------------------------------------------------------------------------


CAMEL_CASE = [name for name in vars(Api) if re.search("[a-z][A-Z]", name)]


@pytest.mark.parametrize("name", CAMEL_CASE)
def test_each_name_of_hkube_has_a_snake_case_name_beside_it(name: str) -> None:
    snake = re.sub("([A-Z])", lambda found: f"_{found[0].lower()}", name)
    assert getattr(Api, snake) is getattr(Api, name)


def test_the_names_are_those_of_hkube() -> None:
    assert {
        "sendMessage", "registerInputListener", "startMessageListening", "isListeningToMessages", "stopStreaming",
        "resetQueue", "resetQueuePartial", "get_streaming_statistics",
    } <= set(vars(Api))  # fmt: skip


# -- listening ---------------------------------------------------------------------------------------------------------


def test_messages_are_taken_once_listening_has_started_and_until_it_is_stopped() -> None:
    chain = Stateful([1, 2, 3])
    seen: list[object] = []
    chain.api.registerInputListener(lambda message, origin: seen.append((message, origin)))
    assert not chain.api.isListeningToMessages()
    for _ in range(20):
        chain.step()
    assert seen == []
    chain.api.startMessageListening()
    assert chain.api.isListeningToMessages()
    chain.end()
    assert seen == [(1, "numbers"), (2, "numbers"), (3, "numbers")]


def test_each_listener_gets_every_message() -> None:
    seen: list[object] = []

    def start(_args: dict[str, Any], api: Api) -> None:
        api.register_input_listener(lambda message: seen.append(("first", message)))
        api.register_input_listener(onMessage=lambda message, _origin: seen.append(("second", message)))
        api.start_message_listening()

    Stateful(["a"], start).end()
    assert seen == [("first", "a"), ("second", "a")]


def test_a_node_that_stopped_takes_nothing_more() -> None:
    chain = Stateful(list(range(100)))
    seen: list[object] = []
    chain.api.registerInputListener(seen.append)
    chain.api.startMessageListening()
    chain.until(lambda: bool(seen))
    chain.api.stopStreaming()
    assert not chain.api.isListeningToMessages()
    before = len(seen)
    for _ in range(200):
        chain.step()
    assert len(seen) == before < 100


def test_a_node_that_stops_gently_takes_what_it_has_received() -> None:
    chain = Stateful(list(range(100)))
    seen: list[object] = []
    chain.api.registerInputListener(seen.append)
    chain.until(lambda: chain.work.inbox.waiting > 0)
    waiting = chain.work.inbox.waiting
    chain.api.startMessageListening()
    chain.api.stopStreaming(force=False)
    for _ in range(200):
        chain.step()
    assert chain.work.account.received == len(seen)
    assert 0 < waiting <= len(seen) < 100


def test_a_stateless_node_has_no_listeners_and_is_told_where_its_message_is() -> None:
    def start(_args: dict[str, Any], api: Api) -> None:
        api.registerInputListener(print)

    chain = Chain(of(start), ["a"]).finish()
    assert chain.dead[0].error == "StreamerError: registerInputListener was called on a stateless node"


# -- sending -----------------------------------------------------------------------------------------------------------


def test_what_a_handler_sends_belongs_to_its_message() -> None:
    chain = Stateful([1, 2])
    chain.api.registerInputListener(lambda message, _origin: chain.api.sendMessage(message, flowName="side"))
    chain.api.startMessageListening()
    assert chain.end() == [1, 2]
    assert chain.edge(chain.work).sent == 2


def test_what_start_sends_is_a_root_along_the_default_flow() -> None:
    def start(_args: dict[str, Any], api: Api) -> None:
        for number in range(1_500):
            api.send_message(number)
        api.sendMessage("last", "side")

    chain = Stateful([], start)
    assert chain.end() == [*range(1_500), "last"]
    assert chain.edge(chain.work).settled == 1_501


def test_threads_of_the_user_may_send() -> None:
    chain = Stateful([])

    def send_all(thread: int) -> None:
        for number in range(300):
            chain.api.sendMessage([thread, number])

    threads = [Thread(target=send_all, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = chain.end()
    assert len(found) == 1_200
    for n in range(4):
        assert [i for of, i in found if of == n] == list(range(300))


def test_a_message_is_packed_before_the_call_returns() -> None:
    chain = Stateful([])
    message = ["before"]
    chain.api.sendMessage(message)
    message[0] = "after"
    assert chain.end() == [["before"]]


def test_errors_are_raised_in_the_caller_and_nothing_is_sent() -> None:
    chain = Stateful([])
    with pytest.raises(MessageError, match="type set"):
        chain.api.sendMessage({1})
    with pytest.raises(FlowError, match="no flow is named 'nowhere'; flows that continue here: main, side"):
        chain.api.sendMessage("a", "nowhere")
    assert chain.end() == []


def test_after_the_end_of_the_stream_a_message_is_refused() -> None:
    chain = Stateful([])
    chain.end()
    assert chain.work.stage is Stage.ENDED
    with pytest.raises(StreamEndedError, match="the stream of node 'work' has ended"):
        chain.api.sendMessage("too late")


# -- queues ------------------------------------------------------------------------------------------------------------


def waiting(count: int) -> Stateful:
    """A node whose messages wait, because their consumer is not there yet."""
    chain = Stateful([])
    for number in range(count):
        chain.api.sendMessage(number)
    chain.work.step()
    return chain


def test_a_queue_can_be_reset_and_what_is_dropped_is_counted() -> None:
    chain = waiting(10)
    chain.api.resetQueuePartial(3)
    assert chain.api.get_streaming_statistics()[0]["queueSize"] == 7
    assert chain.api.get_streaming_statistics()[0]["dropped"] == 3
    chain.api.reset_queue_partial(numberOfMessagesToRemove=1)
    chain.api.sendMessage("kept")
    assert chain.end() == [4, 5, 6, 7, 8, 9, "kept"]
    assert chain.edge(chain.work).dropped == {"reset": 4}


def test_a_whole_queue_can_be_reset() -> None:
    chain = waiting(10)
    chain.api.resetQueue()
    assert chain.end() == []
    assert chain.edge(chain.work).dropped == {"reset": 10}


def test_statistics_have_the_fields_of_hkube() -> None:
    chain = waiting(4)
    (before,) = chain.api.getStreamingStatistics()
    assert before == {
        "nodeName": "out", "sent": 4, "queueSize": 4, "netDurations": [], "durations": [0.0], "queueDurations": [],
        "responses": 0, "dropped": 0,
    }  # fmt: skip
    chain.end()
    (after,) = chain.api.get_streaming_statistics()
    assert (after["sent"], after["queueSize"], after["responses"]) == (4, 0, 4)


def test_errors_of_the_api_are_errors_of_streamer_with_a_remedy() -> None:
    chain = Stateful([])
    with pytest.raises(StreamerError) as raised:
        chain.api.sendMessage("a", "nowhere")
    assert raised.value.advice
