"""CURVE between machines: whatever leaves a machine is encrypted and comes from somebody who knows the job's token.

Every instance of a job has its token, so one pair of keys is derived from it for all of them, and none is distributed.
A client must know the server's public key to be let in; here nobody can know that key who does not have the token. On
the loopback there is nothing to hide from anybody who could not read the process as well, so it stays plain and fast.
"""

from __future__ import annotations

import hashlib
from functools import cache

import zmq
from zmq.utils import z85

_SECRET_BYTES = 32
_LOOPBACK = ("tcp://127.", "tcp://localhost:", "tcp://[::1]", "ipc://", "inproc://")


@cache
def _keys(token: str) -> tuple[bytes, bytes]:
    """Public and secret key, as Z85."""
    seed = hashlib.blake2b(token.encode(), digest_size=_SECRET_BYTES, person=b"streamer curve").digest()
    secret = z85.encode(seed)
    return zmq.curve_public(secret), secret


def is_secured(endpoint: str, token: str) -> bool:
    """Whether both ends of this endpoint speak CURVE."""
    return bool(token) and not endpoint.startswith(_LOOPBACK)


def secure(socket: zmq.Socket[bytes], endpoint: str, token: str, *, server: bool) -> None:
    """Before the socket is bound or connected there."""
    if not is_secured(endpoint, token):
        return
    public, secret = _keys(token)
    socket.curve_publickey, socket.curve_secretkey = public, secret
    if server:
        socket.curve_server = True
    else:
        socket.curve_serverkey = public
