"""A stateless algorithm: adds to a request what its fields do not say by themselves, and splits the stream.

The table of networks is read once for each instance, in `init`. What is returned continues the flow of the message; a
request that the server could not answer is sent along the flow `failed` instead.
"""

from __future__ import annotations

import csv
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from streamer_algorithm import AlgorithmArgs, StreamingApi

networks: dict[IPv4Network | IPv6Network, str] = {}


def init(args: AlgorithmArgs) -> None:
    with Path(__file__).with_name("networks.csv").open(encoding="utf-8") as table:
        networks.update({ip_network(row["network"]): row["place"] for row in csv.DictReader(table)})
    print(f"{len(networks)} networks are known")


def place(address: str) -> str:
    """The name of the smallest known network that holds the address."""
    asked = ip_address(address)
    known = [network for network in networks if asked in network]
    return networks[max(known, key=lambda network: network.prefixlen)] if known else "elsewhere"


def visitor(agent: str) -> str:
    """What kind of program asked."""
    lower = agent.lower()
    if any(word in lower for word in ("bot", "crawler", "spider")):
        return "bot"
    return "browser" if lower.startswith("mozilla/") else "program"


def start(args: AlgorithmArgs, api: StreamingApi) -> dict[str, Any] | None:
    [failed_from] = args["input"]
    request = args["streamInput"]["message"]
    enriched = {
        **request,
        "section": request["path"].split("?")[0].split("/")[1],
        "place": place(request["address"]),
        "visitor": visitor(request["agent"]),
    }
    if request["status"] >= failed_from:
        api.sendMessage(enriched, "failed")
        return None
    return enriched
