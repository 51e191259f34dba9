"""Where control and runtime meet: what one instance runs, and who its peers are.

An `Assignment` holds the facts of one instance for one life (epoch): they travel once, as JSON, in the file that the
instance is started with. `Peers` and `Wiring` are what changes while it lives: they are sent again, whole, at each
change, with a number that grows, so that a lost or doubled update costs nothing. Commands are the few verbs a
controller has.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from streamer.limits import RETRY_DELAY_MAX_S, RETRY_DELAY_S, RETRY_FACTOR
from streamer.plan.plain import plain, typed
from streamer.plan.routing import RouteTable

_DOUBLINGS_MAX = 64
"""A factor to this power is far beyond every delay, and no float yet is."""
SUPERVISOR_VARIABLE = "STREAMER_SUPERVISOR"
"""Environment variable with the id of the process that started an instance, which may be gone before it looks."""


class Role(StrEnum):
    """What hosts the node's work."""

    SOURCE = "source"
    STATELESS = "stateless"
    STATEFUL = "stateful"
    SINK = "sink"
    GATEWAY = "gateway"


class Delivery(StrEnum):
    AT_LEAST_ONCE = "at-least-once"
    AT_MOST_ONCE = "at-most-once"


class Durability(StrEnum):
    """What the roots of a node survive. `log`: the death of the instance, and that of the machine if its disk does."""

    NONE = "none"
    LOG = "log"


class Overload(StrEnum):
    """What happens to a message for an edge whose queue is full."""

    BLOCK = "block"
    DROP_OLDEST = "drop-oldest"
    DROP_NEWEST = "drop-newest"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Input:
    """An edge into this node. `inside`: both ends are in one strongly connected component."""

    source: str
    inside: bool


@dataclass(frozen=True, slots=True)
class Output:
    """An edge out of this node, with the policies that its target node declares for it.

    `drops_below`: an edge further on drops what it has no room for, so that a message may wait in its queue for as long
    as that holds, and a source that waited for it would keep the others from theirs. `floors`: origins tell over it
    what is settled, as they know where no message is settled before it arrives. `partition_by` is the path of the key
    of each message ('': the target is not partitioned).
    """

    target: str
    inside: bool
    delivery: Delivery
    queue_bytes: int
    hop_limit: int
    overload: Overload = Overload.BLOCK
    drops_below: bool = False
    floors: bool = True
    partition_by: str = ""


@dataclass(frozen=True, slots=True)
class Canary:
    """A version that a share of the roots takes: so many `parts` of `limits.CANARY_PARTS`, and none while it is 0."""

    version: int
    parts: int


@dataclass(frozen=True, slots=True)
class Wiring:
    """What changes of an instance when the flows of its job change. A higher number replaces a lower one, whole.

    `tables` are the versions that are alive, the oldest first: messages of each go their own ways. Roots take the
    version `current`, and a share of them that of the `canary`; others that are later are only proposed. `inputs` and
    `outputs` are the edges of all of them.
    """

    number: int
    tables: tuple[RouteTable, ...]
    current: int
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    canary: Canary | None = None


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of an algorithm as it was when its job was given it: `path` is where it lay, `digest` names its bytes.

    '' for a digest: it is to be kept, and has not been yet.
    """

    path: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """The user's algorithm: `path` is an absolute file, `name` the algorithm's name.

    `files` are those of which its code consists, kept by the job; without any it is read from where it lies.
    """

    name: str
    path: str
    files: tuple[KeptFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Connector:
    """A source or sink: connector name and its validated spec; relative paths are already absolute."""

    name: str
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where messages come in by HTTP: the name in its path, and its port (0 chooses one)."""

    name: str
    port: int


class Then(StrEnum):
    """What becomes of a message that is not tried again."""

    DEAD_LETTER = "dead-letter"
    DROP = "drop"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class OnError:
    """What a node declares for messages whose handler raises: to try again up to `limit` times, `then` what.

    The n-th time comes `delay_s` * `factor` ** (n - 1) after the failure, and at most `max_delay_s` after it.
    """

    limit: int = 0
    delay_s: float = RETRY_DELAY_S
    factor: float = RETRY_FACTOR
    max_delay_s: float = RETRY_DELAY_MAX_S
    then: Then = Then.DEAD_LETTER

    def delay_s_after(self, attempts: int) -> float:
        """Seconds to wait after so many failed calls."""
        grown = self.factor ** min(attempts - 1, _DOUBLINGS_MAX)
        return min(self.delay_s * grown, self.max_delay_s)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one instance runs.

    `instance` is `<node>-<index>` and names the instance for as long as the job lives; `epoch` grows by one at each
    start of it. `token` is the job's secret, without which no session opens. `folder` is this instance's own folder,
    `state` that of its node's state, `dead_letters` the job's file. `control` is the endpoint of the controller's link.
    `endpoint` is where to bind the outgoing edges (`tcp://127.0.0.1:0` chooses a port). `args` is what the algorithm
    gets as `args` by HKube's rules. A call of a handler may take `ttl_s` (0: any time). `alone`: it goes on when the
    process that started it has gone. `partition_by`: the path of the keys of its node, of which this instance owns
    those that its peers say ('': it is not partitioned). `kept` is the folder with the bytes of the files of `code`.
    """

    job: str
    pipeline: str
    token: str
    node: str
    instance: str
    epoch: int
    role: Role
    wiring: Wiring
    folder: str
    dead_letters: str
    control: str
    endpoint: str = "tcp://127.0.0.1:0"
    code: Code | None = None
    connector: Connector | None = None
    gateway: Gateway | None = None
    concurrency: int = 1
    args: Mapping[str, Any] = field(default_factory=dict)
    on_error: OnError = field(default_factory=OnError)
    ttl_s: float = 0.0
    alone: bool = False
    durability: Durability = Durability.NONE
    state: str = ""
    partition_by: str = ""
    kept: str = ""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Assignment:
        raw = json.loads(text)
        return cls(
            **{
                **raw,
                "role": Role(raw["role"]),
                "durability": Durability(raw["durability"]),
                "wiring": typed(Wiring, raw["wiring"]),
                "code": typed(Code, raw["code"]) if raw["code"] else None,
                "connector": Connector(**raw["connector"]) if raw["connector"] else None,
                "gateway": Gateway(**raw["gateway"]) if raw["gateway"] else None,
                "on_error": typed(OnError, raw["on_error"]),
            }
        )


def index_of(instance: str) -> int:
    """The index in the name of an instance; -1 for a name that is none."""
    index = instance.rpartition("-")[2]
    return int(index) if index.isascii() and index.isdigit() else -1


class PeerState(StrEnum):
    """`gone` peers have completed: nothing will come from them, and nothing is owed to them."""

    LIVE = "live"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another instance. `endpoint` is where a parent's outgoing edges are bound (empty: not bound yet)."""

    node: str
    instance: str
    epoch: int
    endpoint: str
    state: PeerState


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who owns the key groups of a partitioned node: its first `replicas` instances, each a run of groups
    (`streamer.protocol.keys`). 0 of them: nobody, because groups are about to change hands. A higher `epoch` replaces
    a lower one.
    """

    epoch: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Peers:
    """All instances of the parent nodes and of the child nodes. A higher version replaces a lower one, whole.

    `owned` is by what the instances of this node go themselves if it is partitioned, `owners` by what those go who send
    to partitioned child nodes.
    """

    version: int
    parents: tuple[Peer, ...] = ()
    children: tuple[Peer, ...] = ()
    owned: Ownership | None = None
    owners: Mapping[str, Ownership] = field(default_factory=dict)


class Verb(StrEnum):
    """`drain`: a source (or stateful source) stops its intake, and the end travels the flows from there.

    `end`: the strongly connected component of this instance is ended (see `InstanceSample.quiet`).
    `leave`: its node is scaled down: it asks for no more, finishes what it has, and hands the rest back.
    `renew`: its next life takes its place: it leaves, and nobody is told that anything ends with it.
    `replay`: dead letters of its node are wanted again, and `lives` are the instances among which they may be shared.
    """

    PEERS = "peers"
    FLOWS = "flows"
    DRAIN = "drain"
    END = "end"
    LEAVE = "leave"
    RENEW = "renew"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Command:
    """Controller to instance, over the control link, as a msgpack map (`to_wire`)."""

    verb: Verb
    peers: Peers | None = None
    wiring: Wiring | None = None
    lives: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        raw = {"verb": str(self.verb), "peers": plain(self.peers), "wiring": plain(self.wiring)}
        return {**raw, "lives": list(self.lives)}

    @classmethod
    def from_wire(cls, raw: Mapping[str, Any]) -> Command:
        peers, wiring = raw["peers"], raw["wiring"]
        return cls(
            Verb(raw["verb"]),
            typed(Peers, peers) if peers else None,
            typed(Wiring, wiring) if wiring else None,
            tuple(raw["lives"]),
        )
