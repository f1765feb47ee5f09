"""Which software this is."""

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("conclave-hub")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0+unknown"


SOFTWARE = f"conclave {_version()}"
