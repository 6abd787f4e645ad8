"""How long one routing decision takes with 10,000 conversations waiting. Prints, asserts nothing.

Run: ``python -m tests.bench.routing_decision [--agents 500]``
"""

import argparse
import random
import time

from models.domain.conversation import Placement
from models.routing.dispatcher import Dispatcher
from models.routing.roster import Profile
from models.routing.terms import Terms

WAITING = 10_000
ROUNDS = 2_000
SKILLS = ("", "tax", "vat", "returns", "billing")


def placement(conversation, revision, state, since, **fields):
    return Placement(
        account="demo",
        conversation=conversation,
        revision=revision,
        state=state,
        waiting_since_ms=since,
        **fields,
    )


def show(name, durations):
    durations.sort()
    mean, p50, p99 = (
        sum(durations) / len(durations),
        durations[len(durations) // 2],
        durations[len(durations) * 99 // 100],
    )
    print(f"{name:<58} {mean * 1e6:9.1f} {p50 * 1e6:9.1f} {p99 * 1e6:9.1f} {durations[-1] * 1e6:9.1f}")


def timed(call, *arguments):
    started = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - started, result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=500)
    agents = parser.parse_args().agents
    names = [f"a{n:05}" for n in range(agents)]
    chance = random.Random(1)
    core = Dispatcher("demo", 1, Terms())
    core.profiles_set(
        [Profile(name=name, capacity=5, skills=frozenset(chance.sample(SKILLS[1:], 2))) for name in names], 0
    )
    core.begin(0)
    print(f"{agents} agents, {WAITING} waiting; microseconds{'mean':>16} {'p50':>9} {'p99':>9} {'max':>9}")
    enqueue = []
    for n in range(WAITING):
        waiting = placement(f"s{n:06}", 1, "waiting", n, skill=chance.choice(SKILLS))
        enqueue.append(timed(core.place, waiting, 0)[0])
    show("a conversation joins the line, nobody has room", enqueue)
    elapsed, offers = timed(core.desks_reported, "g0", names, 0)
    show(f"all agents come at once, per offer ({len(offers)} offers)", [elapsed / len(offers)])
    news, census = [], []
    for name in names[:ROUNDS]:
        news.append(timed(core.desks_changed, "g1", [name], [], 0)[0])
        census.append(timed(core.census)[0])
    show("one more desk of somebody is told", news)
    show("a census", census)
    show("a tick when nothing is due", [timed(core.tick, 1)[0] for _ in range(ROUNDS)])
    holding = list(offers)
    freed = []
    for round_ in range(ROUNDS):
        offer = holding[round_]
        core.place(placement(offer.conversation, 2, "assigned", 0, agent=offer.agent), 2)
        elapsed, orders = timed(core.place, placement(offer.conversation, 3, "resolved", 0), 2)
        holding += orders
        freed.append(elapsed)
    show("an agent becomes free and gets the longest waiting", freed)
    roomy = Dispatcher("demo", 1, Terms())
    roomy.profiles_set([Profile(name=name, capacity=100) for name in names], 0)
    roomy.begin(0)
    roomy.desks_reported("g0", names, 0)
    direct = [timed(roomy.place, placement(f"s{n:06}", 1, "waiting", n), n)[0] for n in range(ROUNDS)]
    show(f"a conversation comes and all {agents} agents have room", direct)


if __name__ == "__main__":
    main()
