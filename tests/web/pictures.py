"""Pictures for tests: real PNGs of any size, made of nothing."""

import struct
import zlib


def png(width: int = 64, height: int = 48, color: tuple[int, int, int] = (36, 84, 214), *, extra: bytes = b"") -> bytes:
    """Return a picture of one colour; ``extra`` makes the file longer, and not the picture."""
    rows = (b"\0" + bytes(color) * width) * height
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    if extra:
        parts.append((b"zTXt", extra))
    parts.append((b"IEND", b""))
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
