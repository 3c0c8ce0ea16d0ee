"""Events wait in the inbox until they were handled, each once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils import inbox as module
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.envelope import EMPTY
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.inbox import REMEMBER_SECONDS, Arrival, Inbox

NOW = 1_800_000_000.0
NOTICE, HINT = "spot.interruption", "spot.rebalance"


def event(name, kind="instance.state", app=None, region=None, ids=()):
    return {**EMPTY, "id": name, "kind": kind, "app": app, "region": region, "ids": list(ids), "received_at": "", "source": "x"}


def notice(number, kind=NOTICE, name=None, app="shop"):
    return event(name or f"{kind} {number} {app}", kind, app, "us-east-1", [f"i-{number:08x}"])


def named(batches):
    return [[one["id"] for one in batch.events] for batch in batches]


@pytest.fixture
def inbox():
    made = Inbox(None, "x")
    yield made
    made.close()


def test_a_double_is_taken_in_once_before_during_and_after_it_is_handled(inbox):
    assert inbox.add([Arrival(event("a"), "h1"), Arrival(event("a"), "h2")], NOW) == []
    (batch,) = inbox.take(NOW, 0, 10, 10)
    assert inbox.add([Arrival(event("a"), "h3")], NOW) == []
    assert inbox.take(NOW, 0, 10, 10) == []
    assert sorted(inbox.handles()) == ["h1", "h2", "h3"]
    assert sorted(inbox.finish(batch.id, NOW)) == ["h1", "h2", "h3"]
    assert inbox.add([Arrival(event("a"), "h4")], NOW) == ["h4"]
    assert (inbox.waiting(), inbox.handles(), inbox.take(NOW, 0, 10, 10)) == (0, [], [])


def test_one_instances_notice_is_one_however_many_ids_it_comes_with(inbox):
    inbox.add([Arrival(notice(1, name="a")), Arrival(notice(1, name="b")), Arrival(notice(2, name="c"))], NOW)
    assert named(inbox.take(NOW, 0, 10, 10)) == [["a", "c"]]


def test_an_id_chosen_by_a_sender_hides_no_notice(inbox):
    inbox.add([Arrival(event(f"{NOTICE} i-{1:08x}")), Arrival(event("signature x"))], NOW)
    inbox.add([Arrival(notice(1, name="a"))], NOW)
    assert inbox.first("signature x", NOW)
    assert ["a"] in named(inbox.take(NOW, 0, 10, 10))


def test_a_recommendation_after_the_notice_is_nothing_new(inbox):
    inbox.add([Arrival(notice(1), "h1")], NOW)
    assert inbox.add([Arrival(notice(1, HINT), "h2")], NOW) == ["h2"]
    assert inbox.waiting() == 1


@pytest.mark.parametrize("kind", [NOTICE, HINT])
def test_an_event_of_several_instances_is_no_double_of_one_that_tells_of_the_first(inbox, kind):
    inbox.add([Arrival(notice(1))], NOW)
    inbox.finish(inbox.take(NOW, 0, 10, 10)[0].id, NOW)
    both = event("both", kind, "shop", "us-east-1", ["i-00000001", "i-00000002"])
    assert inbox.add([Arrival(both, "h1"), Arrival(both, "h2")], NOW) == []
    assert inbox.settle_hints(NOW) == []
    assert named(inbox.take(NOW, 0, 10, 10)) == [["both"]]


def test_a_recommendation_that_waits_is_settled_by_the_notice(inbox):
    inbox.add([Arrival(notice(1, HINT), "h1"), Arrival(notice(2, HINT), "h2")], NOW)
    inbox.add([Arrival(notice(1), "h3")], NOW)
    assert inbox.settle_hints(NOW) == ["h1"]
    assert inbox.settle_hints(NOW) == []
    told = [(batch.kind, batch.as_event("")["ids"]) for batch in inbox.take(NOW, 0, 10, 10)]
    assert told == [(NOTICE, ["i-00000001"]), (HINT, ["i-00000002"])]


def test_a_batch_says_when_each_instance_was_told_of_first(inbox):
    early, late = ({**notice(number), "time": f"2026-01-31T12:00:0{number}Z"} for number in (1, 2))
    again = event("again", NOTICE, "shop", "us-east-1", ["i-00000001", "i-00000003"]) | {"time": "2026-01-31T12:00:09Z"}
    inbox.add([Arrival(early), Arrival(late), Arrival(again)], NOW)
    (batch,) = inbox.take(NOW, 0, 10, 10)
    told = batch.as_event("")
    assert told["ids"] == ["i-00000001", "i-00000002", "i-00000003"]
    assert [time[-3:] for time in told["times"].values()] == ["01Z", "02Z", "09Z"]


def test_a_batch_names_the_file_systems_that_are_named_as_ours_are(inbox):
    named = ["i-00000001:/srv/data", "i-00000001:/srv/data", "i-00000002:/", "host:9100:/srv", "i-00000001:/srv/{{ x }}", "i-00000001:srv", ""]
    inbox.add([Arrival(event(str(number)) | {"resource": one}) for number, one in enumerate(named)], NOW)
    (batch,) = inbox.take(NOW, 0, 10, 10)
    assert batch.as_event("")["filesystems"] == ["i-00000001:/srv/data", "i-00000002:/"]


def test_a_recommendation_that_is_being_handled_stays_so(inbox):
    inbox.add([Arrival(notice(1, HINT), "h1")], NOW)
    (batch,) = inbox.take(NOW, 0, 10, 10)
    inbox.add([Arrival(notice(1), "h2")], NOW)
    assert inbox.settle_hints(NOW) == []
    assert inbox.finish(batch.id, NOW) == ["h1"]
    assert inbox.waiting() == 1


def test_events_gather_by_kind_app_and_region_until_none_more_comes(inbox):
    inbox.add(
        [
            Arrival(event(f"{app}{region}{number}", app=app, region=region))
            for app in "ab"
            for region in "xy"
            for number in (1, 2)
        ],
        NOW,
    )
    assert inbox.take(NOW + 4.9, 5, 100, 100) == []
    inbox.add([Arrival(event("ax3", app="a", region="x"))], NOW + 4.9)
    assert sorted(named(inbox.take(NOW + 5, 5, 100, 100))) == [["ay1", "ay2"], ["bx1", "bx2"], ["by1", "by2"]]
    assert named(inbox.take(NOW + 9.9, 5, 100, 100)) == [["ax1", "ax2", "ax3"]]


def test_the_first_does_not_wait_for_ever_while_more_keep_coming(inbox):
    for second in range(26):
        inbox.add([Arrival(event(str(second)))], NOW + second)
        assert second == 25 or inbox.take(NOW + second, 5, 100, 1) == []
    assert [len(one.events) for one in inbox.take(NOW + 25, 5, 100, 1)] == [26]


def test_a_clock_that_is_set_back_holds_nothing_up(inbox):
    inbox.add([Arrival(event("a"))], NOW)
    assert inbox.take(NOW - 3000, 1, 10, 10) == []
    inbox.add([Arrival(event("b"))], NOW - 2999.5)
    assert named(inbox.take(NOW - 2998, 1, 10, 10)) == [["a", "b"]]


def test_as_many_as_a_batch_may_hold_leave_at_once(inbox):
    inbox.add([Arrival(event(str(number))) for number in range(25)], NOW)
    sizes = []
    while batches := inbox.take(NOW, 60, 10, 1):
        sizes += [len(one.events) for one in batches]
    assert sizes == [10, 10]
    assert [len(one.events) for one in inbox.take(NOW + 60, 60, 10, 1)] == [5]


def test_notices_leave_before_what_is_older(inbox):
    inbox.add([Arrival(event("old"))], NOW - 100)
    inbox.add([Arrival(notice(1))], NOW)
    assert [one.kind for one in inbox.take(NOW, 0, 10, 1)] == [NOTICE]


def test_five_hundred_interruptions_in_four_regions_are_a_handful_of_batches(inbox):
    inbox.add(
        [Arrival(event(f"n{n}", NOTICE, "shop", f"r-{n % 4}", [f"i-{n:08x}"])) for n in range(500) for _double in range(2)], NOW
    )
    batches = inbox.take(NOW + 1, 1, 200, 10)
    assert [len(one.events) for one in batches] == [125] * 4
    assert len({name for one in batches for name in one.as_event("")["ids"]}) == 500


def test_what_was_not_handled_when_the_process_was_killed_waits_again(tmp_path):
    first = Inbox(str(tmp_path), "x")
    first.add([Arrival(event(name), f"h {name}") for name in "abc"], NOW)
    first.finish(first.take(NOW, 0, 1, 1)[0].id, NOW)
    first.take(NOW, 0, 1, 1)
    first.close()
    second = Inbox(str(tmp_path), "x")
    assert (second.waiting(), sorted(second.handles())) == (2, ["h b", "h c"])
    (batch,) = second.take(NOW, 0, 10, 10)
    assert (named([batch]), batch.attempt) == ([["b", "c"]], 2)
    assert second.add([Arrival(event("a"), "again")], NOW) == ["again"]
    second.close()


def test_what_was_added_is_on_disk_though_the_process_is_killed_on_the_spot(tmp_path):
    code = (
        "import os, signal, sys\n"
        f"from {module.__name__} import Arrival, Inbox\n"
        f"from {EMPTY_FROM} import EMPTY\n"
        "inbox = Inbox(sys.argv[1], 'x')\n"
        "inbox.add([Arrival({**EMPTY, 'id': str(n)}, str(n)) for n in range(100)], 1.0)\n"
        "inbox.take(2.0, 0, 10, 3)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert (
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], env={"PYTHONPATH": PYTHONPATH}, check=False).returncode == -9
    )
    inbox = Inbox(str(tmp_path), "x")
    assert inbox.waiting() == 100 == len(inbox.handles()) == len(inbox.take(2.0, 0, 100, 1)[0].events)
    inbox.close()


EMPTY_FROM = module.__name__.rpartition(".")[0] + ".envelope"
# <collections>/ansible_collections/spot/platform/extensions/eda/plugins/module_utils/inbox.py
PYTHONPATH = str(Path(module.__file__).parents[7])


def test_what_is_given_back_waits_for_the_window_again_and_is_dead_in_the_end(inbox):
    inbox.add([Arrival(event("a"), "h")], NOW)
    for attempt in (1, 2, 3):
        (batch,) = inbox.take(NOW + attempt, 0, 10, 10)
        assert batch.attempt == attempt
        assert [one["id"] for one in inbox.give_back(batch.id, NOW + attempt, 3)] == (["a"] if attempt == 3 else [])
        if attempt < 3:
            assert inbox.take(NOW + attempt, 5, 10, 10) == []
    assert ([one["id"] for one in inbox.dead()], inbox.waiting(), inbox.take(NOW + 99, 0, 10, 10)) == (["a"], 0, [])


def test_who_brings_a_dead_event_keeps_it_and_it_is_never_forgotten(inbox):
    inbox.add([Arrival(event("a"), "h1")], NOW)
    inbox.give_back(inbox.take(NOW, 0, 10, 10)[0].id, NOW, 1)
    assert inbox.handles() == []
    assert inbox.add([Arrival(event("a"), "h2", again=True)], NOW) == []
    assert inbox.add([Arrival(event("a"), "h3", again=True), Arrival(event("b"))], NOW + 10 * REMEMBER_SECONDS) == []
    assert [one["id"] for one in inbox.dead()] == ["a"]


def test_a_dead_event_that_is_sent_anew_is_offered_again_as_often(inbox):
    inbox.add([Arrival(event("a"), "h1")], NOW)
    inbox.give_back(inbox.take(NOW, 0, 10, 10)[0].id, NOW, 1)
    assert inbox.add([Arrival(event("a"), "h2")], NOW + 10) == []
    assert inbox.dead() == [] and inbox.take(NOW + 10, 5, 10, 10) == [], "it waits for others like any other"
    for attempt in (1, 2):
        (batch,) = inbox.take(NOW + 20, 5, 10, 10)
        assert batch.attempt == attempt
        assert len(inbox.give_back(batch.id, NOW, 2)) == attempt - 1
    assert inbox.add([Arrival(event("a"), "h3")], NOW + 30) == []
    (batch,) = inbox.take(NOW + 40, 5, 10, 10)
    assert sorted(inbox.finish(batch.id, NOW + 40)) == ["h1", "h2", "h3"]


def test_a_message_with_several_events_is_settled_with_its_last(inbox):
    assert inbox.add([Arrival(event("a", "k.a"), "h"), Arrival(event("b", "k.b"), "h")], NOW) == []
    one, other = inbox.take(NOW, 0, 10, 10)
    assert inbox.finish(one.id, NOW) == []
    assert inbox.handles() == ["h"]
    assert inbox.finish(other.id, NOW) == ["h"]


def test_a_message_with_a_double_and_something_new_is_not_settled(inbox):
    inbox.add([Arrival(event("a"))], NOW)
    inbox.finish(inbox.take(NOW, 0, 10, 10)[0].id, NOW)
    assert inbox.add([Arrival(event("a"), "h"), Arrival(event("b"), "h")], NOW) == []
    (batch,) = inbox.take(NOW, 0, 10, 10)
    assert inbox.finish(batch.id, NOW) == ["h"]


def test_a_message_with_a_dead_event_is_not_settled_with_the_others(inbox):
    inbox.add([Arrival(event("a", "k.a"), "h"), Arrival(event("b", "k.b"), "h")], NOW)
    one, other = inbox.take(NOW, 0, 10, 10)
    inbox.give_back(one.id, NOW, 1)
    assert inbox.finish(other.id, NOW) == []
    assert inbox.add([Arrival(event("a", "k.a"), "h2", again=True), Arrival(event("b", "k.b"), "h2", again=True)], NOW) == []


def test_a_batch_is_done_once(inbox):
    inbox.add([Arrival(event("a"), "h")], NOW)
    (batch,) = inbox.take(NOW, 0, 10, 10)
    assert inbox.finish(batch.id, NOW) == ["h"]
    assert inbox.finish(batch.id, NOW) == []
    assert inbox.give_back(batch.id, NOW, 1) == []
    assert inbox.dead() == []


def test_what_was_handled_is_remembered_for_an_hour(inbox):
    inbox.add([Arrival(event("a"))], NOW)
    inbox.finish(inbox.take(NOW, 0, 10, 10)[0].id, NOW)
    assert inbox.add([Arrival(event("a"), "h")], NOW + REMEMBER_SECONDS) == ["h"]
    assert inbox.add([Arrival(event("a"), "h")], NOW + REMEMBER_SECONDS + 1) == []
    assert inbox.waiting() == 1


def test_a_key_is_first_once_an_hour(inbox):
    assert [inbox.first("k", NOW), inbox.has("k"), inbox.first("k", NOW + 1), inbox.has("other")] == [True, True, False, False]
    inbox.add([Arrival(event("a"))], NOW + REMEMBER_SECONDS + 1)
    assert inbox.first("k", NOW + REMEMBER_SECONDS + 1)


def test_two_on_one_folder_are_refused_and_two_names_are_not(tmp_path):
    one = Inbox(str(tmp_path), "sqs")
    with pytest.raises(BlockingIOError, match="another process has the inbox sqs in"):
        Inbox(str(tmp_path), "sqs")
    Inbox(str(tmp_path), "sns").close()
    one.close()
    Inbox(str(tmp_path), "sqs").close()


def test_the_folder_is_for_its_owner_alone(tmp_path):
    Inbox(str(tmp_path / "new"), "x").close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_failure_in_the_middle_takes_nothing_in(inbox):
    with pytest.raises(TypeError):
        inbox.add([Arrival(event("a")), Arrival({**event("b"), "after": object()})], NOW)
    assert inbox.waiting() == 0
    inbox.add([Arrival(event("a"))], NOW)
    assert inbox.waiting() == 1
