"""Joins the modules that a page of others loads into one: a phone asks once instead of seventeen times.

Each module becomes a function that runs once, in the order of the imports, so names of two of them never meet. Only
what our own modules use is understood: named imports, and exports where something is declared; anything else is an
error at the first request, and so in the first test.
"""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) ([A-Za-z_$][\w$]*))", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
_EMPTY = re.compile(r"\n\s*(?=\n)")


class NotJoined(ValueError):
    """A module has an import or an export that is not understood, or imports itself by others."""


def join_modules(entry: str, read: Callable[[str], str]) -> str:
    """Return a module that does what ``entry`` and all that it imports do, and exports what ``entry`` does.

    Args:
        entry: path of the first module.
        read: returns the source of a module by its path.

    Raises:
        NotJoined: see there.
    """
    bundle = _Bundle(read)
    name = bundle.add(entry)
    exports = ", ".join(bundle.exports[entry])
    return "\n".join([*bundle.parts, f"export const {{ {exports} }} = {name};" if exports else "", ""])


class _Bundle:
    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read
        #: path -> the name of what it exports; empty while its own imports are added.
        self._names: dict[str, str] = {}
        self.exports: dict[str, list[str]] = {}
        self.parts: list[str] = []

    def add(self, path: str) -> str:
        """Add a module after those that it imports; returns the name of what it exports."""
        known = self._names.get(path)
        if known == "":
            raise NotJoined(f"{path}: imports itself, by way of others")
        if known is not None:
            return known
        self._names[path] = ""
        source = _IMPORT.sub(lambda found: self._import(path, found), self._read(path))
        exports = self.exports[path] = [found[1] for found in _EXPORT.finditer(source)]
        source = _EXPORT.sub("", source)
        if other := _OTHER.search(source):
            raise NotJoined(f"{path}: {other[0]!r} is not understood")
        name = self._names[path] = f"m{len(self.parts)}"
        body = _EMPTY.sub("", source).strip()
        self.parts.append(f"const {name} = (() => {{\n{body}\nreturn {{ {', '.join(exports)} }};\n}})();")
        return name

    def _import(self, path: str, found: re.Match[str]) -> str:
        name = self.add(_beside(path, found[2]))
        names = ", ".join(each.strip().replace(" as ", ": ") for each in found[1].split(",") if each.strip())
        return f"const {{ {names} }} = {name};"


def _beside(path: str, relative: str) -> str:
    """Return the path that a module means by a relative one."""
    folder = list(PurePosixPath(path).parent.parts)
    for part in PurePosixPath(relative).parts:
        if part == "..":
            if not folder:
                raise NotJoined(f"{path}: {relative} leaves the folder")
            folder.pop()
        else:
            folder.append(part)
    return "/".join(folder)
