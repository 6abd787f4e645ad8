"""The protocol of the sockets as values: JSON-RPC frames in, requests out; nothing here opens a socket."""
