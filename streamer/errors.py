"""One tree of errors, each with a remedy.

A user reads what went wrong, where, and what to do; the command line and the REST interface translate this tree
in one place each. An error that has no remedy to offer is a defect of ours, so every class must name one
(a house test checks it), and an instance may sharpen it.
"""

from __future__ import annotations

from typing import ClassVar


class StreamerError(Exception):
    """Something that the engine refuses or could not do; the message says what and where."""

    remedy: ClassVar[str] = "Read the message; if it does not help, report it with the command that led here."

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.advice = remedy or type(self).remedy


class DescriptorError(StreamerError):
    """A pipeline or algorithm descriptor cannot be used as it is written."""

    remedy = "Correct the descriptor at the place named; `streamer validate FILE` lists every finding at once."


class FlowSyntaxError(DescriptorError):
    """The text of a flow cannot be read."""

    remedy = "Join nodes with >>, & and |, for example: A >> B & C | B >> D."


class FlowError(StreamerError):
    """A message was sent to a flow that does not exist, does not contain this node, or has ended here."""

    remedy = "Name a flow of the pipeline that contains this node: sendMessage(message, flowName)."


class MessageError(StreamerError):
    """A message cannot be carried: it does not pack, or is larger than the limit."""

    remedy = "Send msgpack values (None, bool, int, float, str, bytes, list, dict) below the size limit."


class HoldError(StreamerError):
    """A message cannot be held, or is held no more."""

    remedy = "Call api.hold() in the handler of the message, and end it once, in time: settle(), or fail(error)."


class OverloadError(StreamerError):
    """A message was sent into an edge that is full, and whose node declares `overload: error`."""

    remedy = "Send slower, give the node more replicas or a larger queueBytes, or declare another overload policy."


class HandlerError(StreamerError):
    """A handler has failed, and its node declares that this ends the job."""

    remedy = "Correct the algorithm, or let onError of the node try again, drop the message or dead-letter it."


class HandlerTimeoutError(StreamerError):
    """A call of a handler took longer than the ttl of its node."""

    remedy = "Let the handler do less in one call, or give its node a longer ttl."

    def __init__(self, message: str = "a call of the handler took longer than the ttl of its node") -> None:
        super().__init__(message)


class StreamEndedError(StreamerError):
    """A message was sent after the stream of this node had ended."""

    remedy = "Stop sending when stop(args) has been called, or end start()."


class NoKeyError(StreamerError):
    """A message for a partitioned node has no key where `partitionBy` says."""

    remedy = "Send that node only messages with a text, a number, true, false or bytes there, or correct partitionBy."


class AlgorithmError(StreamerError):
    """The user's algorithm cannot be loaded."""

    remedy = "Correct code.path and code.entryPoint of the algorithm, and see that the file imports on its own."


class ConnectorError(StreamerError):
    """A source or sink cannot be opened or used as its spec says."""

    remedy = "Correct the node's spec; docs/descriptor.md lists the connectors and their fields."


class PeerError(StreamerError):
    """A peer broke the wire protocol."""

    remedy = "Run the same version of streamer on both ends; a foreign program must not connect to these ports."


class PlatformError(StreamerError):
    """Instances cannot be started or reached on this machine."""

    remedy = "Check free ports, memory and permissions of $STREAMER_HOME (default ~/.streamer)."


class HomeError(StreamerError):
    """The folder in which jobs keep their state cannot be used."""

    remedy = "Set STREAMER_HOME to a folder that you may write to, with room on its disk."


class PortError(StreamerError):
    """An address that a command was told to serve at cannot be taken."""

    remedy = "Give another port, or none at all: a free one is chosen then."


class OptionError(StreamerError):
    """An option of a command has a value that cannot be read."""

    remedy = "`streamer COMMAND --help` shows the options and their forms."


class NoSuchJobError(StreamerError):
    """A command names a job, or a node of it, that does not exist, or not clearly enough."""

    remedy = "`streamer ps` lists the jobs that are going on, `streamer ps -a` those that have ended too."


class ScaleError(StreamerError):
    """A node cannot have the replicas that were asked for."""

    remedy = "Stay within minStatelessCount and maxStatelessCount, or change them in the descriptor and start anew."


class ResumeError(StreamerError):
    """A job cannot go on from where it stands."""

    remedy = "Only a job that has failed can be resumed: `streamer ps -a` lists them; `streamer run` begins a new one."


class MetricsError(StreamerError):
    """A source of metrics does not answer, or not as one does, or is none."""

    remedy = "Give the address of a Prometheus server, up to and without /api/v1, that scrapes the jobs' metrics."


class TapError(StreamerError):
    """The edges of a job cannot be watched."""

    remedy = "Only a job that is going on has messages to show: `streamer ps` lists those."


class ReplayError(StreamerError):
    """Dead letters cannot be sent in again."""

    remedy = "`streamer dlq list JOB` shows the letters; they are sent in again while their job goes on."


class FlowsError(StreamerError):
    """The flows of a job cannot be changed as it was asked for; they stay as they are."""

    remedy = "Correct what is named and give the change again: `streamer flows show JOB` shows the flows in force."


class UpdateError(StreamerError):
    """A job cannot become what it was asked to become while it goes on; it stays as it is."""

    remedy = "Take back what is named and give the update again, or stop the job and begin a new one."


class CodeError(StreamerError):
    """The code of a job cannot travel to the machines that are to run it."""

    remedy = (
        "Install what is large as a package on each machine, or let handlers import it at their first call from a "
        "folder that all machines have; what is data, read as a file."
    )


class VersionError(StreamerError):
    """A message came by a version of the flows of which nothing is known here any more."""

    remedy = "The message is kept here. Another copy of it was handled, unless its sender had died: then send it again."


class SupervisedError(StreamerError):
    """A job was to be supervised that another process supervises already."""

    remedy = "Leave it to that process: `streamer stop JOB`, `scale` and `logs` reach the job through it."


class OutputError(StreamerError):
    """What a command has to say cannot be written."""

    remedy = "Make room where the output goes, or send it elsewhere; the job has ended, and its folder is kept."


class StateError(StreamerError):
    """A file in which the engine keeps its state is damaged, foreign, or of another version."""

    remedy = "Move what is named aside, and no more than that, or run the version of streamer that wrote it."


class NoSuchStateError(StreamerError):
    """A command names keyed state, or a key of it, that a job does not have."""

    remedy = "`streamer state ls JOB` lists the nodes that have state, and what their states are called."


class FencedError(StreamerError):
    """Another life of an instance, or a newer ownership of its keys, has taken its state over."""

    remedy = "Let this process end: the one that took over carries on from the last checkpoint, and nothing is lost."


class EntryLogError(StateError):
    """What a node with `durability: log` had accepted and not settled cannot be read, or is not all there."""

    remedy = "Bring back the instance's folder from a copy, or run the version of streamer that wrote it."


class LogError(StreamerError):
    """The control log cannot take or give records now."""

    remedy = "Make room where $STREAMER_HOME (default ~/.streamer) lies and try again: what was appended is kept."


class ClaimError(StreamerError):
    """A controller wrote for a job that another controller has claimed since."""

    remedy = "Let this controller go: the one that claimed the job carries on, and nothing of the job is lost."


class LifecycleError(StreamerError):
    """A job or an instance met an event that its phase does not know: a defect of streamer."""

    remedy = "Stop the job and report it, with the job's folder: the data in sinks and sources is not touched by this."


class HarnessError(StreamerError):
    """A pipeline cannot be played in one process and in virtual time, or not as it was asked for."""

    remedy = "docs/testing.md says what a pipeline in the harness can do, and how its nodes are fed and made to fail."


class TraceError(StreamerError):
    """A trace of a simulation is not one."""

    remedy = "Write a row of seconds,rate for each change of the rate, in the order of time: 0,100 and 600,1000."


class SimulationError(StreamerError):
    """A simulation cannot be made as it was asked for."""

    remedy = "`autoscaler simulate --help` lists the rules, the traces and what can be said of a pipeline."


class SettingsError(StreamerError):
    """The constants of the autoscaler contradict themselves or each other."""

    remedy = "Leave the constant that is named at its default; docs/autoscaling.md says what each of them is for."
