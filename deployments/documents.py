"""Writes the tables of docs/protocol.md anew: ``python -m deployments.documents docs/protocol.md``."""

import sys
from pathlib import Path

from models.protocol.markdown import rewritten


def main(paths: list[str]) -> None:
    """Rewrite the tables of each document."""
    for path in map(Path, paths):
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
