"""A stateless algorithm: a line of an access log (the combined format) becomes a request, field by field.

A line that is none raises here, and goes to the dead letters with this error and its text; the job goes on. An empty
line is nothing, and ends here.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from streamer_algorithm import AlgorithmArgs

LINE = re.compile(
    r'(?P<address>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) (?P<path>\S+)[^"]*" '
    r'(?P<status>\d{3}) (?P<size>\d+|-) "[^"]*" "(?P<agent>[^"]*)"'
)


def start(args: AlgorithmArgs) -> dict[str, Any] | None:
    line = args["streamInput"]["message"]
    if not line:
        return None
    found = LINE.fullmatch(line)
    if found is None:
        raise ValueError("not a line of an access log in the combined format")
    return {
        "time": datetime.strptime(found["time"], "%d/%b/%Y:%H:%M:%S %z").isoformat(),
        "address": found["address"],
        "method": found["method"],
        "path": found["path"],
        "status": int(found["status"]),
        "size": 0 if found["size"] == "-" else int(found["size"]),
        "agent": found["agent"],
    }
