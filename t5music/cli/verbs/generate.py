"""`t5music generate`: continues, accompanies, fills in or composes music."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from t5music.cli import inputs
from t5music.cli.flags import (
    MAX_SEED,
    add_force,
    add_model,
    add_seed,
    add_sound_font,
    choose_model,
    prepare_devices,
    require_span,
)
from t5music.cli.parser import place, real, whole
from t5music.errors import ConfigError
from t5music.inference import promises, sampling_settings

HELP = "Continue, accompany, fill in or compose music. Writes MIDI or MusicXML, a piano roll, sound, a page."
MAX_VARIANTS = 100


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's flags."""
    parser.add_argument(
        "midi",
        type=place,
        metavar="FILE",
        nargs="?",
        help="the MIDI file or score; tasks that begin a new piece need none",
    )
    add_model(parser)
    parser.add_argument("--task", help="one of the model's tasks, or its kind: continue, infill ... "
                        "(default: the one that fits the file and the flags; continue before others)")  # fmt: skip
    parser.add_argument(
        "--output",
        type=place,
        metavar="FILE",
        help="the MIDI file (.mid), score (.musicxml, .mxl), page (.html: sound, piano roll and score of all variants "
        "in one file), sound (.wav; .flac, .ogg, .mp3 with the [sound] extra) or sheet music (.svg, .pdf with the "
        "[score] extra) to write; beside sound and sheet music there is MIDI (default: FILE_TASK.mid in the current "
        "folder)",
    )
    add_force(parser)
    parser.add_argument("--sound", action="store_true", help="write sound, too: FILE_TASK.wav")
    add_sound_font(parser)
    parser.add_argument(
        "--variants",
        type=whole(1, MAX_VARIANTS),
        default=1,
        metavar="N",
        help="write N answers, with as many seeds, the best one first: FILE_TASK_1.mid ... (default: %(default)s)",
    )
    parser.add_argument(
        "--region",
        type=real(0),
        nargs=2,
        metavar=("BEGIN", "END"),
        help="the part to fill in, in seconds (default: the middle)",
    )
    parser.add_argument(
        "--infill",
        nargs="+",
        metavar="PART",
        help="bars and tracks to fill in, one after the other: 'bars 5-8', 'piano bars 5-8', bass",
    )
    parser.add_argument("--caption", metavar="TEXT", help="a description of the music to compose")
    parser.add_argument(
        "--style",
        metavar="NAME",
        help="style of the new music, of those that the model knows: chorale, lied ... (default: that of the file)",
    )
    add_seed(parser, "the same seed gives the same music")
    _add_sampling(parser)
    _add_promises(parser)


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say how words are chosen, in a group of their own; what is not set stays None."""
    group = parser.add_argument_group("words", "How the words of the new music are chosen.")
    for setting in sampling_settings.SETTINGS:
        default = "" if setting.default is None else f" (default: {setting.default:g})"
        read: Callable[[str], float]
        if setting.kind == sampling_settings.INTEGER:
            read = whole(int(setting.least), None if setting.most is None else int(setting.most))
        else:
            most = math.inf if setting.most is None else setting.most
            read = real(most=most, above=setting.above) if setting.above is not None else real(setting.least, most)
        group.add_argument(
            f"--{setting.name}", type=read, metavar=setting.metavar, help=(setting.help + default).replace("%", "%%")
        )


def _sampling(flags: argparse.Namespace) -> dict[str, Any]:
    """The settings that are set."""
    values = {name: getattr(flags, name) for name in sampling_settings.NAMES}
    return {name: value for name, value in values.items() if value is not None}


def _add_promises(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the promises, in a group of their own."""
    group = parser.add_argument_group("promises", "What every new note is bound to while the model writes.")
    for promise in promises.PROMISES:
        group.add_argument(
            f"--{promise.name}",
            nargs="+" if promise.many else None,
            metavar=promise.metavar,
            help=promise.help.replace("%", "%%"),
        )


def _gaps(flags: argparse.Namespace) -> tuple[promises.Part, ...]:
    """The parts of --infill. Raises ConfigError for one that cannot be read."""
    try:
        return promises.parts(", ".join(flags.infill)) if flags.infill else ()
    except ConfigError as error:
        raise ConfigError(f"--infill {error}") from error


def _check(flags: argparse.Namespace) -> promises.Promises:
    """Returns the promises. Raises ConfigError for values that no model and no file can make right."""
    last = flags.seed + flags.variants - 1
    if last > MAX_SEED:
        raise ConfigError(
            f"--seed {flags.seed}: the last of {flags.variants} variants would have a seed above {MAX_SEED:,}"
        )
    sampling_settings.checked(_sampling(flags))
    sampling_settings.require_one_variant(flags.variants, _sampling(flags))
    require_span(flags.region)
    if (flags.region or flags.infill) and not flags.midi:
        raise ConfigError(f"--{'region' if flags.region else 'infill'} needs a MIDI file or a score to fill in")
    if flags.region and flags.infill:
        raise ConfigError("--region and --infill both say what to fill in: give one of them")
    _gaps(flags)
    has_sound = flags.sound
    if flags.output is not None:
        from t5music.inference import output_files

        force, sound = flags.force, flags.sound
        paths = output_files.outputs(flags.output, flags.midi, flags.variants, sound=sound, force=force)
        has_sound = output_files.has_sound(paths)
    if flags.sound_font is not None and not has_sound:
        raise ConfigError("--sound_font needs --sound, or an --output that has sound, such as song.wav or song.html")
    return promises.Promises.from_text(**promises.joined(vars(flags)))


def run(flags: argparse.Namespace) -> None:
    """Runs the verb."""
    bound = _check(flags)
    inputs.require_path(flags.midi)
    model_dir = choose_model(flags)
    prepare_devices(flags)
    from t5music.inference import generate

    generate.generate(
        flags.midi,
        model_dir,
        task=flags.task,
        output=flags.output,
        region=require_span(flags.region),
        infill=_gaps(flags),
        caption=flags.caption,
        style=flags.style,
        promises=bound,
        checkpoint=flags.checkpoint,
        variants=flags.variants,
        force=flags.force,
        sound=flags.sound,
        sound_font=flags.sound_font,
        seed=flags.seed,
        **_sampling(flags),
    )
