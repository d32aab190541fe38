"""`gbench data audit`: facts of datasets, computed once and kept, in every format."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gbench.audits.audit import audit, kinds
from gbench.audits.definitions import definitions_of
from gbench.audits.fact import Audit
from gbench.cli.output import AUDITED, format_of
from gbench.cli.screen import screen
from gbench.console import stages
from gbench.data import manage
from gbench.data.files import named
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.folders import written_whole

ALL = "all"


def run(args: argparse.Namespace, data_dir: Path, cache_dir: Path) -> int:
    """Audit datasets one after another; facts to stdout or a file, progress to stderr.

    Of `all` what cannot be audited is told at the end, and the exit code is 1.
    """
    if ALL in args.names and len(args.names) > 1:
        raise UserError("gbench data audit all: leave the other names out")
    chosen = format_of(args.format, args.output)
    if chosen not in AUDITED:
        raise UserError(f"gbench data audit writes {', '.join(AUDITED)}, not {chosen}")
    is_all = args.names == [ALL]
    if args.definitions and (chosen in ("csv", "json") or (chosen == "table" and _are_many(args))):
        raise UserError(
            "--definitions: a table of one dataset tells them, and --format md or html always do"
        )
    place = ""
    if args.source:
        from gbench.data.files.supply import checked_place

        place = checked_place(args.source)
    if len(args.names) == 1 and manage.is_path(args.names[0]):
        from gbench.data.own import has_no_labels

        if has_no_labels(Path(args.names[0])):
            return _bare(args, chosen)
    if is_all:
        cards, left_out = at_hand(args.config_dir, data_dir, args.split)
    else:
        cards, left_out = [manage.card_of(n, args.config_dir, args.split) for n in args.names], []
    audits, kept_cards, failed = [], [], []
    for card in cards:
        try:
            with stages() as tell:
                audits.append(audit(card, data_dir, cache_dir, place, tell))
            kept_cards.append(card)
        except UserError as error:
            if not is_all:
                raise
            failed.append(f"{card.name}: {error}")
    _write(_text(args, chosen, kept_cards, audits), args.output)
    for note in [*left_out, *failed]:
        print(note, file=sys.stderr)
    return 1 if failed else 0


def _are_many(args: argparse.Namespace) -> bool:
    return len(args.names) > 1 or args.names == [ALL]


def _bare(args: argparse.Namespace, chosen: str) -> int:
    """Of a folder without labels the facts that need none."""
    from gbench.audits.unlabelled import shape_of

    path = Path(args.names[0]).absolute()
    card, made = shape_of(path, lambda line: print(line, file=sys.stderr))
    _write(_text(args, chosen, [card], [made]), args.output)
    return 0


def at_hand(
    config_dirs: Sequence[Path], data_dir: Path, split: str
) -> tuple[list[DataCard], list[str]]:
    """The datasets whose raw files are there or that need none, and what `all` leaves out."""
    cards, missing = [], 0
    for card in manage.every_card(config_dirs):
        if named.state(card, data_dir) is None:
            missing += 1
        elif not split:
            cards.append(card)
        elif split in (card.split, *card.splits):
            cards.append(manage.card_of(card.name, config_dirs, split) if card.splits else card)
    left_out = [f"left out, as their raw files are not in {data_dir}: {missing} datasets"]
    return cards, left_out if missing else []


def _text(
    args: argparse.Namespace, chosen: str, cards: Sequence[DataCard], audits: Sequence[Audit]
) -> str:
    from gbench.audits import show

    if chosen == "json":
        return show.json_text(audits)
    if chosen == "csv":
        return show.csv_text(audits)
    if chosen == "table":
        return _table(args, cards, audits)
    definitions = [_definitions(card, made) for card, made in zip(cards, audits, strict=True)]
    if chosen == "md":
        return _markdown_overview(cards, audits) + show.markdown(audits, definitions)
    from gbench.board.page.audits import html

    return html(cards, audits, definitions)


def _table(args: argparse.Namespace, cards: Sequence[DataCard], audits: Sequence[Audit]) -> str:
    from gbench.audits.show import draw
    from gbench.board.overview import draw_overview

    place = screen()
    with place.capture() as captured:
        if len(audits) == 1:
            known = _definitions(cards[0], audits[0]) if args.definitions else None
            draw(audits[0], place, known)
        else:
            draw_overview(cards, audits, place)
    return captured.get()


def _definitions(card: DataCard, made: Audit) -> dict[str, str]:
    return definitions_of(made, [kind.DEFINITIONS for kind in kinds(card.level).values()])


def _markdown_overview(cards: Sequence[DataCard], audits: Sequence[Audit]) -> str:
    from gbench.board.overview import markdown

    return markdown(cards, audits) + "\n\n" if len(audits) > 1 else ""


def _write(text: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        with written_whole(Path(output)) as file:
            file.write(text.encode())
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from None
