"""Checkpoints as training scripts save them: one small model in three containers and spellings.

    python oracles/iscs-lic/checkpoints.py iscs-lic/tests/data/checkpoints

All weights are multiples of 1/64, so that 16 bits hold them too.
"""

import sys
from pathlib import Path

import torch
from compressai.models import FactorizedPrior
from networks import recipe


@torch.no_grad()
def model():
    net = FactorizedPrior(2, 3)
    for name, parameter in net.named_parameters():
        parameter.copy_((torch.from_numpy(recipe(name, tuple(parameter.shape), 1.5)) * 64).round() / 64)
    return net


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    # As CompressAI's training example, on several devices: never updated, so that the tables are empty; the loss is a tensor.
    net = model()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    net(torch.zeros(1, 3, 16, 16))["x_hat"].sum().backward()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min")
    scheduler.step(torch.tensor(0.5))
    torch.save(
        {
            "epoch": 3,
            "state_dict": {f"module.{name}": value for name, value in net.state_dict().items()},
            "loss": torch.tensor(0.5),
            "optimizer": optimizer.state_dict(),
            "aux_optimizer": torch.optim.Adam([net.entropy_bottleneck.quantiles]).state_dict(),
            "lr_scheduler": scheduler.state_dict(),
        },
        out / "trained.pth.tar",
    )
    # Updated, in half precision.
    net = model()
    net.update()
    torch.save({"network": net.half().state_dict()}, out / "half.pth")
    # In double precision, before torch 1.6, with the first spelling of the prior's parameters.
    old = {}
    for name, value in model().double().state_dict().items():
        for kind in ("matrices", "biases", "factors"):
            name = name.replace(f"bottleneck.{kind}.", f"bottleneck._{kind}.")
        old[name] = value
    torch.save({"model_state_dict": old}, out / "double.pth", _use_new_zipfile_serialization=False)


main()
