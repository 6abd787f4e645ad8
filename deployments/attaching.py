"""Files that messages bring: proofs become attachments, with no question to the store.

A proof names the file's owner. A visitor's message may bring what the same visitor sent in, an agent's what any agent
of the account did: so nobody's file reaches somebody else by another's hand.
"""

from collections.abc import Callable, Sequence

from models.domain.errors import BadRequest, NotFound, Unauthorized
from models.domain.files import FileRecord, agent_owner, is_agents, visitor_owner
from models.domain.message import Attachment
from models.security.file_tokens import FileSigner
from models.security.tokens import AgentClaims, TokenSigner, VisitorClaims


class Attaching:
    """Checks the proofs of a message.

    Args:
        signer: the system's.
        now: the Unix time in seconds.
    """

    def __init__(self, signer: TokenSigner, now: Callable[[], float]) -> None:
        self._files = FileSigner(signer)
        self._now = now

    def by_agent(self, claims: AgentClaims, text: str, proofs: Sequence[str]) -> tuple[Attachment, ...]:
        """Return what an agent's message brings.

        Raises:
            BadRequest: neither a text nor a file.
            NotFound: a file that is not theirs to send, or whose proof has ended.
        """
        return self._attachments(claims.account, text, proofs, lambda record: is_agents(record.owner))

    def by_visitor(self, claims: VisitorClaims, text: str, proofs: Sequence[str]) -> tuple[Attachment, ...]:
        """Return what a visitor's message brings; raises as `by_agent`."""
        own = visitor_owner(claims.inbox, claims.external_id)
        return self._attachments(claims.account, text, proofs, lambda record: record.owner == own)

    def _attachments(
        self, account: str, text: str, proofs: Sequence[str], may_send: Callable[[FileRecord], bool]
    ) -> tuple[Attachment, ...]:
        if not proofs:
            if not text:
                raise BadRequest("a message has a text or files")
            return ()
        return tuple(self._attachment(account, proof, may_send) for proof in proofs)

    def _attachment(self, account: str, proof: str, may_send: Callable[[FileRecord], bool]) -> Attachment:
        try:
            owned_by, record = self._files.proven(proof, self._now())
        except Unauthorized:
            # "unauthorized" would have a client log in again, and that helps nothing
            raise NotFound("this file is not there any more; send it in again") from None
        if owned_by != account or not may_send(record):
            raise NotFound("this file is not there any more; send it in again")
        return Attachment(kind=record.kind, title=record.name, file=record.id, bytes=record.bytes)


def owner_of(claims: AgentClaims | VisitorClaims) -> str:
    """Return as whose a file is kept that somebody sends in."""
    if isinstance(claims, AgentClaims):
        return agent_owner(claims.agent)
    return visitor_owner(claims.inbox, claims.external_id)
