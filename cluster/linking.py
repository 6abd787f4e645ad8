"""Linking: from now on an identity is the same person as a vouched user, and its open conversation goes along.

Three commands to the two routers, in an order in which any process may die at any point::

    Export(source) ── Adopt(target, messages) ── Move(source, length)
        ▲                                            │ conflict: more was written meanwhile
        └────────────────────────────────────────────┘

Until ``Move`` is stored the source stays where it was; ``Adopt`` takes each message once. So a link that
broke half way is completed by asking for it again, and nothing written in between is lost. Asking for a
link that exists changes nothing. When two different users claim one identity at the same moment, one of
them gets it; the other may keep a copy of the messages.
"""

from typing import Protocol

from models.domain.commands import Adopt, AnyCommand, AnyReply, Done, Export, Exported, Move, Moved, Part, Return
from models.domain.errors import Conflict, NotFound, RaydeskError, Unavailable
from models.domain.identity import Identity

MAX_TRIES = 8
"""A try fails only if the contact wrote between two calls, so even a fast writer is caught within a few."""
_MAX_HOPS = 8


class Asks(Protocol):
    """The part of a router client that linking needs."""

    async def ask(self, command: AnyCommand) -> AnyReply:
        """Return the router's answer; a refusal is raised as its error."""
        ...


class Linker:
    """Links identities to contacts, joins contacts and parts them again, over any router client."""

    def __init__(self, router: Asks) -> None:
        """Ask ``router`` for everything."""
        self._router = router

    async def link(self, source: Identity, target: str) -> str:
        """Let ``source`` go on as the contact ``target``.

        Cancelled or failed half way, it can be repeated.

        Returns:
            The contact that goes on: ``target``, or where it had moved to.

        Raises:
            Conflict: the identity already belongs to another contact.
            Unavailable: a router does not answer, or the contact wrote at every try.
        """
        for _ in range(MAX_TRIES):
            if source.contact == target:
                return target
            exported = await self._export(source.account, source.contact)
            if exported.moved_to:
                return await self._agreed(source.account, exported.moved_to, target)
            adopted = await self._router.ask(_adoption(source, target, exported))
            if isinstance(adopted, Moved):
                target = adopted.contact
            elif isinstance(adopted, Done):
                if await self._moved(source.account, source.contact, target, exported, adopted):
                    return target
            else:
                raise _unexpected(adopted)
        raise Unavailable("this contact is writing; link it again in a moment", 1.0)

    async def join(self, account: str, source: str, target: str, by: str) -> None:
        """Let the contact ``source`` go on as the contact ``target``, because an agent says that they are one person.

        Cancelled or failed half way, it can be repeated; `part` undoes it.

        Raises:
            Conflict: they are one already, or the target went on as another contact.
            NotFound: nobody ever wrote as the source.
            Unavailable: a router does not answer, or the contact wrote at every try.
        """
        for _ in range(MAX_TRIES):
            source = await self._home(account, source)
            if source == target:
                raise Conflict("these two are one contact already")
            exported = await self._export(account, source)
            if not exported.identities:
                raise NotFound("nobody has written as this contact")
            adopted = await self._router.ask(_adoption_of_all(account, source, target, by, exported))
            if isinstance(adopted, Moved):
                raise Conflict("this contact went on as another one; look again")
            if not isinstance(adopted, Done):
                raise _unexpected(adopted)
            if await self._moved(account, source, target, exported, adopted):
                return
        raise Unavailable("this contact is writing; join the two again in a moment", 1.0)

    async def part(self, account: str, source: str, target: str, by: str) -> None:
        """Undo a join: ``source`` answers for itself again, and ``target`` gives up what came with it.

        What was said meanwhile stays with the target. Cancelled or failed half way, it can be repeated.

        Raises:
            Conflict: the source went on as another contact.
            NotFound: nobody joined the two.
            Unavailable: a router does not answer.
        """
        exported = await self._export(account, target)
        joins = [each for each in exported.joined if each.contact == source]
        if not joins:
            raise NotFound("nobody joined these two")
        if joins[-1].undone_ms:
            return
        going_on = exported.record.id if exported.record else ""
        at_ms = joins[-1].at_ms
        await self._router.ask(
            Return(account=account, contact=source, left=target, by=by, at_ms=at_ms, conversation=going_on)
        )
        await self._router.ask(Part(account=account, contact=target, source=source, by=by, at_ms=at_ms))

    async def holder(self, account: str, contact: str) -> str:
        """Return the agent who holds the open conversation of a contact; empty: nobody does."""
        record = (await self._export(account, contact)).record
        return record.agent if record else ""

    async def _export(self, account: str, contact: str) -> Exported:
        reply = await self._router.ask(Export(account=account, contact=contact))
        if isinstance(reply, Exported):
            return reply
        if isinstance(reply, Moved):
            return Exported(moved_to=reply.contact)
        raise _unexpected(reply)

    async def _moved(self, account: str, source: str, target: str, exported: Exported, adopted: Done) -> bool:
        """Take the last step; False means that more was written since the first one."""
        move = Move(
            account=account,
            contact=source,
            into=target,
            conversation=exported.record.id if exported.record else "",
            into_conversation=adopted.conversation,
            length=exported.length,
            joined_ms=adopted.at_ms,
        )
        try:
            await self._router.ask(move)
        except Conflict:
            return False
        return True

    async def _agreed(self, account: str, moved_to: str, target: str) -> str:
        """Return where an identity went that had moved before, if ``target`` is the same person."""
        if moved_to == target:
            return target
        home = await self._home(account, moved_to)
        if home != await self._home(account, target):
            raise Conflict("this identity already belongs to another user")
        return home

    async def _home(self, account: str, contact: str) -> str:
        """Follow the moves of a contact to the one that answers for it."""
        for _ in range(_MAX_HOPS):
            moved_to = (await self._export(account, contact)).moved_to
            if not moved_to:
                break
            contact = moved_to
        return contact


def _adoption(source: Identity, target: str, exported: Exported) -> Adopt:
    return Adopt(
        account=source.account,
        contact=target,
        source=source.contact,
        channel=source.channel,
        inbox=source.inbox,
        external_id=source.external_id,
        record=exported.record,
        messages=exported.messages,
        identities=exported.identities,
    )


def _adoption_of_all(account: str, source: str, target: str, by: str, exported: Exported) -> Adopt:
    return Adopt(
        account=account,
        contact=target,
        source=source,
        channel="",
        inbox="",
        external_id="",
        record=exported.record,
        messages=exported.messages,
        by=by,
        identities=exported.identities,
    )


def _unexpected(reply: AnyReply) -> RaydeskError:
    return RaydeskError(f"a router answered a link with {type(reply).__name__}")
