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
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import BrokerMetadata

_Update = Callable[[AIOKafkaClient, Any, Any], Coroutine[Any, Any, bool]]
_UPDATE: _Update = AIOKafkaClient._metadata_update


async def _update(client: AIOKafkaClient, cluster: Any, topics: Any) -> bool:
    """Ask those that are known who is there, and then those that were named at first.

    Where all connections are lost it is the other way round: of brokers that are gone without a word each costs the
    whole time of a request.
    """
    connections = client._conns.values()
    if connections and not any(connection.connected() for connection in connections):
        return await _ask_named(client, cluster, topics) or await _UPDATE(client, cluster, topics)
    return await _UPDATE(client, cluster, topics) or await _ask_named(client, cluster, topics)


async def _ask_named(client: AIOKafkaClient, cluster: Any, topics: Any) -> bool:
    """By connections that the client ends as it does with any that nobody uses."""
    for number, (host, port, _) in enumerate(client.hosts):
        name = f"bootstrap-{number}"
        client.cluster._bootstrap_brokers[name] = BrokerMetadata(name, host, port, None)
        if not await client.ready(name):
            continue
        connection = client._conns[name, ConnectionGroup.DEFAULT]
        try:
            answer = await connection.send(MetadataRequest(list(topics) if topics else None))
        except (KafkaError, TimeoutError):
            continue
        if answer.brokers:
            cluster.update_metadata(answer)
            return True
    return False


def enable() -> None:
    """For all clients of this process, those of libraries included. It can be called again."""
    AIOKafkaClient._metadata_update = _update
