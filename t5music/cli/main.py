"""The command line, `t5music VERB`: reads the flags, runs one verb, turns errors into one line and an exit status.

The verbs are in `verbs/`, a file each. A verb imports what it needs when it runs, so `t5music --help` answers at once.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from t5music import __version__, files, storage
from t5music.cli import gin_flags, own_modules
from t5music.cli.parser import Parser, place
from t5music.cli.verbs import VERBS
from t5music.errors import ConfigError, T5MusicError

# What the file system says of a file, and no fault of t5music's: of these a file cannot be written ...
_NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# ... and of these not read or not written.
_NOT_OPENED = (errno.EACCES, errno.EPERM, errno.EIO, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_LONGEST = 1000  # characters of an error


def build_parser() -> Parser:
    """Returns the parser of all verbs. In what it parses, `verb` is the verb's name and `run` the function to call."""
    parser = Parser(prog="t5music", description="Transfer learning for symbolic music, text in and text out.")
    parser.add_argument("--version", action="version", version=f"t5music {__version__}")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name in VERBS:
        verb = import_module(f"t5music.cli.verbs.{name}")
        subparser = subparsers.add_parser(name, help=verb.HELP, description=verb.HELP)
        subparser.add_argument(
            "--data_dir",
            type=place,
            default=os.environ.get("T5MUSIC_DATA") or files.DATA_DIR,
            metavar="FOLDER",
            help="the folder for corpora and token stores (default: %(default)s; environment: T5MUSIC_DATA)",
        )
        own_modules.add(subparser)
        verb.add_flags(subparser)
        subparser.set_defaults(run=verb.run)
        parser.verbs[name] = subparser
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
        arguments: the words after `t5music`; those of this process if None.

    Returns:
        0; 2 for an error of the input, with one line on stderr; 130 when interrupted.
    """
    # A disk that is full, or a file that is cut short: the program is compiled again, and nobody has to do anything.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that a terminal cannot show stops no verb
    if arguments is None:  # the process is ours: imports and traces make millions of objects that stay
        gc.set_threshold(50_000)
    try:
        command_line = sys.argv[1:] if arguments is None else list(arguments)
        bindings, rest = gin_flags.split(command_line)
        flags = build_parser().parse_line(rest)
        if bindings and not gin_flags.are_taken(flags):
            raise ConfigError(f"{flags.verb} takes no gin bindings ({bindings[0]})")
        flags.command_line, flags.bindings = command_line, bindings
        os.environ["T5MUSIC_DATA"] = flags.data_dir
        files.data_dir()  # refuses what is no place
        own_modules.load(flags.module_import)
        flags.run(flags)
    except T5MusicError as error:
        # Gin adds lines of its own to the errors of what it calls.
        print(f"t5music: error: {_printable(str(error).splitlines()[0])}", file=sys.stderr)
        _leave_other_processes(2)
        return 2
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if storage.is_bucket(error.filename):
            print(f"t5music: error: {error.filename}: {error.strerror}", file=sys.stderr)
            _leave_other_processes(2)
            return 2
        if error.errno not in (*_NOT_WRITTEN, *_NOT_OPENED):
            _leave_other_processes(1, traceback_first=True)
            raise
        what = "write" if error.errno in _NOT_WRITTEN else "read or write"
        name = files.printable_name(error.filename) if isinstance(error.filename, str) else "the output"
        print(_printable(f"t5music: error: cannot {what} {name}: {error.strerror}"), file=sys.stderr)
        if error.filename is None:  # what is left of the output is lost with it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave_other_processes(2)
        return 2
    except KeyboardInterrupt:
        print("t5music: interrupted; the same command continues where it stopped", file=sys.stderr)
        return 130
    except Exception:
        _leave_other_processes(1, traceback_first=True)
        raise
    return 0


def _printable(text: str) -> str:
    """A text that a terminal only shows: a control character of a value or a file's name is written as an escape.

    Of one that fills a screen, because a value does, the middle is left out.
    """
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _leave_other_processes(status: int, *, traceback_first: bool = False) -> None:
    """Ends this process with `status` where it computes together with others; returns where it is alone."""
    from t5music.devices import processes

    if processes.joined():
        if traceback_first:
            processes.await_end()  # where another process has ended, that is why, and this one ends here
            import traceback

            traceback.print_exc()
        processes.leave(status)
