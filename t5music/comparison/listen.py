"""Listen: blind listening tests, made and evaluated (`t5music listen`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from t5music import files
from t5music.comparison import listening_answers, listening_report, listening_statistics, listening_test, music_sets
from t5music.comparison.listening_statistics import Results
from t5music.comparison.listening_test import KEY_ENDING, QUESTIONS
from t5music.errors import ConfigError
from t5music.files import printable_name
from t5music.storage import bucket_copies, path_of

PAGE = ".html"
WRITERS: dict[str, Callable[[Results, Mapping[str, str]], str]] = {
    ".json": listening_report.to_json,
    ".md": lambda results, left_out: listening_report.text(results, left_out) + "\n",
    ".csv": listening_report.to_csv,
}


def write_test(
    folders: Sequence[str],
    output: str,
    *,
    pairs: int = 12,
    begin: float = 0.0,
    seconds: float = 20.0,
    questions: Sequence[str] = (),
    title: str | None = None,
    sound_font: str | None = None,
    seed: int = 0,
) -> Path:
    """`t5music listen A/ B/`: writes a blind listening test, and the key that says which clip is whose.

    Args:
        folders: the music of each system, two or more.
        output: the page to write, .html; the key goes beside it, see `key_path`.
        pairs: of any two systems.
        begin: where clips begin, in seconds after a piece's first note.
        seconds: how long clips are at most.
        questions: asked of each pair; QUESTIONS if there are none.
        title: of the page.
        sound_font: what plays; see `fonts.find_font`.
        seed: of pieces, names and orders in the file.

    Returns:
        The page's path.

    Raises:
        ConfigError: no sound font, or an output that is no page.
        DataError: a folder without music that can be heard, or a file that cannot be written.
    """
    key_file = key_path(output)
    sets = [music_sets.read(folder, 1, "a listening test") for folder in folders]
    if len({part.name for part in sets}) < len(sets):
        raise ConfigError("a folder is named twice: it would be compared with itself")
    test = listening_test.make(
        sets,
        pairs=pairs,
        begin=begin,
        seconds=seconds,
        questions=questions or QUESTIONS,
        title=title or "Listening test",
        sound_font=sound_font,
        seed=seed,
    )
    files.write_text(key_file, listening_test.key_json(test.key))
    files.write_text(output, test.page)
    same = "files of the same name" if test.is_matched else "pieces that were paired by chance: no names are in all"
    size = len(test.page.encode()) / 1e6
    print(f"{output}: {len(test.key.pairs)} pairs of {same}, all at {test.level:.1f} LUFS, {size:.1f} MB, seed {seed}")
    print(f"{key_file}: says which clip is whose: keep it from listeners")
    print(f"evaluate the answers, all in one folder, with: t5music listen --answers FOLDER --key {key_file}")
    return path_of(output)


def key_path(output: str) -> Path:
    """The key's file beside a page: test.key.json for test.html.

    Raises:
        ConfigError: a name that is no page's.
    """
    path = path_of(output)
    if path.suffix.lower() != PAGE:
        raise ConfigError(f"--output {printable_name(output)}: a listening test is a page: its name must end in {PAGE}")
    return path.with_name(f"{path.stem}{KEY_ENDING}")


def require_kind(output: str) -> None:
    """Refuses a file of results whose ending says no kind of WRITERS.

    Raises:
        ConfigError: another ending.
    """
    if path_of(output).suffix.lower() not in WRITERS:
        raise ConfigError(
            f"--output {printable_name(output)}: results are written as {', '.join(WRITERS)}, by the name's ending"
        )


def evaluate(folder: str, key: str | None, *, output: str | None = None, seed: int = 0) -> Results:
    """`t5music listen --answers`: prints the statistics of a listening test's answers.

    Args:
        folder: the files that listeners saved.
        key: the test's key; the only one in the folder if None.
        output: the file to write, too, of a kind of WRITERS.
        seed: of the bootstrap.

    Raises:
        ConfigError: an output of another ending, no key, or several.
        DataError: a key that cannot be read, or no answers that can be used.
    """
    if output is not None:
        require_kind(output)
    place = bucket_copies.copy_of_folder(path_of(folder))
    key_of_test = listening_test.read_key(_only_key(place) if key is None else path_of(key))
    answers = listening_answers.read(place, key_of_test)
    results = listening_statistics.results(answers, key_of_test, seed)
    print(listening_report.text(results, answers.left_out))
    if output is not None:
        files.write_text(output, WRITERS[path_of(output).suffix.lower()](results, answers.left_out))
    return results


def _only_key(folder: Path) -> Path:
    """The key in a folder of answers.

    Raises:
        ConfigError: there is not exactly one.
    """
    keys = sorted(folder.glob(f"*{KEY_ENDING}"))
    if len(keys) != 1:
        names = ", ".join(printable_name(path.name) for path in keys) or "none"
        raise ConfigError(f"name the test's key by --key: in {printable_name(folder)} there is no single one ({names})")
    return keys[0]
