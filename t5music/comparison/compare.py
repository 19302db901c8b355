"""Compare: a folder of music against another, by the field's measures (`t5music compare`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from t5music import figures, files
from t5music.comparison import comparison_report, music_sets, plots, set_comparison
from t5music.comparison.music_sets import MusicSet
from t5music.comparison.set_comparison import Comparison
from t5music.errors import ConfigError, DataError, MidiError
from t5music.inference import embed, trained_model
from t5music.storage import path_of
from t5music.training.checkpoints import selection

LEAST_PIECES = 2
PICTURE = ".png"
WRITERS: dict[str, Callable[[Comparison], str | bytes | None]] = {
    ".json": comparison_report.to_json,
    ".md": lambda comparison: comparison_report.text(comparison) + "\n",
    ".csv": comparison_report.to_csv,
    ".html": comparison_report.to_html,
    PICTURE: plots.distributions_png,
}


def compare(
    folder: str,
    reference: str,
    model_dir: str | None,
    *,
    outputs: Sequence[str] = (),
    region: tuple[float, float] | None = None,
    checkpoint: str = selection.LATEST,
    seed: int = 0,
) -> Comparison:
    """`t5music compare`: prints how the music of a folder differs from that of another, and writes it to files.

    Args:
        folder: the music that is judged.
        reference: what it should be like.
        model_dir: the run in whose encoder's space distances are measured; none are if None.
        outputs: files to write, each of a kind of WRITERS by its ending.
        region: (begin, end) in seconds, of the notes that count for the F1 of files of the same name; all if None.
        checkpoint: of the run: "latest", "best" or a step.
        seed: of the bootstrap.

    Raises:
        ConfigError: an output of another ending, or one that cannot be drawn here; a model without an encoder.
        DataError: a folder with fewer than LEAST_PIECES pieces that can be read, or a file that cannot be written.
    """
    for output in outputs:
        require_kind(output)
    sets = [music_sets.read(name, LEAST_PIECES, "a comparison") for name in (folder, reference)]
    vectors = None if model_dir is None else _encoder(model_dir, checkpoint)
    comparison = set_comparison.compare(*sets, vectors=vectors, region=region, seed=seed)
    print(comparison_report.text(comparison))
    for output in outputs:
        content = WRITERS[path_of(output).suffix.lower()](comparison)
        if content is None:
            raise DataError(f"--output {output}: there is nothing to draw")
        if isinstance(content, bytes):
            files.write_bytes(output, content)
        else:
            files.write_text(output, content)
    return comparison


def require_kind(output: str) -> None:
    """Refuses a file whose ending says no kind of WRITERS, or one that cannot be drawn here.

    Raises:
        ConfigError: another ending; Matplotlib is not installed, which draws pictures.
    """
    if path_of(output).suffix.lower() not in WRITERS:
        raise ConfigError(
            f"--output {files.printable_name(output)}: its name must end in {', '.join(WRITERS)}, which say what is "
            "written"
        )
    if path_of(output).suffix.lower() == PICTURE:
        figures.require(output, "--output")


def _encoder(model_dir: str, checkpoint: str) -> Callable[[MusicSet], NDArray[np.float32]]:
    """What gives each piece of a set its vector, as `t5music embed` does."""
    trained = trained_model.load(model_dir, checkpoint)
    settings = embed.settings_of(trained, model_dir)

    def vectors(part: MusicSet) -> NDArray[np.float32]:
        rows = []
        pieces = list(zip(part.names, part.scores, strict=True))
        with tqdm(total=len(pieces), desc=f"embed {part.name}", unit="piece", dynamic_ncols=True, disable=None) as bar:
            for first in range(0, len(pieces), embed.FILES_AT_A_TIME):
                some = pieces[first : first + embed.FILES_AT_A_TIME]
                segments = []
                for name, score in some:
                    try:
                        segments.append(embed.segments_of(score, trained, settings, name))
                    except MidiError as error:
                        tqdm.write(f"no vector: {error}")
                if segments:
                    rows.append(embed.vectors_of(trained, settings, segments))
                bar.update(len(some))
        if not rows:
            raise DataError(f"{part.name}: no piece that the encoder of {model_dir} can read")
        return np.concatenate(rows)

    return vectors
