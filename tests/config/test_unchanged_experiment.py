"""Whether a run still has the published setting that its command line starts from."""

import pytest

from gbench.config.compose import compose


@pytest.mark.parametrize(
    ("words", "experiment"),
    [
        ("model=gcn data=cora", "gcn-cora"),
        ("experiment=gcn-cora", "gcn-cora"),
        ("model=gcn data=cora seed=3 trainer.accelerator=cpu logger=none", "gcn-cora"),
        ("model=gcn data=cora trainer=cpu", "gcn-cora"),
        ("model=gcn data=cora model.hidden_dim=16", "gcn-cora"),  # as the experiment has it
        ("model=od-nsd data=texas data.fold=3", "od-nsd-texas"),
        ("model=gcn data=cora model.hidden_dim=64", None),
        ("model=gcn data=cora trainer=debug", None),
        ("model=gcn data=cora encoding=rwse", None),
        ("model=gcn data=cora experiment=null", None),
        ("experiment=gcn-cora data=citeseer", None),
        ("experiment=gcn-cora data.split=random", None),
        ("experiment=gcn-cora data.split=public", "gcn-cora"),
        ("model=dagnn data=cora data.split=random", "dagnn-cora-random"),
        ("model=gin data=cora", None),  # there is none
    ],
)
def test_only_an_unchanged_experiment_keeps_its_name(words, experiment):
    assert compose(words.split())["experiment"] == experiment
