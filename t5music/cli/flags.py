"""The flags of every verb: `t5music VERB --help`."""

from __future__ import annotations

import argparse
import os

from t5music import __version__

# Flags that are short for a gin macro of the run files.
SHORT = {
    "mixture": "MIXTURE_OR_TASK_NAME",
    "model_dir": "MODEL_DIR",
    "steps": "TRAIN_STEPS",
    "batch_size": "BATCH_SIZE",
    "init": "INITIAL_CHECKPOINT_PATH",
    "dropout": "DROPOUT_RATE",
    "split": "SPLIT",
    "checkpoint": "CHECKPOINT",
    "follow": "FOLLOW",
}


def build() -> argparse.ArgumentParser:
    """The parser of all verbs; `verb` of what it returns is the one that was called."""
    parser = argparse.ArgumentParser(
        prog="t5music", description="Transfer learning for symbolic music, text in and text out."
    )
    parser.add_argument("--version", action="version", version=f"t5music {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, line: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name, help=line, description=line, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        added.add_argument(
            "--data_dir",
            default=os.environ.get("T5MUSIC_DATA", "~/.cache/t5music"),
            help="where corpora and token stores are built (environment: T5MUSIC_DATA)",
        )
        return added

    def workers(added: argparse.ArgumentParser) -> None:
        added.add_argument("--workers", type=int, default=None, help="processes that share the work (default: cores)")

    def platform(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "--platform",
            default=os.environ.get("T5MUSIC_PLATFORM"),
            help="cpu, gpu or tpu: an error where it is not there; None takes the best (environment: T5MUSIC_PLATFORM)",
        )

    def several(added: argparse.ArgumentParser) -> None:
        group = added.add_argument_group("several processes", "the same command on every machine")
        group.add_argument("--coordinator", metavar="HOST:PORT", help="address of process 0, with a free port")
        group.add_argument("--processes", type=int, metavar="N", help="how many there are")
        group.add_argument("--process_id", type=int, metavar="I", help="number of this one, from 0")
        group.add_argument("--distributed", action="store_true", help="ask the cluster instead: Cloud TPU, SLURM ...")
        group.add_argument("--wait", type=float, default=300, metavar="SECONDS", help="how long to wait for the others")

    def checkpoint(added: argparse.ArgumentParser) -> None:
        added.add_argument("--checkpoint", default="latest", help="of the run: latest, best or a step")

    def model(added: argparse.ArgumentParser) -> None:
        added.add_argument("--model_dir", required=True, help="the run whose model is used")
        checkpoint(added)
        platform(added)

    def plan_flags(added: argparse.ArgumentParser) -> None:
        plan = added.add_argument_group("plan", "what the training needs, worked out without beginning it")
        plan.add_argument("--plan", action="store_true", help="print memory, tokens, FLOPs and time; needs no data")
        plan.add_argument(
            "--plan_device", metavar="CHIP", help='plan for this chip, as "TPU v4" (default: train.device, or here)'
        )
        plan.add_argument(
            "--plan_count", type=int, metavar="N", help="and for so many (default: train.device_count, or here)"
        )
        plan.add_argument(
            "--plan_utilisation", type=float, default=0.4, help="share of the chips' peak that is reached"
        )
        plan.add_argument(
            "--plan_throughput", type=float, metavar="TOKENS", help="or positions per second, over all devices"
        )

    def gin_flags(added: argparse.ArgumentParser, default: str) -> None:
        added.add_argument("--gin_file", action="append", help=f"gin file, may be repeated (default: {default})")
        added.add_argument("--gin_search_paths", default="", help="folders searched for gin files, separated by commas")
        added.add_argument_group("gin bindings", "--gin.NAME=value sets a binding or macro, as --gin.TRAIN_STEPS=500")
        added.set_defaults(default_gin_file=default)

    corpora = verb("corpora", "List the corpora, with their terms and what is built, or build some.")
    corpora.add_argument("--build", nargs="+", metavar="CORPUS", default=[], help="fetch and build these corpora")
    corpora.add_argument(
        "--from", dest="source", metavar="PATH", help="build from this folder or archive instead of the download"
    )
    corpora.add_argument("--accept_licence", action="store_true", help="accept the terms of what is fetched")
    workers(corpora)
    corpora.add_argument("--export", metavar="CORPUS", help="write the pieces of one split as MIDI files")
    corpora.add_argument("--split", default="test", help="the split to export")
    corpora.add_argument("--to", default=".", metavar="FOLDER", help="where to export to")
    corpora.add_argument("--force", action="store_true", help="build again what is built already")

    compile_ = verb("compile", "Turn seqio tasks and mixtures, or one's own folder of MIDI or text, into token stores.")
    compile_.add_argument("names", nargs="*", metavar="TASK_OR_MIXTURE", help="what to compile")
    compile_.add_argument(
        "--midi",
        metavar="FOLDER",
        help="a folder of MIDI files; labels are those of its labels.csv or, with --labels folders, its sub-folders",
    )
    compile_.add_argument("--text", metavar="FOLDER", help="a folder of text files (.txt, UTF-8), for language models")
    compile_.add_argument("--name", help="name of the folder's corpus and mixture (default: the folder's name)")
    compile_.add_argument("--table", metavar="CSV", help="the folder's table, if not its labels.csv")
    compile_.add_argument("--label", action="append", default=[], help="a column of the table, may be repeated")
    compile_.add_argument(
        "--labels", choices=("folders", "none"), help="whether the sub-folders are labels (default: ask at a terminal)"
    )
    compile_.add_argument("--seqio_cache", metavar="DIR", help="also write seqio's own cache of the tasks below DIR")
    workers(compile_)
    compile_.add_argument(
        "--beam", metavar="OPTIONS", help="run as an Apache Beam pipeline, as --beam='--runner=FlinkRunner ...'"
    )
    compile_.add_argument("--force", action="store_true", help="compile again what is compiled already")

    leakage = verb("leakage", "Report music that is on both sides of splits, corpora or token stores.")
    leakage.add_argument("names", nargs="+", metavar="NAME[:SPLIT]", help="corpora and compiled tasks")
    leakage.add_argument("--listed", type=int, default=5, help="pairs of pieces to name for each comparison")

    train = verb("train", "Train a T5 on a mixture; the same command continues an interrupted run.")
    train.add_argument("mixture", nargs="?", help="mixture or task (MIXTURE_OR_TASK_NAME)")
    train.add_argument("--model_dir", default=None, help="where the run is kept (MODEL_DIR)")
    train.add_argument(
        "--init",
        default=None,
        help="start from this run or checkpoint, by default with runs/finetune.gin (INITIAL_CHECKPOINT_PATH)",
    )
    train.add_argument("--steps", type=int, default=None, help="steps to train (TRAIN_STEPS)")
    train.add_argument("--batch_size", type=int, default=None, help="packed rows per step (BATCH_SIZE)")
    train.add_argument("--dropout", type=float, default=None, help="dropout rate (DROPOUT_RATE)")
    gin_flags(train, "runs/train.gin")
    platform(train)
    several(train)
    plan_flags(train)

    evaluate = verb("eval", "Evaluate a trained model on the held-out pieces of a mixture.")
    evaluate.add_argument("mixture", nargs="?", help="mixture or task (MIXTURE_OR_TASK_NAME)")
    evaluate.add_argument(
        "--model_dir",
        action="append",
        help="the run to evaluate; several times for an ensemble: the mean of their logits (MODEL_DIR)",
    )
    evaluate.add_argument("--split", default=None, help="split to evaluate (SPLIT)")
    evaluate.add_argument("--checkpoint", default=None, help="latest (default), best or a step (CHECKPOINT)")
    evaluate.add_argument(
        "--follow",
        action="store_const",
        const=True,
        help="every checkpoint in order, and new ones as they come, until the run is finished (FOLLOW)",
    )
    gin_flags(evaluate, "runs/eval.gin")
    platform(evaluate)

    study = verb("study", "Run a study, a grid of settings and seeds, and make its table; again, it goes on.")
    gin_flags(study, "none")
    study.add_argument("--dir", default="studies", help="where runs and tables of all studies are kept")
    study.add_argument(
        "--cell", action="append", default=[], metavar="SETTING:SEED", help="run only this cell; repeats"
    )
    study.add_argument("--cells", action="store_true", help="list the cells and what is known of them; run nothing")
    study.add_argument(
        "--collect", nargs="*", metavar="FOLDER", help="run nothing: the table of what is there, and in these"
    )
    study.add_argument("--print_commands", action="store_true", help="print a command for each cell, for a cluster")
    study.add_argument("--quiet", action="store_true", help="run, and leave the table to a later --collect")
    study.add_argument("--workers", type=int, help="processes beside each other (default: cores; accelerators: one)")
    platform(study)
    plan_flags(study)

    average = verb("average", "Average the weights of several checkpoints into a new one.")
    average.add_argument(
        "--model_dir", action="append", required=True, help="a run, or a step in its checkpoints; may be repeated"
    )
    average.add_argument("--last", type=int, metavar="K", help="the last K checkpoints of each run")
    average.add_argument("--checkpoint", default="latest", help="without --last: latest, best or a step of each run")
    average.add_argument("--output", required=True, metavar="FOLDER", help="the folder to make, read like a run's")

    generate = verb("generate", "Continue, accompany, fill in or compose music: writes MIDI and a piano roll.")
    generate.add_argument("midi", metavar="FILE", nargs="?", help="the MIDI file; tasks that begin afresh need none")
    model(generate)
    generate.add_argument("--task", help="what to do, one of the model's tasks (default: its first that makes music)")
    generate.add_argument("--output", help="MIDI file to write (default: FILE's name + the task, in this folder)")
    generate.add_argument(
        "--region", type=float, nargs=2, metavar=("BEGIN", "END"), help="seconds to fill in (default: the middle)"
    )
    generate.add_argument("--caption", help="what to compose")
    generate.add_argument("--temperature", type=float, default=0.9, help="0 takes the likeliest word each time")
    generate.add_argument("--top_k", type=int, default=0, help="sample among the k likeliest words; 0: all")
    generate.add_argument("--top_p", type=float, default=0.95, help="sample among the likeliest words of this mass")
    generate.add_argument("--seed", type=int, default=0, help="the same seed gives the same music")
    generate.add_argument(
        "--words", type=int, default=None, help="words to write (default: as many as the model was trained for)"
    )

    classify = verb("classify", "Label MIDI files with a trained model's label set.")
    classify.add_argument("midi", nargs="+", metavar="FILE", help="MIDI files")
    model(classify)
    classify.add_argument("--task", help="one of the model's tasks, or its label: composer, key ... (default: first)")
    classify.add_argument("--csv", metavar="CSV", help="also write the labels and probabilities of all files to CSV")

    label = verb("label", "Label every note: melody, or loudness; writes MIDI and a coloured piano roll.")
    label.add_argument("midi", nargs="+", metavar="FILE", help="MIDI files")
    model(label)
    label.add_argument("--task", help="one of the model's tasks, or its label: melody, velocity (default: its first)")
    label.add_argument(
        "--output", help="MIDI file to write, of several FILEs the folder (default: FILE's name + the label, here)"
    )

    def layer(added: argparse.ArgumentParser, default: str) -> None:
        added.add_argument("--layer", type=int, help=f"of the encoder, 0 the embeddings (default: {default})")

    embed = verb("embed", "Write a vector for each MIDI file of a folder: the states of a trained encoder.")
    embed.add_argument("folder", metavar="FOLDER", help="a folder of MIDI files, also in folders of it")
    model(embed)
    embed.add_argument("--output", default="vectors.npz", help="file to write, .npz or .parquet")
    layer(embed, "the last")

    similar = verb("similar", "Rank the pieces of a folder by how much they are like a MIDI file.")
    similar.add_argument("midi", metavar="FILE", help="the MIDI file")
    similar.add_argument("collection", metavar="FOLDER|VECTORS", help="MIDI files, or what `embed` wrote of them")
    model(similar)
    similar.add_argument("--top", type=int, default=10, help="how many pieces to print")
    layer(similar, "that of VECTORS, or the last")

    export = verb("export", "Write a trained model as Hugging Face's T5, for transformers and for others' runs.")
    export.add_argument("--model_dir", required=True, help="the run whose model is written")
    checkpoint(export)
    export.add_argument("--to", required=True, metavar="FOLDER", help="the folder to make")

    quickstart = verb("quickstart", "The main job, small: pre-train, fine-tune, compare, and write music.")
    quickstart.add_argument("--dir", default="quickstart", help="where everything is kept")
    return parser
