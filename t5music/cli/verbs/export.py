"""`t5music export`: writes a trained model as a Hugging Face folder."""

from __future__ import annotations

import argparse

from t5music.cli import inputs
from t5music.cli.flags import add_checkpoint, add_force
from t5music.cli.parser import choice, place
from t5music.files import require_free

HELP = "Write a trained model as a Hugging Face T5, for transformers and for other runs to start from, with its card."


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument("--model_dir", type=place, required=True, metavar="RUN", help="folder of the trained model")
    add_checkpoint(parser)
    parser.add_argument("--to", type=place, required=True, metavar="FOLDER", help="the folder to write")
    parser.add_argument(
        "--dtype",
        type=choice("float32", "bfloat16"),
        default="float32",
        metavar="float32|bfloat16",
        help="of the weights in the file; bfloat16 halves it (default: %(default)s)",
    )
    parser.add_argument(
        "--fingerprints",
        action="store_true",
        help="also write hashes of the music it was trained on, for `t5music original`; its corpora must be built",
    )
    add_force(parser)


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    inputs.require_run(flags.model_dir, flags.checkpoint)
    require_free(flags.to, "--to", force=flags.force)
    from t5music.analysis import leakage_report, originality
    from t5music.analysis.run_fingerprints import FILE
    from t5music.data import vocabulary
    from t5music.inference import export
    from t5music.training.checkpoints.checkpoint import Checkpoint

    checkpoint = Checkpoint.open(flags.model_dir, flags.checkpoint)
    music = originality.training_music(checkpoint.trained_on) if flags.fingerprints else None
    leakage, music = leakage_report.measure(checkpoint.trained_on, music)
    folder = export.export(
        checkpoint,
        flags.to,
        vocabulary.default(),
        flags.dtype,
        leakage=leakage,
        programs=None if music is None else music.programs,
        force=flags.force,
    )
    if flags.fingerprints and music is not None:
        music.fingerprints.save(folder / FILE)
        print(folder / FILE)
