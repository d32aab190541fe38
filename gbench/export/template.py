"""What `gbench export` writes: it fills in the settings of a run and drops what the run did not do.

A line that ends in `#: word` stays only where that word holds of the run. As it stands the file is
a script too, which trains the example below.
"""

import pathlib  #: own code
import random
import sys  #: sys
import tempfile  #: own code
import time  #: own rule
from functools import partial
from typing import Any

import numpy
import torch
from torch import Tensor

from gbench import folders
from gbench.build import build_model, build_source, described
from gbench.config.compose import compose  #: example
from gbench.data.batch import Batch
from gbench.data.encodings.encode import encoded  #: encoding
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.data.transforms.transform import transformed  #: transform
from gbench.train.accumulation import Windows
from gbench.train.fitting import fit  #: fit
from gbench.train.loader import TrainingBatches
from gbench.train.losses import loss_at, loss_of
from gbench.train.metrics import (
    score,
    scores,  #: also
)
from gbench.train.monitor import Monitor
from gbench.train.optimizer import decay_penalty, make_optimizer
from gbench.train.own_loss import OwnLoss  #: own loss
from gbench.train.schedule import Schedule
from gbench.train.stopping import Stopping
from gbench.train.task import EVALUATION_BATCH

EXAMPLE = compose(["model=gcn", "data=csbm", "encoding=lappe", "trainer.max_epochs=5"])  #: example

SEED = 0
DATA: dict[str, Any] = EXAMPLE["data"]
TRANSFORM: dict[str, Any] = EXAMPLE["transform"]  #: transform
ENCODING: dict[str, Any] = EXAMPLE["encoding"]  #: encoding
MODEL: dict[str, Any] = EXAMPLE["model"]
OPTIM: dict[str, Any] = EXAMPLE["optim"]
TRAINER: dict[str, Any] = EXAMPLE["trainer"] | {"gradient_clip_val": 1.0}
ALSO: list[str] = ["mcc"]  #: also
MATMUL: str = "high"  #: matmul
DATA_DIR: str = EXAMPLE["data_dir"]
CACHE_DIR: str | None = EXAMPLE["cache_dir"]
DATA_SOURCE: str = ""
DEVICE: str = "cpu"
# what the run reached
EPOCHS: int = 5
TEST: float = 0.0
OWN_CODE: dict[str, str] = {}  #: own code
OWN_FOLDERS: list[str] = []  #: own folders

# the code of one's own that the run was trained with  #: own code
own_folder = tempfile.TemporaryDirectory()  #: own code
for place, text in OWN_CODE.items():  #: own code
    path = pathlib.Path(own_folder.name, place)  #: own code
    path.parent.mkdir(parents=True, exist_ok=True)  #: own code
    path.write_text(text, encoding="utf-8", newline="")  #: own code
sys.path.insert(0, own_folder.name)  #: own code
sys.path[:0] = OWN_FOLDERS  #: own folders

# data and model
torch.use_deterministic_algorithms(True)  #: deterministic
torch.set_float32_matmul_precision(MATMUL)  #: matmul
card = DataCard.from_config(DATA)
cache_dir = folders.cache_dir(CACHE_DIR)
dataset = load(card, folders.data_dir(DATA_DIR), cache_dir, DATA_SOURCE)
dataset = transformed(dataset, TRANSFORM, cache_dir)  #: transform
dataset = encoded(dataset, ENCODING, cache_dir)  #: encoding
dataset = described(dataset, MODEL)
card = dataset.card  # with what its labels say of the loss
random.seed(SEED)
numpy.random.seed(SEED)
torch.manual_seed(SEED)
model: Any = build_model(MODEL, dataset.spec).to(DEVICE)
dataset = dataset.to(torch.device(DEVICE))

# what an epoch trains on, and the rules of its steps
source: Any = build_source({"optim": OPTIM, "batching": {}}, dataset, model, cache_dir)
batches = TrainingBatches(
    dataset,
    source,
    seed=SEED,
    limit=TRAINER["limit_batches"],
    rank=0,
    world_size=1,
    max_epochs=TRAINER["max_epochs"],
)
windows = Windows(TRAINER.get("accumulate_grad_batches", 1), batches.batches_per_epoch)
optimizer = make_optimizer(model, OPTIM, fused=True)
schedule = Schedule.from_config(OPTIM, TRAINER["max_epochs"], card.direction)
stopping = Stopping.from_config(TRAINER)
own_loss = OwnLoss.of(model)  #: own loss
fit(model, dataset, source)  #: fit
monitor = Monitor(TRAINER["monitor"], card.direction, TRAINER["ties"])
reads_loss = monitor.of != "metric" or stopping.reads_loss or schedule.reads_loss


def answers(batch: Batch) -> tuple[Tensor, Tensor]:
    """What the model says and what is true, of those that the batch is about."""
    rows = slice(None) if batch.targets is None else batch.targets
    return model(batch)[rows], batch.y[rows]


def gradients(batch: Batch, losses: dict[int, Tensor], position: int) -> Any:
    """The loss of a batch; its gradients are added to those of its step's other batches."""
    logits = model(batch)
    loss = loss_at(card, logits, batch.y, batch.targets)
    if own_loss is not None:  #: own loss
        loss, _ = own_loss(logits, batch, loss)  #: own loss
    if windows.begins(position):
        optimizer.zero_grad()
    (loss / windows.length(position)).backward()
    if windows.ends(position):  #: clip
        weights = [p for group in optimizer.param_groups for p in group["params"]]  #: clip
        torch.nn.utils.clip_grad_norm_(weights, TRAINER["gradient_clip_val"])  #: clip
    losses[position] = loss.detach()
    return loss


@torch.no_grad()
def predict(ids: Tensor) -> tuple[Tensor, Tensor]:
    """The model's logits on a split, and the labels."""
    model.eval()
    batches = source.evaluation(dataset, ids, EVALUATION_BATCH, TRAINER["limit_batches"])
    logits, labels = zip(*map(answers, batches), strict=True)
    model.train()
    return torch.cat(logits), torch.cat(labels)


# the epochs: each trains, validates, and is asked whether it is the best and the last
curve: list[dict[str, float]] = []
best: float | None = None
best_epoch: int | None = None
best_weights: dict[str, Tensor] = {}  #: best
torch.autograd.set_detect_anomaly(True)  #: anomaly
model.train()
while not (stopping.is_due(curve, best_epoch) or schedule.is_over(curve, windows.steps_per_epoch)):
    epoch = len(curve)
    began = time.perf_counter()  #: own rule
    losses: dict[int, Tensor] = {}  # of each batch
    for position, batch in enumerate(batches.of_epoch(epoch)):
        rate = schedule.rate(curve, position // windows.size, windows.steps_per_epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate * (group["initial_lr"] / OPTIM["lr"])
        if windows.ends(position):
            optimizer.step(partial(gradients, batch, losses, position))
        else:
            gradients(batch, losses, position)
    trained = time.perf_counter()  #: own rule
    logits, y = predict(dataset.split.valid)
    row = {"epoch": epoch, "train_loss": float(sum(losses.values())) / len(losses)}
    row["valid"] = score(card, logits, y)
    row |= {f"valid_{name}": value for name, value in scores(ALSO, logits, y).items()}  #: also
    if reads_loss:
        row["valid_loss"] = loss_of(card, logits, y).item()
    if monitor.of == "objective":
        row["valid_loss"] += decay_penalty(optimizer)
    row |= {"seconds": time.perf_counter() - began, "train_seconds": trained - began}  #: own rule
    curve.append(row)
    if monitor.is_better(monitor.value(row), best):
        best, best_epoch = monitor.value(row), epoch
        best_weights = {k: v.detach().clone() for k, v in model.state_dict().items()}  #: best

# the test
if best_weights:  #: best
    model.load_state_dict(best_weights)  #: best
test = score(card, *predict(dataset.split.test))
print(f"{EPOCHS} epochs in the run, {len(curve)} here")
print(f"test {card.metric} {TEST} in the run, {test} here")
