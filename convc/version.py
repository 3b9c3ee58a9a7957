"""The version of convc: read by the build backend, written into models and manifests."""

__version__ = "0.1.0"
