"""Partitioned: numbers each key's messages in keyed state, but for one, to which it does what its input names.

As `doctored` does, where the numbers are exact whatever is done to the job.
"""

from typing import Any

RECORD = "s#77"
KEY, SWAPPED = 2, {16: 17, 17: 16}
"""Record 77 is the 16th of its key."""


def start(args: dict[str, Any], api: Any) -> None:
    (deed,) = args["input"]
    counts = api.state.counter("counts")

    def on_message(message: dict[str, Any]) -> None:
        record, key = message["id"].partition("/")[0], message["key"]
        count = counts.add(key, 2 if record == RECORD and deed == "miscount" else 1)
        if key == KEY and deed == "swap":
            count = SWAPPED.get(count, count)
        api.sendMessage({**message, "id": f"{message['id']}/{args['nodeName']}", "count": count})

    api.registerInputListener(on_message)
    api.startMessageListening()
