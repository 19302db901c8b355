"""ASAP, in the layout of its repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, skipped, write_midi

from t5music.corpora.sources.asap import ASAP
from t5music.errors import DataError

HEAD = ("composer,title,folder,xml_score,midi_score,midi_performance,performance_annotations,midi_score_annotations,"
        "maestro_midi_performance,maestro_audio_performance,start,end,audio_performance\n")  # fmt: skip
FOLDERS = {"Bach/Fugue/bwv_846": ("Bach", "Fugue_bwv_846"), "Chopin/Ballades/1": ("Chopin", "Ballade_1")}
PLAYED = {
    "Bach/Fugue/bwv_846/Shi05M.mid": True,
    "Bach/Fugue/bwv_846/LeeSH02.mid": False,
    "Chopin/Ballades/1/Ko03.mid": True,
}
WRITTEN_BEATS, PLAYED_BEATS = [0.5, 1.0, 1.5], [1.0950520000000001, 2.364583, 3.66276]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "asap-dataset-x"
    rows, annotations = [], {}
    for number, (name, aligned) in enumerate(PLAYED.items()):
        place = str(Path(name).parent)
        composer, title = FOLDERS[place]
        write_midi(folder / name, number)
        write_midi(folder / place / "midi_score.mid", 10 + list(FOLDERS).index(place))
        rows.append(f"{composer},{title},{place},{place}/xml_score.musicxml,{place}/midi_score.mid,{name},a,b,,,,,\n")
        annotations[name] = {
            "performance_beats": PLAYED_BEATS if aligned else PLAYED_BEATS[:2],
            "midi_score_beats": WRITTEN_BEATS,
            "score_and_performance_aligned": aligned,
        }
    (folder / "metadata.csv").write_text(HEAD + "".join(rows))
    (folder / "asap_annotations.json").write_text(json.dumps(annotations))
    return folder


def test_a_performance_with_its_score_and_alignment(root: Path):
    pieces = pieces_of(ASAP, root.parent)
    assert list(pieces) == sorted(PLAYED)
    piece = pieces["Bach/Fugue/bwv_846/Shi05M.mid"]
    labels = dict(piece.labels)
    assert json.loads(labels.pop("alignment")) == [WRITTEN_BEATS, [1.095052, 2.364583, 3.66276]]
    assert labels == {"composer": "Bach", "title": "Fugue bwv 846", "performer": "Shi"}
    other = pieces["Bach/Fugue/bwv_846/LeeSH02.mid"]
    assert other.labels["alignment"] == "", "beats are missing in it"
    assert other.labels["performer"] == "LeeSH"
    assert piece.others["score"] == other.others["score"] != pieces["Chopin/Ballades/1/Ko03.mid"].others["score"]
    assert piece.score != other.score
    assert piece.group == other.group != pieces["Chopin/Ballades/1/Ko03.mid"].group
    assert piece.split is None


def test_a_score_or_performance_that_is_not_there(root: Path):
    entries = entries_of(ASAP, root)
    (root / "Bach/Fugue/bwv_846/midi_score.mid").unlink()
    assert skipped(ASAP, entries["Bach/Fugue/bwv_846/Shi05M.mid"]) == "its score: no such file"
    (root / "Bach/Fugue/bwv_846/Shi05M.mid").unlink()
    assert skipped(ASAP, entries["Bach/Fugue/bwv_846/Shi05M.mid"]) == "no such file"


def damage(annotations: dict) -> None:
    annotations["Bach/Fugue/bwv_846/Shi05M.mid"]["performance_beats"].append(9.0)


def lose(annotations: dict) -> None:
    del annotations["Bach/Fugue/bwv_846/Shi05M.mid"]["midi_score_beats"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damage, "Shi05M.mid: 3 beats in the score and 4 in the performance"),
        (lose, "no lists of seconds 'midi_score_beats'"),
    ],
)
def test_damaged_annotations(root: Path, change, message: str):
    path = root / "asap_annotations.json"
    annotations = json.loads(path.read_text())
    change(annotations)
    path.write_text(json.dumps(annotations))
    with pytest.raises(DataError, match=message):
        entries_of(ASAP, root)


def test_a_damaged_table(root: Path):
    path = root / "metadata.csv"
    path.write_text(path.read_text().replace("midi_performance,", "performance,", 1))
    with pytest.raises(DataError, match=r"metadata\.csv: no column 'midi_performance'"):
        entries_of(ASAP, root)
    (root / "asap_annotations.json").write_text("[]")
    with pytest.raises(DataError, match=r"asap_annotations\.json: not a table"):
        entries_of(ASAP, root)


def test_it_is_built_with_its_scores(root: Path, tmp_path: Path):
    pytest.importorskip("tensorflow_datasets")
    from t5music.corpora import build, datasets

    build.build(ASAP, root, tmp_path / "data", workers=1, progress=False)
    found = {}
    for split in datasets.splits("asap", tmp_path / "data"):
        for record in datasets.records("asap", split, tmp_path / "data"):
            piece = datasets.to_piece(record)
            found[piece.id] = (split, piece)
    assert set(found) == set(PLAYED)
    assert len({split for name, (split, _) in found.items() if name.startswith("Bach")}) == 1
    assert all(len(piece.others["score"].notes) == 16 for _, piece in found.values())
