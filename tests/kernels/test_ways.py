"""Which way a dense layer's products go: chosen once, kept, and told."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gbench.kernels.cpu import ways

CONVOLVED = ways.Ways(*[ways.CONVOLUTION] * 3)
NARROW = ways.Ways(*[ways.BFLOAT16] * 3)
pytestmark = pytest.mark.usefixtures("fresh_ways")


def pretend(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[object]:
    """Each product's faster way by order, in place of a measurement; the calls that were made."""
    calls: list[object] = []

    def faster(product: object, *_: str) -> str:
        calls.append(product)
        return answers[(len(calls) - 1) % len(answers)]

    monkeypatch.setattr(ways, "_faster", faster)
    return calls


def forget() -> None:
    ways._known.clear()
    ways._used.clear()


def test_a_choice_is_made_once_for_a_class_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = pretend(monkeypatch, ways.CONVOLUTION, ways.TORCH, ways.CONVOLUTION)
    chosen = ways.ways_of(700, 20, 30)
    assert chosen == (ways.CONVOLUTION, ways.TORCH, ways.CONVOLUTION) and len(calls) == 3
    assert ways.ways_of(300, 20, 30) is chosen and len(calls) == 3
    forget()
    assert ways.ways_of(700, 20, 30) == chosen and len(calls) == 3
    ways.ways_of(5000, 20, 30)
    ways.ways_of(700, 20, 31)
    assert len(calls) == 9
    (path,) = ways._file(1).parent.glob("*.json")
    assert len(json.loads(path.read_text())["ways"]) == 3


@pytest.mark.parametrize("spoil", ["{", "[]", '{"of": 1}', '{"ways": [[1]]}', "\x00"])
def test_a_file_that_cannot_be_read_is_made_again(
    monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    calls = pretend(monkeypatch, ways.CONVOLUTION)
    ways.ways_of(700, 20, 30)
    path = ways._file(1)
    whole = path.read_bytes()
    path.write_text(spoil)
    forget()
    assert ways.ways_of(700, 20, 30) == CONVOLVED and len(calls) == 6
    assert path.read_bytes() == whole


def test_ways_and_processors_of_others_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = pretend(monkeypatch, ways.CONVOLUTION)
    ways.ways_of(700, 20, 30)
    path = ways._file(1)
    for changed in (('"of": {\n  "processor": "', '"of": {\n  "processor": "other '),
                    ('"convolution"', '"magic"')):  # fmt: skip
        text = path.read_text()
        assert changed[0] in text
        path.write_text(text.replace(*changed))
        forget()
        assert ways.ways_of(700, 20, 30) == CONVOLVED
    assert len(calls) == 9
    monkeypatch.setattr(ways, "_processor", lambda: {"processor": "another"})
    assert ways._file(1) != path


def test_each_type_has_its_own_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = pretend(monkeypatch, ways.WIDENED, ways.BFLOAT16, ways.WIDENED)
    narrow = ways.ways_of(700, 20, 30, "bfloat16")
    assert narrow == (ways.WIDENED, ways.BFLOAT16, ways.WIDENED)
    pretend(monkeypatch, ways.CONVOLUTION)
    assert ways.ways_of(700, 20, 30) == CONVOLVED
    forget()
    assert ways.ways_of(700, 20, 30, "bfloat16") == narrow and len(calls) == 3
    assert [*ways.used()] == ["20 to 30, 256 rows or more, 1 thread, bfloat16"]


def test_a_folder_that_cannot_be_written_leaves_all_to_torch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GBENCH_CACHE", str(tmp_path / "file"))
    calls = pretend(monkeypatch, ways.CONVOLUTION)
    assert ways.ways_of(700, 20, 30) == ways.PLAIN and not calls
    assert ways.ways_of(700, 20, 30, "bfloat16") == NARROW and not calls


def choose(answer: str, barrier, queue) -> None:
    forget()
    ways._faster = lambda *_: answer
    barrier.wait()
    queue.put(ways.ways_of(700, 20, 30))


def test_processes_that_measure_at_once_agree() -> None:
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(4), context.Queue()
    answers = [ways.TORCH, ways.CONVOLUTION] * 2
    workers = [context.Process(target=choose, args=(each, barrier, queue)) for each in answers]
    for worker in workers:
        worker.start()
    found = {queue.get() for _ in workers}
    for worker in workers:
        worker.join()
    assert len(found) == 1 and found == {*ways._read(ways._file(1), 1).values()}


def test_a_measurement_draws_no_random_number_and_keeps_no_graph() -> None:
    before = torch.get_rng_state()
    ways.ways_of(700, 20, 30)
    assert torch.equal(before, torch.get_rng_state()) and torch.is_grad_enabled()


def test_what_is_measured_is_not_under_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    types: list[torch.dtype] = []

    def faster(product: Callable[[str], Tensor], usual: str, other: str) -> str:
        types.append(product(other).dtype)
        return usual

    monkeypatch.setattr(ways, "_faster", faster)
    with torch.autocast("cpu", torch.bfloat16):
        ways.ways_of(700, 20, 30, "bfloat16")
    assert types == [torch.bfloat16, torch.bfloat16, torch.float32]  # the last is not rounded


def test_only_what_is_clearly_faster_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def product(seconds: dict[str, float]) -> Callable[[str], None]:
        def call(way: str) -> None:
            nonlocal now
            now += seconds[way]

        return call

    monkeypatch.setattr(ways.time, "thread_time", lambda: now)
    for torchs, expected in ((0.9, ways.TORCH), (1.1, ways.TORCH), (1.3, ways.CONVOLUTION)):
        both = product({ways.TORCH: torchs, ways.CONVOLUTION: 1.0})
        assert ways._faster(both, ways.TORCH, ways.CONVOLUTION) == expected


def test_what_was_used_is_told_since_the_run_began(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ways.CONVOLUTION, ways.TORCH, ways.TORCH)
    ways.ways_of(700, 20, 30)
    told = {"20 to 30, 256 rows or more, 1 thread": {
        "forward": "convolution", "grad_x": "torch", "grad_weight": "torch"}}  # fmt: skip
    assert ways.used() == told == ways.kept(1)
    ways.begin()
    assert ways.used() == {}
    ways.ways_of(700, 20, 30)
    assert ways.used() == told
