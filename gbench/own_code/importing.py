"""How Python imports modules of the user's own: those of a run from what its folder keeps of them.

A module keeps the `__file__` of the user's folder where it is still there, so that a traceback
names the file to edit and `Path(__file__).parent` has what lies beside it. Python's own library
comes before modules of the user's own, which come before installed packages.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

from gbench.errors import UserError
from gbench.own_code.closure import find, is_installed
from gbench.own_code.stated import digest as file_digest


class _Kept(SourceFileLoader):
    """Executes the kept bytes of a file under the file's own name."""

    def __init__(self, name: str, path: str, kept: Path) -> None:
        super().__init__(name, path)
        self.kept = kept

    def get_data(self, path: str) -> bytes:
        """The kept source; there is no other data of a module."""
        return self.kept.read_bytes() if path == self.path else super().get_data(path)

    def path_stats(self, path: str) -> dict[str, float]:
        """Nothing, so that no bytecode is looked for: it would be that of the edited file."""
        raise OSError


class OwnModules(MetaPathFinder):
    """Finds modules of the user's own."""

    def __init__(self) -> None:
        self.folders: list[Path] = []  # of the user, as --config-dir names them
        self.kept: Path | None = None  # the folder that has the code of a run
        self.served: dict[str, str] = {}  # digests of what was imported, by name

    @property
    def places(self) -> list[Path]:
        """Where modules are looked for, in this order."""
        return [*([self.kept] if self.kept else []), *self.folders]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As Python asks for it; None where the module is none of the user's own."""
        top, *inner = fullname.split(".")
        if top in sys.stdlib_module_names or top == "gbench":
            return None
        if self.kept is not None:
            folder = self.kept.joinpath(top, *inner).parent
            file, packages = find(fullname.rpartition(".")[2], [folder])
            if file is None and not packages:
                return None
            self._note(fullname, file)
            return self._spec(fullname, file, packages)
        if inner:
            return None
        # a mere folder would hide an installed package
        spec = PathFinder.find_spec(fullname, [str(folder) for folder in self.folders])
        if spec is None or spec.origin is None:
            return None
        self._note(fullname, Path(spec.origin))
        return spec

    def forget(self) -> None:
        """Let go of what was imported, if it would be another version now."""
        for name, digest in self.served.items():
            file, _ = find(name.rpartition(".")[2], self._folders_of(name))
            if file is None or file_digest(file) != digest:
                for other in self.served:
                    sys.modules.pop(other, None)
                self.served.clear()
                return

    def _folders_of(self, name: str) -> list[Path]:
        return [folder.joinpath(*name.split(".")[:-1]) for folder in self.places]

    def _note(self, name: str, file: Path | None) -> None:
        if file is not None:
            self.served[name] = file_digest(file)

    def _spec(self, fullname: str, file: Path | None, packages: list[Path]) -> ModuleSpec:
        """The spec of a kept module, package, or folder of them."""
        assert self.kept is not None
        beside = [
            folder / path.relative_to(self.kept) for path in packages for folder in self.folders
        ]
        locations = [str(path) for path in (*packages, *beside) if path.is_dir()]
        if file is None:
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = locations
            return spec
        if file.suffix != ".py":
            found = importlib.util.spec_from_file_location(fullname, file)
            assert found is not None
            return found
        there = (folder / file.relative_to(self.kept) for folder in self.folders)
        shown = str(next((path for path in there if path.is_file()), file))
        found = importlib.util.spec_from_file_location(
            fullname,
            shown,
            loader=_Kept(fullname, shown, file),
            submodule_search_locations=locations if packages else None,
        )
        assert found is not None
        return found


_finder = OwnModules()


def use(folders: Sequence[str | Path], kept: Path | None = None) -> None:
    """Let Python find the user's own modules: in `kept` first, then in these folders.

    What was imported from elsewhere is forgotten if it is another version. Raises UserError for a
    kept module that has the name of an installed package which is in use.
    """
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    chosen = [Path(folder).absolute() for folder in folders]
    kept = kept.absolute() if kept is not None else None
    _finder.folders, _finder.kept = chosen, kept
    _finder.forget()
    for name in {path.name.partition(".")[0] for path in kept.iterdir()} if kept else ():
        _make_room(name, chosen)
    # folders without __init__.py, and processes that are started anew
    sys.path += [place for place in map(str, _finder.places) if place not in sys.path]
    importlib.invalidate_caches()


@contextmanager
def elsewhere() -> Iterator[None]:
    """Within, another run's code may be used; afterwards this one's is found as before."""
    folders, kept = [*_finder.folders], _finder.kept
    try:
        yield
    finally:
        use(folders, kept)


def _make_room(name: str, folders: Sequence[Path]) -> None:
    """Forget modules of this name that are none of the finder's."""
    strangers = [
        other
        for other in sys.modules
        if other.partition(".")[0] == name and other not in _finder.served
    ]
    for other in strangers:
        file = getattr(sys.modules[other], "__file__", None) or ""
        if name == __name__.partition(".")[0] or is_installed(Path(file)):
            raise UserError(
                f"{folders[0] / name if folders else name}.py has the name of an installed package "
                f"that is in use ({file}): give it another name"
            )
    for other in strangers:
        del sys.modules[other]


def own_places() -> list[Path]:
    """The folders that modules of the user's own are looked for in."""
    return _finder.places
