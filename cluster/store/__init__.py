"""The durable state in Valkey: key names, the fenced append, reads, and the embedded server."""
