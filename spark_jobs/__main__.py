"""`python -m spark_jobs JOB [ARGUMENTS] [+ JOB [ARGUMENTS]]`: runs jobs in one session and tells how they ended."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

from spark_jobs import settings as settings_file
from spark_jobs.errors import ended
from spark_jobs.settings import Settings

# Each module has add_arguments(parser) and run(spark, settings, args) -> facts, a mapping that JSON can hold. One may
# have preflight(settings, args) -> facts or None, too: it refuses bad input, and may answer, before Spark starts; one
# that always answers has no run.
JOBS: Mapping[str, str] = {
    "ingest": "spark_jobs.ingest.job",
    "identity": "spark_jobs.identity.job",
    "identity-check": "spark_jobs.identity.check",
    "identity-verify": "spark_jobs.identity.verify_job",
    "identity-quality": "spark_jobs.identity.quality_job",
    "identity-resolve": "spark_jobs.identity.resolve_job",
    "identity-explain": "spark_jobs.identity.explain_job",
    "identity-why-not": "spark_jobs.identity.why_not_job",
    "identity-unmerge": "spark_jobs.identity.unmerge_job",
    "identity-join": "spark_jobs.identity.join_job",
    "identity-lock": "spark_jobs.identity.lock_job",
    "identity-withdraw": "spark_jobs.identity.withdraw_job",
    "identity-dry-run": "spark_jobs.identity.dry_run_job",
    "components": "spark_jobs.identity.components_job",
    "sessions": "spark_jobs.sessions.job",
    "tags": "spark_jobs.tagging.job",
    "tags-check": "spark_jobs.tagging.check",
    "audience-check": "spark_jobs.audiences.check",
    "audience-build": "spark_jobs.audiences.job",
    "audience-export": "spark_jobs.exports.audience_job",
    "audience-deliver": "spark_jobs.exports.audience_delivery_job",
    "tags-explain": "spark_jobs.questions.explain_job",
    "tags-history": "spark_jobs.questions.history_job",
    "tags-estimate": "spark_jobs.tagging.estimate_job",
    "tags-diff": "spark_jobs.tagging.diff_job",
    "tags-drift": "spark_jobs.tagging.drift_job",
    "exports": "spark_jobs.exports.job",
    "tags-deliver": "spark_jobs.exports.delivery_job",
    "triggers": "spark_jobs.triggers.job",
    "triggers-check": "spark_jobs.triggers.check",
    "triggers-send": "spark_jobs.triggers.send_job",
    "delta-audit": "spark_jobs.upkeep.job",
    "vacuum": "spark_jobs.upkeep.vacuum_job",
    "compact": "spark_jobs.upkeep.compact_job",
    "expire": "spark_jobs.upkeep.expire_job",
    "erase": "spark_jobs.erasure.erase_job",
}


def _parser(modules: Mapping[str, ModuleType]) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--settings", metavar="FILE", help="settings file; default: the one DATABANK_SETTINGS names")
    common.add_argument("--json", action="store_true", help="print the job's facts as one JSON object")
    parser = argparse.ArgumentParser(prog="python -m spark_jobs", description=__doc__)
    jobs = parser.add_subparsers(dest="job", required=True, metavar="JOB")
    for name, module in modules.items():
        purpose = (module.__doc__ or "").strip().splitlines()[0]
        job = jobs.add_parser(name, parents=[common], help=purpose, description=module.__doc__)
        module.add_arguments(job)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the jobs that the arguments name; 0, 1 (terminal), 75 (try again), 70 (defect), 2 (usage), 130."""
    steps_given = _split(sys.argv[1:] if arguments is None else arguments)
    named = {step[0] for step in steps_given if step} & set(JOBS)
    # Only the jobs that were asked for are loaded; help, and a name that is none, want them all.
    modules = {name: importlib.import_module(path) for name, path in JOBS.items() if name in named or not named}
    parser = _parser(modules)
    steps = [parser.parse_args(step) for step in steps_given]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return ended(" + ".join(step.job for step in steps), lambda: _run_and_print(modules, steps))


def _run_and_print(modules: Mapping[str, ModuleType], steps: list[argparse.Namespace]) -> int:
    for args, facts in _run(modules, steps):
        text = json.dumps(facts) + "\n" if args.json else "".join(_lines(facts))
        sys.stdout.write(text)
        sys.stdout.flush()
    return 0


def _lines(facts: Mapping[str, object]) -> Iterator[str]:
    """Facts for people: a line each, and of a list a line for each of its entries."""
    for name, value in facts.items():
        if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
            yield f"{name}:\n"
            yield from (f"  {json.dumps(entry, ensure_ascii=False)}\n" for entry in value)
        else:
            yield f"{name}: {value}\n"


def _split(arguments: list[str]) -> list[list[str]]:
    """`identity + sessions` is two jobs in one session: starting Spark costs more than a small job."""
    steps: list[list[str]] = [[]]
    for argument in arguments:
        if argument == "+":
            steps.append([])
        else:
            steps[-1].append(argument)
    return steps


def _run(
    modules: Mapping[str, ModuleType], steps: list[argparse.Namespace]
) -> Iterator[tuple[argparse.Namespace, dict[str, object]]]:
    from spark_jobs.storage.session import session  # noqa: PLC0415 - `--help` must not wait for pyspark

    settings = settings_file.load(steps[0].settings)
    early = [_without_spark(modules[args.job], settings, args) for args in steps]
    if all(facts is not None for facts in early):
        yield from ((args, facts) for args, facts in zip(steps, early, strict=True) if facts is not None)
        return
    with session(settings.spark, f"databank {' + '.join(step.job for step in steps)}") as spark:
        for args, facts in zip(steps, early, strict=True):
            yield args, modules[args.job].run(spark, settings, args) if facts is None else facts


def _without_spark(module: ModuleType, settings: Settings, args: argparse.Namespace) -> dict[str, object] | None:
    """The facts of a job that needs no Spark, such as a check; bad input is refused here, before Spark starts."""
    preflight = getattr(module, "preflight", None)
    facts: dict[str, object] | None = preflight(settings, args) if preflight else None
    return facts


if __name__ == "__main__":
    sys.exit(main())
