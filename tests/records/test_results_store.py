import json

import pytest

from gbench.errors import UserError
from gbench.records.find import Problem, find


def test_find_loads_one_level_and_skips_unfinished_runs(make_record, save, tmp_path):
    runs = tmp_path / "läufe mit leerzeichen"
    for seed in (2, 1):
        save(make_record(seed=seed, run=f"r{seed}"), runs)
    save(make_record(seed=3, run="r1-of-before"), runs / "replaced")
    save(make_record(seed=4, run="deeper"), runs / "r1" / "checkpoints")
    save(make_record(seed=5, run="replaced"), runs / "nested")
    (runs / "unfinished").mkdir()
    (runs / "notes.txt").write_text("not a run")
    (runs / "r1" / ".record.json.123-abcd").write_text("{")
    records, problems = find([runs])
    assert [record.seed for record in records] == [1, 2]
    assert problems == []


def test_several_folders_merge_and_one_given_twice_counts_once(make_record, save, tmp_path):
    save(make_record(seed=1, run="a"), tmp_path / "here")
    save(make_record(seed=2, run="b"), tmp_path / "there")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    records, _ = find(
        [tmp_path / "here", tmp_path / "there", f"{tmp_path}/here/", tmp_path / "link"]
    )
    assert sorted(record.seed for record in records) == [1, 2]


def test_damaged_and_newer_records_are_left_out_with_their_reason(make_record, save, tmp_path):
    save(make_record(run="good"), tmp_path)
    newer = save(make_record(run="newer"), tmp_path)
    newer.write_text(json.dumps(json.loads(newer.read_text()) | {"schema": 9}))
    cut = save(make_record(run="cut"), tmp_path)
    cut.write_text(cut.read_text()[:-20])
    (tmp_path / "folder" / "record.json").mkdir(parents=True)
    records, problems = find([tmp_path])
    assert [record.run for record in records] == ["good"]
    reasons = {path.rpartition(f"{tmp_path}/")[2]: reason for path, reason in problems}
    assert reasons.keys() == {"newer/record.json", "cut/record.json", "folder/record.json"}
    assert reasons["newer/record.json"].startswith("schema 9 is newer")
    assert reasons["cut/record.json"].startswith("not valid JSON")
    assert reasons["folder/record.json"] == "Is a directory"
    assert all(isinstance(problem, Problem) for problem in problems)


def test_a_record_longer_than_one_read_is_whole(make_record, save, tmp_path):
    record = make_record({"model.padding": ["x" * 1000] * 200})
    save(record, tmp_path)
    assert find([tmp_path]) == ([record], [])


def test_a_missing_folder_says_what_to_type(tmp_path):
    with pytest.raises(UserError, match=r"(?s)'.*nowhere'.*No such file.*gbench train"):
        find([tmp_path / "nowhere"])
