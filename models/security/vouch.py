"""Vouching: a shop's backend says, with a secret that only it and raydesk know, who somebody is.

Two things can be vouched for; both are HMAC-SHA256 (RFC 2104) under the account's vouch secret, written
as 64 lower-case hexadecimal digits:

* **a user**: over the UTF-8 bytes of the user id;
* **a link** between an identity and a user: over the UTF-8 bytes of four lines joined by one line feed
  (``0x0A``), without one at the end::

      raydesk-link
      <inbox>
      <external id>
      <user id>

No part may be empty or hold a control character (below ``0x20``, or ``0x7F``), so the lines can be
split in one way only, and what vouches for a user can never vouch for a link.

Everything fails closed: an empty secret, a part that is not allowed or a proof of another form is
*not vouched*.
"""

import hmac
from hashlib import sha256

_LINK = "raydesk-link"


def vouch_user(secret: str, user_id: str) -> str:
    """Compute what a shop's backend sends along with ``user_id``.

    Raises:
        ValueError: the secret is empty, or the id is empty or holds a control character.
    """
    return _signed(secret, _checked(user_id))


def vouch_link(secret: str, inbox: str, external_id: str, user_id: str) -> str:
    """Compute what vouches that ``external_id`` at ``inbox`` is the user ``user_id``.

    Raises:
        ValueError: the secret is empty, or a part is empty or holds a control character.
    """
    return _signed(secret, "\n".join((_LINK, _checked(inbox), _checked(external_id), _checked(user_id))))


def is_user_vouched(secret: str, user_id: str, proof: str) -> bool:
    """Tell, in a time that does not depend on where it is wrong, whether ``proof`` vouches for the user."""
    try:
        return _same(vouch_user(secret, user_id), proof)
    except ValueError:
        return False


def is_link_vouched(secret: str, inbox: str, external_id: str, user_id: str, proof: str) -> bool:
    """Tell, in a time that does not depend on where it is wrong, whether ``proof`` vouches for the link."""
    try:
        return _same(vouch_link(secret, inbox, external_id, user_id), proof)
    except ValueError:
        return False


def _signed(secret: str, text: str) -> str:
    if not secret:
        raise ValueError("an account without a vouch secret cannot vouch for anybody")
    return hmac.new(secret.encode(), text.encode(), sha256).hexdigest()


def _same(expected: str, found: str) -> bool:
    return hmac.compare_digest(expected.encode(), found.encode())


def _checked(part: str) -> str:
    if not part or any(char < " " or char == "\x7f" for char in part):
        raise ValueError("a vouched id must not be empty or hold control characters")
    return part
