"""What tests know of their surroundings: where things are, and how long to wait for what does not come.

UPG_BIN    the program to test (default: build/upg of this checkout); it may be built with sanitizers
UPG_BUILD  the build folder of what is loaded into this Python, so without sanitizers (default: build/)
"""
import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
UPG = pathlib.Path(os.environ.get("UPG_BIN", ROOT / "build" / "upg")).resolve()
BUILD = pathlib.Path(os.environ.get("UPG_BUILD", ROOT / "build")).resolve()
MODEL = ROOT / "models" / "default.upg"

SANITIZED = UPG.exists() and re.search(rb"__[at]san_init", UPG.read_bytes()) is not None

# Seconds until a test gives up on a program: a limit is there to name what hangs, nothing takes a tenth of it where the
# machine is not busy, and a busy machine is no reason to fail.
PATIENCE = 3000 if SANITIZED else 600
