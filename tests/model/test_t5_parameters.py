import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from t5music.model import parameters
from t5music.model.config import named

GOLDEN = Path(__file__).parents[1] / "golden"
COUNTS = json.loads((GOLDEN / "t5_counts.json").read_text())


@pytest.mark.parametrize(("version", "size"), [(version, size) for version in COUNTS for size in COUNTS[version]])
def test_named_sizes_have_the_published_number_of_parameters(version, size):
    # Scanned, because abstract evaluation of every layer by itself takes a while; the next test ties the two forms.
    _, params = parameters.abstract(named(version, size, rows=32128, scan_layers=True))
    assert parameters.count(params) == COUNTS[version][size]


def test_names_shapes_and_axes_of_every_parameter_are_the_golden_ones():
    golden = json.loads((GOLDEN / "t5_shapes.json").read_text())
    for title, table in golden.items():
        version, form = title.split()
        config = named(version, "tiny", rows=128, scan_layers=form == "scanned")
        found = {
            ".".join(map(str, path)): [list(param.shape), list(param.get_metadata()["axes"])]
            for path, param in nnx.to_flat_state(parameters.abstract(config)[1])
        }
        assert found == table


def test_the_published_counts_are_those_of_the_papers():
    millions = {v: {size: round(count / 1e6) for size, count in sizes.items()} for v, sizes in COUNTS.items()}
    assert millions == {
        "v1.0": {"small": 61, "base": 223, "large": 738, "3b": 2852, "11b": 11307},
        "v1.1": {"small": 77, "base": 248, "large": 783, "xl": 2850, "xxl": 11135},
    }


def test_stacking_and_unstacking_are_inverses(build):
    unrolled = nnx.state(build())
    stacked = parameters.stack_layers(unrolled)
    again = parameters.unstack_layers(stacked)
    assert jax.tree.structure(again) == jax.tree.structure(parameters.unstack_layers(unrolled))
    jax.tree.map(np.testing.assert_array_equal, again, parameters.unstack_layers(unrolled))
    kernel = stacked["decoder"]["layers"]["mlp"]["wo"]
    assert kernel.shape == (3, 48, 32)
    assert kernel.get_metadata()["axes"] == ("layers", "mlp", "embed")
    np.testing.assert_array_equal(kernel[...][2], unrolled["decoder"]["layers"][2]["mlp"]["wo"][...])


def test_initialise_gives_a_model_by_size_and_key_alone():
    made = {}
    for scan_layers in (False, True):
        config = named("v1.1", "tiny", rows=128, scan_layers=scan_layers)
        graphdef, params = parameters.initialise(config, jax.random.key(0))
        expected_graphdef, expected = parameters.abstract(config)
        assert graphdef == expected_graphdef
        assert nnx.merge(graphdef, params).config == config
        assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, expected)
        made[scan_layers] = parameters.unstack_layers(params)
    jax.tree.map(np.testing.assert_array_equal, made[False], made[True])
