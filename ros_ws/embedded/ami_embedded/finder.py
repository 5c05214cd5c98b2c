"""Makes `rclpy` and the ROS message packages importable on a machine without ROS 2.

`install()` decides once: where a real rclpy can be found it provides nothing at all, so that the two never mix.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_SITE = str(Path(__file__).resolve().parent / "site")


class _MessageLoader(Loader):
    """Fills the modules `package`, `package.msg`, `package.srv`, `package.action`; classes are made when asked for."""

    def exec_module(self, module: ModuleType) -> None:
        from ami_embedded import interfaces, messages

        package, _, kind = module.__name__.partition(".")
        if not kind:
            module.__path__ = []
            return
        known = interfaces.names(package)[kind]
        derived = {"msg": [""], "srv": ["", "_Request", "_Response"], "action": ["", "_Goal", "_Result", "_Feedback"]}[
            kind
        ]

        def getattr_(name: str) -> Any:
            if name in known:
                made = messages.interface_class(f"{package}/{kind}/{name}")
            elif any(d and name.endswith(d) and name.removesuffix(d) in known for d in derived):
                made = messages.message_class(f"{package}/{kind}/{name}")
            else:
                raise AttributeError(f"{package}.{kind} has no {name!r}; it has {', '.join(known)}")
            setattr(module, name, made)
            return made

        module.__getattr__ = getattr_  # type: ignore[method-assign]
        module.__dir__ = lambda: list(known)  # type: ignore[method-assign, assignment]
        module.__all__ = list(known)  # type: ignore[attr-defined]


class _EmbeddedFinder(MetaPathFinder):
    """Last on sys.meta_path, so that whatever is really installed comes first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "rclpy":
            return PathFinder.find_spec(fullname, [_SITE])
        package, _, kind = fullname.partition(".")
        if kind not in ("", "msg", "srv", "action") or not package.isidentifier():
            return None
        from ami_embedded import interfaces

        kinds = interfaces.names(package)
        if any(kinds.values()) if not kind else kinds[kind]:
            return ModuleSpec(fullname, _MessageLoader(), is_package=not kind)
        return None


class _UnbuiltFinder(MetaPathFinder):
    """Beside a real rclpy: says what to do about our own interface package."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "ami_interfaces":
            raise ImportError(
                "ami_interfaces is not built for this ROS 2: run 'colcon build' in ros_ws, then "
                "'source ros_ws/install/setup.bash'",
                name=fullname,
            )
        return None


def install() -> bool:
    """Provide rclpy and the message packages unless a real rclpy is there; return whether we do. Idempotent."""
    for finder in sys.meta_path:
        if isinstance(finder, _EmbeddedFinder | _UnbuiltFinder):
            return isinstance(finder, _EmbeddedFinder)
    real = "rclpy" in sys.modules or find_spec("rclpy") is not None
    if not real:
        import ami_embedded.interfaces  # noqa: F401 (now: while it loads, it must not be asked for what it imports)
    sys.meta_path.append(_UnbuiltFinder() if real else _EmbeddedFinder())
    return not real
