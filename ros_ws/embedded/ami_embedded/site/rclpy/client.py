"""Clients of services; see service.py."""

from .service import Client

__all__ = ["Client"]
