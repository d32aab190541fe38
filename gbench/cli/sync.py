"""Upload to Weights & Biases what logger=wandb kept while nobody was logged in.

gbench sync              all runs below runs/ that have something to upload
gbench sync RUN...       only these
gbench sync --rows       and each row of the leaderboard as a wandb run of its own

What was uploaded is remembered. A run that was killed ends as failed in wandb; one that was
continued is one run there.
"""

from __future__ import annotations

import argparse
import os

from gbench.cli.arguments import add_runs
from gbench.errors import UserError

SUMMARY = "upload what logger=wandb kept offline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="RUN")
    add_runs(parser)
    parser.add_argument("--rows", action="store_true", help="upload the leaderboard's rows as well")


def run(args: argparse.Namespace) -> int:
    from gbench.mirror import account as wandb_account
    from gbench.mirror import offline as wandb_offline
    from gbench.records import folder as runfolder

    os.environ["WANDB_SILENT"] = "true"  # read once, when wandb is first asked for anything
    os.environ.pop("WANDB_MODE", None)  # "offline" was meant for the trainings
    if args.names:
        folders = [runfolder.find(name, args.runs_dir) for name in args.names]
    else:
        folders = sorted(path.parent for path in args.runs_dir.glob(f"*/{runfolder.CONFIG}"))
    waiting = [folder for folder in folders if wandb_offline.unsent(folder)]
    if waiting or args.rows:
        wandb_account.check_reachable()
    failed = 0
    for folder, problem in wandb_offline.upload(waiting):
        failed += bool(problem)
        print(f"{folder.name}: {problem or 'uploaded'}", flush=True)
    if args.rows:
        from gbench.mirror import rows as wandb_rows

        for name in wandb_rows.upload(args.runs_dir):
            print(f"{name}: uploaded", flush=True)
    elif not waiting:
        print("nothing to upload")
    if failed:
        raise UserError(
            f"{failed} of {len(waiting)} runs were not uploaded; gbench sync tries again"
        )
    return 0
