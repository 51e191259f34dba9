"""A trace from a range query: its series added up, and whatever else a server may answer told as what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler.collect.web import Access
from autoscaler.simulation.traces import traces
from streamer.errors import TraceError
from tests.autoscaler.answering import Answering, answering

JSON = "application/json"


def _address(server: Answering) -> str:
    return f"{server.url}/api/v1/query_range?query=x&start=0&end=9&step=1"


def _matrix(*series: list[tuple[float, str]]) -> str:
    result = [{"metric": {}, "values": values} for values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def test_series_are_added_up() -> None:
    body = _matrix([(10, "1"), (12, "2")], [(10, "5"), (12, "NaN")])
    with answering(Answering(200, JSON, body)) as server:
        [trace] = traces(_address(server))

    assert (trace.name, trace.rates) == ("range", (6, 6, 2, 2))


def test_a_server_is_told_who_asks(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    with answering(Answering(200, JSON, _matrix([(0, "1"), (1, "2")]))) as server:
        traces(_address(server), Access(token, None, "team"))

    assert (server.asked[0]["authorization"], server.asked[0]["x-scope-orgid"]) == ("Bearer secret", "team")


@pytest.mark.parametrize(
    ("body", "status", "content_type", "said"),
    [
        pytest.param("<html>Login</html>", 200, "text/html", "answers with text/html", id="a page"),
        pytest.param(
            "<html>Login", 200, JSON, "not that of a range query: '<html>Login", id="a page that says it is none"
        ),
        pytest.param("", 401, "text/html", "answers 401 Unauthorized", id="refused"),
        pytest.param('{"status": "error", "error": "parse error"}', 400, JSON, "parse error", id="a bad query"),
        pytest.param(_matrix(), 200, JSON, "has 0 values", id="an empty answer"),
        pytest.param('{"data": {"result": [[1, "2"]]}}', 200, JSON, "not that of a range query", id="another query"),
        pytest.param(_matrix([(0, "-1"), (1, "2")]), 200, JSON, "not between 0 and", id="negative rates"),
    ],
)
def test_what_is_no_answer_to_a_range_query_is_told(body: str, status: int, content_type: str, said: str) -> None:
    with answering(Answering(status, content_type, body)) as server, pytest.raises(TraceError) as raised:
        traces(_address(server))

    assert said in str(raised.value)
    assert "query_range" in raised.value.advice or "not between" in said
    assert "--token-file" in raised.value.advice or "not between" in said


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(TraceError, match="does not answer"):
        traces("http://127.0.0.1:1/api/v1/query_range?query=x")
