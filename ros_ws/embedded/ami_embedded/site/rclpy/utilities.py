"""The default context, and helpers around it."""

from __future__ import annotations

from .context import Context

_default = Context()


def get_default_context() -> Context:
    """Return the context used where none is named."""
    return _default


def ok(*, context: Context | None = None) -> bool:
    """Whether the context is initialised and not shut down."""
    return (context or _default).ok()


def try_shutdown(*, context: Context | None = None) -> None:
    """Shut the context down unless that was done already."""
    (context or _default).try_shutdown()
