import json
import math
import os
import subprocess
import sys
from dataclasses import fields, replace

import pytest

from gbench.errors import UserError
from gbench.records.record import SCHEMA, RunRecord, read, write


def test_a_record_survives_the_way_through_json(make_record):
    record = make_record({"model.name": "gïn | ✓"}, git=None, seed=2**40)
    assert RunRecord.from_json(record.to_json()) == record


def test_the_file_is_plain_json_with_the_schema_first_and_one_line_per_key(make_record):
    text = make_record().to_json()
    values = json.loads(text)
    assert next(iter(values)) == "schema"
    assert values["schema"] == SCHEMA == 1
    assert set(values) == {field.name for field in fields(RunRecord)}
    assert text.count("\n") == len(values) + 2


def test_figures_that_are_not_finite_become_null_and_come_back_as_nan(make_record):
    record = make_record(
        {"trainer.max_time": math.inf}, test=math.nan, valid=math.inf, peak_memory_mib=-math.inf
    )
    values = json.loads(record.to_json(), parse_constant=pytest.fail)
    assert values["test"] is values["valid"] is values["peak_memory_mib"] is None
    assert values["config"]["trainer"]["max_time"] is None
    back = RunRecord.from_json(record.to_json())
    assert math.isnan(back.test)
    assert math.isnan(back.valid)
    assert back.seconds_total == record.seconds_total


def test_a_peak_that_cannot_be_told_is_null_and_comes_back_as_nan(make_record):
    peaks = {"data": 300.5, "training": 512.25, "validation": math.nan, "test": 310.0}
    record = make_record(peak_memory_by_phase=peaks)
    assert json.loads(record.to_json())["peak_memory_by_phase"] == peaks | {"validation": None}
    back = RunRecord.from_json(record.to_json()).peak_memory_by_phase
    assert math.isnan(back.pop("validation"))
    assert back == {"data": 300.5, "training": 512.25, "test": 310.0}


def test_unknown_keys_of_the_same_schema_are_ignored(make_record):
    record = make_record()
    values = {"phase_of_the_moon": 3, **json.loads(record.to_json())}
    assert RunRecord.from_json(json.dumps(values)) == record


def test_a_record_from_before_a_key_existed_has_its_usual_value(make_record):
    values = json.loads(make_record().to_json())
    del values["curve"], values["also"], values["trials"], values["statistics"]
    del values["peak_memory_by_phase"], values["dense_products"]
    record = RunRecord.from_json(json.dumps(values))
    assert (record.curve, record.also, record.trials) == ([], {}, 1)
    assert record.statistics == record.peak_memory_by_phase == record.dense_products == {}


def test_a_curve_survives_the_way_through_json_with_null_for_what_is_not_finite(make_record):
    record = make_record(curve=[0.5, math.nan, 1.0], trials=60, selection="best-mean-epoch")
    back = RunRecord.from_json(record.to_json())
    assert json.loads(record.to_json())["curve"] == [0.5, None, 1.0]
    assert back.curve[::2] == [0.5, 1.0]
    assert math.isnan(back.curve[1])
    assert back.trials == 60


def test_whole_numbers_written_by_hand_are_figures_too(make_record):
    values = {**json.loads(make_record().to_json()), "seconds_total": 3}
    seconds = RunRecord.from_json(json.dumps(values)).seconds_total
    assert (seconds, type(seconds)) == (3.0, float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": SCHEMA + 1}, "schema 2 is newer than this gbench reads (1): upgrade gbench"),
        ({"schema": 0}, "there is no schema 0; this gbench reads 1"),
        ({"schema": "1"}, "not a gbench record: it has no 'schema' number"),
        ({"test": "0.81"}, "'test' is \"0.81\", not a number or null"),
        ({"seed": True}, "'seed' is true, not a whole number"),
        ({"seed": 1.5}, "'seed' is 1.5, not a whole number"),
        ({"num_parameters": 10**400}, f"'num_parameters' is 1{'0' * 38}…, not a whole number"),
        ({"also": []}, "'also' is [], not an object of objects of numbers"),
        ({"also": {"ece": 1.0}}, "'also' has 1.0 of \"ece\", not valid and test"),
        ({"also": {"ece": {"valid": 1, "test": "x"}}}, "not a list of numbers"),
        ({"trials": 1.5}, "'trials' is 1.5, not a whole number"),
        ({"curve": 0.5}, "'curve' is 0.5, not a list of numbers"),
        ({"curve": [0.5, "x"]}, "'curve' is [0.5, \"x\"], not a list of numbers"),
        ({"selection": "best-test"}, "not one of best-validation, last-epoch, best-mean-epoch"),
        ({"data": None}, "'data' is null, not a string"),
        ({"config": []}, "'config' is [], not an object"),
        ({"git": "abc"}, "'git' is \"abc\", not an object or null"),
        ({"direction": "up"}, "'direction' is \"up\", not one of max, min"),
        ({"finished": "last week"}, "'finished' is \"last week\", not an ISO 8601 time"),
        ({"finished": "2026-03-04T10:00:00"}, "not an ISO 8601 time with its zone"),
    ],
)
def test_a_damaged_record_says_what_is_wrong_in_one_line(make_record, change, message):
    text = json.dumps(json.loads(make_record().to_json()) | change)
    with pytest.raises(UserError) as error:
        RunRecord.from_json(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\xff", "[" * 100_000, b"\xff\xfe\xfa"])
def test_what_is_no_record_at_all_is_a_user_error(text):
    with pytest.raises(UserError, match=r"not valid JSON|not a gbench record"):
        RunRecord.from_json(text)


def test_every_field_is_required(make_record):
    later = ("curve", "also", "trials", "captured", "statistics", "chosen")
    later += ("peak_memory_by_phase", "dense_products")
    for field in (field for field in fields(RunRecord) if field.name not in later):
        values = json.loads(make_record().to_json())
        del values[field.name]
        with pytest.raises(UserError, match=field.name):
            RunRecord.from_json(json.dumps(values))


def test_every_prefix_of_a_record_is_refused(make_record):
    text = make_record().to_json().rstrip()
    for length in range(len(text)):
        with pytest.raises(UserError):
            RunRecord.from_json(text[:length])


def test_read_names_the_file(tmp_path):
    with pytest.raises(UserError, match=r"record\.json: No such file"):
        read(tmp_path / "record.json")
    (tmp_path / "record.json").write_text("{")
    with pytest.raises(UserError, match=r"record\.json: not valid JSON"):
        read(tmp_path / "record.json")


def test_write_replaces_the_old_record_and_leaves_nothing_else(make_record, tmp_path):
    write(make_record(seed=1), tmp_path)
    path = write(make_record(seed=2), tmp_path)
    assert read(path).seed == 2
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask  # others may merge it


def test_a_full_disk_leaves_the_old_record_and_no_litter(make_record, tmp_path, monkeypatch):
    path = write(make_record(seed=1), tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(make_record(seed=2), tmp_path)
    assert read(path).seed == 1
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


WRITER = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from gbench.records.record import read, write

folder = Path(sys.argv[1])
for left in range(5, 5000, 50):
    child = os.fork()
    if child == 0:
        record = read(folder / "record.json")

        def fuse(frame, event, argument):
            global left
            left -= event.endswith("call")
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(fuse)
        for seed in range(record.seed + 1, 10**9):
            write(replace(record, seed=seed), folder)
    os.waitpid(child, 0)
    print((folder / "record.json").read_text().replace("\\n", ""))
"""


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_record(make_record, tmp_path):
    """100 kills, each so many calls of functions after a writer has begun."""
    original = replace(make_record(), seed=-1)
    write(original, tmp_path)
    command = [sys.executable, "-c", WRITER, tmp_path]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    found = [json.loads(line) for line in answer.stdout.splitlines()]
    expected = json.loads(original.to_json())
    assert [{**record, "seed": -1} for record in found] == [expected] * 100
    seeds = [record["seed"] for record in found]
    assert seeds == sorted(seeds)
    assert seeds[0] == -1 and seeds[-1] > 100
