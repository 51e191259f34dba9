"""Changes of flows: proposed to all, in force when all know them, over when nobody holds anything of them."""

from __future__ import annotations

import pytest

from streamer import limits
from streamer.control.events import FlowsSet, LettersHold
from streamer.control.flows import proposed
from streamer.control.lifecycle import JobPhase
from streamer.control.state import Answer
from streamer.errors import FlowsError
from streamer.metrics.samples import InstanceState
from streamer.plan.assignment import Canary, Role, Verb
from streamer.plan.change import FlowsChange, FlowsRollback
from streamer.plan.versions import Made, Origin
from tests.control.plans import plan
from tests.control.stage import Stage

LINE = plan(
    ("lines", "parse"),
    ("parse", "save"),
    roles={"lines": Role.SOURCE, "save": Role.SINK, "spare": Role.SINK, "keep": Role.STATEFUL},
    replicas={"parse": 2},
    alone=("spare", "keep"),
)
OTHER = {"main": "lines >> parse >> spare"}
EVERYONE = {"lines-0", "parse-0", "parse-1", "save-0", "spare-0", "keep-0"}


class Flows(Stage):
    """A job that is running, with everybody at work."""

    def __init__(self) -> None:
        super().__init__(LINE)
        self.all_say(InstanceState.RUNNING)
        self.tick()
        self.said: dict[str, dict[str, int]] = {}

    def want(
        self,
        flows: dict[str, str | None] | None = None,
        *,
        default: str = "",
        number: int | None = None,
        percent: int = 100,
    ) -> None:
        wish = self.state.wish + 1 if number is None else number
        parts = percent * limits.CANARY_PARTS // 100
        self.take(FlowsSet(FlowsChange(dict(OTHER) if flows is None else flows, default, parts), wish, at=self.now))

    def want_share(self, percent: int) -> None:
        self.want({}, percent=percent)

    def want_back(self, to: int | None = None) -> None:
        self.take(FlowsSet(FlowsRollback(to), self.state.wish + 1, at=self.now))

    def all_know(self) -> None:
        """What was proposed comes into force, and everybody hears of that."""
        self.tick()
        self.know()
        self.tick()
        self.know()
        self.tick()

    def know(self, *instances: str) -> None:
        for instance in instances or tuple(EVERYONE):
            self.says(instance, wiring=self.state.wired)

    def changed(self, flows: dict[str, str | None] | None = None) -> None:
        """A change that comes into force."""
        self.want(flows)
        self.tick()
        self.know()
        self.tick()
        assert not self.answer.error
        self.know()

    def all_say_again(self, **oldest: int) -> None:
        """One report of each later: nothing is held of older versions, other than by those named."""
        self.now += limits.REPORT_S
        for instance in EVERYONE:
            node = instance.rpartition("-")[0]
            self.says(instance, wiring=self.state.wired, oldest_version=oldest.get(node))
        self.tick()

    def canary(self, flows: dict[str, str | None] | None = None, percent: int = 10) -> None:
        """One that is under way."""
        self.want(flows, percent=percent)
        self.all_know()
        assert not self.answer.error

    def taken(self) -> tuple[int, Canary | None]:
        """What roots take, as everybody was told last."""
        ((current, canary),) = {(wiring.current, wiring.canary) for wiring in self.wirings().values()}
        return current, canary

    @property
    def answer(self) -> Answer:
        return self.state.answers[-1]

    @property
    def alive(self) -> list[int]:
        return [version.number for version in self.state.plan.versions]


@pytest.fixture
def job() -> Flows:
    return Flows()


# -- proposed ----------------------------------------------------------------------------------------------------------


def test_a_version_is_told_to_everybody_before_it_is_in_force(job: Flows) -> None:
    job.want()
    job.tick()

    wirings = job.wirings()
    assert wirings.keys() == EVERYONE
    assert {wiring.current for wiring in wirings.values()} == {1}
    assert [table.version for table in wirings["parse-0"].tables] == [1, 2]
    assert [edge.target for edge in wirings["parse-0"].outputs] == ["save", "spare"]
    assert [edge.source for edge in wirings["spare-0"].inputs] == ["parse"]
    assert job.alive == [1]
    assert job.state.answers == ()


def test_nobody_meets_new_neighbours_before_the_version_is_in_force(job: Flows) -> None:
    job.want()
    job.tick()
    assert job.peers() == {}

    job.know()
    job.tick()

    assert job.peers().keys() == {"parse-0", "parse-1", "spare-0"}
    assert {peer.node for peer in job.peers()["spare-0"].parents} == {"parse"}


def test_it_is_in_force_once_the_last_one_knows_it(job: Flows) -> None:
    job.want()
    job.tick()
    job.know(*(EVERYONE - {"parse-1"}))
    job.tick()
    assert job.alive == [1]

    job.know("parse-1")
    job.tick()

    assert job.alive == [1, 2]
    assert job.answer == Answer(number=0, version=2)
    assert {wiring.current for wiring in job.wirings().values()} == {2}


def test_one_that_did_not_hear_is_told_again(job: Flows) -> None:
    job.want()
    job.tick()
    job.know(*(EVERYONE - {"parse-1"}))

    job.later(limits.COMMAND_REPEAT_S)

    assert job.wirings().keys() == {"parse-1"}


def test_one_that_is_started_again_is_born_with_the_knowledge(job: Flows) -> None:
    job.want()
    job.tick()
    job.know(*(EVERYONE - {"parse-1"}))
    job.dies("parse-1")

    job.later(limits.RESTART_DELAY_S)

    assert job.alive == [1, 2]


def test_one_that_is_just_being_started_meets_its_neighbours_once_it_knows_the_flows(job: Flows) -> None:
    job.dies("parse-1")
    job.later(limits.RESTART_DELAY_S)
    job.want()
    job.tick()
    job.know(*(EVERYONE - {"parse-1"}))
    job.tick()
    assert job.alive == [1, 2]

    job.says("parse-1", wiring=1)
    job.tick()

    assert "parse-1" in job.wirings()
    assert "parse-1" not in job.peers()
    job.know("parse-1")
    job.tick()
    assert {peer.node for peer in job.peers()["parse-1"].children} == {"save", "spare"}


@pytest.mark.parametrize("instance", ["lines-0", "keep-0"])
def test_one_that_may_send_of_its_own_accord_is_waited_for_also_while_it_is_being_started(
    job: Flows, instance: str
) -> None:
    job.dies(instance)
    job.later(limits.RESTART_DELAY_S)
    job.want()
    job.tick()
    job.know(*(EVERYONE - {instance}))
    job.tick()
    assert job.alive == [1]

    job.know(instance)
    job.tick()

    assert job.alive == [1, 2]


# -- taken back --------------------------------------------------------------------------------------------------------


def test_a_node_that_ends_before_it_has_heard_of_its_new_input_takes_the_change_back(job: Flows) -> None:
    job.want()
    job.tick()
    job.says("spare-0", InstanceState.DRAINING)

    job.tick()

    assert job.alive == [1]
    assert "spare-0 had come to an end" in job.answer.error
    assert {wiring.number for wiring in job.wirings().values()} == {job.state.wired}
    assert [table.version for table in job.wirings()["parse-0"].tables] == [1]


def test_a_node_that_has_heard_and_then_ends_is_no_reason(job: Flows) -> None:
    job.want()
    job.tick()
    job.know()
    job.says("spare-0", InstanceState.DRAINING)

    job.tick()

    assert job.alive == [1, 2]


def test_who_does_not_hear_of_it_in_time_takes_it_back_and_is_named(job: Flows) -> None:
    job.want()
    job.tick()
    job.know(*(EVERYONE - {"keep-0", "lines-0"}))

    job.later(limits.FLOWS_S)

    assert job.alive == [1]
    assert "keep-0, lines-0 did not hear of it in 30 s" in job.answer.error


def test_a_job_that_is_told_to_end_takes_it_back(job: Flows) -> None:
    job.want()
    job.tick()
    job.drain()

    job.tick()

    assert job.state.proposal is None
    assert "draining" in job.answer.error


def test_after_it_was_taken_back_another_one_has_the_same_number(job: Flows) -> None:
    job.want()
    job.tick()
    job.later(limits.FLOWS_S)

    job.changed({"main": "lines >> parse >> save & spare"})

    assert job.alive == [1, 2]
    assert job.state.plan.current.flows == {"main": "lines >> parse >> save & spare"}


# -- refused -----------------------------------------------------------------------------------------------------------


def test_a_change_that_breaks_the_rules_is_refused_with_all_that_is_wrong(job: Flows) -> None:
    job.want({"main": "lines >> nobody", "side": "save >> parse", "gone": None})

    error = job.answer.error
    assert 'invalid node "nobody" in stream flow "main"' in error
    assert 'sink node "save" cannot send messages, but sends to "parse"' in error
    assert '"gone" is not a flow' in error
    assert "please specify a default stream flow" not in error  # it stays what it was
    assert (job.alive, job.state.proposal, job.state.wired) == ([1], None, 1)


def test_a_change_that_changes_nothing_is_answered_with_the_version_in_force(job: Flows) -> None:
    job.want({"main": "lines>>parse|parse >> save"})

    assert job.answer == Answer(0, 1)
    assert job.state.proposal is None


def test_an_old_wish_that_comes_again_changes_nothing(job: Flows) -> None:
    job.changed()
    before = job.state

    job.want({"main": "lines >> parse >> save"}, number=0)

    assert job.state == before


def test_a_second_change_is_refused_while_the_first_is_under_way(job: Flows) -> None:
    job.want()
    job.want({"main": "lines >> save"})

    assert "another change" in job.answer.error
    assert job.state.proposal is not None


def test_no_flow_can_lead_into_a_node_that_has_completed(job: Flows) -> None:
    job.completes("spare-0")

    job.want()

    assert "node spare has completed" in job.answer.error


def test_flows_that_lead_where_they_led_before_can_change_though_a_node_has_completed(job: Flows) -> None:
    job.changed({"side": "lines >> spare", "main": "lines >> parse >> save"})
    job.completes("spare-0")

    job.want({"main": "lines >> parse & save"})

    assert job.state.proposal is not None


@pytest.mark.parametrize("end", ["drain", "kill"])
def test_the_flows_of_a_job_that_is_ending_stay_as_they_are(job: Flows, end: str) -> None:
    job.drain() if end == "drain" else job.kill()

    job.want()

    assert "its flows stay as they are" in job.answer.error


def test_no_more_than_the_versions_that_messages_can_tell_are_alive_and_who_holds_the_oldest_is_named(
    job: Flows,
) -> None:
    for number in range(limits.FLOW_VERSIONS_MAX - 1):
        job.changed({"main": ("lines >> parse >> save", "lines >> save")[(number + 1) % 2]})
    assert len(job.alive) == limits.FLOW_VERSIONS_MAX
    job.says("parse-1", oldest_version=1)

    job.want({"main": "lines >> spare"})

    assert "16 versions of the flows are alive" in job.answer.error
    assert "messages of version 1 are still held by parse-1" in job.answer.error


def test_what_would_be_refused_can_be_asked_for_before_it_is_wished(job: Flows) -> None:
    assert proposed(job.state, FlowsChange(dict(LINE.current.flows))) is None
    assert proposed(job.state, FlowsChange({"main": "lines >> save"})) is not None
    with pytest.raises(FlowsError, match="nobody"):
        proposed(job.state, FlowsChange({"main": "lines >> nobody"}))


# -- over --------------------------------------------------------------------------------------------------------------


def test_a_version_is_over_when_all_have_said_twice_since_all_had_said_it_that_they_hold_nothing_of_it(
    job: Flows,
) -> None:
    job.changed()
    job.all_say_again()  # all have said it
    job.all_say_again()
    assert job.alive == [1, 2]

    job.all_say_again()

    assert job.alive == [2]
    assert job.state.plan.edges_ever() == (("lines", "parse"), ("parse", "spare"), ("parse", "save"))
    assert [edge.target for edge in job.wirings()["parse-0"].outputs] == ["spare"]
    assert {peer.node for peer in job.peers()["parse-0"].children} == {"spare"}
    assert job.peers()["save-0"].parents == ()


def test_a_version_of_which_somebody_holds_something_stays_alive(job: Flows) -> None:
    job.changed()
    for _ in range(10):
        job.all_say_again(parse=1)
    assert job.alive == [1, 2]


def test_what_comes_to_light_after_all_had_said_that_there_is_nothing_begins_the_wait_anew(job: Flows) -> None:
    job.changed()
    job.all_say_again()
    job.all_say_again(parse=1)
    job.all_say_again()
    job.all_say_again()
    assert job.alive == [1, 2]

    job.all_say_again()

    assert job.alive == [2]


def test_a_source_that_is_dead_may_have_records_to_send_once_more_and_a_node_that_passes_on_has_not(job: Flows) -> None:
    job.changed()
    job.dies("parse-0")
    for _ in range(3):
        job.now += limits.REPORT_S / 100
        for instance in EVERYONE - {"parse-0"}:
            job.says(instance, wiring=job.state.wired)
        job.tick()
    assert job.alive == [2]

    job.changed({"main": "lines >> save"})
    job.dies("lines-0")
    for _ in range(5):
        job.now += limits.REPORT_S / 100
        for instance in EVERYONE - {"lines-0", "parse-0"}:
            job.says(instance, wiring=job.state.wired)
        job.tick()
    assert job.alive == [2, 3]


def test_several_versions_are_over_at_once_and_never_one_before_an_older_one(job: Flows) -> None:
    job.changed({"main": "lines >> save"})
    job.changed({"main": "lines >> spare"})
    for _ in range(4):
        job.all_say_again(lines=1)
    assert job.alive == [1, 2, 3]

    for _ in range(3):
        job.all_say_again()

    assert job.alive == [3]


def test_dead_letters_keep_the_version_that_they_came_by(job: Flows) -> None:
    job.changed()
    job.all_say_again()
    job.take(LettersHold(1))  # one that came to light while all were saying that they hold nothing
    for _ in range(5):
        job.all_say_again()
    assert job.alive == [1, 2]

    job.take(LettersHold(None))
    for _ in range(3):
        job.all_say_again()
    assert job.alive == [2]


def test_dead_letters_do_not_keep_the_flows_from_changing(job: Flows) -> None:
    job.take(LettersHold(1))
    for number in range(limits.FLOW_VERSIONS_MAX - 1):
        job.changed({"main": ("lines >> parse >> save", "lines >> save")[(number + 1) % 2]})

    for _ in range(3):
        job.all_say_again()
    assert job.alive == list(range(2, limits.FLOW_VERSIONS_MAX + 1))

    job.changed({"main": "lines >> spare"})
    assert job.alive[-1] == limits.FLOW_VERSIONS_MAX + 1


# -- canaries ----------------------------------------------------------------------------------------------------------


def test_a_canary_is_proposed_to_everybody_and_then_a_share_of_the_roots_takes_it(job: Flows) -> None:
    job.want(percent=10)
    job.tick()
    assert job.taken() == (1, None)

    job.know()
    job.tick()

    assert job.taken() == (1, Canary(2, 1_000))
    assert job.alive == [1, 2]
    assert (job.state.plan.current.number, job.answer) == (1, Answer(0, 2))


def test_another_share_is_told_to_all_and_waits_for_nobody(job: Flows) -> None:
    job.canary()

    job.want_share(50)
    job.tick()

    assert job.answer == Answer(1, 2)
    assert job.taken() == (1, Canary(2, 5_000))
    assert job.alive == [1, 2]


def test_the_same_flows_again_are_another_share_too(job: Flows) -> None:
    job.canary()
    job.want(percent=50)
    assert job.state.plan.canary == Canary(2, 5_000)
    job.want(percent=50)
    assert job.answer == Answer(2, 2)


def test_the_whole_share_brings_a_canary_into_force_for_all(job: Flows) -> None:
    job.canary()

    job.want_share(100)
    job.tick()

    assert job.taken() == (2, None)
    job.know()
    for _ in range(3):
        job.all_say_again()
    assert job.alive == [2]


def test_a_canary_and_the_version_in_force_stay_alive_beside_each_other_though_nothing_is_held(job: Flows) -> None:
    job.canary()
    for _ in range(5):
        job.all_say_again()
    assert job.alive == [1, 2]


def test_a_rollback_takes_a_canary_from_all_roots_at_once_and_then_gives_the_flows_of_before_a_new_number(
    job: Flows,
) -> None:
    job.canary()

    job.want_back()
    job.tick()
    assert job.taken() == (1, Canary(2, 0))

    job.know()
    job.tick()
    assert job.taken() == (3, None)
    assert job.answer == Answer(1, 3)
    assert job.state.plan.current.flows == LINE.current.flows
    assert job.state.plan.current.origin == Origin(Made.ROLLBACK, job.now, to=1)
    job.know()
    for _ in range(3):
        job.all_say_again()
    assert job.alive == [3]


def test_a_rollback_of_a_canary_that_not_all_hear_of_leaves_it_without_a_share(job: Flows) -> None:
    job.canary()
    job.want_back()
    job.tick()

    job.later(limits.FLOWS_S)

    assert "did not hear of it" in job.answer.error
    assert job.state.plan.canary == Canary(2, 0)
    job.want_back()
    job.all_know()
    assert job.state.plan.current.number == 3


def test_no_other_flows_are_set_beside_a_canary(job: Flows) -> None:
    job.canary()

    job.want({"main": "lines >> save"})

    assert "version 2 of the flows is a canary, which 10 % of the new roots take" in job.answer.error
    assert "flows promote" in job.answer.error
    assert job.state.proposal is None


def test_there_is_no_share_to_change_without_a_canary(job: Flows) -> None:
    job.want_share(50)
    assert "no version of the flows is a canary" in job.answer.error


def test_a_canary_begins_only_where_there_is_room_for_the_way_back(job: Flows) -> None:
    for number in range(limits.FLOW_VERSIONS_MAX - 2):
        job.changed({"main": ("lines >> parse >> save", "lines >> save")[(number + 1) % 2]})

    job.want({"main": "lines >> spare"}, percent=10)
    assert "15 versions of the flows are alive" in job.answer.error
    assert "a canary needs two more" in job.answer.error

    job.want({"main": "lines >> spare"})
    assert job.state.proposal is not None


def test_a_job_that_is_ending_keeps_the_share_of_its_canary(job: Flows) -> None:
    job.canary()
    job.drain()
    job.want_share(50)
    assert "its flows stay as they are" in job.answer.error
    assert job.state.plan.canary == Canary(2, 1_000)


# -- back --------------------------------------------------------------------------------------------------------------


def test_a_rollback_goes_by_the_way_of_every_change(job: Flows) -> None:
    job.changed()

    job.want_back()
    job.tick()

    assert job.alive == [1, 2]
    assert job.state.proposal is not None
    job.all_know()
    assert (job.state.plan.current.number, job.state.plan.current.flows) == (3, LINE.current.flows)


def test_each_rollback_leads_further_back_and_the_first_version_is_the_end_of_it(job: Flows) -> None:
    job.changed({"main": "lines >> save"})
    job.changed({"main": "lines >> spare"})
    for _ in range(2):
        job.want_back()
        job.all_know()
    assert job.state.plan.current.flows == LINE.current.flows

    job.want_back()

    assert "version 5 of the flows is version 1 again, and no other came before" in job.answer.error
    assert "--to: 1, 2, 3, 4" in job.answer.error


def test_a_version_that_is_over_can_be_gone_back_to(job: Flows) -> None:
    job.changed({"main": "lines >> save"})
    for _ in range(3):
        job.all_say_again()
    assert job.alive == [2]

    job.want_back(1)
    job.all_know()

    assert job.state.plan.current.flows == LINE.current.flows
    job.want_back(2)
    job.all_know()
    assert job.state.plan.current.flows == {"main": "lines >> save"}


@pytest.mark.parametrize(
    ("to", "words"),
    [(None, "version 1 is the first one of the flows: there is nothing to go back to"), (7, "version 7 of the flows")],
)
def test_there_is_nothing_to_go_back_to(job: Flows, to: int | None, words: str) -> None:
    job.want_back(to)
    assert words in job.answer.error
    assert job.state.proposal is None


def test_back_to_flows_that_are_in_force_is_no_change(job: Flows) -> None:
    job.want_back(1)
    assert job.answer == Answer(0, 1)


def test_no_more_texts_are_kept_than_the_limit(job: Flows) -> None:
    for number in range(limits.FLOW_VERSIONS_KEPT + 5):
        job.changed({"main": ("lines >> parse >> save", "lines >> save")[(number + 1) % 2]})
        for _ in range(3):
            job.all_say_again()
    assert [texts.number for texts in job.state.plan.former] == list(range(6, limits.FLOW_VERSIONS_KEPT + 6))
    job.want_back(1)
    assert "version 1 of the flows is not known" in job.answer.error


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_node_that_no_flow_leads_to_any_more_waits_for_the_rest_of_the_job(job: Flows) -> None:
    job.changed()
    for _ in range(3):
        job.all_say_again()
    for instance in ("lines-0", "parse-0", "parse-1", "spare-0"):
        job.completes(instance)
    assert job.told(Verb.DRAIN) == set()

    job.says("keep-0", exhausted=True)
    job.tick()

    assert job.told(Verb.DRAIN) == {"save-0", "keep-0"}
    job.completes("save-0")
    job.completes("keep-0")
    assert job.phase() is JobPhase.COMPLETED


def test_a_stateful_node_outside_every_flow_goes_on_for_as_long_as_its_start_does(job: Flows) -> None:
    for instance in ("lines-0", "parse-0", "parse-1", "save-0"):
        job.completes(instance)

    job.says("keep-0", exhausted=False)
    job.tick()

    assert job.told(Verb.DRAIN) == set()
