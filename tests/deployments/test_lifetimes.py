"""When a socket is pinged, closed and dropped, by a clock that the test turns."""

import random

from hypothesis import given
from hypothesis import strategies as st

from deployments.sockets.lifetimes import CLOSE_EXPIRED, CLOSE_NOT_OPENED, TICK_S, Lifetimes

#: Unix time at the clock's zero.
EPOCH = 1_700_000_000.0
SLACK_S = 2 * TICK_S


class Socket:
    """Keeps what it was told, and when; ``answers`` is whether its client does."""

    def __init__(self, world, door="visitor", *, opened=True, expires_s=0.0, answers=False):
        self.world = world
        self.door = door
        self.opened = opened
        self.answers = answers
        self.connected_at = self.heard_at = world.clock_s
        self.pinged_at = 0.0
        self.expires_s = expires_s
        self.tick = 0
        self.ending = False
        self.told = []
        world.lifetimes.begin(self)

    def ping(self):
        self.told.append(("ping", self.world.clock_s))
        if self.answers:
            self.heard_at = self.world.clock_s + 0.01

    def close(self, code, reason):
        assert reason
        self.ending = True
        self.told.append((code, self.world.clock_s))

    def drop(self):
        self.told.append(("drop", self.world.clock_s))

    def times(self, what):
        return [at for said, at in self.told if said == what]


class World:
    def __init__(self, chance=lambda: 1.0, clock_s=1000.0):
        self.clock_s = clock_s
        self.lifetimes = Lifetimes(
            idle_s={"desk": 20.0, "visitor": 50.0}, open_timeout_s=10.0, clock_s=clock_s, chance=chance
        )

    @property
    def now_s(self):
        return EPOCH + self.clock_s

    def pass_time(self, seconds):
        end_s = self.clock_s + seconds
        while self.clock_s < end_s:
            self.clock_s += TICK_S
            self.lifetimes.turn(self.now_s, self.clock_s)


def about(at_s, wanted_s):
    return wanted_s - 0.001 <= at_s <= wanted_s + SLACK_S


def test_a_silent_client_is_pinged_after_its_idle_time_and_dropped_after_as_much_again():
    world = World()
    visitor, desk = Socket(world), Socket(world, "desk")
    world.pass_time(200)
    for socket, idle_s in ((visitor, 50), (desk, 20)):
        (ping, pinged_at), (drop, dropped_at) = socket.told
        assert (ping, drop) == ("ping", "drop")
        assert about(pinged_at, 1000 + idle_s)
        assert about(dropped_at, pinged_at + idle_s)


def test_a_client_that_answers_is_pinged_after_each_silence_and_stays():
    world = World()
    socket = Socket(world, "desk", answers=True)
    world.pass_time(205)
    assert len(socket.times("ping")) == len(socket.told) == 10


def test_a_client_that_speaks_is_not_pinged():
    world = World()
    socket = Socket(world, "desk")
    for _ in range(30):
        world.pass_time(14)
        socket.heard_at = world.clock_s
    assert socket.told == []


def test_a_socket_that_opens_nothing_is_closed_and_then_cut_off():
    world = World()
    late, quick = Socket(world, opened=False), Socket(world, opened=False)
    world.pass_time(5)
    quick.opened = True
    world.pass_time(20)
    (closed, closed_at), (cut_off, _) = late.told
    assert (closed, cut_off) == (CLOSE_NOT_OPENED, "drop")
    assert about(closed_at, 1010)
    assert quick.told == []


def test_a_socket_ends_with_its_token_and_not_before():
    world = World()
    socket = Socket(world, answers=True)
    socket.expires_s = world.now_s + 33.3
    world.lifetimes.renewed(socket, world.now_s, world.clock_s)
    world.pass_time(33.2)
    assert socket.times(CLOSE_EXPIRED) == []
    socket.expires_s += 300
    world.lifetimes.renewed(socket, world.now_s, world.clock_s)
    world.pass_time(400)
    (closed_at,) = socket.times(CLOSE_EXPIRED)
    assert about(closed_at, 1000 + 333.3)


def test_a_socket_that_is_gone_is_not_looked_at():
    world = World()
    socket = Socket(world)
    world.lifetimes.end(socket)
    world.lifetimes.end(socket)
    world.pass_time(200)
    assert socket.told == []


def test_one_socket_that_fails_takes_no_other_along():
    world = World()
    sockets = [Socket(world) for _ in range(5)]
    sockets[2].ping = lambda: 1 / 0
    world.pass_time(60)
    assert sum(len(socket.times("ping")) for socket in sockets) == 4


def test_those_who_came_together_are_pinged_at_different_times():
    world = World(chance=random.Random(1).random)
    sockets = [Socket(world, answers=True) for _ in range(1000)]
    world.pass_time(300)
    times = [at for socket in sockets for at in socket.times("ping") if at > 1150]
    assert max(times.count(at) for at in set(times)) < len(sockets) / 20


def test_time_in_which_the_process_stood_still_is_not_held_against_a_client():
    world = World()
    sockets = [Socket(world) for _ in range(3)]
    world.pass_time(51)
    assert all(socket.times("ping") for socket in sockets)
    # the process stands still for two minutes; the answers lie in the kernel meanwhile
    world.clock_s += 120
    world.lifetimes.turn(world.now_s, world.clock_s)
    for socket in sockets:
        socket.heard_at = world.clock_s
    world.pass_time(49)
    assert not any(socket.times("drop") for socket in sockets)


@given(st.lists(st.tuples(st.sampled_from(["visitor", "desk"]), st.floats(0, 30)), max_size=20), st.randoms())
def test_a_client_that_fell_silent_is_gone_in_time_whatever_it_said_before(steps, chance):
    world = World(chance=chance.random)
    for door, talks_s in steps:
        socket = Socket(world, door)
        world.pass_time(talks_s)
        if socket.times("ping"):
            continue
        socket.heard_at = silent_since_s = world.clock_s
        idle_s = {"desk": 20, "visitor": 50}[door]
        world.pass_time(2 * idle_s + 4 * SLACK_S)
        (pinged_at,), (dropped_at,) = socket.times("ping"), socket.times("drop")
        assert pinged_at <= silent_since_s + idle_s + SLACK_S
        assert idle_s - SLACK_S <= dropped_at - pinged_at <= idle_s + SLACK_S
