"""What counts against a vendor's reply budget, and what is told when it is used up."""

from models.channels.budget import Budget, Said, Spent, cost_of, give_back, note, over_budget, spent_of

FIVE = Budget(answers=5, within_ms=172_800_000)


def said(seq: int, author: str, channel: str = "wechat", **more) -> Said:
    return Said(seq, author, seq * 1_000, channel, **more)


def test_only_answers_after_the_contacts_newest_message_on_that_channel_count():
    story = [
        said(1, "contact"),
        said(2, "agent"),
        said(3, "contact", "web"),
        said(4, "contact"),
        said(5, "bot"),
        said(6, "agent", internal=True),
        said(7, "agent", "web"),
        said(8, "agent", text="x" * 2_049),
        said(9, "system", ""),
        said(10, "contact", "web"),
    ]
    spent: dict[str, Spent] = {}
    for each in story:
        note(spent, each)
    assert spent == {"wechat": Spent(4_000, {5: 1, 8: 2})}
    assert spent_of(reversed(story), ["web", "wechat"]) == spent


def test_a_conversation_without_a_vendor_is_not_read():
    def never():
        raise AssertionError("read")
        yield

    assert spent_of(never(), ["web", "api"]) == {}


def test_what_was_refused_is_given_back():
    spent = {"wechat": Spent(1, {2: 1, 3: 1})}
    give_back(spent, 3)
    give_back(spent, 99)
    assert spent == {"wechat": Spent(1, {2: 1})}


def test_the_words_tell_what_is_the_matter():
    full = Spent(1_000, dict.fromkeys(range(5), 1))
    assert over_budget(FIVE, None, "wechat", "hi", 2_000) == ""
    assert over_budget(FIVE, Spent(), "wechat", "hi", 2_000) == ""
    assert over_budget(FIVE, Spent(1_000, {1: 4}), "wechat", "hi", 2_000) == ""
    assert "takes 5 answers within 48 hours" in over_budget(FIVE, full, "wechat", "hi", 2_000)
    assert "takes 1 more" in over_budget(FIVE, Spent(1_000, {1: 4}), "wechat", "x" * 3_000, 2_000)
    late = over_budget(FIVE, Spent(1_000), "wechat", "hi", 1_000 + FIVE.within_ms)
    assert "has not written on wechat for 48 hours" in late


def test_a_text_costs_its_parts_where_the_vendor_has_parts():
    assert cost_of("wechat", "") == 1
    assert cost_of("wechat", "x" * 2_049) == 2
    assert cost_of("other", "x" * 9_999) == 1
