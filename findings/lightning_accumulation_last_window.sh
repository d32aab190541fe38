#!/usr/bin/env bash
# lightning 2.6.6: with accumulate_grad_batches=4 the last step of an epoch of 5 batches uses a quarter of its gradient.
#
# Each batch's loss is divided by 4, and a step is taken after every fourth batch and after the last one of an epoch, however
# many came before it. That window's gradient is then the sum of few quarters and no mean: with SGD the step is a quarter as
# long, and clipping by norm meets another norm. "As a batch four times as large" holds for whole windows only.
#
# Seen, five batches of gradient 1 in an epoch, two epochs: steps of 1.0, 0.25, 1.0, 0.25.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 lightning==2.6.6
cd "$folder"
env/bin/python - 2> told <<'PY' || { cat told; exit 1; }
import lightning
import torch


class Slope(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.gradients = []

    def training_step(self, batch, _):
        return (self.weight * batch).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def on_before_optimizer_step(self, _):
        self.gradients.append(self.weight.grad.item())


model, batches = Slope(), torch.utils.data.DataLoader(torch.ones(5), batch_size=1)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
lightning.Trainer(max_epochs=2, accumulate_grad_batches=4, accelerator="cpu", **quiet).fit(model, batches)
print(model.gradients)
assert model.gradients == [1.0, 0.25, 1.0, 0.25], "the behaviour has changed"
PY
