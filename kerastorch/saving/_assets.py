"""Files that layers put into a ``.keras`` archive besides weights: vocabularies.

They are what `save_assets(dir_path)` of a layer writes and `load_assets(dir_path)` reads, under
``assets/`` and the path of the layer. Each layer sees a folder of its own, made for it, with its
files in it and nothing else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from kerastorch.saving._archive import Archive, check_name
from kerastorch.saving._tree import Entry


def collected(found: Iterable[Entry]) -> dict[str, bytes]:
    """The files of all layers, by their names in the archive."""
    files: dict[str, bytes] = {}
    for entry, folder in _folders(found, "save_assets"):
        entry.owner.save_assets(str(folder))
        for path in sorted(folder.rglob("*")):
            name = "/".join(filter(None, ["assets", entry.path, *path.relative_to(folder).parts]))
            if path.is_file():
                check_name(name, "save: the archive")
                files[name] = path.read_bytes()
    return files


def restore(found: Iterable[Entry], archive: Archive) -> None:
    """Hand every layer its files."""
    for entry, folder in _folders(found, "load_assets"):
        for name, content in archive.below(f"assets/{entry.path}".rstrip("/") + "/"):
            if ":" in name:  # a drive, on some systems
                raise ValueError(f"{archive.title} has an asset called {name!r}. It is not read.")
            path = folder.joinpath(*name.split("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            entry.owner.load_assets(str(folder))
        except (OSError, ValueError) as error:
            name = getattr(entry.owner, "name", entry.path)
            raise ValueError(
                f"{archive.title}: what the archive has for layer {name!r} cannot be read: {error}"
            ) from error


def _folders(found: Iterable[Entry], method: str) -> Iterator[tuple[Entry, Path]]:
    """Those that have `method`, each with an empty folder."""
    for entry in found:
        if hasattr(type(entry.owner), method):
            with tempfile.TemporaryDirectory(prefix="kerastorch-") as folder:
                yield entry, Path(folder)
