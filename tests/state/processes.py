"""Programs that use a state store in processes of their own, which can be killed and limited as a test likes."""

from __future__ import annotations

import subprocess
from enum import Enum
from pathlib import Path

from tests import programs
from tests.programs import finish

__all__ = ["Program", "finish", "start"]

_USES = """
from streamer.state.base import Checkpoint, Entry, EntryKey, Outgoing
from streamer.state.sqlite import SqliteStateStore
import streamer.state.recent as recent
recent.STATE_RECENT_ENTRIES, recent.STATE_MERGE_ENTRIES = 30, 7  # so that a kill strikes what merges as well
def key(n):
    return EntryKey(0, "counts", b"\\xcd" + n.to_bytes(2, "big"), b"")
def checkpoint(number, size=50):
    "Number `number`: all parts of it say so."
    word = b"%d" % number
    entries = {key(n): Entry(word, 0.0) for n in range(size)}
    sent = [Outgoing(number * 2, word * 100), Outgoing(number * 2 + 1, word)]
    return Checkpoint(entries, word, number % 10 == 0, sent, [number * 2 - 2], {"number": word})
"""

_DIE_AT = 'WATCHED = ("/streamer/state/", "/streamer/database.py")' + programs.DIE_AT


class Program(Enum):
    """Each gets the state's folder, and what its comment says."""

    # first: commits checkpoints from this number on, and tells each one that is acknowledged.
    COMMIT = """
number = int(arguments[0])
store = SqliteStateStore(folder, "count", "count-0", number + 1)
tell("opened")
while True:
    store.commit(checkpoint(number))
    tell(number)
    number += 1
"""
    # Makes stores below the folder, each killed one call later than the one before; tells the number of kills.
    MAKE_AND_DIE = (
        _DIE_AT
        + """
kills = 0
while dies(kills + 1, lambda: SqliteStateStore(folder / str(kills), "count", "count-0", 1)):
    store = SqliteStateStore(folder / str(kills), "count", "count-0", 1)
    store.commit(checkpoint(0))
    store.close()
    kills += 1
tell(kills)
"""
    )
    # Commits to one store, killed one call later each time; tells the kills, and how often a checkpoint was there.
    COMMIT_AND_DIE = (
        _DIE_AT
        + """
def there():
    store = SqliteStateStore(folder, "count", "count-0", 1)
    kept = store.restore()
    values = {entry.value for _, entry in store.scan("counts")}
    store.close()
    assert values == {kept.facts["number"]} and kept.marks[-1:] == [kept.facts["number"]], (values, kept)
    return int(kept.facts["number"])
def commit():
    store = SqliteStateStore(folder, "count", "count-0", 1)
    sys.setprofile(DieAt(kills + 1))
    store.commit(checkpoint(kills + 1))
store = SqliteStateStore(folder, "count", "count-0", 1)
store.commit(checkpoint(0))
store.close()
kills, before, arrived = 0, 0, 0
while dies(0, commit):
    found = there()
    assert found in (before, kills + 1), found
    arrived += found != before
    before = found
    kills += 1
assert there() == kills + 1
tell(f"{kills} {arrived}")
"""
    )
    # Opens the store, as the user whose number is given, and says why it was refused.
    OPEN = """
if arguments:
    os.setuid(int(arguments[0]))
try:
    SqliteStateStore(folder, "count", "count-0", 1)
except StreamerError as error:
    tell(f"{type(error).__name__}: {error} {error.advice}")
"""
    # Opens the store, says so, and waits to be killed.
    HOLD = """
store = SqliteStateStore(folder, "count", "count-0", 1)
tell(os.getpid())
signal.pause()
"""
    # bytes: commits with no file larger than that until it is refused; tells the last number and the refusal.
    COMMIT_WITHIN = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (int(arguments[0]), resource.RLIM_INFINITY))
store = SqliteStateStore(folder, "count", "count-0", 1)
number = 0
try:
    while True:
        store.commit(checkpoint(number, 1000 + number * 10))
        number += 1
except StreamerError as error:
    tell(f"{number - 1} {type(error).__name__}: {error} {error.advice}")
assert store.restore().facts == {"number": b"%d" % (number - 1)}
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.commit(checkpoint(number))
"""
    # instance, count: commits so many checkpoints beside others, one key each.
    COUNT = """
instance, count = arguments[0], int(arguments[1])
store = SqliteStateStore(folder, "count", instance, 1)
for n in range(count):
    at = EntryKey(int(instance[-1]), "counts", key(n).key, b"")
    store.commit(Checkpoint({at: Entry(b"%d" % n, 0.0)}))
store.close()
"""


def start(program: Program, folder: Path, *arguments: object) -> subprocess.Popen[str]:
    return programs.start(_USES + program.value, folder, *arguments)
