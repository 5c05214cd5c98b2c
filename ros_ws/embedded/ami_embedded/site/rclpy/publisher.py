"""Publishers."""

from __future__ import annotations

from typing import Any

from ami_embedded import dds, interfaces

from .qos import QoSProfile


class Publisher:
    """Sends messages of one type on one topic. Made by `Node.create_publisher`."""

    def __init__(self, writer: dds.Writer, msg_type: Any, topic: str, qos_profile: QoSProfile) -> None:
        self._writer, self.msg_type, self._topic, self.qos_profile = writer, msg_type, topic, qos_profile

    @property
    def topic_name(self) -> str:
        """The fully qualified topic."""
        return self._topic

    def publish(self, msg: Any) -> None:
        """Send a message, or bytes that are one already in CDR.

        Raises:
            TypeError: another type of message.
            DDSError: the publisher is destroyed, the context shut down, or a reliable reader stuck.
        """
        if isinstance(msg, self.msg_type):
            self._writer.write(interfaces.serialize(msg))
        elif isinstance(msg, bytes | bytearray):
            self._writer.write(bytearray(msg))
        else:
            raise TypeError(f"Expected {self.msg_type}, got {type(msg)}")

    def get_subscription_count(self) -> int:
        """How many subscriptions receive this."""
        return self._writer.matched_count

    def destroy(self) -> None:
        """Delete it; use `Node.destroy_publisher`."""
        self._writer.close()
