"""The rooms of gbench and the arrows between them: who imports whom, from the files themselves.

A room is a folder in gbench with all that lies below it, or a file there. Every import counts,
those within functions and those for types alone as well. Prints rooms with their files and lines,
from the ground floor (what imports no other room) up; then circles of files and of rooms.
    python scripts/import_graph.py [--check] [FOLDER]    # --check: exit 1 at a circle
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
LINKS = ("conf", "kernels")  # in gbench/ links to rooms beside it: YAML, and operations

Graph = Mapping[str, set[str]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    files = modules(args.folder)
    graph = {name: imports(path, files) - {name} for name, path in files.items()}
    rooms = between({name: room(name) for name in files}, graph)
    circles = {"files": circles_of(graph), "rooms": circles_of(rooms)}
    if not args.check:
        show(files, rooms, circles["rooms"])
    for kind, found in circles.items():
        print(f"{len(found)} circles of {kind}")
        for circle in found:
            arrows = (
                f"{a} -> {b}" for a in circle for b in sorted(graph.get(a, ())) if b in circle
            )
            print(f"  {', '.join(circle)}", *(arrows if kind == "files" else ()), sep="\n    ")
    if args.check or not circles["rooms"]:
        return int(any(circles.values()))
    print(f"{len(climbing(rooms))} arrows that run back up: {', '.join(climbing(rooms))}")
    return 1


def modules(folder: Path) -> dict[str, Path]:
    """Every Python file of the package, by its dotted name."""
    found = {}
    for path in sorted((folder / "gbench").rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[1] not in LINKS:
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def room(name: str) -> str:
    """The folder in gbench that a file lies below; a file that lies in gbench is its own."""
    return ".".join(name.split(".")[:2])


def imports(path: Path, files: Iterable[str]) -> set[str]:
    """The modules of the package that a file names in an import."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & {*files}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found |= {whole if whole in files else node.module} & {*files}
    return found


def between(rooms: Mapping[str, str], graph: Graph) -> Graph:
    """The arrows between rooms."""
    found: dict[str, set[str]] = {name: set() for name in sorted({*rooms.values()})}
    for name, others in graph.items():
        found[rooms[name]] |= {rooms[other] for other in others} - {rooms[name]}
    return found


def circles_of(graph: Graph) -> list[list[str]]:
    """What reaches itself, each circle once: strongly connected components of two or more."""
    reach = {name: reached(graph, name) for name in graph}
    found = {
        tuple(sorted(other for other in reach[name] if name in reach[other])) for name in graph
    }
    return [list(circle) for circle in sorted(found) if len(circle) > 1]


def reached(graph: Graph, start: str) -> set[str]:
    """What one comes to from `start` by one arrow or more."""
    found: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


def climbing(graph: Graph) -> list[str]:
    """Few arrows without which no room is in a circle: each time the one that opens most."""
    rest = {name: set(others) for name, others in graph.items()}
    removed = []
    while circles := circles_of(rest):
        inside = [(a, b) for circle in circles for a in circle for b in rest[a] & {*circle}]

        def left(arrow: tuple[str, str]) -> tuple[int, tuple[str, str]]:
            without = {
                name: others - {arrow[1]} if name == arrow[0] else others
                for name, others in rest.items()
            }
            return sum(map(len, circles_of(without))), arrow

        start, end = min(inside, key=left)
        rest[start].discard(end)
        removed.append(f"{start} -> {end}")
    return removed


def show(files: Mapping[str, Path], rooms: Graph, circles: list[list[str]]) -> None:
    """Each room with its files and lines, floor by floor; those in a circle last."""
    sizes: dict[str, list[int]] = {name: [] for name in rooms}
    for name, path in files.items():
        sizes[room(name)].append(len(path.read_text(encoding="utf-8").splitlines()))
    circling = {name for circle in circles for name in circle}
    floors: dict[str, int] = {}
    straight = {name: others - circling for name, others in rooms.items() if name not in circling}
    for name in TopologicalSorter(straight).static_order():
        floors[name] = 1 + max((floors[other] for other in straight[name]), default=-1)
    for name in sorted(rooms, key=lambda name: (floors.get(name, len(rooms)), name)):
        floor = floors.get(name, "?")
        print(f"{floor:>3}  {name:28} {len(sizes[name]):3} files {sum(sizes[name]):6,} lines")
    arrows = sum(map(len, rooms.values()))
    print(f"{len(rooms)} rooms, {arrows} arrows, {len(files)} files")


if __name__ == "__main__":
    sys.exit(main())
