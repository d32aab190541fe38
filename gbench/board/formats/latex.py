r"""Leaderboard tables as LaTeX: one `table` with booktabs rules for each, for `\input`.

Plain pdflatex compiles it; the preamble needs `\usepackage{booktabs}` and nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from gbench.board.columns import Shown, columns
from gbench.board.notes import footnotes, is_best, lines, sources, title
from gbench.board.tables import Row, Table
from gbench.board.worth_text import worth_line

_WIDEST_SETTINGS = 30  # letters
_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "[": "{[}",  # after \\ a bracket would be its argument
    "]": "{]}",
    **{sign: f"\\{sign}" for sign in "&%$#_"},
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\dots{}",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "∥": r"$\parallel$",
    "§": r"\S{}",
    "¶": r"\P{}",
    "*": "$*$",
    "=": "$=$",
    "√": r"$\surd$",
    "ł": r"\l{}",
    "Ł": r"\L{}",
}
_ACCENTS = {  # combining marks
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}


def latex(tables: Sequence[Table]) -> str:
    """Best test figure bold unless another cannot be told apart from it, published rows italic."""
    return "\n".join(map(_table, tables))


def _table(table: Table) -> str:
    shown = [column for column in columns(table) if column.prints]
    body = []
    for row, cells in zip(
        lines(table), zip(*(column.cells for column in shown), strict=True), strict=True
    ):
        styled = {column.key: escaped(cell) for column, cell in zip(shown, cells, strict=True)}
        if is_best(row):
            styled["test"] = rf"\textbf{{{styled['test']}}}"
        if not isinstance(row, Row):
            styled["model"] = rf"\textit{{{styled['model']}}}"
        body.append(f"    {' & '.join(styled.values())} \\\\")
    told = (worth_line(table), *footnotes(table), *sources(table))
    notes = [escaped(note) for note in told if note]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            r"  \footnotesize",
            r"  \setlength{\tabcolsep}{4pt}",
            rf"  \caption{{{escaped(title(table))}}}",
            rf"  \begin{{tabular}}{{{''.join(map(_alignment, shown))}}}",
            r"    \toprule",
            f"    {' & '.join(escaped(column.head) for column in shown)} \\\\",
            r"    \midrule",
            *body,
            r"    \bottomrule",
            r"  \end{tabular}",
            *(rf"  \par\footnotesize\raggedright {note}" for note in notes),
            r"\end{table}",
            "",
        ]
    )


def _alignment(column: Shown) -> str:
    if column.key == "settings" and column.width > _WIDEST_SETTINGS:
        return r"p{0.25\linewidth}"  # these wrap
    return "r" if column.right else "l"


def escaped(text: str) -> str:
    """Text as LaTeX prints it; a letter that plain pdflatex has no sign for becomes a ?."""
    signs = "".join(_SIGNS.get(c, c if _is_set_up(c) else _accented(c)) for c in text)
    return re.sub("-(?=-)", "-{}", signs)  # two hyphens would become a dash


def _accented(character: str) -> str:
    letter, *marks = [*unicodedata.normalize("NFD", character)]
    if len(marks) != 1 or marks[0] not in _ACCENTS or not letter.isascii():
        return "?"
    return rf"\{_ACCENTS[marks[0]]}{{{letter}}}"


def _is_set_up(character: str) -> bool:
    """ASCII, and the accented letters of Latin-1 that are in LaTeX's default encoding."""
    return character.isascii() or ("À" <= character <= "ÿ" and character not in "ÐÞðþ÷")
