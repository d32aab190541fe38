"""A config that trials may share."""

from __future__ import annotations

import pytest

from gbench.config.compose import Config, compose


@pytest.fixture(scope="session")
def gcn_on_csbm() -> Config:
    return compose(["model=gcn", "data=csbm", "data.num_nodes=200", "trainer.max_epochs=20"])
