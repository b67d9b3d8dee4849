"""The release, as the package's metadata has it. Knows nothing else."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("penultimate")
except PackageNotFoundError:  # a checkout that was never installed
    VERSION = "0+unknown"
