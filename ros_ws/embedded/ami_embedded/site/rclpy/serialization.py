"""Messages as they travel."""

from __future__ import annotations

from typing import Any

from ami_embedded import interfaces


def serialize_message(message: Any) -> bytes:
    """Return the encapsulated CDR of a message."""
    return bytes(interfaces.serialize(message))
