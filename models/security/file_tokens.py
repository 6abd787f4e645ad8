"""Two short signed texts about a file, neither of which says who somebody is.

* A **proof** says that a file was kept, what it is, and whose it is. Its owner shows it with the message that brings
  the file, so that a gateway knows all that without asking the store. It stands in frames only.
* A **pass** lets whoever has it read one file for some minutes. It stands in the path of a URL, where a session's
  token must never stand.
"""

import msgspec

from models.domain.files import FileRecord
from models.security.tokens import TokenSigner

_PROOFS = "raydesk/file-proof"
_PASSES = "raydesk/file-pass"
#: For a browser that begins to load at once; a download that has begun goes on.
PASS_LIFETIME_S = 300


class _ProofPayload(msgspec.Struct, frozen=True):
    aud: str
    exp: int
    acc: str
    file: FileRecord


class _PassPayload(msgspec.Struct, frozen=True):
    aud: str
    exp: int
    acc: str
    fil: str


class FileSigner:
    """Signs and verifies proofs and passes; a thin use of the system's one signer."""

    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer
        self._proofs = msgspec.json.Decoder(_ProofPayload)
        self._passes = msgspec.json.Decoder(_PassPayload)

    def proof(self, account: str, record: FileRecord, expires_s: int) -> str:
        """Say that a file was kept."""
        return self._signer.seal(_ProofPayload(_PROOFS, expires_s, account, record))

    def proven(self, proof: str, now_s: float) -> tuple[str, FileRecord]:
        """Return the account and the file that a proof speaks of.

        Raises:
            Unauthorized: it is expired, forged, or of another kind.
        """
        payload = self._signer.unseal(proof, self._proofs, _PROOFS, now_s)
        return payload.acc, payload.file

    def reading_pass(self, account: str, file: str, now_s: float) -> tuple[str, int]:
        """Let one file be read; returns the pass and the Unix second of its end."""
        expires_s = int(now_s) + PASS_LIFETIME_S
        return self._signer.seal(_PassPayload(_PASSES, expires_s, account, file)), expires_s

    def passed(self, token: str, now_s: float) -> tuple[str, str]:
        """Return the account and the file that a pass opens.

        Raises:
            Unauthorized: it is expired, forged, or of another kind.
        """
        payload = self._signer.unseal(token, self._passes, _PASSES, now_s)
        return payload.acc, payload.fil
