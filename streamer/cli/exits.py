"""The exit codes of every command: a contract with scripts.

They say who has to act: nobody, the job's owner, or whoever typed the command. `BUG` is the code of sysexits.h for an
internal error, so that a script can tell a defect of ours from a job that failed.
"""

from __future__ import annotations

from streamer.errors import (
    AlgorithmError,
    CodeError,
    ConnectorError,
    DescriptorError,
    FlowsError,
    HomeError,
    MetricsError,
    NoSuchJobError,
    NoSuchStateError,
    OptionError,
    PortError,
    ReplayError,
    ResumeError,
    ScaleError,
    SettingsError,
    SimulationError,
    StateError,
    StreamerError,
    SupervisedError,
    TapError,
    TraceError,
    UpdateError,
)

OK = 0
FAILED = 1
BAD_INPUT = 2
BUG = 70

_INPUT_ERRORS = (
    DescriptorError,
    AlgorithmError,
    CodeError,
    ConnectorError,
    FlowsError,
    HomeError,
    MetricsError,
    PortError,
    OptionError,
    NoSuchJobError,
    NoSuchStateError,
    ReplayError,
    ResumeError,
    ScaleError,
    SettingsError,
    SimulationError,
    StateError,
    SupervisedError,
    TapError,
    TraceError,
    UpdateError,
)


def exit_code(error: StreamerError) -> int:
    return BAD_INPUT if isinstance(error, _INPUT_ERRORS) else FAILED
