"""What a dataset says of itself: its card (the YAML) and the sizes that a model is built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, get_args

from gbench.data.judged import check_judged, with_direction
from gbench.errors import UserError, unknown
from gbench.losses import find as find_loss
from gbench.metrics import Direction, Labels

Level = Literal["node", "graph", "link"]
Parts = Literal["disjoint", "valid-is-test", "all-one"]


@dataclass(frozen=True)
class DataCard:
    """The facts in `conf/data/<name>.yaml`. A dataset alone owns its task, split and metric.

    Every other key of the YAML is an option of its loader and is passed to it by name.
    """

    name: str
    _target_: str  # the loader: a function of (raw: Path, **options) that returns a Source
    level: Level
    loss: str  # cross-entropy, bce, ..., or a function of one's own: see gbench/losses.py
    metric: str  # accuracy, rocauc, ..., or a function of one's own: see gbench/metrics.py
    direction: Direction  # may be left out where gbench knows the metric
    split: str  # the split's name, as papers call it
    num_folds: int
    fold: int
    source: str
    licence: str
    citation: str
    splits: Sequence[str] = ()  # the protocols to choose from, where papers use several
    parts: Parts = "disjoint"  # of a split; anything else is a paper's own way and says so here
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    loss_labels: str = ""  # what a loss of one's own is for: classes, tasks or numbers
    evaluator: str = ""  # the name of OGB's own evaluator, where there is one
    normalize_features: bool = False  # divide each feature row by its sum; zero rows stay zero
    unlabelled: Any = None  # a label, or a list of them, that own loaders give what has none
    statistics: Mapping[str, int] = field(default_factory=dict)  # verified at every load
    folder: str = ""  # where the raw files belong below data_dir; empty: nothing on disk is needed
    download: Sequence[Mapping[str, Any]] = ()  # see gbench/data/files/named.py
    otherwise: Mapping[str, Any] = field(default_factory=dict)  # folder and download of other files
    variant: str = ""  # loader options that the command line changed: another dataset by that
    options: Mapping[str, Any] = field(default_factory=dict)  # what is left: the loader's own

    @property
    def title(self) -> str:
        """The name that results stand under: csbm, or csbm homophily=0.2 where that was changed."""
        return f"{self.name} {self.variant}".rstrip()

    @property
    def task(self) -> str:
        """node-classification, graph-classification, graph-regression or link-prediction."""
        if self.level == "link":
            return "link-prediction"
        return f"{self.level}-{'regression' if self.labels == 'numbers' else 'classification'}"

    @property
    def labels(self) -> Labels:
        """classes, tasks or numbers: what the loss is for."""
        return find_loss(self.loss, self.loss_labels).labels

    @property
    def is_own_folder(self) -> bool:
        """Whether its files are a folder of the user's, which nothing downloads."""
        return any(not part["url"] for part in self.download)

    @property
    def item(self) -> Literal["nodes", "graphs", "links"]:
        """What a run's throughput counts."""
        items: dict[Level, Literal["nodes", "graphs", "links"]] = {
            "node": "nodes",
            "graph": "graphs",
            "link": "links",
        }
        return items[self.level]

    @staticmethod
    def from_config(data: Mapping[str, Any]) -> DataCard:
        """Read the keys of one dataset's YAML, its `name` added and its split chosen.

        Raises UserError when a fact is missing or is none of the values that are allowed.
        """
        check_stated(data)
        known = {f.name for f in fields(DataCard) if f.name != "options"}
        name = f"dataset '{data.get('name', '?')}'"
        kinds = {"level": Level, "parts": Parts}
        for key, kind in kinds.items():
            if key in data and data[key] not in get_args(kind):
                allowed = ", ".join(get_args(kind))
                raise UserError(f"{name}: {key} is '{data[key]}', allowed are {allowed}")
        check_judged(data)
        num_folds, fold = data["num_folds"], data["fold"]
        if not (isinstance(fold, int) and 0 <= fold < num_folds):
            raise UserError(
                f"{name} has folds 0..{num_folds - 1}, but fold is {fold}: set data.fold="
            )
        facts = {key: value for key, value in data.items() if key in known}
        rest = {key: value for key, value in data.items() if key not in known}
        return DataCard(**facts, options=rest)


def check_stated(data: Mapping[str, Any]) -> None:
    """Raise UserError where a fact of a dataset's card is missing, or is no list or group."""
    name = f"dataset '{data.get('name', '?')}'"
    facts = [f for f in fields(DataCard) if f.name != "options"]
    needed = [
        f.name
        for f in facts
        if f.default is MISSING and f.default_factory is MISSING and f.name not in data
    ]
    if needed:
        raise UserError(f"{name} does not say its {', '.join(needed)}: add them to its YAML")
    for key, kind in {"statistics": Mapping, "otherwise": Mapping, "download": list}.items():
        if key in data and not isinstance(data[key], kind):
            what = "list" if kind is list else "group of settings"
            raise UserError(f"data.{key}={data[key]}: expected a {what}")


def with_split(data: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a dataset under the protocol that `split` names, with its metric's direction.

    A YAML may list several under `splits`, each with the facts that it changes. What is left of the
    list are the names. Raises UserError when `split` is none of them.
    """
    protocols = data.get("splits", {})
    if not isinstance(protocols, Mapping) or not protocols:
        return with_direction(data)
    if data["split"] not in protocols:
        raise unknown(f"split of {data.get('name', 'this dataset')}", data["split"], protocols)
    chosen = protocols[data["split"]] or {}
    statistics = {**data.get("statistics", {}), **chosen.get("statistics", {})}
    download = [*data.get("download", ()), *chosen.get("download", ())]
    return with_direction(
        {
            **data,
            **chosen,
            "statistics": statistics,
            "download": download,
            "splits": list(protocols),
        }
    )


def with_name(data: Mapping[str, Any], collection: str) -> dict[str, Any]:
    """The facts of one dataset of a collection, the one that `name` names.

    A collection's YAML lists them under `names`, each with its kind and number of graphs, and under
    `kinds` the facts of each kind; `{name}` in any text stands for the name. Raises UserError when
    `name` is missing or is none of them.
    """
    names, name = data.get("names"), data.get("name")
    if not names:
        return dict(data)
    if name in (None, collection):
        raise UserError(
            f"data={collection} is a collection of {len(names)} datasets: say which with "
            f"data.name=, such as data.name={next(iter(names))}. They are listed at "
            f"{data['source']}"
        )
    if name not in names:
        raise unknown(f"dataset of data={collection}", str(name), names)
    kind, num_graphs = names[name]
    facts = {key: value for key, value in data.items() if key not in ("names", "kinds")}
    statistics = {"num_graphs": num_graphs}
    filled: dict[str, Any] = _filled(
        {**facts, **data["kinds"][kind], "statistics": statistics}, name
    )
    return filled


def _filled(value: Any, name: str) -> Any:
    """The same with `{name}` filled in, in texts and keys at any depth."""
    if isinstance(value, str):
        return value.replace("{name}", name)
    if isinstance(value, Mapping):
        return {_filled(key, name): _filled(inner, name) for key, inner in value.items()}
    return [_filled(inner, name) for inner in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class DataSpec:
    """What a model must know to be built."""

    level: Level
    num_outputs: int  # classes (cross-entropy) or tasks (bce, l1, mse)
    num_features: int  # width of dense node features, or number of categorical columns
    node_categories: tuple[int, ...] | None = None  # sizes of categorical node features, or None
    edge_categories: tuple[int, ...] | None = None  # sizes of categorical edge features, or None
    reads_first_node: bool = False  # a graph's answer is read from its first node alone
    pe_dim: int = 0  # width of the positional encoding; 0: encoding=none
    loss: str = ""  # the dataset's, by name
    metric: str = ""  # what its runs are judged by
    # of the training part those that the model asks for: see gbench/data/statistics.py
    statistics: Mapping[str, Any] = field(default_factory=dict, hash=False)
    teacher_dim: int = 0  # columns of batch.teacher; 0: no teacher
    edge_dim: int = 0  # width of batch.edge_attr, numbers of edges; 0: they have none
    has_edge_weight: bool = False  # batch.edge_weight is there
    is_directed: bool = False  # some edge has no reverse: batch.graph.t is another graph
    num_numbers: int = 0  # width of batch.x_numbers, numbers beside categories of nodes
    pair_dim: int = 0  # values of each pair of nodes; 0: no encoding of pairs
    encodings: tuple[tuple[str, int], ...] = ()  # name and columns of each part of batch.pe
    pair_encodings: tuple[tuple[str, int], ...] = ()  # the same of batch.pairs
