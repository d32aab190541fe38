import re
import shutil
import subprocess

import pytest

from gbench.board.formats.latex import escaped, latex
from gbench.board.tables import rows

PRINTABLE = "".join(map(chr, [*range(32, 127), *range(0xA0, 0x180), 0x3B1, 0x4E2D, 0x2212, 0x221A]))
NASTY = "a_b&c%d$e#f{g}h~i^j\\k<l>m|n\"o`p'q[r]s--t---u*v=w"


@pytest.fixture
def records(make_record):
    strange = {"model.note": PRINTABLE, "model.act": NASTY}
    return [
        *(make_record(identity="a", seed=seed, test=0.81 + seed / 100) for seed in range(3)),
        make_record(strange, identity="b", model="[my] model", test=0.4, trials=60),
        make_record({"model.note": "none"}, identity="c", model="sgc", test=float("nan")),
        make_record(data="zinc", metric="mae", direction="min", split="official", test=0.4),
        make_record(data=NASTY, split=PRINTABLE),
    ]


def parsed(text):
    """(environment, cells of each line) of every tabular; raises on what LaTeX would not take.

    A reader of its own: groups and environments have to nest, and no sign with a meaning stands
    outside of a command.
    """
    tables, stack, rows, row, cell = [], [], [], [], ""
    position = 0
    while position < len(text):
        token = re.match(r"\\([a-zA-Z]+|.)|[^\\]", text[position:], re.DOTALL).group()
        position += len(token)
        if token in ("\\begin", "\\end"):
            name = re.match(r"\{(\w+)\}", text[position:]).group(1)
            position += len(name) + 2
            if token == "\\begin":
                stack.append(name)
            else:
                assert stack.pop() == name
            if name == "tabular" and token == "\\begin":
                spec = re.match(r"\{((?:[rl]|p\{0\.25\\linewidth\})+)\}", text[position:]).group(1)
                position += len(spec) + 2
                width = len(re.sub(r"\{.*?\}", "", spec))
                rows, row, cell = [], [], ""
            elif name == "tabular":
                assert not row
                assert all(len(line) == width for line in rows)
                tables.append(rows)
        elif token == "{":
            stack.append("{")
        elif token == "}":
            assert stack.pop() == "{"
        elif token == "&":
            assert stack[-1] == "tabular"
            row.append(cell.strip())
            cell = ""
        elif token == "\\\\":
            assert stack[-1] == "tabular"
            rows.append([*row, cell.strip()])
            row, cell = [], ""
        elif token == "$":
            if stack[-1] == "$":
                stack.pop()
            else:
                stack.append("$")
        elif token not in ("\\toprule", "\\midrule", "\\bottomrule"):
            assert token not in "#%^_~", text[position - 20 : position + 20]
            cell += token
    assert not stack
    return tables


def test_it_is_well_formed_whatever_the_names(records):
    tables = parsed(latex(rows(records)))
    assert len(tables) == 3
    cora = next(table for table in tables if any("DAGNN" in line[1] for line in table))
    assert cora[0][:2] == ["\\#", "model"]
    ranks = [line[0] for line in cora[1:] if line[0]]
    assert ranks == ["1", "2", "3"]
    assert [line[cora[0].index("trials")] for line in cora[1:] if line[0]] == ["", "60", ""]


def test_every_sign_is_said_and_none_is_lost():
    assert escaped("50 % of a_b & c#") == r"50 \% of a\_b \& c\#"
    assert escaped("81.5 ± 0.5 −1") == r"81.5 $\pm$ 0.5 $-$1"
    assert escaped("a--b---c") == "a-{}-b-{}-{}-c"
    assert escaped("Tönshoff") == "Tönshoff"
    assert escaped("α中\x1b") == "??\x1b"


def test_only_an_untied_best_row_is_bold(make_record):
    def bold(difference):
        records = [
            make_record(identity=name, seed=seed, test=0.8 + seed / 1000 + shift)
            for name, shift in [("a", 0), ("b", -difference)]
            for seed in range(4)
        ]
        records[-1] = make_record(identity="b", seed=3, test=0.8031 - difference)
        return latex(rows(records, ())).count(r"\textbf")

    assert (bold(0.1), bold(0.00001)) == (1, 0)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Veličković", r"Veli\v{c}kovi\'{c}"),
        ("Erdős and Rényi", r"Erd\H{o}s and Rényi"),
        ("Łukasz", r"\L{}ukasz"),
        ("中", "?"),
    ],
)
def test_names_keep_their_letters(text: str, written: str) -> None:
    assert escaped(text) == written


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no TeX here")
def test_it_compiles(records, tmp_path):
    document = [
        r"\documentclass{article}",
        r"\usepackage{booktabs}",
        r"\begin{document}",
        latex(rows(records)),
        r"\end{document}",
    ]
    (tmp_path / "table.tex").write_text("\n".join(document), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "table.tex"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (tmp_path / "table.pdf").read_bytes().startswith(b"%PDF")
