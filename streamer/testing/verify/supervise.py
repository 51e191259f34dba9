"""The supervising process of a job whose instances have proxies before them.

It is that of a detached job, but for one thing: what the controller wants done is changed on its way out, so that an
instance is bound where its proxy expects it, and told to others by the proxy's address. All else is the engine's.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from streamer.control.book import find
from streamer.control.events import Effect, SendCommand, StartInstance
from streamer.control.hosts.embedded import EmbeddedHost
from streamer.control.hosts.home import open_log
from streamer.errors import NoSuchJobError
from streamer.plan.assignment import Peer, Peers
from streamer.testing.verify.proxy import LINKS_FILE

_POLL_S = 0.1


class ProxiedHost(EmbeddedHost):
    """`endpoints` are by instance: where it is to be bound, and where others find it."""

    endpoints: Mapping[str, tuple[str, str]]

    def _do(self, effect: Effect) -> None:
        if isinstance(effect, StartInstance):
            effect = replace(effect, endpoint=self.endpoints[effect.instance][0])
        elif isinstance(effect, SendCommand) and effect.command.peers is not None:
            peers = self._found_elsewhere(effect.command.peers)
            effect = replace(effect, command=replace(effect.command, peers=peers))
        super()._do(effect)

    def _found_elsewhere(self, peers: Peers) -> Peers:
        return replace(peers, parents=tuple(map(self._by_its_proxy, peers.parents)))

    def _by_its_proxy(self, peer: Peer) -> Peer:
        bound, found = self.endpoints[peer.instance]
        return replace(peer, endpoint=found) if peer.endpoint == bound else peer


def main(home: Path, job: str) -> int:
    """Serve the job until it has ended."""
    with closing(open_log(home)) as log:
        kept = find(log, job)
    if kept is None:
        raise NoSuchJobError(f"there is no job {job}")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    host = ProxiedHost.taking_up(kept, home, on_output=lambda _node, _instance, _line: None)
    assert isinstance(host, ProxiedHost)
    host.endpoints = {name: tuple(two) for name, two in json.loads((host.folder / LINKS_FILE).read_text()).items()}
    duration_s = kept.line.facts.duration_s
    with closing(host):
        host.start()
        while not (snapshot := host.poll(_POLL_S)).status.ended:
            if duration_s is not None and snapshot.elapsed_s >= duration_s:
                host.drain()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
