"""Composition: what is chosen, what is refused, and what a refusal says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gbench.choices import GROUPS, PACKAGED, choices, description
from gbench.config.compose import compose, load
from gbench.config.experiment import experiment_of_pair
from gbench.config.identity import identity
from gbench.data.manage import card_of
from gbench.data.spec import DataCard
from gbench.errors import UserError

MODELS, DATASETS = choices("model"), choices("data")


def refused(*overrides: str) -> str:
    with pytest.raises(UserError) as error:
        compose(overrides)
    return str(error.value)


def test_default_is_gin_on_digits() -> None:
    config = compose([])
    assert (config["model"]["name"], config["data"]["name"], config["seed"]) == ("gin", "digits", 0)


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_says_in_one_line_what_it_is(group: str) -> None:
    assert choices(group)
    for name, path in choices(group).items():
        assert 10 < len(description(path)) < 120, name


# one dataset of each level, and with one model every dataset that no experiment composes: what
# differs between datasets of a level does not concern a model here
PAIRS = [(model, data) for model in MODELS for data in ("cora", "ogbg-molhiv", "ogbl-ddi")]
COMPOSED = {data for data in DATASETS if any(f"-{data}" in name for name in choices("experiment"))}
PAIRS += [("gin", data) for data in DATASETS if data not in {"tu", "folder"} | COMPOSED]  # ask more


@pytest.mark.parametrize(("model", "data"), dict.fromkeys(PAIRS))
def test_a_model_composes_with_a_dataset_or_says_why_not(model: str, data: str) -> None:
    settings = yaml.safe_load(MODELS[model].read_text())
    while "levels" not in settings["model"]:  # gen-nsd is diag-nsd with other maps
        settings = yaml.safe_load(MODELS[settings["defaults"][0]].read_text())
    levels = settings["model"]["levels"]
    level = yaml.safe_load(DATASETS[data].read_text())["level"]
    is_network = settings["model"].get("is_network", True)
    predicts_links = "node" in levels and is_network
    if level in levels or (level == "link" and predicts_links):
        config = compose([f"model={model}", f"data={data}"])
        assert (config["model"]["name"], config["data"]["name"]) == (model, data)
    else:
        message = refused(f"model={model}", f"data={data}")
        assert f"{model} works on" in message
        assert f"{data} is {level}-level" in message
        kind = "models" if is_network else "methods without a network"
        fit = message.split(f"{kind} that fit are ")[1].split(", ")
        assert model not in fit
        assert ("gcn" in fit) == is_network
        assert ("gin-vn" in fit) == (is_network and level == "graph")
        assert ("sgc" in fit) == (is_network and level != "graph")
        assert ("counts" in fit) == (not is_network and level == "graph")
        assert ("common-neighbours" in fit) == (not is_network and level == "link")


@pytest.mark.parametrize("name", choices("experiment"))
def test_an_experiment_is_what_its_pair_gets_by_itself(name: str) -> None:
    by_name = compose([f"experiment={name}"])
    model, data = by_name["model"]["name"], by_name["data"]["name"]
    split = by_name["data"]["split"]
    pair, typed = {"model": model, "data": data}, [f"data.split={split}"]
    if name == f"{model}-{data}":
        assert experiment_of_pair(pair, [], []) == {"experiment": name}
        assert experiment_of_pair(pair, typed, []) == {"experiment": name}
    elif name == f"{model}-{data}-{split}":
        assert experiment_of_pair(pair, typed, []) == {"experiment": name}
    else:  # of another paper than the model's own, which its name begins with
        assert name.endswith((f"-{model}-{data}", f"-{model}-{data}-{split}"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        # (max_epochs, select) tell which of them, if any, was chosen
        (["model=gin", "data=mutag"], (350, "best")),
        (["model=gin", "data=mutag", "data.split=nested-10-fold"], (350, "best")),
        (
            ["model=gin", "data=mutag", "data.split=gin-10-fold-selects-on-test"],
            (350, "best-mean-epoch"),
        ),
        (["model=gcn", "data=cora", "data.split=public"], (200, "last")),
        (["model=gcn", "data=cora", "data.split=geom-gcn"], (100, "best")),  # there is none
        # the experiment has a split of its own, which is not the dataset's usual one
        (["model=od-nsd", "data=texas", "data.split=geom-gcn-undirected"], (1500, "loss")),
        (["model=gen-nsd", "data=wisconsin"], (500, "loss")),
        (["model=gen-nsd", "data=wisconsin", "data.split=geom-gcn-undirected"], (500, "loss")),
        (["model=gen-nsd", "data=wisconsin", "data.split=geom-gcn"], (1500, "metric")),
    ],
)
def test_the_split_decides_which_experiment_a_pair_gets(
    words: list[str], expected: tuple[int, str]
) -> None:
    trainer = compose(words)["trainer"]
    said = trainer["monitor"] if "nsd" in words[0] else trainer["select"]
    assert (trainer["max_epochs"], said) == expected
    assert compose([*words, "experiment=null"])["trainer"]["max_epochs"] in (100, 1500)


@pytest.mark.parametrize("group", ["trainer", "logger"])
def test_every_trainer_and_logger_composes(group: str) -> None:
    for name in choices(group):
        assert compose([f"{group}={name}"])[group]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gcn-citeseer", ["model=gcn", "data=citeseer"]),
        ("gen-nsd-texas", ["model=gen-nsd", "data=texas"]),
        ("dagnn-cora-random", ["model=dagnn", "data=cora", "data.split=random"]),
    ],
)
def test_a_pair_composes_to_the_very_config_of_its_experiment(name: str, words: list[str]) -> None:
    assert compose(words) == compose([f"experiment={name}"])
    assert compose(words) != compose([*words, "experiment=null"])


def test_folders_are_those_of_where_the_run_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = compose(["data_dir=raw", "cache_dir='~/derived'"])
    assert config["data_dir"] == str(tmp_path / "raw")
    assert config["cache_dir"] == str(Path.home() / "derived")
    assert compose([])["data_dir"] is None


def test_command_line_wins_over_experiment_and_model() -> None:
    config = compose(["model=gcn", "data=cora", "model.hidden_dim=64", "trainer.max_epochs=7"])
    assert config["model"]["hidden_dim"] == 64
    assert config["trainer"]["max_epochs"] == 7


def test_a_debug_trainer_wins_over_an_experiment() -> None:
    config = compose(["model=gcn", "data=cora", "trainer=debug"])
    assert config["trainer"]["max_epochs"] == 2


def test_a_debug_trainer_has_no_warm_up() -> None:
    assert compose(["model=gps", "data=mutag"])["optim"]["warmup_epochs"] == 5
    assert compose(["model=gps", "data=mutag", "trainer=debug"])["optim"]["warmup_epochs"] == 0


def test_an_integer_for_a_number_becomes_that_number() -> None:
    rate = compose(["optim.lr=1"])["optim"]["lr"]
    assert rate == 1.0
    assert isinstance(rate, float)


def test_scientific_notation_is_a_number() -> None:
    assert compose(["optim.lr=1e-3"])["optim"]["lr"] == 0.001


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model=ginn", "unknown model 'ginn': did you mean 'gin'? available: "),
        ("data=corra", "unknown dataset 'corra': did you mean 'cora'?"),
        ("logger=wandbb", "did you mean 'wandb'?"),
        ("trainer=gpuu", "did you mean 'gpu'?"),
        ("experiment=gcn-corra", "did you mean 'gcn-cora'?"),
        ("model=", "unknown model ''"),
        ("model", "'model' is not a setting: type key=value"),
        ("~model", "choose a model with model=NAME"),
        ("model=gcn,gin", "names several runs"),
        ("model.hiden_dim=3", "did you mean 'model.hidden_dim'?"),
        ("moddel.hidden_dim=3", "did you mean 'model'?"),
        ("sed=3", "did you mean 'seed'?"),
        ("optim.lrr=1", "did you mean 'optim.lr'?"),
        ("+optim.nesterov=1", "unknown setting 'optim.nesterov'"),
        ("~optim.lr", "can be changed but not removed"),
        ("optim=3", "optim is a group of settings"),
        ("optim.lr=fast", "expected a number, such as"),
        ("optim.lr=true", "expected a number, such as"),
        ("seed=1.5", "expected a whole number"),
        ("seed=-1", "at least 0"),
        ("model.learn_eps=1", "expected true or false"),
        ("model.hidden_dim=null", "expected a whole number"),
        ("model.hidden_dim=0", "at least 1"),
        ("model.dropout=1", "at least 0 and below 1"),
        ("model.readout=median", "one of mean, sum, max"),
        ("optim.lr=nan", "above 0"),
        ("optim.lr=[", "not a value that optim.lr can take"),
        ("trainer.max_epochs=1,2", "trainer.max_epochs"),
        ("trainer.select=test", "one of best, last, best-mean-epoch"),
        ("trainer.monitor=accuracy", "one of metric, loss, objective"),
        ("optim.schedule=cosin", "one of constant, step, plateau"),
        ("optim.lr_every=10", "no effect with optim.schedule=constant"),
        ("optim.min_lr=1e-5", "or add optim.schedule=plateau"),
        ("optim.lr_factor=0.1", "or add optim.schedule=step or optim.schedule=plateau"),
        ("optim.rho=0.1", "no effect with optim.optimizer=adam: leave it out"),
        ("optim.decay_of_others=0.1", "no effect without optim.decay_prefix"),
        ("trainer.stop=window", "no effect with trainer.patience=0"),
        ("trainer.select=best-mean-epoch", "take a split that says selects-on-test"),
        ("trainer.precision=64-true", "one of 32-true, bf16-mixed, 16-mixed"),
        ("trainer.matmul=tf32", "one of highest, high, medium"),
        ("trainer.matmul=true", "expected a word, such as highest"),
        ("trainer.cuda_graphs=1", "expected auto, on or off"),
        ("trainer.cuda_graphs=0", "expected auto, on or off"),
        ("data.fold=1", "digits has folds 0 to 0"),
        ("data.metric=rocauc", "owns its metric"),
        ("data.num_folds=99", "owns its num_folds"),
        ("++data.metric=mae", "owns its metric"),
        ("+data.evaluator=ogbg-molhiv", "owns its evaluator"),
        ("~data.statistics", "owns its statistics"),
        ("data.statistics.num_nodes=1", "owns its statistics"),
        ("data.name=cora", "owns its name"),
        ("++model._target_=torch.nn.Linear", "make a model of your own"),
        ("runs_dir=${nowhere}", "nowhere"),
        ("encoding.steps=3", "choose another first, as in encoding=NAME encoding.steps=3"),
    ],
)
def test_a_wrong_override_is_refused_and_says_what_to_type(override: str, says: str) -> None:
    assert says in refused(override)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["model=gcn", "data=cora", "optim.steps_per_epoch=5"], "cora is node-level"),
        (["optim.optimizer=asam", "trainer.precision=16-mixed"], "take bf16-mixed or 32-true"),
        (
            ["optim.optimizer=asam", "+trainer.accumulate_grad_batches=2"],
            "leave out trainer.accumulate_grad_batches",
        ),
        (
            ["model=gin", "data=mutag", "data.split=gin-10-fold-selects-on-test",
             "trainer.patience=5"],
            "all must run as long",
        ),
        (
            ["model=gin", "data=mutag", "data.split=gin-10-fold-selects-on-test",
             "optim.schedule=plateau"],
            "all must run as long",
        ),
        (["optim.schedule=step", "optim.lr_patience=3"], "optim.schedule=step: leave it out"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together_are_refused(words: list[str], says: str) -> None:
    assert says in refused(*words)


def test_a_setting_is_accepted_where_something_reads_it() -> None:
    compose(["optim.schedule=plateau", "optim.lr_patience=3", "optim.min_lr=0.0001"])
    compose(["optim.optimizer=asam", "optim.rho=0.1", "trainer.precision=bf16-mixed"])
    compose(["model=gin", "data=mutag", "optim.lr_every=20"])  # the experiment's schedule is step
    compose(["optim.decay_prefix=heads.", "optim.decay_of_others=0.1"])
    compose(["trainer.stop=window", "trainer.patience=5"])


def test_runs_from_before_a_setting_existed_have_its_usual_value(tmp_path: Path) -> None:
    config = compose([])
    del config["optim"]["schedule"], config["trainer"]["monitor"]
    config["optim"]["lr"] = 0.5
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    loaded = load(tmp_path / "config.yaml")
    assert (loaded["optim"]["schedule"], loaded["trainer"]["monitor"]) == ("constant", "metric")
    assert loaded["optim"]["lr"] == 0.5


def test_composing_and_refusing_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from gbench.config.compose import compose\n"
        "from gbench.errors import UserError\n"
        "compose(['model=gcn', 'data=cora'])\n"
        "try: compose(['model=ginn'])\n"
        "except UserError: pass\n"
        "print([m for m in ('torch', 'lightning', 'torch_geometric', 'ogb') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_a_user_folder_adds_choices(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    text = "# @package _global_\n# mine\nmodel:\n  _target_: my.M\n  levels: [node]\n  width: 3\n"
    (tmp_path / "model" / "mine.yaml").write_text(text)
    config = compose(["model=mine", "data=csbm", "model.width=4"], [tmp_path])
    expected = {"name": "mine", "_target_": "my.M", "levels": ["node"], "width": 4}
    assert config["model"] == expected
    with pytest.raises(UserError, match="did you mean 'mine'"):
        compose(["model=mien"], [tmp_path])


def test_a_name_of_ones_own_takes_the_place_of_gbenchs_and_says_so(tmp_path: Path) -> None:
    mine, more = tmp_path / "mine", tmp_path / "more"
    for folder in (mine, more):
        (folder / "model").mkdir(parents=True)
    text = "# @package _global_\n# mine\nmodel:\n  _target_: my.M\n  width: 3\n"
    (mine / "model" / "gcn.yaml").write_text(text)
    for folders in ([mine, more], [more, mine]):
        config = compose(["model=gcn", "data=cora"], folders)
        assert config["model"] == {"name": "own-gcn", "_target_": "my.M", "width": 3}
        # nothing that a paper published is held against it
        assert config["experiment"] is None
        assert config["optim"] == compose(["model=gcn", "data=csbm"], folders)["optim"]
    assert compose(["experiment=gcn-cora"], [mine])["experiment"] is None
    assert compose(["model=gin", "data=cora"], [mine])["model"]["name"] == "gin"
    assert compose(["experiment=sgc-cora"], [mine])["experiment"] == "sgc-cora"
    (more / "model" / "gcn.yaml").write_text(text)
    with pytest.raises(UserError, match="there is a model 'gcn' already"):
        compose([], [mine, more])
    (more / "model" / "gcn.yaml").write_text(text.replace("# mine", "defaults: [gcn]"))
    with pytest.raises(UserError, match="builds on gcn, which is itself"):
        compose(["model=gcn"], [more])


def test_data_of_ones_own_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    text = (PACKAGED / "data" / "csbm.yaml").read_text()
    (tmp_path / "data" / "csbm.yaml").write_text(text)
    config = compose(["model=gcn", "data=csbm", "data.num_nodes=50"], [tmp_path])
    assert config["data"]["name"] == "own-csbm"
    assert DataCard.from_config(config["data"]).title == "own-csbm num_nodes=50"
    assert card_of("csbm", [tmp_path]).name == "own-csbm"


def test_a_missing_config_dir_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        compose([], [tmp_path / "absent"])


def test_a_changed_loader_option_makes_another_dataset() -> None:
    def title(*overrides: str) -> str:
        return DataCard.from_config(compose(["model=gcn", "data=csbm", *overrides])["data"]).title

    assert title("data.fold=3") == "csbm"
    assert title("data.signal=1.0", "data.homophily=0.2") == "csbm homophily=0.2 signal=1.0"


TWO_SPLITS = """
_target_: mine.load
split: public
splits:
  public:
  random:
    num_folds: 3
    statistics: {num_test: 7}
    download: [{url: "http://127.0.0.1:9", files: {"masks.csv": null}}]
  on-test:
    parts: valid-is-test
level: graph
loss: cross-entropy
metric: accuracy
direction: max
num_folds: 1
fold: 0
statistics: {num_train: 5, num_test: 9}
source: here
licence: CC0
citation: none
"""


@pytest.fixture
def two_splits(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text("# a dataset with three protocols" + TWO_SPLITS)
    return tmp_path


def test_a_split_brings_its_own_facts(two_splits: Path) -> None:
    usual = compose(["model=gin", "data=mine"], [two_splits])["data"]
    assert (usual["split"], usual["num_folds"]) == ("public", 1)
    assert usual["splits"] == ["public", "random", "on-test"]
    assert usual["statistics"] == {"num_train": 5, "num_test": 9}

    config = compose(["model=gin", "data=mine", "data.split=random", "data.fold=2"], [two_splits])
    data = config["data"]
    assert (data["split"], data["num_folds"], data["fold"]) == ("random", 3, 2)
    assert data["statistics"] == {"num_train": 5, "num_test": 7}
    assert data["download"][0]["files"] == {"masks.csv": None}
    card = DataCard.from_config(data)
    assert (card.title, card.splits) == ("mine", ["public", "random", "on-test"])
    other = compose(["model=gin", "data=mine", "data.split=on-test"], [two_splits])
    assert DataCard.from_config(other["data"]).parts == "valid-is-test"
    names = {
        identity(c) for c in (config, other, compose(["model=gin", "data=mine"], [two_splits]))
    }
    assert len(names) == 3


def test_a_split_that_there_is_not(two_splits: Path) -> None:
    with pytest.raises(UserError, match="unknown split of mine 'randon': did you mean 'random'"):
        compose(["model=gin", "data=mine", "data.split=randon"], [two_splits])
    with pytest.raises(UserError, match=r"data.fold=3: mine has folds 0 to 2"):
        compose(["model=gin", "data=mine", "data.split=random", "data.fold=3"], [two_splits])
    with pytest.raises(UserError, match="mine owns its num_folds"):
        compose(["model=gin", "data=mine", "data.num_folds=5"], [two_splits])
    assert "digits has one split" in refused("data=digits", "data.split=random")


def test_a_config_of_before_keeps_what_weight_decay_was_for(tmp_path: Path) -> None:
    config = compose(["model=gcn", "data=cora"])
    config["optim"]["decay_only"] = config["optim"].pop("decay_prefix")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    optim = load(tmp_path / "config.yaml")["optim"]
    assert optim["decay_prefix"] == "layers.0."
    assert "decay_only" not in optim
