import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from gbench.board.summary import summarise


def summary(record, folder, **options):
    console = Console(file=io.StringIO(), width=100, **options)
    summarise(record, folder, console)
    return console.file.getvalue()


GOLDEN = """\
gcn on cora, seed 3
  test accuracy   81.00 %  public split; weights of the best validation epoch, 43 of 53
  valid accuracy  79.00 %
  parameters      23,063
  time per epoch  3.1 ms   1.25 s in all, 871,000 nodes/s in training
  peak memory     512 MiB  2 CPU cores
  run             runs/cora-gcn-00000000aa-s3
  next            gbench leaderboard data=cora
"""


def test_golden_summary(make_record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = make_record(seed=3)
    assert summary(record, Path("runs/cora-gcn-00000000aa-s3")) == GOLDEN
    assert summary(record, tmp_path / "runs/cora-gcn-00000000aa-s3") == GOLDEN


def test_peaks_of_phases_stand_beside_the_device(make_record):
    peaks = {"data": 300.0, "training": 512.25, "validation": math.nan, "test": 310.0}
    text = summary(make_record(peak_memory_by_phase=peaks), Path("/elsewhere/r"))
    assert "512 MiB  2 CPU cores; data 300 MiB, training 512 MiB, test 310 MiB\n" in text


def test_a_fold_and_the_last_epoch_say_so(make_record):
    record = make_record(num_folds=10, fold=4, selection="last-epoch", metric="mae", test=0.41234)
    text = summary(record, Path("/elsewhere/r"))
    assert (
        "test mae        0.4123   public split, fold 4 of 0–9; weights of the last epoch, 53"
        in text
    )


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        ("elsewhere/r", "gbench leaderboard elsewhere data=cora"),
        ("my runs/r", "gbench leaderboard 'my runs' data=cora"),
        ("/data/runs/r", "gbench leaderboard /data/runs data=cora"),
    ],
)
def test_the_next_command_can_be_pasted(make_record, tmp_path, monkeypatch, folder, command):
    monkeypatch.chdir(tmp_path)
    last = summary(make_record(), Path(folder)).splitlines()[-1]
    assert last == f"  next            {command}"


def test_a_terminal_gets_styles_and_the_same_words(make_record):
    styled = summary(make_record(), Path("r"), force_terminal=True, color_system="standard")
    assert "\x1b[1m" in styled
    assert "\x1b" not in summary(make_record(), Path("r"))


def test_a_published_setting_shows_what_its_paper_prints(make_record):
    text = summary(make_record({"experiment": "sgc-citeseer"}), Path("r"))
    assert "\n  published       71.9 ± 0.1 %  Wu et al. (SGC), ICML 2019, Table 2\n" in text
    assert "published" not in summary(make_record({"experiment": None}), Path("r"))
