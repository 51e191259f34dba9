"""The account page of an instance as a file: written by the instance, read by whoever asks for the account.

The instance writes it a few times per millisecond under load, so it is a mapped page and not a database; a reader in
another process sees whole records only (`streamer.mapped`), also of an instance that was killed.
"""

from __future__ import annotations

from pathlib import Path

from streamer.limits import SETTLED_RANGES_MAX
from streamer.mapped import MappedPage
from streamer.protocol.account import InstanceAccount, account_bytes_max, decode_account, encode_account

ACCOUNT_FILE = "account"


class AccountPage:
    """Writer's end. `account` is what the predecessor left, its messages in flight already counted as abandoned."""

    def __init__(self, folder: Path, targets: tuple[str, ...], *, replayable: bool) -> None:
        size = account_bytes_max(targets, SETTLED_RANGES_MAX if replayable else 0)
        self._page = MappedPage(folder / ACCOUNT_FILE, size)
        record = self._page.read()
        self.account = decode_account(record) if record else InstanceAccount()
        self.account.recover()
        for target in targets:
            self.account.edge(target)
        self.publish()

    def publish(self) -> None:
        """Put the account's present state in force."""
        self._page.write(encode_account(self.account))

    def close(self) -> None:
        self._page.close()


def read_account(folder: Path) -> InstanceAccount | None:
    """The account of the instance whose folder this is; None if it never came so far. Raises StateError."""
    path = folder / ACCOUNT_FILE
    if not path.exists() or path.stat().st_size == 0:
        return None
    with MappedPage.existing(path) as page:
        record = page.read()
    return decode_account(record) if record else None
