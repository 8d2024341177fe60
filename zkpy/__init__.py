"""A ZooKeeper server in Python on trio: ZooKeeper's own wire protocol and file formats.

``zkpy.testing`` embeds servers in tests; ``python -m zkpy`` is the command line.
"""

from typing import Final

__version__: Final = "0.1.0"

COMPATIBLE_WITH: Final = "3.9.5"
"""The ZooKeeper release whose behaviour is the reference; ``srvr`` begins its version with it."""
