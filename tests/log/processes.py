"""Programs that use a log in processes of their own, which can be killed and limited as a test likes."""

from __future__ import annotations

import subprocess
from enum import Enum
from pathlib import Path

from tests import programs
from tests.programs import finish

__all__ = ["Program", "finish", "start"]

_USES = """
from streamer.log.sqlite import SqliteLog
from streamer.log.topics import Topic
"""

_DIE_AT = 'WATCHED = ("/streamer/log/", "/streamer/database.py")' + programs.DIE_AT


class Program(Enum):
    """Each gets the log's folder, and what its comment says."""

    # key, count: appends the numbers below `count` and prints each offset that it was given.
    APPEND = """
key, count = arguments[0], int(arguments[1])
log = SqliteLog(folder)
for n in range(count):
    tell(log.append(Topic.COMMANDS, key, b"%d" % n))
"""
    # seconds: prints `waiting`, and then the first record that comes.
    FOLLOW = """
log = SqliteLog(folder)
follower = log.follow([Topic.COMMANDS])
assert follower.poll(0.0) == ()
tell("waiting")
(record,) = follower.poll(float(arguments[0]))
tell(record.value.decode())
"""
    # Makes logs below the folder, each killed one call later than the one before; prints the number of kills.
    MAKE_AND_DIE = (
        _DIE_AT
        + """
kills = 0
while dies(kills + 1, lambda: SqliteLog(folder / str(kills))):
    log = SqliteLog(folder / str(kills))
    assert log.append(Topic.COMMANDS, "job", b"after the kill") == 1
    log.close()
    kills += 1
tell(kills)
"""
    )
    # Appends to one log, killed one call later each time; prints the number of kills, and how often a record was there.
    APPEND_AND_DIE = (
        _DIE_AT
        + """
def there():
    log = SqliteLog(folder)
    values = [record.value for record in log.read(Topic.COMMANDS).records]
    log.close()
    return values
def append():
    log = SqliteLog(folder)
    sys.setprofile(DieAt(kills + 1))
    log.append(Topic.COMMANDS, "job", b"%d" % kills)
kills, expected, arrived = 0, there(), 0
while dies(0, append):
    found = there()
    assert found in (expected, [*expected, b"%d" % kills]), found
    arrived += found != expected
    expected = found
    kills += 1
assert there() == [*expected, b"%d" % kills]
tell(f"{kills} {arrived}")
"""
    )
    # Dies with a transaction open whose pages are partly in the file already.
    DIE_IN_A_TRANSACTION = """
import sqlite3
connection = sqlite3.connect(folder / "log.sqlite", isolation_level=None)
connection.execute("PRAGMA cache_size = 10")
connection.execute("BEGIN IMMEDIATE")
for n in range(1000):
    connection.execute(
        "INSERT INTO commands (scope, key, is_claim, written_at, seal, value) VALUES ('job', 'job', 0, 0.0, 0, ?)",
        (b"x" * 1000,),
    )
assert (folder / "log.sqlite-wal").stat().st_size > 500_000
os.kill(os.getpid(), signal.SIGKILL)
"""
    # Opens the log, as the user whose number is given, and says why it was refused.
    OPEN = """
if arguments:
    os.setuid(int(arguments[0]))
try:
    SqliteLog(folder)
except StreamerError as error:
    tell(f"{type(error).__name__}: {error} {error.advice}")
"""
    # bytes: appends with no file larger than that until it is refused, and prints the count and the refusal.
    APPEND_WITHIN = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (int(arguments[0]), resource.RLIM_INFINITY))
log = SqliteLog(folder)
count = 0
try:
    while True:
        log.append(Topic.COMMANDS, "job", b"%d" % count + b"x" * 5000)
        count += 1
except StreamerError as error:
    tell(f"{count} {type(error).__name__}: {error}")
assert len(log.read(Topic.COMMANDS).records) == count
"""


def start(program: Program, folder: Path, *arguments: object) -> subprocess.Popen[str]:
    return programs.start(_USES + program.value, folder, *arguments)
