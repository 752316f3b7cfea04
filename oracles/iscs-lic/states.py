"""What each of CompressAI's models loads: names, shapes and types of its `state_dict` after `update()`.

The models are those of `networks.py`, with its weights: the widths of tables follow from them. An entry is `DTYPE SHAPE`.

    python oracles/iscs-lic/states.py iscs-lic/tests/data/states.json
"""

import json
import sys

import torch
from networks import GAINS, MODELS, recipe

TYPES = {torch.float32: "F32", torch.int32: "I32"}


@torch.no_grad()
def state(name):
    model = MODELS[name]()
    for parameter_name, parameter in model.named_parameters():
        parameter.copy_(torch.from_numpy(recipe(parameter_name, tuple(parameter.shape), GAINS.get(name, 1.5))))
    model.update(force=True)
    return {key: f"{TYPES[value.dtype]} {list(value.shape)}" for key, value in sorted(model.state_dict().items())}


def main():
    torch.set_num_threads(1)
    states = {name: state(name) for name in MODELS}
    with open(sys.argv[1], "w") as file:
        json.dump(states, file, indent=0)
        file.write("\n")


main()
