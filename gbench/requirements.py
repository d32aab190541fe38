"""Whether installed packages are of the versions that a package says it needs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement


def misfits(package: str) -> list[str]:
    """`lightning 2.5.0: gbench needs >=2.6`, for all that `package` needs or can use.

    What only an extra needs may be missing; if it is there, it has to be of a version that works.
    """
    found: list[str] = []
    for need, is_optional in _needs(package):
        try:
            installed = version(need.name)
        except PackageNotFoundError:
            if not is_optional:
                found.append(f"{need.name} is missing: {package} needs it")
            continue
        if not need.specifier.contains(installed, prereleases=True):
            found.append(f"{need.name} {installed}: {package} needs {need.specifier}")
    return found


def _needs(package: str) -> Iterator[tuple[Requirement, bool]]:
    """What a package needs on this machine, and whether only an extra of it does."""
    try:
        extras = metadata(package).get_all("Provides-Extra") or ()
        lines = requires(package) or ()
    except PackageNotFoundError:  # it runs from a folder that nobody installed
        return
    for line in lines:
        need = Requirement(line)
        of = [e for e in ("", *extras) if not need.marker or need.marker.evaluate({"extra": e})]
        if of:
            yield need, "" not in of
