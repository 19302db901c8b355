"""Makes t5_shapes.json: name -> [shape, logical axes] of every parameter of the tiny models, in both forms.

Half the layers is no other layout than the plain encoder-decoder's; the two decoder-only models have the same.

A change of this file's result is a change of the architecture or of the checkpoints' layout; run it only for such one:

    python tests/golden/make_t5_shapes.py
"""

import json
from pathlib import Path

from flax import nnx

from t5music.model import parameters
from t5music.model.config import named

ARCHITECTURES = {
    "encoder_decoder": {},
    "shared": {"shared_layers": True},
    "decoder_only": {"architecture": "language_model", "num_encoder_layers": 0},
}


def of(config):
    """Returns the table of one model."""
    return {
        ".".join(map(str, path)): [list(param.shape), list(param.get_metadata()["axes"])]
        for path, param in nnx.to_flat_state(parameters.abstract(config)[1])
    }


def shapes():
    """Returns the content of the file."""
    return {
        f"{version} {form} {architecture}": of(
            named(version, "tiny", vocab_size=128, scan_layers=form == "scanned", **ARCHITECTURES[architecture])
        )
        for architecture in ARCHITECTURES
        for version in ("v1.0", "v1.1")
        for form in ("unrolled", "scanned")
    }


def main():
    blocks = []
    for title, table in shapes().items():
        lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in table.items())
        blocks.append(f"  {json.dumps(title)}: {{\n{lines}\n  }}")
    Path(__file__).with_name("t5_shapes.json").write_text("{\n" + ",\n".join(blocks) + "\n}\n")


if __name__ == "__main__":
    main()
