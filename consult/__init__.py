"""Consult: a self-hosted server for video second opinions."""

__version__ = "0.1.0"
