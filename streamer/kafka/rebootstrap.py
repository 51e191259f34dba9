"""Going back to the addresses that a user gave when no broker that is known answers any more.

aiokafka (0.14.0) keeps the brokers of the last answer, and asks nobody else who there is now. After an outage of a
whole cluster that answer names the first broker that was back; if this one goes, or all come back at other addresses as
pods do, the client asks the dead for good (aiokafka issues 456 and 459). Kafka's own client goes back to its bootstrap
servers (KIP-899), and so do ours, Faust's included: an outage must not outlast itself in a client.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.structs import BrokerMetadata

_Update = Callable[[AIOKafkaClient, Any, Any], Coroutine[Any, Any, bool]]
_UPDATE: _Update = AIOKafkaClient._metadata_update
_ASKED_TOO = ("bootstrap", ConnectionGroup.DEFAULT)
"""A connection that the client keeps here is asked beside the brokers that it knows, and ended when it has answered."""


async def _update(client: AIOKafkaClient, cluster: Any, topics: Any) -> bool:
    """Ask all that are known who is there; if none answers, one after the other that was named at first."""
    if await _UPDATE(client, cluster, topics):
        return True
    for number, (host, port, _) in enumerate(client.hosts):
        name = f"bootstrap-{number}"
        client.cluster._bootstrap_brokers[name] = BrokerMetadata(name, host, port, None)
        if await client.ready(name):
            client._conns[_ASKED_TOO] = client._conns.pop((name, ConnectionGroup.DEFAULT))
            if await _UPDATE(client, cluster, topics):
                return True
            if (connection := client._conns.pop(_ASKED_TOO, None)) is not None:
                connection.close()
    return False


def enable() -> None:
    """For all clients of this process, those of libraries included. It can be called again."""
    AIOKafkaClient._metadata_update = _update
