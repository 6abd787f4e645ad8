"""Names that deceive nobody, and pictures known by their bytes."""

import struct
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.files import MOST_PIXELS, OCTETS, clean_name, file_id, is_file_id, media_type_of


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x06\0\0\0"


def jpeg(width: int, height: int, *before: tuple[int, int]) -> bytes:
    segments = b"".join(struct.pack(">BBH", 0xFF, marker, length) + b"\0" * (length - 2) for marker, length in before)
    return b"\xff\xd8" + segments + struct.pack(">BBHBHH", 0xFF, 0xC2, 17, 8, height, width)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height)


def webp(chunk: bytes, rest: bytes) -> bytes:
    return b"RIFF\x24\0\0\0WEBP" + chunk + b"\x10\0\0\0" + rest


PICTURES = {
    "png": (png(640, 480), "image/png"),
    "jpeg": (jpeg(640, 480), "image/jpeg"),
    "jpeg of a camera": (jpeg(640, 480, (0xE0, 16), (0xE1, 60_000), (0xC4, 30)), "image/jpeg"),
    "gif": (gif(640, 480), "image/gif"),
    "webp, lossy": (webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 480)), "image/webp"),
    "webp, lossless": (webp(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14)), "image/webp"),
    "webp, extended": (webp(b"VP8X", b"\0\0\0\0" + b"\x7f\x02\0\xdf\x01\0"), "image/webp"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_known_by_its_first_bytes(name):
    head, media_type = PICTURES[name]
    assert media_type_of(head + b"rest") == media_type


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_is_cut_off_is_a_file_like_any_other(name):
    head, media_type = PICTURES[name]
    for length in range(len(head)):
        assert media_type_of(head[:length]) in (OCTETS, media_type)
    assert media_type_of(head[: len(head) // 2]) == OCTETS


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n<script>alert(1)</script>",
        b"BM" + b"\0" * 60,
        png(0, 10),
        png(60_000, 60_000),
        gif(65_535, 65_535),
        jpeg(65_535, 65_535),
        b"\xff\xd8\xff" + b"\xff" * 1_000,
        b"\xff\xd8\xff\xe0\0\0" * 100,
    ],
)
def test_nothing_else_is_ever_shown_as_a_picture(head):
    assert media_type_of(head) == OCTETS


def test_a_picture_may_have_as_many_pixels_as_a_browser_bears():
    assert media_type_of(png(MOST_PIXELS, 1)) == "image/png"
    assert media_type_of(png(MOST_PIXELS + 1, 1)) == OCTETS


@given(st.binary(max_size=300))
def test_any_bytes_are_something(head):
    assert media_type_of(head) in (OCTETS, "image/png", "image/jpeg", "image/gif", "image/webp")
    assert media_type_of(b"\xff\xd8\xff" + head) in (OCTETS, "image/jpeg")


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ann\\invoice.pdf", "invoice.pdf"),
        ("/", "file"),
        ("", "file"),
        ("...", "file"),
        (" . ", "file"),
        (".bashrc", "bashrc"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("a\u0000b\r\nc.txt", "abc.txt"),
        ('say "hi" <b>?.png', "say _hi_ _b__.png"),
        ("CON.txt", "_CON.txt"),
        ("发票 2026.pdf", "发票 2026.pdf"),
        ("cafe\u0301.png", "caf\u00e9.png"),
        ("نامه\u200cها.pdf", "نامه\u200cها.pdf"),
        ("x" * 500 + ".jpeg", "x" * 95 + ".jpeg"),
        ("x" * 500, "x" * 100),
        ("x." + "y" * 500, "x." + "y" * 98),
        ("\ud800.txt", "txt"),
    ],
)
def test_a_name_deceives_nobody(given_name, kept):
    assert clean_name(given_name) == kept


@given(st.text(max_size=300))
def test_any_name_is_one_that_can_be_kept(given_name):
    name = clean_name(given_name)
    assert 0 < len(name) <= 101
    assert not set(name) & set('/\\<>:"|?*')
    assert not name.startswith(".")
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name)
    assert not set(name) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert len(name.encode()) < 512


def test_ids_have_one_form():
    name = file_id(bytes(range(20)))
    assert is_file_id(name)
    assert not is_file_id(name + "0")
    assert not is_file_id("f" + "../" * 10 + "xx")
    assert len({file_id(bytes([n] * 20)) for n in range(256)}) == 256
