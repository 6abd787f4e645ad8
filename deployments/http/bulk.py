"""A bulk body: one message a line; the good lines are taken, the bad ones named by their number.

Lines of one contact keep their order. All good lines are one call of the router client.
"""

import msgspec

from deployments.http.message_forms import (
    BulkResult,
    IncomingMessage,
    LineResult,
    identity_of,
    line_refused,
    line_taken,
)
from deployments.http.parts import RouterPort
from deployments.http.people import Links
from models.domain.commands import Receive
from models.domain.errors import BadRequest, Conflict, RaydeskError, Unavailable
from models.domain.identity import Identity

_message = msgspec.json.Decoder(IncomingMessage)


class Bulk:
    """The lines of one body on their way; numbers count from 1, and empty lines count but are nothing."""

    def __init__(self, body: bytes) -> None:
        """Split ``body`` at its line feeds."""
        self.lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
        self._good: list[tuple[int, Receive]] = []
        self._users: dict[int, str] = {}
        self._results: dict[int, LineResult] = {}
        self._unavailable: list[Unavailable] = []

    def read(self, line: bytes) -> IncomingMessage:
        """Decode one line.

        Raises:
            BadRequest: it is no JSON in UTF-8, or of another form.
        """
        try:
            return _message.decode(line)
        except msgspec.ValidationError as error:
            raise BadRequest(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadRequest("the line is not JSON in UTF-8") from None

    def keep(self, number: int, receive: Receive, user_id: str | None) -> None:
        """Remember a good line, and the user that it names."""
        self._good.append((number, receive))
        if user_id is not None:
            self._users[number] = user_id

    def refuse(self, number: int, error: RaydeskError) -> None:
        """Remember why a line is not taken."""
        self._results[number] = line_refused(number, error)
        if isinstance(error, Unavailable):
            self._unavailable.append(error)

    async def link(self, links: Links) -> None:
        """Link identities to the users whose they are; lines whose link is refused are refused.

        Every line of a linked identity goes where it went, or its order would be lost at the redirect.
        """
        wanted: dict[str, tuple[Identity, str]] = {}
        for number, receive in self._good:
            if number in self._users:
                wanted.setdefault(receive.contact, (identity_of(receive), self._users[number]))
        if not wanted:
            return
        homes = dict(zip(wanted, await links.all_to_users(list(wanted.values())), strict=True))
        good, self._good = self._good, []
        for number, receive in good:
            home = homes.get(receive.contact, receive.contact)
            if number in self._users and self._users[number] != wanted[receive.contact][1]:
                home = Conflict("another line gives this identity to another user")
            if isinstance(home, RaydeskError):
                self.refuse(number, home)
            else:
                self._good.append((number, msgspec.structs.replace(receive, contact=home)))

    async def hand_in(self, router: RouterPort) -> None:
        """Have all good lines taken, in one call."""
        outcomes = await router.receive_many([receive for _, receive in self._good])
        for (number, _), outcome in zip(self._good, outcomes, strict=True):
            if isinstance(outcome, RaydeskError):
                self.refuse(number, outcome)
            else:
                self._results[number] = line_taken(number, outcome)

    def result(self) -> BulkResult:
        """Say what became of each line.

        Raises:
            Unavailable: nothing was taken, nothing is wrong with it: the sender's retry should do its work.
        """
        if self._unavailable and len(self._unavailable) == len(self.lines):
            raise self._unavailable[0]
        results = [self._results[number] for number, _ in self.lines]
        rejected = sum(1 for result in results if result.error is not None)
        return BulkResult(accepted=len(results) - rejected, rejected=rejected, results=results)
