"""What a router does with each command, and what it refuses."""

import msgspec
import pytest

from models.domain.commands import (
    Accept,
    Adopt,
    Command,
    Decline,
    Delivered,
    Done,
    Export,
    Exported,
    Fence,
    Move,
    Moved,
    Offer,
    Rate,
    Receipt,
    Receive,
    Refusal,
    Release,
    Reopen,
    Resolve,
    Say,
    Snooze,
    Tag,
    Transfer,
    Typing,
)
from models.domain.errors import InvalidId
from models.domain.ids import conversation_id
from models.timeline.shard import slot_of
from tests.models.timeline.routers import RouterModel, TurnFailed

NOWHERE = conversation_id(1, 5, bytes(10))


def refused(reply: object, name: str) -> bool:
    return isinstance(reply, Refusal) and reply.name == name and reply.detail != ""


# -- a contact's message -------------------------------------------------------------------------------


def test_a_first_message_opens_a_waiting_conversation(desk):
    conversation = desk.opened()
    assert desk.record(conversation).state == "waiting"
    assert desk.keys.waiting == {conversation: desk.now_ms}


def test_conversations_of_a_contact_sort_by_age_although_the_clock_stepped_back(desk):
    older = desk.resolved()
    desk.now_ms -= 500
    assert desk.opened() > older


def test_a_repeated_message_gets_its_first_receipt_again(desk):
    first = desk.write(source_id="x")
    desk.write("another")
    again = desk.write("changed text", source_id="x")
    assert again == msgspec.structs.replace(first, duplicate=True)
    assert desk.texts(first.conversation) == ["hello", "another"]


def test_a_repeated_message_is_known_after_a_restart(desk):
    first = desk.write(source_id="x")
    desk.restart()
    assert desk.write(source_id="x") == msgspec.structs.replace(first, duplicate=True)


def test_a_message_repeated_after_its_conversation_was_resolved_is_still_known(desk):
    conversation = desk.resolved()
    desk.write("a new case")
    assert desk.write(source_id="s1").conversation == conversation
    desk.restart()
    assert desk.write(source_id="s1").duplicate


def test_the_same_source_id_from_another_inbox_is_another_message(desk):
    first, second = desk.write(source_id="x"), desk.write(source_id="x", inbox="kiosk")
    assert (first.seq, second.seq) == (1, 2)


def test_a_message_for_a_resolved_conversation_is_a_conflict(desk):
    conversation = desk.resolved()
    assert refused(desk.write(conversation=conversation), "conflict")
    desk.opened()
    assert refused(desk.write(conversation=conversation), "conflict")


def test_a_message_for_a_foreign_conversation_is_refused_and_changes_nothing(desk):
    foreign = desk.opened("somebody else")
    assert refused(desk.write(who="v1", conversation=foreign), "not_found")
    assert refused(desk.write(who="v1", conversation=NOWHERE), "not_found")
    assert desk.texts(foreign) == ["hello"]
    assert desk.contact("v1") not in desk.keys.contacts


def test_a_message_wakes_a_snoozed_conversation(desk):
    conversation = desk.assigned()
    desk.by(Snooze, conversation, until_ms=desk.now_ms + 60_000)
    desk.write()
    record = desk.record(conversation)
    assert (record.state, record.preferred, record.waiting_since_ms) == ("waiting", "ann", desk.now_ms)
    assert desk.keys.snoozed == {}


def test_answers_go_where_the_contact_wrote_last(desk):
    conversation = desk.assigned(channel="wechat")
    desk.say(conversation)
    assert [out.external_id for out in desk.keys.outbox] == ["v1"]


def test_what_was_written_elsewhere_shows_on_the_contacts_page(desk):
    desk.write()
    assert desk.keys.shown == {}
    desk.write(channel="wechat")
    assert len(desk.keys.shown[desk.contact(channel="wechat")]) == 1


# -- an agent's answer ----------------------------------------------------------------------------------


def test_answering_an_offered_conversation_takes_it(desk):
    conversation = desk.opened()
    desk.offer(conversation)
    desk.say(conversation)
    assert desk.record(conversation).state == "assigned"
    assert desk.told("ann") == [("offered", ""), ("changed", "accepted"), ("message", "")]


def test_a_supervisors_word_does_not_take_an_agents_offer(desk):
    conversation = desk.opened()
    desk.offer(conversation)
    assert isinstance(desk.say(conversation, by="sue", role="supervisor"), Receipt)
    assert (desk.record(conversation).state, desk.record(conversation).agent) == ("offered", "ann")


def test_a_repeated_answer_is_sent_once_even_after_the_case_is_closed(desk):
    conversation = desk.assigned(channel="wechat")
    first = desk.say(conversation, client_id="x")
    desk.by(Resolve, conversation)
    desk.restart()
    assert desk.say(conversation, client_id="x") == msgspec.structs.replace(first, duplicate=True)
    assert len(desk.keys.outbox) == 1


def test_two_agents_may_use_the_same_client_id(desk):
    conversation = desk.assigned()
    desk.say(conversation, client_id="x")
    assert not desk.say(conversation, by="sue", role="admin", client_id="x").duplicate


def test_a_note_reaches_the_desk_and_never_the_contact(desk):
    conversation = desk.assigned(channel="wechat")
    before = dict(desk.keys.shown)
    desk.say(conversation, internal=True)
    assert (desk.keys.outbox, desk.keys.shown) == ([], before)
    assert desk.told("ann")[-1] == ("message", "")


def test_an_answer_on_a_channel_without_a_thread_is_refused(desk):
    assert refused(desk.say(desk.assigned(), channel="wechat"), "bad_request")


COMMANDS = [
    (Say, {"client_id": "c", "text": "t", "received_at_ms": 1}),
    (Accept, {}),
    (Decline, {}),
    (Transfer, {"to_skill": "billing"}),
    (Resolve, {}),
    (Snooze, {"until_ms": 10**9}),
    (Typing, {}),
]


@pytest.mark.parametrize(("kind", "more"), COMMANDS)
def test_no_agent_reaches_a_conversation_that_does_not_exist(desk, kind, more):
    assert refused(desk.by(kind, NOWHERE, **more), "not_found")


@pytest.mark.parametrize(("kind", "more"), COMMANDS)
def test_no_agent_reaches_another_accounts_conversation(desk, kind, more):
    conversation = desk.assigned()
    for restart in (False, True):
        if restart:
            desk.restart()
        reply = desk.by(kind, conversation, role="admin", account="bolt", **more)
        assert refused(reply, "not_found")
    assert "bolt" not in desk.store.accounts or not desk.store.accounts["bolt"].conversations


@pytest.mark.parametrize(("kind", "more"), COMMANDS)
def test_an_agent_cannot_touch_a_colleagues_conversation(desk, kind, more):
    conversation = desk.assigned()
    before = desk.record(conversation)
    assert refused(desk.by(kind, conversation, by="bob", **more), "forbidden")
    assert desk.record(conversation) == before


@pytest.mark.parametrize(("kind", "more"), [each for each in COMMANDS if each[0] is not Resolve])
def test_nothing_happens_to_a_resolved_conversation(desk, kind, more):
    conversation = desk.resolved()
    before = desk.record(conversation)
    assert refused(desk.by(kind, conversation, **more), "conflict")
    assert desk.record(conversation) == before


@pytest.mark.parametrize(("kind", "more"), [each for each in COMMANDS if each[0] in (Accept, Decline, Snooze, Typing)])
def test_what_needs_a_desk_is_refused_while_the_conversation_waits(desk, kind, more):
    conversation = desk.opened()
    assert refused(desk.by(kind, conversation, by="sue", role="supervisor", **more), "conflict")


def test_a_supervisor_cannot_accept_what_was_offered_to_another(desk):
    conversation = desk.opened()
    desk.offer(conversation)
    assert refused(desk.by(Accept, conversation, by="sue", role="supervisor"), "forbidden")


def test_accepting_twice_is_once(desk):
    conversation = desk.assigned()
    assert desk.by(Accept, conversation) == Done(conversation=conversation)
    assert desk.told("ann") == [("offered", ""), ("changed", "accepted")]


def test_a_declined_conversation_keeps_its_place_and_leaves_out_who_declined(desk):
    conversation = desk.opened()
    since = desk.now_ms
    desk.offer(conversation)
    desk.by(Decline, conversation)
    record = desk.record(conversation)
    assert (record.state, record.excluded, desk.keys.waiting) == ("waiting", ("ann",), {conversation: since})


def test_resolving_twice_is_once(desk):
    conversation = desk.resolved()
    length = len(desk.texts(conversation))
    assert desk.by(Resolve, conversation) == Done(conversation=conversation)
    assert len(desk.texts(conversation)) == length
    assert desk.told("ann")[-1] == ("removed", "resolved")


def test_a_reopened_conversation_waits_for_the_agent_who_helped(desk):
    conversation = desk.resolved()
    desk.now_ms += 5_000
    assert desk.by(Reopen, conversation) == Done(conversation=conversation)
    record = desk.record(conversation)
    assert (record.state, record.preferred, record.excluded) == ("waiting", "ann", ())
    assert desk.keys.waiting == {conversation: desk.now_ms}
    assert desk.texts(conversation)[-1] == "conversation.reopened"
    desk.restart()
    assert desk.write("still there?").conversation == conversation


def test_reopening_twice_is_once(desk):
    conversation = desk.resolved()
    desk.by(Reopen, conversation)
    length = len(desk.texts(conversation))
    assert desk.by(Reopen, conversation) == Done(conversation=conversation)
    assert len(desk.texts(conversation)) == length


def test_a_conversation_is_not_reopened_beside_a_newer_one(desk):
    older = desk.resolved()
    newer = desk.write("a new case").conversation
    assert refused(desk.by(Reopen, older), "conflict")
    desk.offer(newer)
    desk.by(Accept, newer)
    desk.by(Resolve, newer)
    assert refused(desk.by(Reopen, older), "conflict")
    assert desk.by(Reopen, newer) == Done(conversation=newer)


def test_only_who_helped_last_or_a_supervisor_reopens(desk):
    conversation = desk.resolved()
    assert refused(desk.by(Reopen, conversation, by="bob"), "forbidden")
    assert desk.by(Reopen, conversation, by="carol", role="supervisor") == Done(conversation=conversation)
    assert desk.record(conversation).preferred == "carol"


def test_only_what_was_resolved_is_reopened(desk):
    assert refused(desk.by(Reopen, desk.assigned()), "conflict")
    assert refused(desk.by(Reopen, NOWHERE), "not_found")


def test_tags_are_added_and_removed_once_whatever_their_spelling(desk):
    conversation = desk.assigned()
    assert desk.by(Tag, conversation, add=("VIP", " late  parcel ", "vip")) == Done(conversation=conversation)
    assert desk.record(conversation).tags == ("VIP", "late parcel")
    told = len(desk.told("ann"))
    desk.by(Tag, conversation, add=("ＶＩＰ",), remove=("never there",))
    assert (desk.record(conversation).tags, len(desk.told("ann"))) == (("VIP", "late parcel"), told)
    desk.by(Tag, conversation, add=("billing",), remove=("Late Parcel",))
    assert desk.record(conversation).tags == ("VIP", "billing")
    assert desk.keys.tags.keys() == {"VIP", "late parcel", "billing"}


def test_tags_are_bounded_and_nothing_of_too_many_is_kept(desk):
    conversation = desk.assigned()
    desk.by(Tag, conversation, add=tuple(f"t{number}" for number in range(20)))
    assert refused(desk.by(Tag, conversation, add=("one more",)), "bad_request")
    assert refused(desk.by(Tag, conversation, add=("x" * 33,), remove=("t1",)), "bad_request")
    assert len(desk.record(conversation).tags) == 20
    desk.by(Tag, conversation, add=("one more",), remove=("t1",))
    assert desk.record(conversation).tags[-1] == "one more"


def test_only_who_holds_it_helped_last_or_supervises_tags(desk):
    conversation = desk.assigned()
    assert refused(desk.by(Tag, conversation, by="bob", add=("x",)), "forbidden")
    desk.by(Tag, conversation, by="sue", role="supervisor", add=("seen",))
    desk.by(Resolve, conversation)
    told = len(desk.told("ann"))
    assert refused(desk.by(Tag, conversation, by="bob", add=("x",)), "forbidden")
    assert desk.by(Tag, conversation, add=("done",)) == Done(conversation=conversation)
    assert desk.record(conversation).tags == ("seen", "done")
    assert len(desk.told("ann")) == told
    assert refused(desk.by(Tag, NOWHERE, add=("x",)), "not_found")


def test_tags_go_along_with_a_link(desk):
    desk.by(Tag, desk.assigned("v1"), add=("VIP", "parcel"))
    target = desk.assigned("u1")
    desk.by(Tag, target, add=("vip",))
    link(desk, "v1", "u1")
    assert desk.record(target).tags == ("vip", "parcel")


def test_a_transfer_needs_exactly_one_goal(desk):
    conversation = desk.assigned()
    assert refused(desk.by(Transfer, conversation), "bad_request")
    assert refused(desk.by(Transfer, conversation, to_agent="bob", to_skill="x"), "bad_request")
    assert refused(desk.by(Transfer, conversation, to_agent="ann"), "conflict")


def test_a_transferred_conversation_waits_for_the_colleague(desk):
    conversation = desk.assigned()
    desk.by(Transfer, conversation, to_agent="bob")
    record = desk.record(conversation)
    assert (record.state, record.preferred, record.excluded) == ("waiting", "bob", ("ann",))
    assert desk.told("ann")[-1] == ("removed", "transferred")


def test_a_waiting_conversation_is_transferred_to_an_agent_who_had_declined_it(desk):
    conversation = desk.opened()
    desk.offer(conversation)
    desk.by(Decline, conversation)
    desk.by(Transfer, conversation, by="sue", role="supervisor", to_agent="ann")
    assert (desk.record(conversation).preferred, desk.record(conversation).excluded) == ("ann", ())


def test_a_snooze_must_end_in_the_future(desk):
    conversation = desk.assigned()
    assert refused(desk.by(Snooze, conversation, until_ms=desk.now_ms), "bad_request")
    assert desk.record(conversation).state == "assigned"


# -- the dispatcher -------------------------------------------------------------------------------------


def release(desk, conversation, reason, agent="ann", epoch=0):
    return desk.ask(Release(account="acme", conversation=conversation, agent=agent, epoch=epoch, reason=reason))


def test_an_offer_carries_the_last_five_messages(desk):
    conversation = desk.opened()
    for number in range(6):
        desk.write(str(number))
    desk.restart()
    desk.offer(conversation)
    messages = desk.shown("ann").conversations[conversation].messages
    assert [message.text for message in messages] == ["1", "2", "3", "4", "5"]
    event = msgspec.json.decode(desk.keys.logs["ann"][0])[0]
    assert [message["text"] for message in event["messages"]] == ["1", "2", "3", "4", "5"]


def test_a_dispatcher_that_was_superseded_is_refused(desk):
    conversation = desk.opened()
    desk.ask(Fence(account="acme", epoch=2, slot=0))
    assert refused(desk.offer(conversation, epoch=1), "unavailable")
    assert refused(release(desk, conversation, "agent_away", epoch=1), "unavailable")
    assert refused(desk.ask(Fence(account="acme", epoch=1, slot=0)), "unavailable")
    assert isinstance(desk.offer(conversation, epoch=2), Done)


def test_an_offer_decided_on_an_older_revision_is_refused(desk):
    conversation = desk.opened()
    revision = desk.record(conversation).revision
    desk.offer(conversation)
    desk.by(Decline, conversation)
    assert refused(desk.offer(conversation, "bob", revision=revision), "conflict")
    assert isinstance(desk.offer(conversation, "bob", revision=desk.record(conversation).revision), Done)


def test_only_what_waits_can_be_offered(desk):
    conversation = desk.assigned()
    assert refused(desk.offer(conversation, "bob"), "conflict")
    assert refused(desk.offer(NOWHERE), "not_found")
    waiting = desk.opened("v2")
    assert desk.offer(waiting) == desk.offer(waiting)
    assert refused(desk.offer(waiting, "bob"), "conflict")


def test_a_release_takes_back_only_what_the_agent_holds(desk):
    waiting, held = desk.opened("v2"), desk.assigned()
    assert refused(release(desk, NOWHERE, "agent_away"), "not_found")
    assert refused(release(desk, waiting, "agent_away"), "conflict")
    assert refused(release(desk, held, "agent_away", agent="bob"), "conflict")
    assert refused(release(desk, held, "offer_expired"), "conflict")
    assert refused(release(desk, held, "snooze_over"), "conflict")
    assert isinstance(release(desk, held, "agent_away"), Done)
    assert (desk.record(held).state, desk.record(held).excluded) == ("waiting", ())


def test_an_expired_offer_goes_to_somebody_else(desk):
    conversation = desk.opened()
    desk.offer(conversation)
    release(desk, conversation, "offer_expired")
    assert desk.record(conversation).excluded == ("ann",)
    assert desk.told("ann")[-1] == ("removed", "offer_expired")


def test_a_snooze_that_is_over_waits_for_the_same_agent(desk):
    conversation = desk.assigned()
    desk.by(Snooze, conversation, until_ms=desk.now_ms + 60_000)
    release(desk, conversation, "snooze_over")
    assert (desk.record(conversation).state, desk.record(conversation).preferred) == ("waiting", "ann")
    assert desk.keys.snoozed == {}


# -- a rating -------------------------------------------------------------------------------------------


def rate(desk, conversation: str, score: int, comment: str = "", who: str = "v1"):
    return desk.ask(
        Rate(account="acme", conversation=conversation, contact=desk.contact(who), score=score, comment=comment)
    )


def test_the_newest_rating_of_a_closed_case_counts_and_survives_a_restart(desk):
    conversation = desk.resolved()
    revision = desk.record(conversation).revision
    assert rate(desk, conversation, 2) == Done(conversation=conversation)
    desk.restart()
    assert rate(desk, conversation, 5, "much better") == Done(conversation=conversation)
    record = desk.record(conversation)
    assert (record.rating, record.rating_comment, record.state) == (5, "much better", "resolved")
    assert record.revision == revision
    desk.write()
    assert rate(desk, conversation, 4) == Done(conversation=conversation)
    assert desk.record(conversation).rating == 4


def test_a_case_that_is_open_cannot_be_rated(desk):
    conversation = desk.assigned()
    assert refused(rate(desk, conversation, 5), "conflict")
    assert desk.record(conversation).rating == 0


def test_nobody_rates_a_case_of_somebody_else(desk):
    conversation = desk.resolved()
    desk.opened("v2")
    assert refused(rate(desk, conversation, 1, who="v2"), "not_found")
    assert refused(rate(desk, NOWHERE, 1), "not_found")
    foreign = Rate(account="other", conversation=conversation, contact=desk.contact(), score=1)
    assert refused(desk.ask(foreign), "not_found")
    assert desk.record(conversation).rating == 0


# -- reply budgets -----------------------------------------------------------------------------------------


def test_a_vendor_gets_as_many_answers_as_it_takes_until_the_contact_writes_again(desk):
    conversation = desk.assigned(channel="wechat")
    for _ in range(3):
        assert isinstance(desk.say(conversation), Receipt)
    assert refused(desk.say(conversation), "conflict")
    assert isinstance(desk.say(conversation, internal=True), Receipt)
    assert len(desk.keys.outbox) == 3
    desk.write(channel="wechat")
    assert isinstance(desk.say(conversation), Receipt)


def test_a_budget_is_read_off_the_messages_after_a_restart(desk):
    conversation = desk.assigned(channel="wechat")
    for _ in range(3):
        desk.say(conversation)
    desk.say(conversation, internal=True)
    desk.restart()
    assert refused(desk.say(conversation), "conflict")


def test_an_answer_sent_again_is_a_repetition_and_not_one_too_many(desk):
    conversation = desk.assigned(channel="wechat")
    receipts = [desk.say(conversation, client_id=name) for name in "abc"]
    assert desk.say(conversation, client_id="c").seq == receipts[-1].seq


def test_an_answer_that_the_vendor_refused_does_not_count(desk):
    conversation = desk.assigned(channel="wechat")
    answers = [desk.say(conversation) for _ in range(3)]
    name = f"{conversation}-{answers[0].seq}"
    desk.ask(Delivered(account="acme", conversation=conversation, message=name, state="failed", detail="busy"))
    assert isinstance(desk.say(conversation), Receipt)
    assert refused(desk.say(conversation), "conflict")


def test_after_a_time_without_a_word_of_the_contact_no_answer_is_taken(desk):
    conversation = desk.assigned(channel="wechat")
    desk.now_ms += 100_000
    assert "has not written on wechat" in desk.say(conversation).detail
    desk.write(channel="wechat")
    assert isinstance(desk.say(conversation), Receipt)


def test_a_text_in_parts_counts_for_each_of_them(desk):
    conversation = desk.assigned(channel="wechat")
    assert isinstance(desk.say(conversation, text="x" * 4_000), Receipt)
    assert "is 2 messages" in desk.say(conversation, text="x" * 2_049).detail
    assert isinstance(desk.say(conversation), Receipt)


def test_another_channel_has_a_budget_of_its_own(desk):
    conversation = desk.assigned()
    desk.write(contact=desk.contact(), channel="wechat")
    for _ in range(3):
        desk.say(conversation)
    assert refused(desk.say(conversation), "conflict")
    for _ in range(9):
        assert isinstance(desk.say(conversation, channel="web"), Receipt)


# -- typing and deliveries ------------------------------------------------------------------------------


def test_typing_is_shown_and_never_stored(desk):
    conversation = desk.assigned()
    entries = list(desk.keys.logs["ann"])
    outcome = desk.ask(Typing(account="acme", conversation=conversation, contact=desk.contact()))
    assert outcome == Done(conversation=conversation)
    assert desk.keys.logs["ann"] == entries
    desk.by(Typing, conversation)
    assert desk.keys.shown[desk.contact()] == [
        b'[{"type":"typing","conversation":"%b","author":"agent"}]' % conversation.encode()
    ]


def test_a_visitor_cannot_type_in_a_foreign_conversation(desk):
    conversation = desk.assigned()
    assert refused(desk.ask(Typing(account="acme", conversation=conversation, contact=desk.contact("v2"))), "forbidden")


def test_a_desk_hears_what_became_of_an_answer(desk):
    conversation = desk.assigned(channel="wechat")
    answer = desk.say(conversation)
    name = f"{conversation}-{answer.seq}"
    desk.ask(Delivered(account="acme", conversation=conversation, message=name, state="failed", detail="blocked"))
    assert desk.told("ann")[-1] == ("delivery", "")
    assert refused(desk.ask(Delivered(account="acme", conversation=NOWHERE, message=name, state="sent")), "not_found")


# -- links ----------------------------------------------------------------------------------------------


def link(desk, source: str, target: str, channel: str = "web", steps: int = 3):
    exported = desk.ask(Export(account="acme", contact=desk.contact(source, channel)))
    assert isinstance(exported, Exported)
    if steps < 2:
        return exported
    adopted = desk.ask(
        Adopt(
            account="acme",
            contact=desk.contact(target),
            source=desk.contact(source, channel),
            channel=channel,
            inbox=channel,
            external_id=source,
            record=exported.record,
            messages=exported.messages,
        )
    )
    if steps < 3:
        return adopted
    return desk.ask(
        Move(
            account="acme",
            contact=desk.contact(source, channel),
            into=desk.contact(target),
            conversation=exported.record.id if exported.record else "",
            into_conversation=adopted.conversation,
            length=exported.length,
        )
    )


def test_a_link_carries_the_open_conversation_over_once(desk):
    old = desk.assigned("v1")
    for _ in range(3):
        link(desk, "v1", "u1", steps=2)
    link(desk, "v1", "u1")
    reply = desk.write(who="v1")
    assert reply == Moved(contact=desk.contact("u1"))
    person = desk.keys.contacts[desk.contact("u1")]
    assert desk.texts(person.open) == ["hello"]
    assert (desk.record(old).state, desk.record(old).merged_into) == ("merged", person.open)
    assert (desk.record(person.open).state, desk.record(person.open).preferred) == ("waiting", "ann")
    assert desk.told("ann")[-1] == ("removed", "merged")


def test_a_move_is_refused_when_more_was_written(desk):
    desk.opened("v1")
    exported = link(desk, "v1", "u1", steps=1)
    desk.write("late", who="v1")
    move = Move(
        account="acme",
        contact=desk.contact("v1"),
        into=desk.contact("u1"),
        conversation=exported.record.id,
        length=exported.length,
    )
    assert refused(desk.ask(move), "conflict")
    assert isinstance(desk.write(who="v1"), Receipt)


def test_a_contact_moves_to_one_place_only(desk):
    desk.opened("v1")
    assert link(desk, "v1", "u1") == Done()
    again = Move(account="acme", contact=desk.contact("v1"), into=desk.contact("u1"))
    assert desk.ask(again) == Done()
    other = Move(account="acme", contact=desk.contact("v1"), into=desk.contact("u2"))
    assert refused(desk.ask(other), "conflict")
    itself = Move(account="acme", contact=desk.contact("u1"), into=desk.contact("u1"))
    assert refused(desk.ask(itself), "not_found")
    assert desk.ask(Export(account="acme", contact=desk.contact("v1"))).moved_to == desk.contact("u1")


def test_messages_carried_into_a_snoozed_conversation_wake_it(desk):
    target = desk.assigned("u1")
    desk.by(Snooze, target, until_ms=desk.now_ms + 60_000)
    desk.opened("v1")
    link(desk, "v1", "u1")
    assert desk.record(target).state == "waiting"
    assert desk.texts(target) == ["hello", "hello"]


def test_a_carried_conversation_keeps_its_place_in_the_line(desk):
    desk.opened("v1")
    since = desk.now_ms
    link(desk, "v1", "u1")
    person = desk.keys.contacts[desk.contact("u1")]
    assert desk.keys.waiting == {person.open: since}


def test_a_conversation_released_and_offered_in_one_turn_leaves_the_first_desk(desk):
    conversation = desk.assigned()
    release = Release(account="acme", conversation=conversation, agent="ann", epoch=0, reason="agent_away")
    offer = Offer(account="acme", conversation=conversation, agent="bob", epoch=0, expires_at_ms=9_000)
    desk.router.turn([release, offer], desk.now_ms)
    assert (desk.keys.holds["ann"], desk.keys.holds["bob"]) == (set(), {conversation})
    assert desk.keys.held == {conversation: "bob"}


def test_memory_lets_go_of_conversations_that_are_no_longer_known_as_duplicates(desk):
    for _ in range(5):
        desk.resolved()
    (person,) = desk.router.core._contacts.values()
    assert len(person.conversations) == 1
    assert len(desk.router.core._homes) == 1


# -- memory ---------------------------------------------------------------------------------------------


def test_what_a_failed_append_touched_is_read_again(desk):
    conversation = desk.opened()
    message = Receive(
        account="acme",
        contact=desk.contact(),
        channel="web",
        inbox="web",
        external_id="v1",
        source_id="x",
        text="once",
        received_at_ms=1,
    )
    for fate, length in (("refused", 1), ("unanswered", 2), ("refused", 2)):
        with pytest.raises(TurnFailed):
            desk.router.turn([message], 2_000, fate)
        assert len(desk.texts(conversation)) == length
    assert desk.router.turn([message], 2_000)[0].duplicate
    assert desk.texts(conversation) == ["hello", "once"]


def test_a_router_that_was_cut_off_and_owns_the_shard_again_reads_what_was_written_meanwhile(desk):
    conversation = desk.opened()
    cut_off = desk.router
    desk.restart()
    desk.write("while it was cut off")
    with pytest.raises(TurnFailed):
        cut_off.turn([Export(account="acme", contact=desk.contact("v2"))], 2_000, "refused")
    desk.router = cut_off
    assert desk.write("later").seq == 3
    assert desk.texts(conversation) == ["hello", "while it was cut off", "later"]
    assert [msgspec.json.decode(data)["seq"] for data in desk.keys.sessions[conversation]] == [1, 2, 3]


def test_memory_keeps_to_its_bound(desk):
    desk.router = RouterModel(desk.store, cached_contacts=10)
    for number in range(100):
        desk.opened(f"v{number}")
        assert desk.router.core.contacts <= 10
    assert desk.write(who="v0", source_id="s1").duplicate


def test_older_conversations_of_one_contact_are_all_found_in_one_batch(desk):
    older = [desk.resolved() for _ in range(4)]
    desk.restart()
    desk.by(Say, older[0], client_id="none", text="t", received_at_ms=1)
    commands = [
        Delivered(account="acme", conversation=name, message=f"{name}-1", state="sent") for name in (older[0], older[1])
    ]
    assert desk.router.turn(commands, desk.now_ms) == [Done(conversation=older[0]), Done(conversation=older[1])]


def test_a_command_that_names_no_slot_is_refused_before_it_is_sent():
    for name in ("", "c", "c!!", "cé"):
        with pytest.raises(InvalidId):
            slot_of(Export(account="acme", contact=name))
        with pytest.raises(InvalidId):
            slot_of(Delivered(account="acme", conversation=name, message="", state="sent"))


def test_a_command_of_a_newer_version_is_refused(desk):
    class Unheard(Command, frozen=True, kw_only=True, array_like=True, tag=99):
        conversation: str

    assert refused(desk.ask(Unheard(account="acme", conversation=desk.opened())), "bad_request")
