"""What becomes of messages whose handler has failed: tried again, kept as dead letters, dropped, or the end of the job.

All forms of handlers, and holds that end badly, come here with what has failed, so that one place knows the policy of
the node and counts what it decides. A message that ends the job is neither settled nor given up: it stays in flight in
the account, and its source can send it again to whoever comes next.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Condition

from streamer.clock import Clock
from streamer.errors import HandlerError
from streamer.plan.assignment import Assignment, OnError, Then
from streamer.protocol.account import InstanceAccount
from streamer.protocol.input_frame import InputFrame
from streamer.runtime.inbox import Inbox
from streamer.runtime.letters import Failure, Letters
from streamer.runtime.retries import Retries


class Failures:
    """Of one instance. `fatal` is the error that ends the job, `last_error` the last one that a handler has raised."""

    def __init__(
        self, assignment: Assignment, letters: Letters, account: InstanceAccount, lock: Condition, clock: Clock
    ) -> None:
        self._node = assignment.node
        self._then = assignment.on_error.then
        self._letters = letters
        self._account = account
        self._lock = lock
        self._clock = clock
        self._policy = assignment.on_error
        self._serial = bool(assignment.partition_by)
        self.retries = Retries(OnError() if self._serial else assignment.on_error)
        self.fatal: HandlerError | None = None
        self.last_error = ""

    def next(self, inbox: Inbox, now: float) -> InputFrame | None:
        """What is to be handled now. Whatever follows a message that waits to be tried again may overtake it here."""
        if self.retries.waiting:
            with self._lock:
                if (due := self.retries.next(now)) is not None or self.retries.full:
                    return due
        return inbox.next()

    def in_place_s(self, attempts: int) -> float | None:
        """Seconds after which a call that has failed so often is to be made again, before anything else is handled.

        So it is where keys must stay in order. None: it is given up, or tried again aside.
        """
        if not self._serial or attempts > self._policy.limit:
            return None
        return self._policy.delay_s_after(attempts)

    def judge(self, frame: InputFrame, failures: Sequence[Failure]) -> bool:
        """These messages have failed. False if that ends the job: then the frame is to stay as it is."""
        with self._lock:
            left = self.retries.take(frame, failures, self._clock())
            if left:
                self.last_error = left[-1].error
            raised = [failure for failure in left if failure.raised is not None]
            if raised and self._then is Then.STOP:
                error = HandlerError(f"node {self._node}: its handler has failed, and onError says: stop")
                error.__cause__ = raised[0].raised
                self.fatal = self.fatal or error
                return False
            self._give_up(frame, left, raised if self._then is Then.DROP else ())
            return True

    def _give_up(self, frame: InputFrame, left: Sequence[Failure], dropped: Sequence[Failure]) -> None:
        dead = [failure for failure in left if failure not in dropped] if dropped else left
        if dead:
            self._letters.failed(frame, dead)
        frame.dead += [failure.index for failure in dead]
        frame.dropped += [failure.index for failure in dropped]
        self._account.failed += len(left)

    def check(self) -> None:
        """Raises the error that ends the job, if there is one."""
        if self.fatal is not None:
            raise self.fatal
