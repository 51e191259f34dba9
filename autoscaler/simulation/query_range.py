"""A trace out of a Prometheus server: the answer to a range query of a rate, such as the one that dashboards ask.

The address is that of the HTTP interface (`/api/v1/query_range?query=...&start=...&end=...&step=...`), so that nothing
of the query is guessed here; several series are added up, second by second. What is no such answer is told as what it
is: a page of HTML, a refusal, an error of the query, or nothing.
"""

from __future__ import annotations

import json
import math
from typing import Any

from autoscaler.collect.web import OPEN, Access, ask, check_address
from streamer import limits
from streamer.errors import MetricsError, TraceError

_REMEDY = (
    "Name the address of a range query that a browser could open: "
    "http://HOST:9090/api/v1/query_range?query=...&start=...&end=...&step=15; "
    "who asks is told with --token-file, --ca-file and --tenant."
)
_ANSWER_S = 30.0


def read_rows(url: str, access: Access = OPEN) -> list[tuple[float, float]]:
    """Rows of seconds and rate. Raises TraceError if the server does not give them."""
    try:
        raw = ask(check_address(url), "application/json", access, timeout_s=_ANSWER_S)
    except MetricsError as error:
        raise TraceError(str(error), remedy=_REMEDY) from error
    if len(raw) > limits.TRACE_BYTES_MAX:
        raise _refused(url, f"the answer is larger than {limits.TRACE_BYTES_MAX} bytes")
    return _rows(url, raw)


def _rows(url: str, raw: bytes) -> list[tuple[float, float]]:
    try:
        series = json.loads(raw)["data"]["result"]
        rates: dict[float, float] = {}
        for one in series:
            for at, value in one["values"]:
                rate = float(value)
                if math.isfinite(rate):
                    rates[float(at)] = rates.get(float(at), 0.0) + rate
    except (ValueError, TypeError, KeyError) as error:
        raise _refused(url, f"the answer is not that of a range query: {_problem(raw)}") from error
    if len(rates) < 2:
        raise _refused(url, f"the answer has {len(rates)} values, and a trace has two or more")
    return sorted(rates.items())


def _problem(raw: bytes) -> str:
    """What the server says of it, or how its answer begins."""
    try:
        said: Any = json.loads(raw)
    except ValueError:
        return repr(raw[:60].decode("utf-8", "replace"))
    return str(said["error"]) if isinstance(said, dict) and "error" in said else repr(str(said)[:60])


def _refused(url: str, problem: str) -> TraceError:
    return TraceError(f"{url.partition('?')[0]}: {problem}", remedy=_REMEDY)
