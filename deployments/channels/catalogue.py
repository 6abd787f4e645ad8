"""Which channels there are: a new one is its file and one line here."""

from cluster.settings import Settings
from deployments.channels.channel import Channel, Now
from deployments.channels.wechat import WeChat


def make_channels(settings: Settings, now: Now) -> dict[str, Channel]:
    """Make every channel that a vendor stands behind, by name.

    The ingress makes them to receive and the outbox makes them to send. Web and api are not among
    them: their contacts read on our own sockets, or poll.
    """
    channels: tuple[Channel, ...] = (WeChat(settings, now),)
    return {channel.name: channel for channel in channels}
