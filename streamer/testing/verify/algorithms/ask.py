"""An async handler: it waits as for the answer of a service, and others of its calls wait beside it.

The wait depends on the record, so that answers overtake each other.
"""

import asyncio
from typing import Any


async def start(args: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = args["streamInput"]["message"]
    record = int(message["id"].partition("/")[0].partition("#")[2])
    await asyncio.sleep(0.001 * (record % 7))
    return {**message, "id": f"{message['id']}/{args['nodeName']}"}
