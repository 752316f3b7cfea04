"""Compares what the crate takes files of classic codecs to show with what Pillow decodes (libavif, libwebp).

    cargo run -p iscs-lic --features avif --example classic_files PICTURE FOLDER
    python oracles/iscs-lic/classic.py FOLDER

Pillow's libavif cuts planes of 10 bits to 8 before it converts colours, so that AVIF differs by up to 2.
Prints, a file each, its bytes, the greatest and the mean difference of a sample, and the share of samples that differ.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def samples(path):
    return np.asarray(Image.open(path).convert("RGB"), np.int32)


for path in sorted(Path(sys.argv[1]).glob("*.png")):
    file = path.with_suffix("")
    off = np.abs(samples(path) - samples(file))
    print(f"{file.name}: {file.stat().st_size} bytes, at most {off.max()}, mean {off.mean():.4f}, {(off > 0).mean():.2%} differ")
