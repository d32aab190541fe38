import json
import random
import subprocess
import sys

import pytest

from gbench.choices import PACKAGED, read_yaml
from gbench.config.identity import BEFORE, identity, on_hardware, run_name, same_setting


def shuffled(value, draw):
    if not isinstance(value, dict):
        return value
    keys = draw.sample(list(value), len(value))
    return {key: shuffled(value[key], draw) for key in keys}


def test_key_order_does_not_matter(make_config):
    config = make_config({})
    draw = random.Random(0)
    assert len({identity(shuffled(config, draw)) for _ in range(20)} | {identity(config)}) == 1


def test_it_is_ten_hex_digits_and_the_same_in_every_process(make_config):
    config = make_config({})
    script = (
        "import json, sys\n"
        "from gbench.config.identity import identity\n"
        "print(identity(json.load(sys.stdin)))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(config),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "12345"},
    )
    assert other.stdout.strip() == identity(config)
    assert len(identity(config)) == 10
    int(identity(config), 16)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 7},
        {"data.fold": 3},
        {"runs_dir": "elsewhere"},
        {"data_dir": "/data"},
        {"cache_dir": "/cache"},
        {"logger": "wandb"},
        {"data.folder": "other"},
        {"data.citation": "with a typo mended"},
        {"data.licence": "CC0"},
        {"data.source": "https://mirror.example.org"},
        {"data.download": {}},
        {"data.statistics": {}},
        {"model.levels": ["node"]},
        {"trainer.enable_progress_bar": True},
        {"optim.lr": 1e-2},
        {"model.hidden_dim": 16.0},
        {"trainer.max_epochs": 2e2},
    ],
)
def test_what_cannot_move_a_result_does_not_count(make_config, change):
    assert identity(make_config(change)) == identity(make_config({}))


@pytest.mark.parametrize(
    "change",
    [
        {"model.name": "gat"},
        {"model._target_": "mine.GCN"},
        {"model.hidden_dim": 17},
        {"model.dropout": 0.50001},
        {"model.new": None},
        {"data.name": "citeseer"},
        {"data.split": "random"},
        {"data.num_folds": 10},
        {"data.normalize_features": False},
        {"optim.lr": 0.011},
        {"optim.decay_only": ["conv2"]},
        {"optim.batch_size": 32},
        {"trainer.max_epochs": 201},
        {"trainer.select": "last-epoch"},
        {"trainer.precision": "bf16-mixed"},
        {"trainer.matmul": "high"},
    ],
)
def test_what_can_move_a_result_counts(make_config, change):
    assert identity(make_config(change)) != identity(make_config({}))


def test_a_setting_that_came_later_counts_where_it_says_something(make_config):
    usual = read_yaml(PACKAGED / "train.yaml")
    for section, settings in BEFORE.items():
        assert {key: usual[section][key] for key in settings} == settings
        before = identity(make_config({}))
        for key, value in settings.items():
            assert identity(make_config({f"{section}.{key}": value})) == before
            other = {dict: {"momentum": 0.9}, list: [{"match": "*", "lr": 1}], str: "metric"}
            assert identity(make_config({f"{section}.{key}": other.get(type(value), 3)})) != before


def test_true_is_not_one(make_config):
    assert identity(make_config({"model.x": True})) != identity(make_config({"model.x": 1}))


def test_the_config_itself_is_left_alone(make_config):
    config = make_config({"model.dropout": 0.0})
    before = json.dumps(config)
    identity(config)
    assert json.dumps(config) == before


def test_the_run_name_has_a_fold_only_where_there_are_folds(make_config):
    config = make_config({"seed": 3, "data.fold": 0})
    assert run_name(config) == f"cora-gcn-{identity(config)}-s3"
    config = make_config({"data.name": "texas", "data.num_folds": 10, "data.fold": 4})
    assert run_name(config) == f"texas-gcn-{identity(config)}-s0-f4"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"seed": 3, "data.fold": 1, "logger": "none"}, True),
        ({"trainer.accelerator": "gpu", "trainer.devices": 4}, True),
        ({"trainer.precision": "16-mixed"}, True),
        ({"trainer.matmul": "high"}, True),
        ({"model.dropout": 0.5}, True),
        ({"trainer.max_epochs": 10}, False),
        ({"model.hidden_dim": 64}, False),
        ({"encoding": {"name": "rwse"}}, False),
        ({"data.split": "random"}, False),
    ],
)
def test_a_setting_is_the_same_on_any_hardware(make_config, change, same):
    assert same_setting(make_config(change), make_config({})) is same


def test_a_predictor_counts_only_where_links_are_predicted(make_config):
    link, changed = {"predictor": {"num_layers": 3}}, {"predictor": {"num_layers": 2}}
    assert same_setting(make_config({}), make_config(link))
    assert not same_setting(make_config(changed), make_config(link))


def test_what_a_run_computes_on_is_told_by_itself():
    settings = {"trainer.precision": "16-mixed", "trainer.patience": 3, "model.devices": 2}
    assert on_hardware(settings) == {"trainer.precision": "16-mixed"}
