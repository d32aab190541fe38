#!/usr/bin/env bash
# lightning 2.6.6: bf16-mixed refuses gradient clipping with fused Adam, for an unscaling that bf16 has not.
#
# Losses are scaled up for float16, whose gradients would vanish; then a fused optimizer divides by the scale itself, and
# clipping before that would clip the wrong numbers. bf16 has float32's range: nothing is scaled and nothing unscaled, as in
# 32-true, where the same clipping is done. bf16-mixed shares the plugin of 16-mixed and is refused with it. Adam without
# fused=True trains in bf16-mixed.
#
# Seen: 32-true trains; bf16-mixed raises RuntimeError ("performs unscaling of gradients internally").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 lightning==2.6.6
cd "$folder"
env/bin/python - <<'PY'
import warnings

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")


class Model(pl.LightningModule):
    def __init__(self, fused):
        super().__init__()
        self.layer, self.fused = torch.nn.Linear(2, 1), fused

    def training_step(self, batch, _):
        return self.layer(batch[0]).sum()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), fused=self.fused)


def outcome(precision, fused):
    quiet = {name: False for name in ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")}
    trainer = pl.Trainer(max_epochs=1, precision=precision, gradient_clip_val=1.0, accelerator="cpu", **quiet)
    try:
        trainer.fit(Model(fused), DataLoader(TensorDataset(torch.ones(4, 2))))
    except RuntimeError as error:
        return str(error)
    return "trains"


seen = {(p, fused): outcome(p, fused) for p in ("32-true", "bf16-mixed") for fused in (False, True)}
print(*seen.items(), sep="\n")
refused = seen.pop(("bf16-mixed", True))
assert "unscaling of gradients internally" in refused, "the behaviour has changed"
assert {*seen.values()} == {"trains"}
PY
