"""Tables as pandas, R and spreadsheets write them: read as they are meant, or refused in a word."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from gbench.errors import UserError
from tests.data.own_data import read, tables, told

FRAME = pandas.DataFrame(
    {
        "id": [f"n{i}" for i in range(30)],
        "f": [i % 7 + 0.5 for i in range(30)],
        "label": [i % 2 for i in range(30)],
    }
)
EDGES = pandas.DataFrame(
    {"source": FRAME["id"], "target": [*FRAME["id"][1:], "n0"], "kind": ["a", "b", "c"] * 10}
)


def as_r_writes(frame: pandas.DataFrame, *, row_names: bool, corner: bool) -> str:
    """write.csv (a corner above the row names) and write.table(sep=","), which leaves it out."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    names = [*([""] if row_names and corner else []), *frame.columns]
    writer.writerow(names)
    for i, row in enumerate(frame.itertuples(index=False)):
        writer.writerow([*([str(i + 1)] if row_names else []), *row])
    return out.getvalue()


WRITERS: dict[str, tuple[Callable[[pandas.DataFrame], str], bool]] = {  # and whether rows are named
    "pandas": (lambda frame: frame.to_csv(index=False), False),
    "pandas with an index": (lambda frame: frame.to_csv(), True),
    "pandas twice": (lambda f: pandas.read_csv(io.StringIO(f.to_csv())).to_csv(index=False), True),
    "pandas, quoted": (lambda frame: frame.to_csv(index=False, quoting=csv.QUOTE_ALL), False),
    "R write.csv": (lambda frame: as_r_writes(frame, row_names=True, corner=True), True),
    "R write.table": (lambda frame: as_r_writes(frame, row_names=True, corner=False), True),
    "R row.names=FALSE": (lambda frame: as_r_writes(frame, row_names=False, corner=True), False),
    "spreadsheet": (lambda f: "\ufeff" + f.to_csv(index=False, lineterminator="\r\n"), False),
    "old Macintosh": (lambda frame: frame.to_csv(index=False, lineterminator="\r"), False),
    "blank columns": (lambda frame: re.sub(r"(?m)$", ",,", frame.to_csv(index=False)), False),
    "commas after lines": (lambda f: re.sub(r"(?m)(?<=[\dabc])$", ",", f.to_csv(index=0)), False),
    "cleared rows": (
        lambda f: f.to_csv(index=False).replace("\nn3,", "\n,,\n ,\t,\nn3,") + ",,\n,,\n", False,
    ),
    "blanks": (lambda f: f.to_csv(index=False).replace(",", " ,  ").replace("\n", " \n"), False),
}  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
def test_every_way_to_write_a_table_is_the_same_dataset(tmp_path: Path, writer: str) -> None:
    plain = tables(
        tmp_path / "plain", nodes=FRAME.to_csv(index=False), edges=EDGES.to_csv(index=False)
    )
    write, has_names = WRITERS[writer]
    other = tables(tmp_path / "other", nodes=write(FRAME), edges=write(EDGES))
    assert read(other).fingerprint == read(plain).fingerprint
    text = told(other)
    for name in ("nodes", "edges"):
        assert (f"{name}.csv: column 1 is left out: it has no name" in text) == has_names
    assert "1 feature (f)" in text and "category kind of 3 values" in text


def test_a_cleared_row_moves_no_line_number(tmp_path: Path) -> None:
    nodes = FRAME.to_csv(index=False)
    edges = "source,target\nn0,n1\n,\n\nn1,x\n"
    with pytest.raises(UserError, match=r"edges.csv:5: column 'target': there is no node 'x'"):
        read(tables(tmp_path / "mine", nodes=nodes, edges=edges))
    edges = '"source","target"\r\n"n0","n1"\r\n,\r\nn1,x\r\n'
    with pytest.raises(UserError, match=r"edges.csv:4: column 'target': there is no node 'x'"):
        read(tables(tmp_path / "mine", nodes=nodes, edges=edges))


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_line_of_one_character_lacks_a_field(tmp_path: Path, ends: str) -> None:
    for short in ("5", "15"):
        nodes = ends.join(["id,label", "1,0", "2,1", short, ""])
        with pytest.raises(UserError, match=r"nodes.csv:4: 1 fields, but line 1 names 2 columns"):
            read(tables(tmp_path / "mine", nodes=nodes, edges="source,target\n1,2\n"))


def test_cleared_rows_of_splits(tmp_path: Path) -> None:
    parts = [("train", "valid", "test")[i % 3] for i in range(30)]
    lines = "".join(f"n{i},{part},0\n" for i, part in enumerate(parts))
    splits = f'"id","part","fold"\n{lines},,\n"","",""\n'
    folder = tables(
        tmp_path / "mine",
        nodes=FRAME.to_csv(index=False),
        edges=EDGES.to_csv(index=False),
        splits=splits,
    )
    assert [len(part) for part in read(folder).split] == [10, 10, 10]


def test_ids_with_and_without_zeros_are_two(tmp_path: Path) -> None:
    ids = [*map(str, range(10)), *(f"0{i}" for i in range(10))]
    nodes = '"id","label"\n' + "".join(f'"{name}",{i % 2}\n' for i, name in enumerate(ids))
    edges = '"source","target"\n"0","00"\n"01","1"\n'
    assert read(tables(tmp_path / "mine", nodes=nodes, edges=edges)).statistics["num_edges"] == 4


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_separators_are_named(tmp_path: Path, sign: str, name: str) -> None:
    nodes = FRAME.to_csv(index=False, sep=sign, decimal="," if sign == ";" else ".")
    with pytest.raises(UserError, match=f"nodes.csv:1: the fields are separated by {name}"):
        read(tables(tmp_path / "mine", nodes=nodes, edges=EDGES.to_csv(index=False)))


@pytest.mark.parametrize(
    "content", ["id,label\nä,1\n".encode("latin-1"), "id,label\n".encode("utf-16")]
)
def test_other_encodings_are_named(tmp_path: Path, content: bytes) -> None:
    folder = tables(tmp_path / "mine", edges=EDGES.to_csv(index=False))
    (folder / "nodes.csv").write_bytes(content)
    with pytest.raises(
        UserError, match=r"nodes.csv: it is no (UTF-8 )?text.*: save it as CSV in UTF-8"
    ):
        read(folder)


def test_a_column_that_counts_the_lines_is_told(tmp_path: Path) -> None:
    nodes = FRAME.reset_index().to_csv(index=False)
    text = told(tables(tmp_path / "mine", nodes=nodes, edges=EDGES.to_csv(index=False)))
    assert "nodes.csv: column 'index' counts the lines, and is taken as it stands" in text
    nodes = FRAME.reset_index()[::-1].to_csv(index=False)
    text = told(tables(tmp_path / "sorted", nodes=nodes, edges=EDGES.to_csv(index=False)))
    assert "column 'index' has another whole number in each line, as an id has" in text
    nodes = FRAME.assign(row=range(0, 90, 3)).to_csv(index=False)  # as filtered rows leave it
    text = told(tables(tmp_path / "gaps", nodes=nodes, edges=EDGES.to_csv(index=False)))
    assert "column 'row' has another whole number in each line, as an id has" in text


def test_numbers_that_float32_rounds_are_told(tmp_path: Path) -> None:
    edges = EDGES.to_csv(index=False)
    for last, is_told in ((2**24, False), (2**24 + 1, True)):
        nodes = FRAME.assign(code=[*[1] * 29, last]).to_csv(index=False)
        text = told(tables(tmp_path / str(last), nodes=nodes, edges=edges))
        assert ("'code' has whole numbers above 2^24, which float32 rounds" in text) is is_told


def test_row_names_before_a_column_that_begins_with_gaps(tmp_path: Path) -> None:
    frame = FRAME.assign(label=["", "", "", *[i % 2 for i in range(27)]])
    nodes = as_r_writes(frame, row_names=True, corner=False)
    text = told(tables(tmp_path / "mine", nodes=nodes, edges=EDGES.to_csv(index=False)))
    assert "3 of 30 nodes" in text and "nodes.csv: column 1 is left out" in text


@pytest.mark.parametrize("gap", ["", "NA"])
def test_weights_stay_weights_where_some_are_missing(tmp_path: Path, gap: str) -> None:
    nodes = FRAME.to_csv(index=False)
    edges = f"source,target,weight\nn0,n1,{gap}\nn1,n2,0.5\n"
    with pytest.raises(UserError, match=rf"edges.csv:2: column 'weight' has '{gap}': not a number"):
        read(tables(tmp_path / "mine", nodes=nodes, edges=edges))
    edges = f"source,target,kind\nn0,n1,{gap}\nn1,n2,3\n"
    text = told(tables(tmp_path / "whole", nodes=nodes, edges=edges))
    assert "column 'kind': 1 gaps are categories as others are" in text
    edges = "source,target,w\nn0,n1,2\nn1,n2,3\n"
    text = told(tables(tmp_path / "named", nodes=nodes, edges=edges))
    assert "column 'w' is taken for categories, not for weights" in text


def test_drawn_splits_are_no_cross_validation(tmp_path: Path) -> None:
    text = told(tables(tmp_path / "mine", nodes=FRAME.to_csv(), edges=EDGES.to_csv()))
    assert "10 random splits" in text and "no cross-validation" in text


def test_a_test_part_without_a_validation_part_is_kept(tmp_path: Path) -> None:
    splits = "id,part\n" + "".join(f"n{i},{'train' if i < 20 else 'test'}\n" for i in range(30))
    folder = tables(
        tmp_path / "mine",
        nodes=FRAME.to_csv(index=False),
        edges=EDGES.to_csv(index=False),
        splits=splits,
    )
    split = read(folder).split
    assert split.test.tolist() == [*range(20, 30)]
    assert sorted([*split.train.tolist(), *split.valid.tolist()]) == [*range(20)]
    assert len(split.valid) == 4 and "4 items, 20 % of the training part" in told(folder)


@pytest.mark.parametrize("members", [3, 2, 1])
def test_small_classes_still_make_three_parts(tmp_path: Path, members: int) -> None:
    frame = FRAME.assign(label=[i // members for i in range(30)])
    folder = tables(
        tmp_path / "mine", nodes=frame.to_csv(index=False), edges=EDGES.to_csv(index=False)
    )
    assert [len(part) for part in read(folder).split] == [18, 6, 6]


def test_two_items_cannot_be_split(tmp_path: Path) -> None:
    frame = FRAME.assign(label=["x", "y", *[""] * 28])
    folder = tables(
        tmp_path / "mine", nodes=frame.to_csv(index=False), edges=EDGES.to_csv(index=False)
    )
    with pytest.raises(
        UserError, match=r"2 nodes with a label cannot be split .* write splits.csv"
    ):
        read(folder)
