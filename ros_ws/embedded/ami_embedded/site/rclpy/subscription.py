"""Subscriptions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from rosbags.serde import SerdeError

from ami_embedded import dds, interfaces

from .logging import RcutilsLogger
from .qos import QoSProfile


class MessageInfo(dict):
    """What a two-argument callback gets beside the message; times in ns since the epoch."""


def _wants_info(callback: Callable[..., Any]) -> bool:
    """Whether the callback takes (message, info)."""
    try:
        inspect.signature(callback).bind(None)
    except TypeError:
        return True
    except ValueError:  # a builtin such as list.append has no signature
        return False
    return False


class Subscription:
    """Receives messages of one type from one topic. Made by `Node.create_subscription`.

    With `raw` the callback gets the CDR as bytes. A message that cannot be read is logged and dropped.
    """

    _inline = False  # whether the executor runs the callback in its own thread, in no group

    def __init__(
        self,
        reader: dds.Reader,
        msg_type: Any,
        topic: str,
        callback: Callable[..., Any],
        callback_group: Any,
        qos_profile: QoSProfile,
        raw: bool,
        logger: RcutilsLogger,
    ) -> None:
        self._reader, self.msg_type, self.topic, self.raw = reader, msg_type, topic, raw
        self.callback_group, self.qos_profile = callback_group, qos_profile
        self.callback, self._with_info = callback, _wants_info(callback)
        self.condition = reader.condition
        self._logger = logger
        self._decode: Callable[[memoryview], Any] = (
            bytes if raw else partial(interfaces.deserialize, type_name=msg_type._type_name)
        )

    @property
    def topic_name(self) -> str:
        """The fully qualified topic."""
        return self.topic

    def _take(self) -> Callable[[], Any] | None:
        try:
            taken = self._reader.take(self._decode)
        except SerdeError as error:
            self._logger.error(f"dropped a message on {self.topic}: {error}", throttle_duration_sec=1.0)
            return None
        if taken is None:
            return None
        message, info = taken
        if not self._with_info:
            return partial(self.callback, message)
        times = MessageInfo(source_timestamp=info.source_timestamp, received_timestamp=0)
        return partial(self.callback, message, times)

    def destroy(self) -> None:
        """Delete it; use `Node.destroy_subscription`."""
        self._reader.close()
