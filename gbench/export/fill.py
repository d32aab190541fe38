"""The template with the settings of one run, and without what it did not do."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping

MARK = "  #: "


def filled(template: str, title: str, values: Mapping[str, str], holds: Collection[str]) -> str:
    """The template as a script of one run.

    `title` takes the place of its docstring. `values` are expressions, by the constants that they
    take the place of. A line that ends in a mark stays, without it, where what it names holds.
    """
    marked = [line.partition(MARK) for line in template.splitlines()]
    text = "\n".join(line for line, _, need in marked if not need or need in holds)
    lines = re.sub(r"\n{3,}(?!def |@)", "\n\n", text).splitlines()  # where others were left out
    for node in reversed(ast.parse("\n".join(lines)).body):
        if isinstance(node, ast.AnnAssign | ast.Assign):
            name = ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
            if name in values:
                lines[node.lineno - 1 : node.end_lineno] = [f"{name} = {values[name]}"]
    docstring = ast.parse(template).body[0]
    lines[: docstring.end_lineno] = [f'"""{title}"""']
    return "\n".join(lines) + "\n"
