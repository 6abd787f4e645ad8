"""One file per channel: verify what came in, parse it, send what goes out."""
