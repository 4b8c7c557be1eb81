"""The command line: ``scrimp serve | check | key | report | what-if | calibrate | ...``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cache.embedded.vault import vault_of
from router.settings import Settings, SettingsError, load


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scrimp", description="Cuts what applications pay for language models."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the service")
    _add_config(serve)
    serve.add_argument("--listen", help="gRPC: host:port or unix:/path, instead of the file's")
    serve.add_argument("--http", help="the same for HTTP; an empty one turns it off")
    serve.add_argument("--data-folder", help="instead of the file's")
    serve.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    serve.set_defaults(run=_serve)

    check = commands.add_parser("check", help="find every mistake in a settings file")
    check.add_argument("config", nargs="?", type=Path, help="TOML file (default: $SCRIMP_CONFIG)")
    check.set_defaults(run=_check)

    models = commands.add_parser(
        "models", help="which models exist at which provider, and what they cost"
    )
    models.add_argument("word", nargs="?", default="", help="only those whose name holds it")
    models.add_argument("--provider", default="", metavar="ID", help="only this provider's")
    models.add_argument("--json", action="store_true", help="one JSON object")
    models.set_defaults(run=_models)

    key = commands.add_parser("key", help="make a key for a caller; only its hash is kept")
    key.add_argument("name", help="who calls with it")
    key.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NAME",
        help="that it speaks for; may be repeated; * for all (default: default)",
    )
    key.add_argument("--user", default="", help="of all its requests; another is refused")
    key.add_argument("--admin", action="store_true", help="it may also invalidate and set modes")
    key.add_argument("--metrics", action="store_true", help="it reads the metrics page, no more")
    key.set_defaults(run=_key)

    report = commands.add_parser("report", help="show what was spent, saved and wasted")
    _add_ledger(report)
    report.add_argument("--user", default="")
    report.add_argument("--feature", default="")
    report.add_argument("--conversation", default="")
    report.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="WORD",
        help="group by namespace, user, feature, task, conversation, model or day; twice at most",
    )
    report.set_defaults(run=_report)

    guess = commands.add_parser(
        "what-if", help="what past requests would have cost at other prices, on other models"
    )
    _add_ledger(guess)
    guess.add_argument(
        "--instead",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="calls to OLD, had they gone to NEW; may be repeated",
    )
    guess.add_argument("--baseline", default="", help="measured against this model")
    guess.add_argument(
        "--target", type=float, metavar="T", help="had the quality target been this one"
    )
    guess.set_defaults(run=_what_if)

    calibrate = commands.add_parser(
        "calibrate", help="the quality target that keeps a share of the baseline's quality"
    )
    _add_config(calibrate)
    calibrate.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="lines {prompt, outcomes}"
    )
    calibrate.add_argument("--target", type=float, default=0.95, help="share to keep, in (0, 1]")
    calibrate.add_argument("--namespace", default="", help="by its rules, and for it alone")
    calibrate.add_argument("--seed", type=int, default=0)
    calibrate.add_argument("--dry-run", action="store_true", help="write nothing to the settings")
    calibrate.add_argument("--json", action="store_true", help="one JSON object")
    calibrate.set_defaults(run=_calibrate)

    probe = commands.add_parser("probe", help="place a model that training never met")
    probe.add_argument("model", help="as the settings call it")
    _add_config(probe)
    probe.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="lines {prompt, outcomes}; left out, the model is asked scrimp's own probe prompts",
    )
    probe.add_argument("--seed", type=int, default=0)
    probe.add_argument("--dry-run", action="store_true", help="write nothing to the settings")
    probe.add_argument("--json", action="store_true", help="one JSON object")
    probe.set_defaults(run=_probe)

    pairs = commands.add_parser("pairs", help="labelled pairs of texts, learned while it ran")
    acts = pairs.add_subparsers(required=True, metavar="ACT")
    export = acts.add_parser("export", help="write them as JSON lines, to train on")
    export.add_argument("file", type=Path, help="where to; replaced if it is there")
    _add_config(export)
    export.add_argument("--data-folder", help="instead of the file's")
    export.set_defaults(run=_export_pairs)

    erase = commands.add_parser(
        "erase", help="erase what a user wrote or received; no service runs"
    )
    erase.add_argument("--user", required=True, help="as requests named them")
    erase.add_argument("--namespace", default="", help="only there (default: everywhere)")
    erase.add_argument("--dry-run", action="store_true", help="only count")
    _add_config(erase)
    erase.add_argument("--data-folder", help="instead of the file's")
    erase.set_defaults(run=_erase)

    encrypt = commands.add_parser(
        "encrypt", help="rewrite the data with the first of the settings' keys; no service runs"
    )
    encrypt.add_argument("--off", action="store_true", help="rewrite them without encryption")
    _add_config(encrypt)
    encrypt.add_argument("--data-folder", help="instead of the file's")
    encrypt.set_defaults(run=_encrypt)

    replay = commands.add_parser("replay", help="what past traffic would have saved")
    replay.add_argument("file", type=Path, help=".jsonl or .jsonl.gz: text, or OpenAI chat logs")
    _add_config(replay)
    replay.add_argument("--limit", type=int, help="at most so many requests")
    replay.add_argument("--show", type=int, default=20, help="near-duplicate hits to list")
    replay.add_argument("--json", action="store_true", help="one JSON object")
    replay.set_defaults(run=_replay)

    explain = commands.add_parser("explain", help="would one prompt's answer serve another?")
    explain.add_argument("stored", metavar="A", help="the prompt that has an answer")
    explain.add_argument("asked", metavar="B", help="the prompt that asks for one")
    _add_config(explain)
    explain.add_argument("--namespace", default="default", help="by whose rules")
    explain.add_argument(
        "--target", type=float, metavar="R", help="instead of the rules' max_error_rate"
    )
    explain.add_argument("--json", action="store_true", help="one JSON object")
    explain.set_defaults(run=_explain)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="TOML file (default: $SCRIMP_CONFIG)")


def _add_ledger(parser: argparse.ArgumentParser) -> None:
    """Add what every command that reads the ledger takes."""
    _add_config(parser)
    parser.add_argument("--data-folder", help="instead of the file's")
    parser.add_argument("--namespace", default="", help="of this one only")
    parser.add_argument("--days", type=float, help="only the last so many days")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _settings(args: argparse.Namespace) -> Settings | None:
    """Load the settings, with what the command line says instead; None after saying why not."""
    try:
        return load(args.config, os.environ, overrides=_overrides(args))
    except SettingsError as error:
        print(f"scrimp: {error}", file=sys.stderr)
        return None


def _overrides(args: argparse.Namespace) -> dict[str, object]:
    """Return what the command line says instead of the file."""
    stated = {
        "service.listen": "listen",
        "http.listen": "http",
        "service.data_folder": "data_folder",
    }
    return {
        key: value
        for key, name in stated.items()
        if (value := getattr(args, name, None)) is not None
    }


def _serve(args: argparse.Namespace) -> int:
    import uvloop

    from cache.errors import CacheError
    from router.ledger.errors import LedgerError
    from router.reticence import begin_logging
    from router.serve import serve_forever
    from router.settings.source import Source

    begin_logging(args.log_level)
    settings = _settings(args)
    if settings is None:
        return 1
    for warning in settings.warnings:
        logging.getLogger("scrimp").warning("%s", warning)
    try:
        uvloop.run(serve_forever(settings, Source.find(args.config, os.environ, _overrides(args))))
    except (CacheError, LedgerError, OSError) as error:
        print(f"scrimp: {error}", file=sys.stderr)
        return 1
    return 0


def _check(args: argparse.Namespace) -> int:
    from router.commands.check import check

    return check(args.config)


def _models(args: argparse.Namespace) -> int:
    from router.commands.models import models

    return models(args.word, args.provider, as_json=args.json)


def _key(args: argparse.Namespace) -> int:
    from router.commands.key import key

    return key(
        args.name,
        args.namespace,
        is_admin=args.admin,
        is_for_metrics=args.metrics,
        user=args.user,
    )


def _report(args: argparse.Namespace) -> int:
    from router.commands.report import report
    from router.ledger.types import SavingsQuery

    settings = _settings(args)
    if settings is None:
        return 1
    query = SavingsQuery(
        namespace=args.namespace,
        user=args.user,
        feature=args.feature,
        conversation=args.conversation,
        since_ms=_since_ms(args.days),
        group_by=tuple(args.by),
    )
    vault = vault_of(settings.data_keys.reveal())
    return report(settings.service.data_folder, query, args.json, vault)


def _since_ms(days: float | None) -> int | None:
    return None if days is None else int((time.time() - days * 86_400) * 1e3)


def _what_if(args: argparse.Namespace) -> int:
    from router.commands.what_if import instead_of, what_if
    from router.ledger.what_if import WhatIf

    settings = _settings(args)
    if settings is None:
        return 1
    try:
        instead = instead_of(args.instead)
    except ValueError as error:
        print(f"scrimp what-if: {error}", file=sys.stderr)
        return 1
    asked = WhatIf(
        since_ms=_since_ms(args.days),
        namespace=args.namespace,
        instead=instead,
        baseline=args.baseline,
        target=args.target,
    )
    return what_if(settings, asked, args.json)


def _calibrate(args: argparse.Namespace) -> int:
    from router.commands.calibrate import calibrate

    settings = _settings(args)
    if settings is None:
        return 1
    return calibrate(
        settings,
        _config_file(args),
        args.data,
        target=args.target,
        namespace=args.namespace,
        seed=args.seed,
        as_json=args.json,
        dry=args.dry_run,
    )


def _probe(args: argparse.Namespace) -> int:
    from router.commands.probe import probe

    settings = _settings(args)
    if settings is None:
        return 1
    return probe(
        settings,
        _config_file(args),
        args.model,
        args.data,
        seed=args.seed,
        as_json=args.json,
        dry=args.dry_run,
    )


def _config_file(args: argparse.Namespace) -> Path | None:
    """Return the file that the settings came from; None: there was none."""
    stated = args.config or os.environ.get("SCRIMP_CONFIG")
    return Path(stated) if stated else None


def _erase(args: argparse.Namespace) -> int:
    from router.commands.erase import erase

    settings = _settings(args)
    if settings is None:
        return 1
    return erase(settings, args.user, args.namespace, dry_run=args.dry_run)


def _encrypt(args: argparse.Namespace) -> int:
    from router.commands.encrypt import encrypt

    settings = _settings(args)
    return 1 if settings is None else encrypt(settings, is_off=args.off)


def _export_pairs(args: argparse.Namespace) -> int:
    from router.commands.pairs import export

    settings = _settings(args)
    if settings is None:
        return 1
    return export(settings.service.data_folder, args.file, vault_of(settings.data_keys.reveal()))


def _replay(args: argparse.Namespace) -> int:
    from router.commands.replay import replay

    return asyncio.run(replay(args))


def _explain(args: argparse.Namespace) -> int:
    from router.commands.explain import explain

    return asyncio.run(explain(args))


if __name__ == "__main__":
    sys.exit(main())
