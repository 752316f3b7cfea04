"""Writes grouping-core/tests/data/conv.json: convolutions and divisive normalisations of PyTorch with their gradients, in f64.

    python conv.py ../../grouping-core/tests/data/conv.json
"""

import json
import sys

import torch
import torch.nn.functional as F

# batch, c_in, c_out, height, width, kernel, stride, padding, output padding (transposed alone)
CONV = [(1, 3, 4, 6, 7, 5, 2, 2), (2, 2, 3, 4, 5, 3, 1, 1), (1, 4, 2, 3, 4, 1, 1, 0), (1, 2, 1, 5, 4, 2, 2, 0)]
TRANSPOSED = [(1, 2, 3, 3, 4, 5, 2, 2, 1), (2, 3, 2, 2, 3, 3, 1, 1, 0), (1, 2, 2, 3, 2, 4, 2, 1, 0), (1, 2, 3, 2, 2, 3, 3, 0, 2)]


def digits(x):
    """Nine digits, which tell any two f32 apart."""
    return [float(f"{v:.9g}") for v in x.detach().ravel().tolist()]


def values(*shape):
    """Numbers of few digits."""
    return torch.round(torch.randn(shape, dtype=torch.float64) * 8).div(8).requires_grad_()


def case(function, inputs, **settings):
    y = function(*inputs)
    weights = torch.round(torch.randn(y.shape, dtype=torch.float64) * 8).div(8)
    (y * weights).sum().backward()
    return settings | {
        "inputs": [{"shape": list(x.shape), "values": digits(x), "grad": digits(x.grad)} for x in inputs],
        "output": {"shape": list(y.shape), "values": digits(y), "grad": digits(weights)},
    }


def main(out):
    torch.manual_seed(7)
    cases = []
    for b, i, o, h, w, k, s, p in CONV:
        op = lambda x, weight, bias, s=s, p=p: F.conv2d(x, weight, bias, s, p)
        inputs = [values(b, i, h, w), values(o, i, k, k), values(o)]
        cases.append(case(op, inputs, op="conv2d", stride=s, padding=p, output_padding=0))
    for b, i, o, h, w, k, s, p, e in TRANSPOSED:
        op = lambda x, weight, bias, s=s, p=p, e=e: F.conv_transpose2d(x, weight, bias, s, p, e)
        inputs = [values(b, i, h, w), values(i, o, k, k), values(o)]
        cases.append(case(op, inputs, op="conv_transpose2d", stride=s, padding=p, output_padding=e))
    for name, power in [("gdn", -0.5), ("inverse_gdn", 0.5)]:
        # Parameters above zero, as the layer's parametrisation makes them.
        beta = (values(3).detach().abs() + 0.5).requires_grad_()
        gamma = (values(3, 3).detach().abs() + 0.125).requires_grad_()
        op = lambda x, beta, gamma, power=power: x * F.conv2d(x * x, gamma[:, :, None, None], beta) ** power
        cases.append(case(op, [values(2, 3, 2, 3), beta, gamma], op=name, stride=1, padding=0, output_padding=0))
    with open(out, "w") as f:
        json.dump(cases, f)
        f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
