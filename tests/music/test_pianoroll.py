from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from t5music.errors import MidiError
from t5music.music import pianoroll, roll_layout
from t5music.music.instruments import FAMILIES, INSTRUMENTS, family_name, instrument_name, percussion_name
from t5music.music.score import DRUMS, METER, NOTE, Score


def score_of(*notes: tuple, **fields) -> Score:
    """A score, two ticks a second, from (onset, duration, pitch, program, track); all as loud, so opaque, as can be."""
    return Score(1, np.array([(o, d, p, 127, program, track) for o, d, p, program, track in notes], NOTE), **fields)


def drawn(score: Score, **options) -> np.ndarray:
    """The picture's pixels [height, width, (red, green, blue)], from 0 to 255."""
    png = pianoroll.png(score, **options)
    assert png.startswith(b"\x89PNG")
    return (matplotlib.image.imread(io.BytesIO(png))[:, :, :3] * 255).round().astype(int)


def where(picture: np.ndarray, colour: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels of a colour."""
    return np.nonzero((picture == np.round(np.array(to_rgb(colour)) * 255)).all(axis=2))


def test_notes_lie_at_their_seconds_and_pitches():
    picture = drawn(score_of((0, 10, 60, 0, 0), (30, 10, 72, 0, 0)))
    rows, columns = where(picture, roll_layout.COLOURS[0])
    width = columns.max() - columns.min()
    left = columns < columns.min() + width / 2
    assert rows[left].min() > rows[~left].max()  # the later note is higher
    for half in (left, ~left):
        assert np.ptp(columns[half]) == pytest.approx(width / 4, rel=0.02)


def test_louder_is_darker():
    notes = np.array([(0, 10, 60, 127, 0, 0), (10, 10, 60, 10, 0, 0)], NOTE)
    picture = drawn(Score(1, notes))
    row = where(picture, roll_layout.COLOURS[0])[0].mean().astype(int)
    shades = picture[row].sum(axis=1)
    loud, soft = shades[len(shades) // 4], shades[3 * len(shades) // 4]
    assert loud < soft < 3 * 255


def test_parts_have_colours_and_a_legend_where_there_are_several():
    first, second, third = roll_layout.COLOURS[:3]
    alone = drawn(score_of((0, 10, 60, 0, 0)))
    assert len(where(alone, second)[0]) == 0
    several = drawn(score_of((0, 10, 30, 0, 0), (0, 10, 34, 40, 1), (0, 10, 81, DRUMS, 2)))
    edges = [where(several, colour)[1].max() for colour in (first, second)]
    assert edges[0] == edges[1] > where(alone, first)[1].max() * 0.8  # the legend's patches, one below the other
    assert len(where(several, third)[0]) == 0
    drums = where(several, roll_layout.DRUM_COLOUR)
    assert (drums[0].max() > where(several, first)[0]).all()  # percussion below all pitches


def test_many_parts_are_shown_by_instrument_or_family():
    def colours(programs) -> int:
        notes = [(index, 1, 60, program, index) for index, program in enumerate(programs)]
        picture = drawn(score_of(*notes))
        return sum(len(where(picture, colour)[0]) > 0 for colour in roll_layout.COLOURS)

    assert colours([0] * 8) == 8
    assert colours([0, 1, 2] * 3) == 3
    assert colours(range(16)) == 16
    assert colours(range(17)) == 3
    assert colours(range(128)) == 16


def test_the_prompt_is_marked():
    score = score_of((0, 20, 60, 0, 0), (20, 20, 60, 0, 0))
    plain = drawn(score)
    assert len(where(plain, pianoroll.PROMPT_BACKGROUND)[0]) == 0
    picture = drawn(score, prompt_seconds=5.0)
    background = where(picture, pianoroll.PROMPT_BACKGROUND)[1]
    notes = where(picture, roll_layout.COLOURS[0])[1]
    quarter = notes.min() + np.ptp(notes) / 4
    assert background.max() == pytest.approx(quarter, abs=8)
    everything = drawn(score, prompt_seconds=500.0)
    edge = where(everything, roll_layout.COLOURS[0])[1].max()
    assert where(everything, pianoroll.PROMPT_BACKGROUND)[1].max() == pytest.approx(edge, abs=8)


def test_given_notes_have_a_colour_of_their_own():
    score = score_of((0, 20, 60, 0, 0), (0, 20, 48, 0, 1))
    picture = drawn(score, new_notes=score.notes["track"] == 1)
    prompt, new = (where(picture, colour)[0] for colour in (roll_layout.PROMPT_COLOUR, roll_layout.COLOURS[1]))
    assert len(where(picture, roll_layout.COLOURS[0])[0]) == 0
    assert len(new) > 0
    assert prompt.min() < new.min()


def test_only_the_part_with_new_notes_is_drawn():
    long = [(4 * beat, 4, 40 + beat % 5, 0, 0) for beat in range(400)]
    score = score_of(*long, (1600, 16, 72, 0, 1))
    new = score.notes["track"] == 1
    picture = drawn(score, new_notes=new)
    colours = [len(where(picture, colour)[0]) for colour in roll_layout.COLOURS[:2]]
    assert colours[0] == 0  # what was given has the prompt's colour
    assert colours[1] > 0
    assert len(np.unique(where(picture, roll_layout.COLOURS[1])[1])) > picture.shape[1] / 4
    assert len(where(picture, roll_layout.PROMPT_COLOUR)[1]) > 0


def test_percussion_is_named():
    from matplotlib.axes import Axes

    texts: list[str] = []
    original = Axes.text

    def noted(axes, x, y, text, **options):
        texts.append(text)
        return original(axes, x, y, text, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Axes, "text", noted)
        drawn(score_of(*((key, 1, key, DRUMS, 0) for key in (36, 38, 42, 20))))
    assert sorted(texts) == ["Bass Drum 1", "Closed Hi-hat", "Drum 20", "Snare Drum 1"]
    assert [percussion_name(key) for key in (35, 81)] == ["Bass Drum 2", "Open Triangle"]


def test_classes_have_their_colours_and_the_first_lies_on_top():
    notes = np.array([(0, 10, 60, 10, 0, 0), (0, 10, 60, 127, 40, 1), (10, 10, 72, 20, 0, 0)], NOTE)
    score = Score(1, notes)  # soft or loud, whoever plays

    def colours(of_notes) -> list[int]:
        classes = roll_layout.Classes(("top", "middle", "none"), roll_layout.COLOURS[3:6], np.array(of_notes))
        picture = drawn(score, classes=classes)
        return [len(where(picture, colour)[0]) for colour in roll_layout.COLOURS[:6]]

    first, second = colours([0, 1, 1]), colours([1, 0, 1])
    assert first == second
    assert first[:3] == [0, 0, 0]
    assert first[5] == 0
    assert first[3] == pytest.approx(first[4], rel=0.05)
    assert colours([1, 1, 1])[3:] == [0, pytest.approx(2 * first[3], rel=0.1), 0]


def test_bars_are_drawn_where_there_are_meters():
    score = score_of((0, 40, 60, 0, 0))
    with_meters = replace(score, meters=np.array([(0, 4, 4)], METER))
    pictures = [drawn(score) for score in (score, with_meters)]
    counts = [len(where(picture, "#E6E6E6")[0]) for picture in pictures]
    assert counts[1] > counts[0] + 8 * 100
    endless = replace(score_of((0, 400_000, 60, 0, 0)), meters=np.array([(0, 1, 4)], METER))
    drawn(endless)


def test_the_same_score_gives_the_same_bytes():
    score = score_of((0, 10, 60, 0, 0), (5, 10, 64, 40, 1))
    assert pianoroll.png(score, title="one") == pianoroll.png(score, title="one")


@pytest.mark.parametrize("name", ["$x$ and $", "_private", "日本語\n\x07", "x" * 500, "\ud800"])
def test_any_name_can_be_drawn(name):
    score = score_of((0, 10, 60, 0, 0), (0, 10, 64, 0, 1), track_names=(name, "other"))
    drawn(score, title=name)


def test_music_without_notes_has_no_picture():
    with pytest.raises(MidiError, match="cannot draw a piano roll: the score has no notes"):
        pianoroll.png(score_of())


def test_only_drawing_imports_matplotlib_and_never_pyplot():
    script = (
        "import sys, numpy as np\n"
        "from t5music.music import pianoroll\n"
        "from t5music.music.score import NOTE, Score\n"
        "assert 'matplotlib' not in sys.modules\n"
        "notes = np.array([(0, 1, 60, 64, 0, 0)], NOTE)\n"
        "pianoroll.png(Score(1, notes))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_general_midi():
    assert (len(INSTRUMENTS), len(set(INSTRUMENTS)), len(FAMILIES)) == (128, 128, 16)
    names = {0: "Acoustic Grand Piano", 40: "Violin", 56: "Trumpet", 73: "Flute", 80: "Lead 1 (square)", 127: "Gunshot"}
    assert {program: instrument_name(program) for program in names} == names
    families = {
        7: "Piano",
        8: "Chromatic percussion",
        47: "Strings",
        48: "Ensemble",
        127: "Sound effects",
        128: "Drums",
    }
    assert {program: family_name(program) for program in families} == families
    assert instrument_name(DRUMS) == "Drums"


def test_general_midi_is_pretty_midis():
    theirs = pytest.importorskip("pretty_midi.constants").INSTRUMENT_MAP

    def plain(name: str) -> str:
        return "".join(character for character in name.lower() if character.isalnum())

    different = [(ours, other) for ours, other in zip(INSTRUMENTS, theirs, strict=True) if plain(ours) != plain(other)]
    assert len(different) <= 16, different
