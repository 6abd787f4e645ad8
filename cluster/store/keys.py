"""The only module that knows key names.

Every key of an account carries the hash tag ``{account}``, so that one append is atomic over all it
touches (docs/adr/0002-account-hash-tag.md).
"""

EPOCH = "raydesk:epoch"
OUTBOX_EPOCH = "raydesk:outbox-epoch"
ACCOUNTS = "raydesk:accounts"
API_KEYS = "raydesk:api-keys"
ALIVE_PREFIX = "raydesk:alive:"


def session(account: str, conversation: str) -> str:
    """List of a conversation's messages as JSON, newest first: ``LRANGE key 0 4`` is the preload."""
    return f"{{{account}}}:session:{conversation}"


def conversation(account: str, conversation_id: str) -> str:
    """String: the conversation's record as JSON."""
    return f"{{{account}}}:conversation:{conversation_id}"


def contact(account: str, contact_id: str) -> str:
    """String: the contact's record as JSON."""
    return f"{{{account}}}:contact:{contact_id}"


def cases(account: str, contact_id: str) -> str:
    """List of a contact's conversations, newest first."""
    return f"{{{account}}}:cases:{contact_id}"


def conversations(account: str) -> str:
    """List of all the account's conversations, newest first: what a search goes through."""
    return f"{{{account}}}:conversations"


def desk_log(account: str, agent: str) -> str:
    """Stream of an agent's events; entry ``0-n`` has cursor ``n`` and field ``e``, a JSON array of events."""
    return f"{{{account}}}:desk:{agent}"


def desk_acked(account: str) -> str:
    """Hash agent -> highest cursor that a desk of theirs acknowledged."""
    return f"{{{account}}}:desk-acked"


def visit_acked(account: str) -> str:
    """Hash contact -> id of the newest message that the contact has seen."""
    return f"{{{account}}}:visit-acked"


def desk_channel(account: str, agent: str) -> str:
    """Pub/sub channel that carries an agent's new entries to the gateways that hold its desks."""
    return f"{{{account}}}:desk!{agent}"


def visit_channel(account: str, contact_id: str) -> str:
    """Pub/sub channel that carries what a contact's open sockets must see."""
    return f"{{{account}}}:visit!{contact_id}"


def waiting(account: str) -> str:
    """Sorted set of waiting conversations by the Unix millisecond since when they wait."""
    return f"{{{account}}}:waiting"


def queue(account: str, skill: str) -> str:
    """Sorted set of those of ``waiting`` that ask for one skill, empty for none: the queue of its skill group."""
    return f"{{{account}}}:queue:{skill}"


def agent_seen(account: str) -> str:
    """Hash contact -> id of its newest message that an agent has seen."""
    return f"{{{account}}}:agent-seen"


def held(account: str) -> str:
    """Hash conversation -> agent, for all that is offered or assigned."""
    return f"{{{account}}}:held"


def holds(account: str, agent: str) -> str:
    """Set of the conversations on one agent's desk; the same facts as ``held``, as a desk's snapshot needs them."""
    return f"{{{account}}}:holds:{agent}"


def snoozed(account: str) -> str:
    """Sorted set of snoozed conversations by the Unix millisecond at which they come back."""
    return f"{{{account}}}:snoozed"


def bot(account: str) -> str:
    """Sorted set of the conversations that the bot holds by the Unix millisecond at which its time is up."""
    return f"{{{account}}}:bot"


def fence(account: str) -> str:
    """Hash slot -> epoch of the router that owns it."""
    return f"{{{account}}}:fence"


def dispatcher_epoch(account: str) -> str:
    """Counter: the epoch of the account's newest dispatcher."""
    return f"{{{account}}}:dispatcher-epoch"


def presence(account: str) -> str:
    """Hash agent -> JSON of the presence it chose."""
    return f"{{{account}}}:presence"


def outbox(account: str) -> str:
    """Stream of answers that a channel must send; field ``m`` holds the JSON of one ``Outgoing``."""
    return f"{{{account}}}:outbox"


def outbox_progress(account: str) -> str:
    """Hash message -> JSON of how far an answer has got that was not sent at the first attempt, or in one part."""
    return f"{{{account}}}:outbox-progress"


def outbox_reports(account: str) -> str:
    """Hash message -> JSON of a ``Delivered`` that its router has not confirmed yet."""
    return f"{{{account}}}:outbox-reports"


def file(account: str, file_id: str) -> str:
    """Hash of a file: field ``r`` holds its record as JSON, a field per contact who may read it the message's id."""
    return f"{{{account}}}:file:{file_id}"


def files_unsent(account: str) -> str:
    """Sorted set of files that no message has brought yet, by the Unix millisecond at which they came in."""
    return f"{{{account}}}:files-unsent"


def tags(account: str) -> str:
    """Sorted set of the tags in use by the Unix millisecond at which each was used last; bounded."""
    return f"{{{account}}}:tags"


def hour(account: str, number: int) -> str:
    """Hash of what was counted in the hour ``number`` since the Unix epoch -> how often; see `models.board.hours`."""
    return f"{{{account}}}:hour:{number}"


def canned(account: str) -> str:
    """Hash name -> text of the answers that an account keeps ready for its agents."""
    return f"{{{account}}}:canned"


def users(account: str) -> str:
    """Hash name -> JSON of a user with its password hash."""
    return f"{{{account}}}:users"


def users_changed(account: str) -> str:
    """Stream of the names of users that changed; field ``n``. What they are now is in ``users``."""
    return f"{{{account}}}:users-changed"


def administration(account: str, section: str) -> str:
    """Hash name -> JSON of what an admin said in a section: teams, skills, inboxes, hours, replies."""
    return f"{{{account}}}:administration:{section}"


def administration_revision(account: str) -> str:
    """Counter of the changes that admins made: who follows them reads the sections when it has grown."""
    return f"{{{account}}}:administration-revision"


def audit(account: str) -> str:
    """Stream of the changes that admins made; field ``e`` is the JSON of one, its id is that of the entry."""
    return f"{{{account}}}:audit"


def alive(kind: str, name: str) -> str:
    """String with a short life: what a running router, gateway or dispatcher tells about itself."""
    return f"{ALIVE_PREFIX}{kind}:{name}"


def alive_names(kind: str) -> str:
    """Set of the names under which routers, gateways or dispatchers were ever alive: the index of ``alive``."""
    return f"{ALIVE_PREFIX}{kind}"
