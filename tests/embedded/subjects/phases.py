"""A lifecycle node that publishes when active and fails where its parameters say."""

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from std_msgs.msg import String


class Phases(LifecycleNode):
    def __init__(self):
        super().__init__("phases")
        self.declare_parameter("fail_in", "")
        self.declare_parameter("how", "FAILURE")
        self.declare_parameter("on_error", "SUCCESS")
        self.beat = self.create_lifecycle_publisher(String, "beat", 10)
        self.create_timer(0.02, lambda: self.beat.publish(String(data=self._state_machine.current_state[1])))

    def outcome(self, callback, state):
        print(callback, "from", state.label, state.state_id, flush=True)
        if self.get_parameter("fail_in").value != callback:
            return getattr(super(), callback)(state)
        how = self.get_parameter("how").value
        if how == "raise":
            raise ValueError("no camera")
        return None if how == "None" else getattr(TransitionCallbackReturn, how)

    def on_configure(self, state):
        return self.outcome("on_configure", state)

    def on_activate(self, state):
        return self.outcome("on_activate", state)

    def on_deactivate(self, state):
        return self.outcome("on_deactivate", state)

    def on_cleanup(self, state):
        return self.outcome("on_cleanup", state)

    def on_shutdown(self, state):
        return self.outcome("on_shutdown", state)

    def on_error(self, state):
        print("on_error from", state.label, flush=True)
        return getattr(TransitionCallbackReturn, self.get_parameter("on_error").value)


def main():
    rclpy.init()
    node = Phases()
    try:
        print("ready", flush=True)
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
