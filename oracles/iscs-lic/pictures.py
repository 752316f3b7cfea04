"""Writes the picture files of `iscs-lic/tests/data/pictures` with Pillow: a turned photograph, a profile with a gamma, four inks."""

import pathlib
import struct

from PIL import Image, ImageCms, PngImagePlugin

out = pathlib.Path(__file__).parents[2] / "iscs-lic/tests/data/pictures"
out.mkdir(parents=True, exist_ok=True)
grey = Image.new("RGB", (16, 8), (120, 130, 140))
exif = Image.Exif()
exif[0x0112] = 6
grey.save(out / "turned.jpg", exif=exif)
info = PngImagePlugin.PngInfo()
info.add(b"gAMA", struct.pack(">I", 100000))
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
grey.save(out / "profile.png", pnginfo=info, icc_profile=profile)
Image.new("CMYK", (16, 8), (255, 0, 0, 0)).save(out / "inks.jpg")
