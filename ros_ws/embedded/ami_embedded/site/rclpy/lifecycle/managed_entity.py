"""What follows the lifecycle of its node."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from rclpy.lifecycle.state_machine import LifecycleState, TransitionCallbackReturn


class ManagedEntity:
    """One callback for each transition; all succeed unless overridden."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unconfigured to inactive."""
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Inactive to unconfigured."""
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Any primary state to finalized."""
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Inactive to active."""
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Active to inactive."""
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition callback returned ERROR or raised: SUCCESS leads to unconfigured, all else to finalized."""
        return TransitionCallbackReturn.SUCCESS


class SimpleManagedEntity(ManagedEntity):
    """Enabled between activate and deactivate."""

    def __init__(self) -> None:
        self._enabled = False

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable."""
        self._enabled = True
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disable."""
        self._enabled = False
        return TransitionCallbackReturn.SUCCESS

    @staticmethod
    def when_enabled(
        wrapped: Callable[..., None] | None = None, *, when_not_enabled: Callable[..., None] | None = None
    ) -> Any:
        """Decorate a method so that it does nothing, or calls ``when_not_enabled``, while the entity is disabled."""

        def decorator(method: Callable[..., None]) -> Callable[..., None]:
            @wraps(method)
            def only_when_enabled(self: SimpleManagedEntity, *args: Any, **kwargs: Any) -> None:
                if self._enabled:
                    method(self, *args, **kwargs)
                elif when_not_enabled is not None:
                    when_not_enabled()

            return only_when_enabled

        return decorator if wrapped is None else decorator(wrapped)
