"""What a gateway answers: 2xx for what is settled or was accepted, and for anything else what to do about it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

import pytest

from streamer.errors import PortError
from streamer.limits import GATEWAY_READING_BYTES_MAX, MESSAGE_BYTES_MAX
from streamer.plan.assignment import Overload
from streamer.protocol.identity import MessageId
from tests.runtime.door import BYTES, INFO, JSON, PATH, PATIENCE_S, Answer, Door, exchange
from tests.runtime.platter import Platter

Open = Callable[..., Door]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    doors: list[Door] = []

    def opened(folder: Path = tmp_path, **options: object) -> Door:
        door = Door(folder, **options)  # type: ignore[arg-type]  # options of any kind
        doors.append(door)
        return door

    yield opened
    for door in doors:
        door.close()


@pytest.fixture
def door(opened: Open) -> Door:
    return opened()


def still_waits(door: Door, waiting: Future[Answer]) -> bool:
    """Whether the request has no answer yet, although another one, made later, has its own."""
    door.post(path="/anywhere")
    return not waiting.done()


# -- messages that are taken -------------------------------------------------------------------------------------------


def test_a_message_is_answered_ok_when_it_is_settled(door: Door) -> None:
    waiting = door.ask('{"text": "hello"}')

    assert still_waits(door, waiting)
    assert door.settle() == [{"text": "hello"}]
    answer = waiting.result(PATIENCE_S)
    assert (answer.status, answer.document) == (200, {"message": "OK"})
    assert door.account.received == 1


def test_a_message_to_two_nodes_is_settled_when_both_have_settled_it(door: Door) -> None:
    waiting = door.ask("1", "?flow=both")

    door.settle("copy")
    assert still_waits(door, waiting)
    door.settle("save")

    assert waiting.result(PATIENCE_S).status == 200


def test_a_message_that_was_given_up_is_settled_too(door: Door) -> None:
    waiting = door.ask()

    door.bury()

    assert waiting.result(PATIENCE_S).status == 200


def test_without_waiting_a_message_is_accepted_and_so_said(door: Door) -> None:
    answer = door.post("7", "?wait=false")

    assert (answer.status, answer.document) == (202, {"message": "accepted"})
    assert door.settle() == [7]


def test_bytes_arrive_as_bytes(door: Door) -> None:
    door.post(b"\0\xff", "?wait=false", BYTES)
    door.post(b"", "?wait=false", BYTES)

    assert door.settle() == [b"\0\xff", b""]


def test_json_arrives_as_its_value(door: Door) -> None:
    door.post(
        '\ufeff{"a": [1, 2.5, null, "é"]}'.encode(), "?wait=false", {"Content-Type": "application/json; charset=UTF-8"}
    )

    assert door.settle() == [{"a": [1, 2.5, None, "é"]}]


def test_an_empty_flow_is_the_default_one(door: Door) -> None:
    door.post("1", "?flow=&wait=false")

    assert door.settle("save") == [1]


def test_each_message_has_an_id_of_its_own_also_after_a_restart(opened: Open, tmp_path: Path) -> None:
    ids: set[MessageId] = set()
    for epoch in (1, 2):
        folder = tmp_path / str(epoch)
        folder.mkdir()
        door = opened(folder, epoch=epoch)
        for flow in ("main", "both", "main"):
            door.post("1", f"?wait=false&flow={flow}")
        frame = door.edge("save").cut(10)
        assert frame is not None
        ids |= {chunk.segment.id(i) for chunk in frame.chunks for i in range(len(chunk.blobs))}

    assert len(ids) == 6


def test_what_is_not_settled_in_time_is_said_to_go_on(opened: Open) -> None:
    door = opened(settle_s=0.0)

    answer = door.post("5")

    assert answer.status == 504
    assert "goes on its way" in answer.error
    assert door.settle() == [5]


# -- messages that are refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param(f"{PATH}?flow=nowhere", "no flow is named 'nowhere'; flows that", id="an unknown flow"),
        pytest.param(f"{PATH}?flow=inner", "does not continue at node 'door'", id="a flow without this gateway"),
        pytest.param("/hkube/gateway/window/streaming/message", f"POST {PATH} or GET {INFO}", id="another gateway"),
        pytest.param("/", "nothing is at /", id="nothing"),
    ],
)
def test_what_does_not_exist_is_not_found(door: Door, path: str, message: str) -> None:
    answer = door.post(path=path)

    assert answer.status == 404
    assert message in answer.error


def test_an_unknown_flow_is_answered_with_the_flows_that_there_are(door: Door) -> None:
    assert door.post(query="?flow=mian").error.endswith("flows that continue here: main, both. Name one of them.")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        pytest.param(b'{"a": 1,\n "b": }', "Expecting value, line 2, column 7", id="not JSON"),
        pytest.param(b"1 2", "Extra data, line 1, column 3", id="two values"),
        pytest.param(b"", "it is empty", id="nothing"),
        pytest.param(b'"\xff"', "byte 1 is not UTF-8", id="not UTF-8"),
        pytest.param(b"[NaN]", "NaN is no value of JSON", id="a constant of JavaScript"),
        pytest.param(b"[" * 100_000, "nested too deeply", id="brackets"),
        pytest.param(b"1" * 5_000, "4300 digits", id="a number of thousands of digits"),
        pytest.param(b"18446744073709551616", "cannot be packed", id="a number beyond 64 bits"),
        pytest.param(b'"\\ud800"', "cannot be packed", id="half a character"),
    ],
)
def test_a_body_that_is_no_message_is_bad_and_its_place_is_named(door: Door, body: bytes, problem: str) -> None:
    answer = door.post(body)

    assert answer.status == 400
    assert problem in answer.error


@pytest.mark.parametrize("query", ["?flwo=main", "?wait=maybe", "?flow=main&wait"])
def test_a_mistyped_parameter_is_refused_and_not_taken_for_nothing(door: Door, query: str) -> None:
    answer = door.post(query=query)

    assert answer.status == 400
    assert "use flow=NAME and wait=true or false" in answer.error


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        pytest.param({}, "no Content-Type", id="untyped"),
        pytest.param({"Content-Type": "text/plain"}, "text/plain", id="text"),
        pytest.param({"Content-Type": "application/json; charset=latin-1"}, "latin-1", id="another charset"),
        pytest.param({**JSON, "Content-Encoding": "gzip"}, "gzip application/json", id="compressed"),
    ],
)
def test_a_body_of_another_kind_is_unsupported(door: Door, headers: Mapping[str, str], told: str) -> None:
    answer = door.post(headers=headers)

    assert answer.status == 415
    assert told in answer.error
    assert "application/octet-stream" in answer.error


def test_a_body_over_the_limit_is_refused_before_it_is_sent(door: Door) -> None:
    answer = door.post(b"", headers={**BYTES, "Content-Length": str(MESSAGE_BYTES_MAX + 1)})

    assert answer.status == 413
    assert "MESSAGE_BYTES_MAX" in answer.error


def test_a_body_in_chunks_needs_a_length(door: Door) -> None:
    assert door.post(b"0\r\n\r\n", headers={**JSON, "Transfer-Encoding": "chunked"}).status == 411


def test_a_length_that_is_no_number_is_bad(door: Door) -> None:
    assert door.post(b"", headers={**JSON, "Content-Length": "-1"}).status == 400


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", PATH, "POST"), ("POST", INFO, "GET"), ("PUT", PATH, "POST"), ("TRACE", INFO, "GET")],
)
def test_another_method_is_told_which_is_allowed(door: Door, method: str, path: str, allowed: str) -> None:
    answer = exchange(door.connection(), method, path, b"", JSON)

    assert (answer.status, answer.headers["Allow"]) == (405, allowed)


def test_what_is_no_http_is_refused_in_the_same_form(door: Door) -> None:
    answer = exchange(door.connection(), "BREW", PATH, b"", {})

    assert answer.status == 501
    assert "BREW" in answer.error


@pytest.mark.parametrize("overload", list(Overload))
def test_a_full_queue_says_when_to_come_again_and_drops_nothing(opened: Open, overload: Overload) -> None:
    door = opened(queue_bytes=1, overload=overload)
    assert door.post("1", "?wait=false").status == 202

    answer = door.post("2")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.error.startswith("edge door >> save is full")
    assert door.settle() == [1]
    assert door.post("3", "?wait=false").status == 202
    assert door.edge("save").counts.dropped == {}


def test_a_full_edge_refuses_only_the_flows_that_take_it(opened: Open) -> None:
    door = opened(queue_bytes=1)
    assert door.post("1", "?wait=false&flow=both").status == 202
    door.settle("save")

    assert door.post("2", "?wait=false&flow=main").status == 202
    assert door.post("3", "?wait=false&flow=both").status == 503


def test_bodies_that_are_on_their_way_are_bounded_together(door: Door) -> None:
    large = socket.create_connection(("127.0.0.1", door.port))
    with large:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nExpect: 100-continue\r\n"
        large.sendall(f"{head}Content-Length: {GATEWAY_READING_BYTES_MAX}\r\n\r\n".encode())
        assert large.recv(1000).startswith(b"HTTP/1.1 100 ")

        answer = door.post(b"12345")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert "are being read already" in answer.error


def test_a_draining_gateway_takes_nothing_and_answers_what_it_has_taken(door: Door) -> None:
    waiting = door.ask("1")

    door.work.drain()

    refused = door.post("2")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert "job abcdefghijkl is ending" in refused.error
    assert door.work.exhausted
    assert door.settle() == [1]
    assert waiting.result(PATIENCE_S).status == 200


def test_the_last_answers_leave_before_the_gateway_does(door: Door) -> None:
    waiting = [door.ask(str(n)) for n in range(20)]
    door.settle()
    happened: list[str] = []

    def close() -> None:
        door.close()
        happened.append("closed")

    with door.work.taken(b"\x01", None):
        closing = Thread(target=close)
        closing.start()
        assert {one.result(PATIENCE_S).status for one in waiting} == {200}
        happened.append("answered")
    closing.join()

    assert happened == ["answered", "closed"]


# -- durability: log ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("query", "status"), [("?wait=false", 202), ("", 200)])
def test_a_message_is_accepted_when_the_disk_has_it(opened: Open, query: str, status: int) -> None:
    door = opened(log=(platter := Platter()))
    waiting = door.ask("1", query)

    assert still_waits(door, waiting)
    door.disk(platter.write)
    if status == 200:
        assert still_waits(door, waiting)
    assert door.settle() == [1]

    assert waiting.result(PATIENCE_S).status == status


def test_a_full_disk_refuses_a_message_and_says_why(opened: Open) -> None:
    door = opened(log=(platter := Platter()))
    waiting = door.ask("1")
    door.disk(platter.fail)

    for answer in (waiting.result(PATIENCE_S), door.post("2")):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "node door has no room on its disk: No space left on device" in answer.error
    assert door.account.received == 0


# -- connections -------------------------------------------------------------------------------------------------------


def test_one_connection_carries_many_requests_also_after_refused_ones(door: Door) -> None:
    connection = door.connection()

    def post(query: str, body: bytes) -> Answer:
        return exchange(connection, "POST", PATH + query, body, JSON)

    statuses = [
        post("?wait=false", b"1").status,
        post("?flow=nowhere", b"x" * 1000).status,
        post("?wait=false", b"{").status,
        post("?wait=false", b"2").status,
    ]

    assert statuses == [202, 404, 400, 202]
    assert door.settle() == [1, 2]


def test_a_client_that_sends_a_large_body_to_no_avail_reads_why(door: Door) -> None:
    answer = door.post(bytes(20_000_000), "?flow=nowhere", BYTES)

    assert (answer.status, answer.headers["Connection"]) == (404, "close")


def test_a_client_that_asks_first_is_refused_before_its_body_travels(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", door.port)) as client:
        head = f"POST {PATH}?flow=nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(head.encode())

        assert client.recv(1000).startswith(b"HTTP/1.1 404 ")


def test_a_client_that_goes_away_harms_nobody(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", door.port)) as client:
        client.sendall(
            f"POST {PATH} HTTP/1.1\r\nContent-Length: 9\r\nContent-Type: application/json\r\n\r\n12".encode()
        )

    assert door.post("1", "?wait=false").status == 202
    assert door.settle() == [1]


def test_the_info_is_that_of_hkube(door: Door) -> None:
    door.post(b"12345678", "?wait=false", BYTES)

    answer = exchange(door.connection(), "GET", INFO, b"", {})

    statistics = answer.document.pop("stats")
    assert answer.document == {
        "jobId": "abcdefghijkl",
        "defaultFlow": "main",
        "parsedFlow": {
            "main": [{"source": "door", "next": ["save"]}],
            "both": [{"source": "door", "next": ["save", "copy"]}],
            "inner": [{"source": "save", "next": ["copy"]}],
        },
    }
    assert statistics["queueSize"] == 1
    assert 8 < statistics["queueMemoryBytes"] < 100
    assert statistics["maxQueueMemoryBytes"] == 2 * 1024 * 1024


# -- the port ----------------------------------------------------------------------------------------------------------


def test_the_next_life_takes_the_port_of_the_one_before(opened: Open) -> None:
    first = opened()
    first.close()

    assert opened(epoch=2).url == first.url


def test_a_port_that_somebody_has_taken_meanwhile_is_replaced(opened: Open) -> None:
    first = opened()
    first.close()

    with socket.create_server(("127.0.0.1", first.port)):
        assert opened(epoch=2).port != first.port


def test_a_port_of_the_users_is_never_replaced(opened: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PortError, match=f"gateway door cannot listen at 127.0.0.1:{port}: .*in use"):
            opened(port=port)
