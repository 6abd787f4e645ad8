"""What passes between the harness and a system: messages, conversations, receipts, refusals."""

import msgspec


class Said(msgspec.Struct, gc=False):
    """One message as the system shows it.

    Args:
        conversation: where it stands; any text that is one for one stretch of a contact's messages.
        seq: its number there, from 1, without gaps.
        author: ``contact``, ``agent``, or another word for all others.
        source_id: the id that its writer gave it.
        text: what was said.
        at_ms, received_at_ms: Unix times at which it was numbered, and received; 0: not told.
    """

    conversation: str
    seq: int
    author: str = "contact"
    source_id: str = ""
    text: str = ""
    at_ms: int = 0
    received_at_ms: int = 0


class Record(msgspec.Struct, gc=False):
    """A conversation.

    Args:
        id: its id.
        revision: grows with each change of who has it.
        state: ``offered`` awaits acceptance.
        agent: who has it, or is offered it.
        preferred, excluded: agents who had it, or were offered it, before; so far as the system says.
    """

    id: str
    revision: int = 0
    state: str = ""
    agent: str = ""
    preferred: str = ""
    excluded: list[str] = []


class Held(msgspec.Struct, gc=False):
    """A conversation on a desk, with its newest messages, oldest first."""

    conversation: Record
    messages: list[Said] = []


class Receipt(msgspec.Struct, gc=False):
    """The system's word that a message is stored."""

    conversation: str
    seq: int
    duplicate: bool = False


class Refusal(msgspec.Struct, gc=False):
    """The system's word that something was not done.

    Args:
        name: short, for counting.
        again: it is worth trying again, and nobody knows whether it was done.
        retry_after_s: the system's wish, for ``again``.
        detail: in the system's words.
    """

    name: str
    again: bool = False
    retry_after_s: float = 1.0
    detail: str = ""


class Written(msgspec.Struct, gc=False):
    """A message to be sent.

    Args:
        number: of its writer; what `HearsVisitor.on_receipt` names it by.
        id: of `cluster/load/truth/message_ids.py`.
        text: what is said.
        due_us: since the begin of the run.
        again: it left more than once.
    """

    number: int
    id: str
    text: str
    due_us: int
    again: bool = False


class CursorLost(ConnectionError):
    """The system does not know the cursor any more that it had given; the client begins anew."""
