"""Nats a cell: by hand on three pieces, and the literature's baselines on the JSB chorales to the last digit."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5music.data import examples
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import EOS_ID, default
from t5music.errors import ConfigError
from t5music.evaluation import cells, evaluator
from t5music.inference import trained_model
from t5music.model.config import T5Config
from t5music.music import encodings

SATB = encodings.get("satb")
LENGTHS = {"inputs": 2, "targets": 130}  # rows of 132: windows of 128 cells or more begin with bars
# Three pieces of 1, 2 and 40 sixteenths.
SHORT = SATB.from_text("Cell_60 Cell_57 Cell_53 Cell_41")
MIDDLE = SATB.from_text("Cell_60 Cell_57 Cell_53 Cell_rest Cell_60 Cell_57 Cell_52 Cell_41")
LONG = np.tile(SHORT, 40)
PIECES = (SHORT, MIDDLE, LONG)


def test_scores_of_three_pieces_by_hand():
    nats, ends = {0: 4.0, 1: 4.0, 2: 16.0}, {0: 0.5, 1: 1.0, 2: 0.0}
    figures = cells.scores(nats, ends, dict(enumerate(PIECES)), [SHORT])
    assert (figures["cells"], figures["examples"]) == (4 + 8 + 160, 3)
    assert figures["nats_per_cell"] == pytest.approx(24 / 172)
    assert figures["nats_per_cell_by_piece"] == pytest.approx((4 / 4 + 4 / 8 + 16 / 160) / 3)
    assert figures["nats_per_end"] == pytest.approx(0.5)
    assert figures["notes"] == 4 + 5 + 4  # held cells are one note, and a rest is none
    assert figures["bits_per_note"] == pytest.approx(25.5 / math.log(2) / 13)
    assert figures["uniform_nats_per_cell"] == pytest.approx(3.850, abs=0.0005)


def test_unigram_by_hand():
    """Trained on the short and the middle piece: 60 and 57 three times, 53 and 41 twice, 52 and rest once, of 12."""
    probability = {"60": 4, "57": 4, "53": 3, "41": 3, "52": 2, "rest": 2, "70": 1}  # of 12 + 47
    piece = SATB.from_text("Cell_60 Cell_57 Cell_53 Cell_41 Cell_52 Cell_rest Cell_70 Cell_70")
    expected = -sum(math.log(probability[SATB.words[cell].removeprefix("Cell_")] / 59) for cell in piece)
    assert cells.unigram_nats([SHORT, MIDDLE], [piece]) == pytest.approx(expected)


def test_voice_bigram_by_hand():
    """In the training pieces the soprano begins with 60 twice and 60 follows 60 once; so does the alto's 57.

    The tenor begins with 53 twice and 52 follows once; the bass begins with 41 and a rest, and 41 follows the rest.
    """
    piece = SATB.from_text("Cell_60 Cell_57 Cell_53 Cell_rest Cell_60 Cell_60 Cell_53 Cell_41")
    begun, once = 2 + 0.47, 1 + 0.47
    expected = -sum(
        map(
            math.log,
            [
                *(2.01 / begun, 2.01 / begun, 2.01 / begun, 1.01 / begun),
                *(1.01 / once, 0.01 / once, 0.01 / once, 1.01 / once),
            ],
        )
    )
    assert cells.voice_bigram_nats([SHORT, MIDDLE], [piece]) == pytest.approx(expected)


# ----------------------------------------------------------------------------------------------------- whole pieces


def store_of(folder: Path) -> TokenStore:
    vocabulary = default()
    features = {feature: FeatureSpec() for feature in ("inputs", "targets")}
    config = examples.to_config(examples.FourParts())
    with StoreWriter(folder, features=features, vocabulary=vocabulary, encoding="satb", examples=config) as writer:
        for split in ("train", "validation"):
            for piece in PIECES:
                targets = vocabulary.encode_events("satb", piece)
                writer.write(split, {"inputs": targets[:0], "targets": targets}, notes=1)
    return TokenStore.open(folder, vocabulary)


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    """A language model that thinks the cell four places back as likely as all other words together."""
    config = T5Config(
        vocab_size=default().rows, d_model=4, d_kv=2, num_heads=2, d_ff=4, num_encoder_layers=0, num_decoder_layers=1,
        architecture="language_model",
    )  # fmt: skip

    def nats(graphdef: None, params: None, batch: dict[str, jax.Array]) -> jax.Array:
        read = jnp.asarray(batch["decoder_input_tokens"])  # [batch, length]
        back = jnp.pad(read, ((0, 0), (3, 0)))[:, : read.shape[1], None]  # four places before the target
        is_back = (jnp.arange(config.vocab_size) == back) & (back > EOS_ID)  # [batch, length, rows]
        logits = jnp.where(is_back, jnp.log(config.vocab_size - 1.0), 0.0)
        return cells._nats(logits, jnp.asarray(batch["decoder_target_tokens"]))

    monkeypatch.setattr(cells, "_nats_of_model", nats)
    monkeypatch.setattr(cells, "put", lambda batch, mesh: batch)
    monkeypatch.setattr(cells, "mesh_of", lambda model: contextlib.nullcontext())
    model = SimpleNamespace(config=config)
    trained = SimpleNamespace(model=model, vocabulary=default(), lengths=LENGTHS)
    monkeypatch.setattr(trained_model, "load", lambda folder: trained)
    monkeypatch.setattr(cells.nnx, "split", lambda model: (None, None))


@pytest.mark.usefixtures("copying")
@pytest.mark.parametrize("stride", [16, 60])
def test_every_cell_of_every_piece_counts_once_after_its_past(tmp_path: Path, stride: int):
    settings = {"lengths": None, "batch_size": 2, "limit": None, "stride": stride}
    grid = evaluator.Evaluator([store_of(tmp_path / "grid")], "validation", **settings)
    figures = grid.evaluate(["a run"])["grid"]
    rows = default().rows
    copied, others = math.log(2), math.log(2) + math.log(rows - 1)  # of a cell that is copied, and of any other one
    costs = [[math.log(rows)] * 4, [math.log(rows)] * 4 + [copied, copied, others, others]]
    costs.append([math.log(rows)] * 4 + [copied] * 156)
    assert figures["cells"] == 172
    tallies = grid.tallies["grid"]["nats_per_cell"]
    assert tallies.wholes == [len(cost) for cost in costs]
    assert tallies.parts == pytest.approx(list(map(sum, costs)), rel=1e-5)
    assert figures["nats_per_cell"] == pytest.approx(sum(map(sum, costs)) / 172, rel=1e-5)
    assert figures["nats_per_cell_by_piece"] == pytest.approx(np.mean([np.mean(cost) for cost in costs]), rel=1e-5)
    assert figures["nats_per_end"] == pytest.approx(others, rel=1e-5)
    assert figures["notes"] == 13


@pytest.mark.usefixtures("copying")
def test_a_stride_must_leave_room_for_whole_bars(tmp_path: Path):
    settings = {"lengths": None, "batch_size": 2, "limit": None, "stride": 100}
    with pytest.raises(ConfigError, match="a stride must be from 1 to 66 for rows of these lengths, not 100"):
        evaluator.Evaluator([store_of(tmp_path / "grid")], "validation", **settings).evaluate(["a run"])


# ------------------------------------------------------------------------------------------------ the JSB chorales


@pytest.mark.data
def test_the_baselines_on_the_jsb_chorales_are_the_literature_s(real_music):
    sets = json.loads((real_music("jsb_chorales") / "czhuang/Jsb16thSeparated.json").read_text())
    pieces = {split: [SATB.of_grid(np.array(piece)) for piece in members] for split, members in sets.items()}
    sizes = {split: sum(map(len, members)) for split, members in pieces.items()}
    assert sizes == {"train": 220_912, "valid": 73_632, "test": 75_600}
    unigram, bigram = (
        {split: round(nats(pieces["train"], pieces[split]) / sizes[split], 3) for split in ("valid", "test")}
        for nats in (cells.unigram_nats, cells.voice_bigram_nats)
    )
    assert round(math.log(cells.SYMBOLS), 3) == 3.850
    assert unigram == {"valid": 3.391, "test": 3.403}
    assert bigram == {"valid": 0.937, "test": 0.986}
