"""A generator: of record n it makes n modulo 3 children.

Some records thereby end here, and some are doubled in good order.
"""

from collections.abc import Iterator
from typing import Any


def start(args: dict[str, Any]) -> Iterator[dict[str, Any]]:
    message: dict[str, Any] = args["streamInput"]["message"]
    record = int(message["id"].partition("/")[0].partition("#")[2])
    for child in range(record % 3):
        yield {**message, "id": f"{message['id']}/{args['nodeName']}.{child}"}
