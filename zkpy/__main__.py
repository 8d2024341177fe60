"""``python -m zkpy``: the same as the ``zkpy`` command."""

from zkpy.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
