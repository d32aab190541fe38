"""The part of an exported script that trains: optimizer, order of the data, and the epochs.

Each function returns lines of the script, with only those rules that its run followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent
from typing import Any

from gbench.export.script_literal import literal

Settings = Mapping[str, Any]

EVALUATION_BATCH = 512  # as in gbench/train/task.py, which would import torch here


def stop(trainer: Settings) -> str:
    """The rule that may end the run early; empty if none does."""
    return str(trainer["stop"]) if trainer["patience"] else ""


def keeps_best(trainer: Settings) -> bool:
    """Whether anything asks which epoch is the best."""
    return trainer["select"] == "best" or stop(trainer) == "patience"


def reads_loss(optim: Settings, trainer: Settings) -> bool:
    """Whether anything asks for the validation loss."""
    return (
        trainer["monitor"] != "metric"
        or "window" in stop(trainer)
        or (optim["schedule"] == "plateau" and optim["plateau_on"] == "loss")
    )


def optimizer(optim: Settings) -> list[str]:
    """Adam, with a group of parameters for each weight decay."""
    prefix, decay = optim["decay_prefix"], optim["weight_decay"]
    others = optim["decay_of_others"] if prefix else decay
    if decay == others:
        settings = f"lr={optim['lr']}, weight_decay={decay}, fused=True"
        return [f"optimizer = torch.optim.Adam(model.parameters(), {settings})"]
    return [
        "parameters = list(model.named_parameters())",
        f"decayed = [p for name, p in parameters if name.startswith({literal(prefix)})]",
        f"others = [p for name, p in parameters if not name.startswith({literal(prefix)})]",
        "optimizer = torch.optim.Adam(",
        "    [",
        f'        {{"params": decayed, "weight_decay": {decay}}},',
        f'        {{"params": others, "weight_decay": {others}}},',
        "    ],",
        f"    lr={optim['lr']},",
        "    fused=True,",
        ")",
    ]


def order(data: Settings, optim: Settings, encoding: Settings) -> list[str]:
    """The function of the script that yields an epoch's batches, and the one for evaluation."""
    if data["level"] == "node":
        training = ["yield dataset.store.whole().with_targets(dataset.split.train)"]
        whole = ["yield dataset.store.whole().with_targets(ids)"]
        about = "The whole graph: a step is an epoch."
    elif optim["steps_per_epoch"]:
        training = [
            "generator = torch.Generator().manual_seed(SEED * 1_000_003 + epoch)",
            "train = dataset.split.train",
            f"draws = [torch.randperm(len(train), generator=generator)"
            f" for _ in range({optim['steps_per_epoch']})]",
            f"yield from dataset.store.batches("
            f"train[draw[:{optim['batch_size']}]] for draw in draws)",
        ]
        about = f"{optim['steps_per_epoch']} batches, each drawn anew from the training graphs."
        whole = [f"yield from dataset.store.batches(ids.split({EVALUATION_BATCH}))"]
    else:
        training = [
            "generator = torch.Generator().manual_seed(SEED * 1_000_003 + epoch)",
            "train = dataset.split.train",
            "order = train[torch.randperm(len(train), generator=generator)]",
            f"chunks = order.split({optim['batch_size']})",
            "if len(chunks) > 1 and len(chunks[-1]) == 1:  # batch norm needs two graphs",
            "    chunks = chunks[:-1]",
            "yield from dataset.store.batches(chunks)",
        ]
        about = "Each training graph once, in an order of this epoch's own."
        whole = [f"yield from dataset.store.batches(ids.split({EVALUATION_BATCH}))"]
    name = "training_batches"
    signed: list[str] = []
    if encoding.get("random_signs"):
        name = "unsigned_batches"
        signed = [
            "",
            "",
            "def training_batches(epoch):",
            '    """The same with the signs of the encoding drawn anew."""',
            "    batches = unsigned_batches(epoch)",
            "    yield from with_random_signs(batches, SEED * 1_000_003 + epoch)",
        ]
    return [
        f"def {name}(epoch):",
        f'    """{about}"""',
        *(f"    {line}" for line in training),
        *signed,
        "",
        "",
        "def batches_of(ids):",
        '    """All of a split, in order."""',
        *(f"    {line}" for line in whole),
    ]


EVALUATION = '''\
def answers(batch, logits):
    """What the model says and what is true, of those that the batch is about."""
    rows = slice(None) if batch.targets is None else batch.targets
    return logits[rows], batch.y[rows]


@torch.no_grad()
def predict(ids):
    """The model's logits on a split, and the labels."""
    model.eval()
    pairs = [answers(batch, model(batch)) for batch in batches_of(ids)]
    model.train()
    return (torch.cat(parts) for parts in zip(*pairs))'''


def loop(optim: Settings, trainer: Settings, data: Settings) -> list[str]:
    """Training and validation of each epoch, and the rules that read them."""
    monitor, clip = trainer["monitor"], trainer["gradient_clip_val"]
    body = []
    if optim["schedule"] != "constant":
        body += [
            "for group in optimizer.param_groups:",
            '    group["lr"] = schedule.rate(curve)',
        ]
    body += [
        "for batch in training_batches(epoch):",
        "    optimizer.zero_grad()",
        "    loss = loss_of(card, *answers(batch, model(batch)))",
        "    loss.backward()",
    ]
    if clip:
        body += [
            '    weights = [p for group in optimizer.param_groups for p in group["params"]]',
            f"    torch.nn.utils.clip_grad_norm_(weights, {clip})",
        ]
    body += [
        "    optimizer.step()",
        "",
        "logits, y = predict(dataset.split.valid)",
        'curve.append({"valid": score(card, logits, y)})',
    ]
    if reads_loss(optim, trainer):
        penalty = " + decay_penalty(optimizer)" if monitor == "objective" else ""
        body.append(f'curve[-1]["valid_loss"] = loss_of(card, logits, y).item(){penalty}')
    value = "valid" if monitor == "metric" else "valid_loss"
    sign = ">" if monitor == "metric" and data["direction"] == "max" else "<"
    equal = "=" if trainer["ties"] == "later" else ""
    if keeps_best(trainer):
        body += [
            f'value = curve[-1]["{value}"]',
            f"if not math.isnan(value) and (best is None or value {sign}{equal} best):",
            "    best, best_epoch = value, epoch",
            "    best_weights = {k: v.detach().clone() for k, v in model.state_dict().items()}",
        ]
    patience, epochs = trainer["patience"], trainer["max_epochs"]
    if stop(trainer) == "patience":
        body += [f"if best is not None and epoch - best_epoch >= {patience}:", "    break"]
    elif stop(trainer):
        first = patience + 1 if stop(trainer) == "window" else epochs // 2
        body += [
            f'before = [row["valid_loss"] for row in curve[max(epoch - {patience}, 0) : epoch]]',
            f'if epoch >= {first} and before and curve[-1]["valid_loss"] > fmean(before):',
            "    break",
        ]
    if optim["schedule"] == "plateau":
        body += ["if schedule.is_over(curve):", "    break"]
    start = ["curve = []"]
    if keeps_best(trainer):
        start.append("best, best_epoch, best_weights = None, 0, None")
    if optim["schedule"] != "constant":
        start.append(f"schedule = Schedule.from_config(OPTIM, {epochs}, card.direction)")
    anomaly = ["torch.autograd.set_detect_anomaly(True)"] if trainer.get("detect_anomaly") else []
    return [
        *start,
        *anomaly,
        "model.train()",
        f"for epoch in range({epochs}):",
        *indent("\n".join(body), "    ").splitlines(),
    ]
