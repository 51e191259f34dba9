"""A pipeline that is played in a test: its real algorithms, fed with lists, and failures when a test asks for them."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from streamer.descriptor.load import load
from streamer.errors import AlgorithmError, DescriptorError, HarnessError
from streamer.plan.compile import compile_plan
from streamer.testing import fail, kill, run

CHAIN = """\
name: words
kind: stream
nodes:
  - {nodeName: lines, kind: source, spec: {connector: stdin}}
  - {nodeName: work, kind: algorithm, algorithmName: work, stateType: STATE}
  - {nodeName: out, kind: sink, spec: {connector: stdout}}
streaming: {flows: {main: lines >> work >> out}}
---
name: work
code: {path: work.py}
"""
TICKER = """\
name: ticks
kind: stream
nodes:
  - {nodeName: work, kind: algorithm, algorithmName: work, stateType: stateful}
  - {nodeName: out, kind: sink, spec: {connector: stdout}}
streaming: {flows: {main: work >> out}}
---
name: work
code: {path: work.py}
"""
DOUBLE = 'def start(args):\n    return 2 * args["streamInput"]["message"]\n'
COUNT = """\
seen = []

def start(args, api):
    def on_message(message, origin):
        seen.append(message)
        api.sendMessage([message, origin, len(seen)])

    api.registerInputListener(on_message)
    api.startMessageListening()
"""


def written(folder: Path, code: str, *, state: str = "stateless", pipeline: str = CHAIN) -> Path:
    (folder / "pipeline.yaml").write_text(pipeline.replace("STATE", state))
    (folder / "work.py").write_text(code)
    return folder


# -- what goes in and comes out ----------------------------------------------------------------------------------------


def test_messages_go_in_at_a_source_and_come_out_of_a_sink(tmp_path: Path) -> None:
    played = run(written(tmp_path, DOUBLE), {"lines": range(600)})

    assert played == {"out": [2 * n for n in range(600)]}
    assert played.dead_letters == ()
    assert {(edge.sent, edge.settled) for edge in played.account.edges} == {(600, 600)}


def test_a_play_comes_out_the_same_each_time(tmp_path: Path) -> None:
    written(tmp_path, DOUBLE)
    settings = ["nodes.work.minStatelessCount=3"]

    first, second = (run(tmp_path, {"lines": range(600)}, settings=settings, seed=7) for _ in range(2))

    assert first == second
    assert sorted(first["out"]) == [2 * n for n in range(600)]


def test_a_partitioned_node_is_played_with_all_its_instances(tmp_path: Path) -> None:
    settings = ["nodes.work.partitionBy=id", "nodes.work.minReplicas=3"]
    messages = [{"id": f"key-{n % 20}", "n": n} for n in range(600)]

    played = run(
        written(tmp_path, COUNT, state="stateful"),
        {"lines": [*messages, {"n": 600}]},
        settings=settings,
        failures=[kill("work", after=100)],
    )

    handled = {message["n"]: message for message, _, _ in played["out"]}
    assert sorted(handled) == list(range(600))
    for key in {message["id"] for message in messages}:
        firsts = list(dict.fromkeys(message["n"] for message, _, _ in played["out"] if message["id"] == key))
        assert firsts == sorted(firsts)
    assert [letter.reason for letter in played.dead_letters] == ["no key"]


def test_messages_may_be_any_value_that_travels(tmp_path: Path) -> None:
    values = [{"a": [1, None]}, {"a": [1, None]}, b"bytes", "text", 1.5, {"long": "x" * 300_000}]

    played = run(written(tmp_path, 'def start(args):\n    return args["streamInput"]["message"]\n'), {"lines": values})

    assert played["out"] == values


def test_a_message_that_cannot_travel_is_a_dead_letter(tmp_path: Path) -> None:
    played = run(written(tmp_path, DOUBLE), {"lines": [1, object(), 3]})

    assert played == {"out": [2, 6]}
    assert [letter.node for letter in played.dead_letters] == ["lines"]


def test_a_source_that_is_not_fed_sends_nothing(tmp_path: Path) -> None:
    assert run(written(tmp_path, DOUBLE), {}) == {"out": []}


def test_a_plan_is_played_as_it_is(tmp_path: Path) -> None:
    loaded = load([written(tmp_path, DOUBLE)])
    assert loaded.pipeline is not None
    plan = compile_plan(loaded.pipeline, loaded.algorithms, folder=tmp_path)

    assert run(plan, {"lines": [4]}) == {"out": [8]}


# -- algorithms in all forms -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(DOUBLE, id="a function"),
        pytest.param('def start(args):\n    yield 2 * args["streamInput"]["message"]\n', id="a generator"),
        pytest.param("def onMessages(messages):\n    return [2 * m for m in messages]\n", id="batches"),
        pytest.param('async def start(args):\n    return 2 * args["streamInput"]["message"]\n', id="async"),
        pytest.param('async def start(args):\n    yield 2 * args["streamInput"]["message"]\n', id="async generator"),
        pytest.param("async def onMessages(messages):\n    return [2 * m for m in messages]\n", id="async batches"),
        pytest.param(
            'def start(args, api):\n    api.sendMessage(2 * args["streamInput"]["message"])\n', id="sendMessage"
        ),
    ],
)
def test_every_form_of_a_stateless_algorithm_is_played(tmp_path: Path, code: str) -> None:
    written(tmp_path, code)

    calm = run(tmp_path, {"lines": range(20)})
    failed = run(tmp_path, {"lines": range(20)}, failures=[fail("work", after=19)])

    assert calm == {"out": [2 * n for n in range(20)]}
    assert failed.dead_letters[-1].message == 19


@pytest.mark.parametrize(
    ("register", "listener"),
    [
        ("registerInputListener", "def hear(message, origin):\n        api.sendMessage([message])"),
        ("register_input_listener", "async def hear(message):\n        api.sendMessage([message])"),
        ("registerBatchListener", "def hear(messages, origin):\n        api.sendMessage(messages)"),
        ("register_batch_listener", "async def hear(messages, origin):\n        api.sendMessage(messages)"),
    ],
)
def test_every_form_of_a_listener_is_played(tmp_path: Path, register: str, listener: str) -> None:
    code = f"def start(args, api):\n    {listener}\n\n    api.{register}(hear)\n    api.startMessageListening()\n"

    played = run(written(tmp_path, code, state="stateful"), {"lines": range(20)})

    assert [one for several in played["out"] for one in several] == list(range(20))


def test_what_a_start_sends_before_it_returns_is_sent(tmp_path: Path) -> None:
    code = "def start(args, api):\n    for n in range(40_000):\n        api.sendMessage('tick' * 200)\n"

    played = run(written(tmp_path, code, pipeline=TICKER), {})

    assert len(played["out"]) == 40_000


def test_a_stateful_node_into_which_nothing_flows_can_be_fed(tmp_path: Path) -> None:
    code = "def start(args, api):\n    raise OSError('there is no such sensor here')\n"

    assert run(written(tmp_path, code, pipeline=TICKER), {"work": [1, 2]}) == {"out": [1, 2]}


def test_what_waits_in_an_async_handler_costs_no_time_of_the_machine(tmp_path: Path) -> None:
    code = """\
import asyncio

async def start(args, api):
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(asyncio.sleep(30), asyncio.sleep(20))
    return round(loop.time() - began)
"""
    assert run(written(tmp_path, code), {"lines": range(5)}, call_s_max=30.0) == {"out": [30] * 5}


def test_init_stop_and_exit_are_called(tmp_path: Path) -> None:
    code = """\
def init(args):
    args["order"] = ["init"]

def start(args, api):
    global send
    send = api.sendMessage
    api.registerInputListener(lambda message, origin: args["order"].append(message))

def stop(args):
    send(args["order"])

def exit(args):
    assert args["order"] == ["init", 1]
"""
    assert run(written(tmp_path, code, state="stateful"), {"lines": [1]}) == {"out": [["init", 1]]}


# -- failures on demand ------------------------------------------------------------------------------------------------


def test_a_handler_that_fails_sends_its_message_to_the_dead_letters(tmp_path: Path) -> None:
    played = run(written(tmp_path, DOUBLE), {"lines": range(10)}, failures=[fail("work", 2, after=4)])

    assert played["out"] == [0, 2, 4, 6, 12, 14, 16, 18]
    assert [(letter.node, letter.message) for letter in played.dead_letters] == [("work", 4), ("work", 5)]
    assert played.dead_letters[0].error == "DemandedError: fail('work', 2, after=4), as the test demands"


def test_retries_and_what_comes_then_are_played_too(tmp_path: Path) -> None:
    written(tmp_path, DOUBLE)
    retried = ["nodes.work.onError={retry: {limit: 2, delay: 5}}"]

    played = run(tmp_path, {"lines": range(10)}, failures=[fail("work", 2, after=4)], settings=retried)
    dropped = run(
        tmp_path, {"lines": range(10)}, failures=[fail("work", 2)], settings=["nodes.work.onError={then: drop}"]
    )

    assert sorted(played["out"]) == [2 * n for n in range(10)]
    assert (played.dead_letters, len(dropped["out"]), dropped.dead_letters) == ((), 8, ())
    assert dropped.account.edges[0].dropped == {"handler": 2}
    with pytest.raises(HarnessError, match="onError says: stop"):
        run(tmp_path, {"lines": range(10)}, failures=[fail("work")], settings=["nodes.work.onError={then: stop}"])


def test_a_message_that_was_in_hand_at_a_kill_comes_again(tmp_path: Path) -> None:
    played = run(written(tmp_path, DOUBLE), {"lines": range(50)}, failures=[kill("work", after=20)])

    assert sorted(set(played["out"])) == [2 * n for n in range(50)]
    [work] = [node for node in played.account.nodes if node.node == "work"]
    assert work.restarts == 1


def test_what_keeps_state_is_killed_and_sends_messages_of_any_kind_once(tmp_path: Path) -> None:
    code = """\
def start(args, api):
    count = api.state.counter("seen")
    api.registerInputListener(lambda message, origin: api.sendMessage({"n": count.add("all")}))
    api.startMessageListening()
"""

    played = run(written(tmp_path, code, state="stateful"), {"lines": range(300)}, failures=[kill("work", after=100)])

    assert played == {"out": [{"n": n} for n in range(1, 301)]}


def test_a_message_that_kills_three_instances_is_given_up(tmp_path: Path) -> None:
    played = run(written(tmp_path, DOUBLE), {"lines": range(5)}, failures=[kill("work", 3)])

    assert sorted(set(played["out"])) == [2, 4, 6, 8]
    assert [(letter.reason, letter.message) for letter in played.dead_letters] == [("crash", 0)]


def test_a_killed_instance_has_lost_what_its_module_held(tmp_path: Path) -> None:
    written(tmp_path, COUNT, state="stateful")

    calm = run(tmp_path, {"lines": "abcd"})
    played = run(tmp_path, {"lines": "abcd"}, failures=[kill("work", after=2)])

    assert [count for _, _, count in calm["out"]] == [1, 2, 3, 4]
    assert max(count for _, _, count in played["out"]) <= 4
    assert {message for message, _, _ in played["out"]} == set("abcd")


@pytest.mark.parametrize("node", ["lines", "out"])
def test_a_source_or_a_sink_that_is_killed_loses_nothing(tmp_path: Path, node: str) -> None:
    played = run(written(tmp_path, DOUBLE), {"lines": range(600)}, failures=[kill(node, 2, after=100)])

    assert sorted(set(played["out"])) == [2 * n for n in range(600)]
    assert [record.restarts for record in played.account.nodes if record.node == node] == [2]


def test_a_failure_that_did_not_come_to_pass_is_told(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"kill\('work', 1, after=9\) struck 0 times; the node had 3 messages"):
        run(written(tmp_path, DOUBLE), {"lines": range(3)}, failures=[kill("work", after=9)])


# -- what cannot be played ---------------------------------------------------------------------------------------------


def test_everything_that_cannot_be_fed_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as told:
        run(written(tmp_path, DOUBLE), {"line": [1], "work": [2], "out": [3]})

    assert str(told.value).splitlines() == [
        "the pipeline has no node 'line'. Did you mean lines?",
        "node work cannot be fed: its messages come from other nodes",
        "node out cannot be fed: its messages come from other nodes",
    ]
    assert told.value.advice == "These can be fed: lines."


def test_failures_of_one_node_come_one_after_the_other(tmp_path: Path) -> None:
    failures = [fail("work"), kill("work"), fail("work"), kill("work", after=5)]

    played = run(written(tmp_path, DOUBLE), {"lines": range(50)}, failures=failures)

    assert len(played.dead_letters) == 2
    assert [node.restarts for node in played.account.nodes if node.node == "work"] == [2]


def test_a_handler_that_exits_ends_its_instance_and_not_the_test(tmp_path: Path) -> None:
    message = "args['streamInput']['message']"
    code = f"import sys\n\ndef start(args):\n    return sys.exit() if {message} == 1 else {message}\n"

    played = run(written(tmp_path, code), {"lines": range(3)})

    assert sorted(played["out"]) == [0, 2]
    assert [letter.message for letter in played.dead_letters] == [1]


def test_every_failure_that_cannot_happen_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as told:
        run(written(tmp_path, DOUBLE), {}, failures=[fail("wrok"), fail("out"), kill("work", 0)])

    assert str(told.value).splitlines() == [
        "fail('wrok', 1): the pipeline has no node 'wrok'. Did you mean work?",
        "fail('out', 1): node out is a sink, which has no handler that could fail; kill it",
        "kill('work', 0): times begins at 1, and after at 0",
    ]


def test_all_findings_of_a_descriptor_are_told(tmp_path: Path) -> None:
    written(tmp_path, DOUBLE, pipeline=CHAIN.replace("kind: sink", "kind: snik").replace("lines >>", "line >>"))

    with pytest.raises(DescriptorError, match=r"(?s)snik.*line"):
        run(tmp_path, {})


def test_an_algorithm_that_does_not_import_says_why(tmp_path: Path) -> None:
    with pytest.raises(AlgorithmError, match="does not import") as told:
        run(written(tmp_path, "import nothing_of_that_name\n" + DOUBLE), {"lines": [1]})

    assert isinstance(told.value.__cause__, ImportError)


def test_what_start_raises_is_raised_in_the_test(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run(written(tmp_path, "def start(args, api):\n    1 / 0\n", pipeline=TICKER), {})


LOOP = """\
import threading

stopping = threading.Event()

def start(args, api):
    while not stopping.wait(0.01):
        api.sendMessage("tick")
"""


def test_a_start_that_loops_is_refused_and_ended(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"node work: start has not returned after 0\.3 s") as told:
        run(written(tmp_path, LOOP, pipeline=TICKER), {}, call_s_max=0.3)

    assert "run(..., {'work': [...]})" in told.value.advice
    for thread in threading.enumerate():
        if thread.name == "play":
            thread.join(30)
            assert not thread.is_alive()


IN_A_THREAD = """\
import threading

def start(args, api):
    hold = api.hold()

    def work():
        try:
            %s
        except Exception:
            pass  # as a thread does whose errors nobody looks for

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    hold.settle()
"""


KEPT_FUNCTIONS = {
    "in a pool": "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)\n\n"
    "def start(args, api):\n    pool.submit(api.sendMessage, 1).exception()\n",
    "by asyncio": "import asyncio\n\nasync def start(args, api):\n    await asyncio.to_thread(api.sendMessage, 1)\n",
}


@pytest.mark.parametrize("code", KEPT_FUNCTIONS.values(), ids=KEPT_FUNCTIONS)
def test_a_function_of_the_api_that_a_thread_calls_fails_the_play(tmp_path: Path, code: str) -> None:
    with pytest.raises(HarnessError, match="node work uses its api from a thread of its own"):
        run(written(tmp_path, code), {"lines": [1]})


@pytest.mark.parametrize("call", ["api.sendMessage('from a thread')", "api.headers", "hold.sendMessage(1)"])
def test_a_play_in_which_a_thread_of_an_algorithm_uses_its_api_fails(tmp_path: Path, call: str) -> None:
    with pytest.raises(HarnessError, match="node work uses its api from a thread of its own") as told:
        run(written(tmp_path, IN_A_THREAD % call), {"lines": [1]})

    assert "streamer run" in told.value.advice


def test_a_job_that_does_not_end_in_time_says_where_it_stands(tmp_path: Path) -> None:
    code = "import asyncio\n\nasync def start(args):\n    await asyncio.sleep(30)\n"

    with pytest.raises(HarnessError, match="the job is stuck after"):
        run(written(tmp_path, code), {"lines": range(5)}, job_s_max=60)


# -- what a play leaves behind -----------------------------------------------------------------------------------------


def test_modules_beside_an_algorithm_are_imported_anew_and_not_left_behind(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("calls = []\n")
    code = "import beside\n\ndef start(args):\n    beside.calls.append(1)\n    return len(beside.calls)\n"
    path, modules = list(sys.path), set(sys.modules)

    first, second = (run(written(tmp_path, code), {"lines": [0]}) for _ in range(2))

    assert (first, second) == ({"out": [1]}, {"out": [1]})
    assert sys.path == path
    assert {"beside", "streamer_user_algorithm"}.isdisjoint(set(sys.modules) - modules)
