"""Payloads and bytes: each message is packed by itself, a frame is unpacked at once.

`sendMessage` must pack before it returns, since the user may go on using the object and an encoding error belongs to
the caller. One packer that accumulates a frame would be a quarter faster, but an error in one message empties its whole
buffer; so messages are packed one by one and joined (360 ns against 277 a message, measured). A frame that does not
unpack as a whole is unpacked body by body, and only the bad body is at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, overload

import msgpack

try:
    import msgspec
except ImportError:  # the extra `fast`
    msgspec = None  # type: ignore[assignment]  # a module that may be missing

from streamer.errors import MessageError
from streamer.limits import FRAME_MESSAGES_MAX, HEADERS_BYTES_MAX, LARGE_BYTES, MESSAGE_BYTES_MAX
from streamer.protocol.buffers import Bulky, LargeArrayError, packed_array, restored_inside, restoring, take_out

Pack = Callable[[object], bytes]
Unpack = Callable[[bytes | memoryview], Any]

_DATETIME = 3
"""How msgpack is told that a timestamp becomes a datetime, as it does with msgspec."""

_ARRAY_HEADERS = tuple(
    bytes([0x90 | n]) if n < 16 else b"\xdc" + n.to_bytes(2, "big") for n in range(FRAME_MESSAGES_MAX + 1)
)


def packer() -> Pack:
    """A function that packs one message; not to be shared between threads. Its errors are `pack_error`'s business."""
    pack: Pack = msgpack.Packer(autoreset=True, use_bin_type=True, datetime=True, default=packed_array).pack
    return pack


PACK_ERRORS = (TypeError, ValueError, OverflowError, RecursionError, BufferError, UnicodeError)
"""What a packer raises for a value that it cannot pack (msgpack's own errors are subclasses)."""


def pack_error(value: object, cause: BaseException) -> MessageError:
    """The error for a message that does not pack."""
    return MessageError(f"a message of type {type(value).__name__} cannot be packed: {cause}")


def pack_headers(headers: Mapping[str, Any], inherited: bytes | None) -> bytes:
    """Headers of a message beside those that it inherits, packed. Raises MessageError."""
    if not all(isinstance(name, str) for name in headers):
        raise MessageError("headers have names that are no str")
    merged = {**unpack_headers(inherited), **headers}
    packed = pack_message(packer(), merged)
    if len(packed) > HEADERS_BYTES_MAX:
        raise MessageError(
            f"headers of {len(packed)} bytes are over the limit of {HEADERS_BYTES_MAX} (HEADERS_BYTES_MAX)"
        )
    return packed


def unpack_headers(packed: bytes | None) -> dict[str, Any]:
    """The headers of a message, empty for one without; and for one whose headers a peer has packed badly."""
    try:
        headers = unpack_one(packed) if packed else {}
    except UNPACK_ERRORS:
        return {}
    return headers if isinstance(headers, dict) else {}


def size_error(size: int) -> MessageError:
    """The error for a packed message over the limit."""
    return MessageError(
        f"a message of {size} bytes is larger than the limit of {MESSAGE_BYTES_MAX} (MESSAGE_BYTES_MAX)"
    )


def pack_message(pack: Pack, value: object) -> bytes:
    """Pack with the errors that a caller of `sendMessage` is promised. Raises MessageError."""
    try:
        blob = pack(value)
    except LargeArrayError:
        return pack_large(pack, value)
    except PACK_ERRORS as error:
        raise pack_error(value, error) from error
    if len(blob) >= LARGE_BYTES and type(blob) is bytes:
        return pack_large(pack, value)
    return blob


def careful(pack: Pack) -> Pack:
    """A packer for what may be large: nothing is packed in vain before it is found to be so, or to be too large.

    It costs several times as much for a small message; a large one is `Bulky`, also if no buffer could be taken out.
    Raises what `pack` raises, and MessageError.
    """

    def pack_carefully(value: object) -> bytes:
        blob = take_out(value, pack)
        if len(blob) > MESSAGE_BYTES_MAX:
            raise size_error(len(blob))
        return blob if len(blob) >= LARGE_BYTES else bytes(blob)

    return pack_carefully


def pack_large(pack: Pack, value: object) -> bytes:
    """Pack a message of which is known that it is large, its large buffers beside it. Raises MessageError."""
    try:
        return careful(pack)(value)
    except PACK_ERRORS as error:
        raise pack_error(value, error) from error


def join(blobs: Sequence[bytes]) -> bytes:
    """The body of a frame: a msgpack array of these packed messages."""
    return b"".join((_ARRAY_HEADERS[len(blobs)], *blobs))


class Joined(Sequence[bytes]):
    """Packed messages that lie in one body, as they are to travel.

    Messages wait here until they are settled, so each of them would take memory of its own that has gone cold since it
    was used last, and be freed one by one. In one piece they cost a copy that runs ahead of the cache. A part of it is
    only asked for where a receiver grants less, or where something went wrong: then it is split, once.
    """

    __slots__ = ("_blobs", "_count", "body", "size")

    def __init__(self, body: bytes, count: int) -> None:
        """`size` is that of the packed messages."""
        self.body = body
        self._count = count
        self._blobs: list[bytes] | None = None
        self.size = payload_bytes(body, count)

    @property
    def payload(self) -> memoryview:
        """The packed messages behind each other."""
        return memoryview(self.body)[len(_ARRAY_HEADERS[self._count]) :]

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if self._blobs is None:
            self._blobs = [self.body[start:end] for start, end in spans(self.body, self._count)]
        return self._blobs[index]


def join_all(count: int, runs: Iterable[Sequence[bytes]]) -> bytes:
    """The body of a frame of so many messages, which lie in several lists or bodies."""
    pieces: list[bytes | memoryview] = [_ARRAY_HEADERS[count]]
    for blobs in runs:
        if isinstance(blobs, Joined):
            pieces.append(blobs.payload)
        else:
            pieces += blobs
    return b"".join(pieces)


def payload_bytes(body: bytes | memoryview, count: int) -> int:
    """Bytes of the packed messages of a body, which both ends of a session must count alike."""
    return len(body) - len(_ARRAY_HEADERS[count])


def announces(body: bytes | memoryview, count: int) -> bool:
    """Whether a body says that it is a frame of so many messages."""
    header = _ARRAY_HEADERS[count]
    return body[: len(header)] == header


def unpack(body: bytes | memoryview, buffers: Sequence[bytes | memoryview] = ()) -> list[Any]:
    """All messages of a body. Raises what msgpack raises if one of them is bad: then `unpack_each` tells which."""
    messages: list[Any] = _unpacker(restoring(buffers))(body) if buffers else _unpack_whole(body)
    return messages


def unpack_one(blob: bytes) -> Any:
    """One packed message. Raises one of `UNPACK_ERRORS` if it is bad."""
    return _unpacker(restoring(blob.buffers))(blob) if isinstance(blob, Bulky) else _unpack_whole(blob)


def _unpacker(hook: Callable[[int, bytes], object]) -> Unpack:
    """What unpacks bytes with extensions restored by `hook`: msgspec, where it is installed, in 60 % of the time.

    What msgspec refuses is msgpack's to judge, so that an error is the same with and without it.
    """
    plain: Unpack = partial(msgpack.unpackb, strict_map_key=False, raw=False, timestamp=_DATETIME, ext_hook=hook)
    if msgspec is None:
        return plain
    decode = msgspec.msgpack.Decoder(ext_hook=lambda code, data: hook(code, bytes(data))).decode
    refused = (msgspec.DecodeError, *UNPACK_ERRORS)

    def unpack_fast(body: bytes | memoryview) -> Any:
        try:
            return decode(body)
        except refused:
            return plain(body)

    return unpack_fast


UNPACK_ERRORS = (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException)
_unpack_whole = _unpacker(restored_inside)


def spans(body: bytes | memoryview, count: int) -> Iterator[tuple[int, int]]:
    """Where each packed message of a body begins and ends. Raises one of `UNPACK_ERRORS` where none can be found."""
    scanner = msgpack.Unpacker(None, max_buffer_size=len(body), strict_map_key=False)
    scanner.feed(body)
    scanner.read_array_header()
    start = scanner.tell()
    for _ in range(count):
        scanner.skip()
        end = scanner.tell()
        yield start, end
        start = end


def cut_out(
    body: bytes | memoryview, count: int, buffers: Sequence[bytes | memoryview], indexes: Collection[int]
) -> dict[int, bytes]:
    """The packed messages of these indexes, each as it would be sent again. One whose end cannot be found is left out.

    Buffers belong to the only message of a body.
    """
    found: dict[int, bytes] = {}
    last = max(indexes, default=-1)
    try:
        for index, (start, end) in zip(range(last + 1), spans(body, count), strict=False):
            if index in indexes:
                found[index] = bytes(body[start:end])
    except UNPACK_ERRORS:
        return found
    if buffers and 0 in found:
        found[0] = whole = Bulky(found[0])
        whole.buffers = list(buffers)
    return found


def unpack_each(body: bytes | memoryview, count: int) -> list[Any | BadBody]:
    """Messages of a body one by one, a `BadBody` in the place of each that does not unpack.

    Behind one whose end cannot be found (too deep, or cut off) no other can be found either.
    """
    messages: list[Any | BadBody] = []
    end = len(_ARRAY_HEADERS[count])
    try:
        for start, end in spans(body, count):
            messages.append(_unpacked(bytes(body[start:end])))
    except UNPACK_ERRORS as error:
        lost = f"the frame cannot be read from here on: {type(error).__name__}: {error}"
        messages += [
            BadBody(bytes(body[end:]) if at == len(messages) else b"", lost) for at in range(len(messages), count)
        ]
    return messages


def _unpacked(blob: bytes) -> Any | BadBody:
    try:
        return unpack_one(blob)
    except UNPACK_ERRORS as error:
        return BadBody(blob, f"{type(error).__name__}: {error}")


class BadBody:
    """Stands in the place of a message that does not unpack: its bytes and why."""

    __slots__ = ("blob", "reason")

    def __init__(self, blob: bytes, reason: str) -> None:
        self.blob = blob
        self.reason = reason
