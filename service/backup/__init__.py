"""Copies of a home that can be checked and put back. Knows no HTTP and no command line."""

from service.backup.making import Made, back_up
from service.backup.manifest import Manifest, verify
from service.backup.restoring import RESTORING, restore

__all__ = ["RESTORING", "Made", "Manifest", "back_up", "restore", "verify"]
