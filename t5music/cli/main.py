"""The command line: `t5music VERB`.

Every verb imports what it needs when it runs, so `t5music --help` answers at once. Their flags are in `flags`.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from t5music.cli import flags
from t5music.errors import ConfigError, T5MusicError

if TYPE_CHECKING:
    from t5music.runs.print_plan import Request


def _gin(arguments: argparse.Namespace, bindings: list[str]) -> None:
    """Reads the run's gin files and bindings; the short flags come first, so that --gin flags win."""
    from t5music.configuration import gin_files

    if getattr(arguments, "plan", False) and arguments.model_dir is None:
        arguments.model_dir = "not begun"  # a plan writes nothing
    short = [
        gin_files.binding(macro, str(getattr(arguments, flag)))
        for flag, macro in flags.SHORT.items()
        if getattr(arguments, flag, None) is not None
    ]
    paths = [path for path in arguments.gin_search_paths.split(",") if path]
    default = "runs/finetune.gin" if getattr(arguments, "init", None) else arguments.default_gin_file
    gin_files.configure(arguments.gin_file or [default], [*short, *bindings], paths)


def _run(arguments: argparse.Namespace, bindings: list[str]) -> None:
    if arguments.verb in ("train", "eval"):
        _gin(arguments, bindings)
        from t5music.configuration import registry

        if arguments.verb == "eval":
            registry.evaluate()
        else:
            registry.train(plan=_plan(arguments)) if arguments.plan else registry.train()
    elif arguments.verb == "study":
        from t5music.studies import command

        command.run(arguments, bindings, _plan(arguments) if arguments.plan else None)
    elif bindings:
        raise ConfigError(f"{arguments.verb} takes no gin bindings ({bindings[0]})")
    else:
        _VERBS[arguments.verb](arguments)


def _corpora(arguments: argparse.Namespace) -> None:
    from t5music.cli import data_verbs

    if arguments.build:
        data_verbs.build(
            arguments.build,
            source=arguments.source,
            accept_licence=arguments.accept_licence,
            workers=arguments.workers,
            force=arguments.force,
        )
    if arguments.export:
        data_verbs.export(arguments.export, arguments.split, arguments.to)
    if not arguments.build and not arguments.export:
        data_verbs.list_corpora()


def _compile(arguments: argparse.Namespace) -> None:
    from t5music.cli import data_verbs

    data_verbs.compile_(
        arguments.names,
        arguments.midi,
        arguments.name,
        text=arguments.text,
        table=arguments.table,
        labels=arguments.label,
        cache=arguments.seqio_cache,
        workers=arguments.workers,
        beam=arguments.beam,
        force=arguments.force,
    )


def _leakage(arguments: argparse.Namespace) -> None:
    from t5music.cli import data_verbs

    data_verbs.leakage(arguments.names, listed=arguments.listed)


def _average(arguments: argparse.Namespace) -> None:
    from t5music.training.checkpoints import average

    checkpoints = average.sources(arguments.model_dir, last=arguments.last, checkpoint=arguments.checkpoint)
    step = average.average(checkpoints, arguments.output)
    sources = ", ".join(str(checkpoint.folder) for checkpoint in checkpoints)
    print(f"{arguments.output}: step {step}, the mean of {sources}")


def _generate(arguments: argparse.Namespace) -> None:
    from t5music.inference import generate

    generate.generate(
        arguments.midi,
        arguments.model_dir,
        task=arguments.task,
        output=arguments.output,
        region=tuple(arguments.region) if arguments.region else None,
        caption=arguments.caption,
        checkpoint=arguments.checkpoint,
        words=arguments.words,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        seed=arguments.seed,
    )


def _classify(arguments: argparse.Namespace) -> None:
    from t5music.inference import labels

    labels.classify(
        arguments.midi,
        arguments.model_dir,
        task=arguments.task,
        table=arguments.csv,
        checkpoint=arguments.checkpoint,
    )


def _label(arguments: argparse.Namespace) -> None:
    from t5music.inference import labels

    labels.label(
        arguments.midi,
        arguments.model_dir,
        task=arguments.task,
        output=arguments.output,
        checkpoint=arguments.checkpoint,
    )


def _embed(arguments: argparse.Namespace) -> None:
    from t5music.inference import embed

    embed.embed(
        arguments.folder,
        arguments.model_dir,
        output=arguments.output,
        layer=arguments.layer,
        checkpoint=arguments.checkpoint,
    )


def _similar(arguments: argparse.Namespace) -> None:
    from t5music.inference import embed

    embed.similar(
        arguments.midi,
        arguments.collection,
        arguments.model_dir,
        top=arguments.top,
        layer=arguments.layer,
        checkpoint=arguments.checkpoint,
    )


def _export(arguments: argparse.Namespace) -> None:
    from t5music.data import vocabulary
    from t5music.inference import export
    from t5music.training.checkpoints.checkpoint import Checkpoint

    checkpoint = Checkpoint.open(arguments.model_dir, arguments.checkpoint)
    export.export(checkpoint, arguments.to, vocabulary.default())


def _quickstart(arguments: argparse.Namespace) -> None:
    from t5music.studies import quickstart

    quickstart.run(arguments.dir)


# The verbs that take no gin bindings.
_VERBS: dict[str, Callable[[argparse.Namespace], None]] = {
    "corpora": _corpora,
    "compile": _compile,
    "leakage": _leakage,
    "average": _average,
    "generate": _generate,
    "classify": _classify,
    "label": _label,
    "embed": _embed,
    "similar": _similar,
    "export": _export,
    "quickstart": _quickstart,
}


def _prepare(arguments: argparse.Namespace) -> None:
    """Chooses devices and joins the other processes, for the verbs that compute."""
    from t5music.devices import platforms

    if arguments.verb == "study":
        platforms.one_thread_each()
    several = ("coordinator", "processes", "process_id", "distributed", "wait")
    joined = {} if getattr(arguments, "plan", False) else vars(arguments)
    platforms.prepare(arguments.platform, **{name: joined[name] for name in several if name in joined})


def _plan(arguments: argparse.Namespace) -> Request:
    from t5music.runs import print_plan

    return print_plan.Request(
        arguments.plan_device, arguments.plan_count, arguments.plan_utilisation, arguments.plan_throughput
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb. Returns 0, 2 for an error of the input (one line on stderr), 130 when interrupted."""
    from t5music.configuration.gin_files import split_flags
    from t5music.devices import processes

    try:
        given = sys.argv[1:] if arguments is None else list(arguments)
        bindings, rest = split_flags(given)
        parsed = flags.build().parse_args(rest)
        parsed.command_line = given
        os.environ["T5MUSIC_DATA"] = parsed.data_dir
        if hasattr(parsed, "platform"):
            _prepare(parsed)
        _run(parsed, bindings)
    except T5MusicError as error:
        # Gin adds lines of its own to the errors of what it calls.
        print(f"t5music: error: {str(error).splitlines()[0]}", file=sys.stderr)
        if processes.joined():
            processes.leave(2)
        return 2
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("t5music: interrupted; the same command continues where it stopped", file=sys.stderr)
        return 130
    except Exception:
        if processes.joined():
            traceback.print_exc()
            processes.leave(1)
        raise
    return 0
