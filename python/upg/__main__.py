"""The command line: `python -m upg` is the program `upg`."""
import os
import sys

from . import _native


def main():
    """Run the command line with sys.argv; never returns."""
    arguments = (b"upg", *map(os.fsencode, sys.argv[1:]))
    sys.stdout.flush()
    sys.exit(_native.main(arguments))


if __name__ == "__main__":
    main()
