"""What each stage of a message, and each count of an audit, is called for its readers."""

#: What each stage is, for readers.
STAGES = {
    "desk": "intended time to the agent's desk",
    "receipt": "intended time to the receipt: durable",
    "refusal": "intended time to a refusal",
    "answer": "intended answer to the visitor's page",
    "connect": "opening a socket",
    "lag": "intended time to the harness's own sending",
    "reach": "sent to received by the system",
    "route": "received to numbered by the router",
    "push": "numbered to the desk: append, fsync, push",
}
#: What each count of the audit means.
CLASSES = {
    "intended": "were due",
    "sent": "left at least once",
    "accepted": "have a receipt",
    "delivered": "accepted, and shown where they belong",
    "kept": "accepted, in the history, and wait for a reader or stay with the bot",
    "refused": "were answered with errors only, so their senders know",
    "unsent": "never left, because the harness could not",
    "resent": "left again under the same id",
    "duplicates": "receipts that said it had been taken before",
    "handed_on": "conversations taken from a desk because its time was up",
    "snapshots": "fresh starts of desks after a break",
    "conversations": "were seen",
    "lost": "accepted, and neither delivered nor kept, or missing in a history that was read whole",
    "doubled": "pushed twice, or stored twice",
    "reordered": "stored or pushed after one that was sent later",
    "misplaced": "shown to somebody else, or where the receipt does not say",
    "unaccounted": "sent, and answered with nothing at all",
    "contradicted": "refused as not stored, and there all the same",
    "invented": "facts about messages that nobody sent",
    "held_twice": "conversations on two desks at once",
    "held_elsewhere": "conversations on another desk than the system's record says",
    "gaps": "numbers that a reader was never shown",
    "foreign_again": "words of others that were pushed twice or out of order",
    "entries_again": "entries of desks' logs that came twice",
    "entries_skipped": "entries of desks' logs that never came",
    "mishaps": "what must not happen at all",
}
