import csv
import inspect
import re
import statistics
from collections import Counter
from typing import get_args

import pytest

from gbench.board.published import FILE, _row, published_by, published_rows
from gbench.choices import choices, read_yaml, stated
from gbench.records.record import Selection

CARDS = {name: read_yaml(path) for name, path in choices("data").items()}
MEMBERS = CARDS["tu"]["names"]


def card(data):
    if data in CARDS:
        return CARDS[data]
    assert isinstance(MEMBERS[data], list)  # of the TU collection, without a file of its own
    return CARDS["tu"]


def test_every_row_stands_on_a_split_and_a_metric_that_gbench_has():
    for row in published_rows():
        facts = card(row.data)
        assert row.split in facts.get("splits", {facts["split"]: None}), row
        assert (row.metric, row.direction) == (facts["metric"], facts["direction"]), row
        assert row.selection in ("", *get_args(Selection)), row
        assert row.source, row


def test_the_file_has_the_columns_that_are_read():
    with FILE.open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == [*inspect.signature(_row).parameters]


def test_every_number_of_runs_is_stated_or_said_to_be_missing():
    for row in published_rows():
        assert (row.n is None) is ("number of runs not stated" in row.note), row
        assert (row.n == 1) is ("one run" in row.note), row
        assert row.selection or row.n is None or "Luo et al. (tuned" not in row.source, row


def test_a_population_deviation_is_compared_as_a_sample_deviation(make_published):
    stated = [row for row in published_rows() if row.is_population]
    nsd = [row for row in stated if row.split == "geom-gcn-undirected"]
    assert {row.source for row in nsd} == {"Bodnar et al. (NSD), NeurIPS 2022, Table 1"}
    assert {row.model for row in nsd} == {"Diag-NSD", "O(d)-NSD", "Gen-NSD"}
    values = [0.8, 0.84, 0.83, 0.85]
    row = make_published(std=statistics.pstdev(values), is_population=True, n=4)
    assert row.sample_std == pytest.approx(statistics.stdev(values), rel=1e-12)
    assert make_published(std=0.01).sample_std == 0.01
    assert make_published(std=None, is_population=True).sample_std is None


def test_no_result_stands_twice_in_a_table():
    """A model may have two figures by two sources or sizes, one source prints each once."""
    times = Counter(
        (row.model, row.data, row.split, row.mean, row.std, row.num_parameters)
        for row in published_rows()
        if row.std
    )
    assert [key for key, count in times.items() if count > 1] == []


def test_what_was_run_on_other_inputs_stays_out():
    for row in published_rows():
        assert not re.search(r"val(idation edges)? as input|external data|pre-trained", str(row))


def test_figures_are_fractions_as_in_records():
    for row in published_rows():
        assert 0 <= row.mean <= 1, row
        assert row.std is None or 0 <= row.std < 0.25, row
        assert row.n is None or 1 <= row.n <= 100, row
        assert row.valid is None or 0 < row.valid.mean <= 1, row
        assert 1e-5 <= row.resolution <= 1e-3, row


def test_the_digits_of_the_paper_are_kept():
    kipf = published_by("gcn-pubmed")
    assert (kipf.mean, kipf.std, kipf.n, kipf.resolution) == (0.79, None, 100, 0.001)
    assert kipf.source.startswith("Kipf and Welling")
    (mixer,) = (row for row in published_rows() if row.experiment == "graph-mlp-mixer-zinc")
    assert (mixer.mean, mixer.std, mixer.resolution) == (0.073, 0.001, 0.001)
    od_nsd = published_by("od-nsd-texas")
    assert (od_nsd.mean, od_nsd.std, od_nsd.n, od_nsd.resolution) == (0.8595, 0.0551, 10, 0.0001)
    gin = published_by("gin-ogbg-molhiv")
    assert (gin.mean, gin.valid, gin.num_parameters) == (0.7558, (0.8232, 0.009), 1885206)


def test_the_cells_that_are_swapped_in_print_are_put_right():
    cells = {
        (row.model, row.data): (row.mean, row.std)
        for row in published_rows()
        if row.split == "geom-gcn" and row.model in ("GAT", "MLP")
    }
    assert cells["MLP", "cora"] == (0.7569, 0.02)
    assert cells["MLP", "pubmed"] == (0.8716, 0.0037)
    assert cells["GAT", "cora"] == (0.873, 0.011)
    assert cells["GAT", "pubmed"] == (0.8633, 0.0048)


def test_what_was_only_recalled_is_not_there():
    with FILE.open(encoding="utf-8") as file:
        assert "?" not in file.read()
    assert not [row for row in published_rows() if row.data in ("csl", "sr25")]


def test_no_row_is_there_twice():
    with FILE.open(encoding="utf-8", newline="") as file:
        lines = [tuple(line) for line in csv.reader(file)]
    assert {len(line) for line in lines} == {15}
    assert [line for line, times in Counter(lines).items() if times > 1] == []


def test_an_experiment_reproduces_one_row_of_its_own_data_split_and_selection():
    experiments = choices("experiment")
    times = Counter(row.experiment for row in published_rows() if row.experiment)
    assert [name for name, count in times.items() if count > 1] == []
    for row in published_rows():
        if not row.experiment:
            continue
        assert row.experiment in experiments, row
        assert f"-{row.data}-" in f"-{row.experiment}-", row
        usual = row.split == card(row.data)["split"]
        split = stated("data.split", experiments, row.experiment)
        assert split == row.split or (split is None and usual), row


@pytest.mark.parametrize(
    ("model", "experiment", "name", "same"),
    [
        ("GCN", "", "gcn", True),
        ("O(d)-NSD", "", "od-nsd", True),
        ("GIN-0", "gin-cora-selects-on-test", "gin", True),
        ("GCN", "dagnn-gcn-cora", "gcn", True),
        ("GIN+virtual node", "gin-vn-cora", "gin", False),
        ("GraphSAGE", "", "sage", False),
    ],
)
def test_the_models_of_gbench_are_found_under_their_printed_names(
    make_published, model, experiment, name, same
):
    assert make_published(model=model, experiment=experiment).is_of(name) is same
