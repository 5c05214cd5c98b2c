"""The exceptions of rclpy that our nodes can meet."""

from __future__ import annotations


class NotInitializedException(Exception):  # noqa: N818 (names are rclpy's)
    """rclpy.init() was not called on the context, or it is shut down."""

    def __init__(self, message: str = "rclpy.init() has not been called, or the context is shut down") -> None:
        super().__init__(message)


class NameValidationException(Exception):  # noqa: N818
    """A node, topic or service name breaks the ROS 2 naming rules."""

    def __init__(self, kind: str, name: str, reason: str) -> None:
        super().__init__(f"Invalid {kind}: {reason}: '{name}'")


class InvalidNodeNameException(NameValidationException):
    """The name of a node is not valid."""


class InvalidTopicNameException(NameValidationException):
    """The name of a topic is not valid."""


class InvalidServiceNameException(NameValidationException):
    """The name of a service is not valid."""


class ParameterException(Exception):  # noqa: N818
    """Base of what parameters can raise."""

    def __init__(self, message: str, parameters: object) -> None:
        super().__init__(message, parameters)
        self.parameters = parameters

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.parameters}"


class ParameterNotDeclaredException(ParameterException):
    """A parameter is used that was never declared."""

    def __init__(self, parameters: object) -> None:
        super().__init__("Invalid access to undeclared parameter(s)", parameters)


class ParameterAlreadyDeclaredException(ParameterException):
    """A parameter is declared twice."""

    def __init__(self, parameters: object) -> None:
        super().__init__("Parameter(s) already declared", parameters)


class ParameterUninitializedException(ParameterException):
    """A statically typed parameter has neither a default nor an override."""

    def __init__(self, parameters: object) -> None:
        super().__init__("The parameter is not initialized", parameters)


class InvalidParameterException(ParameterException):
    """The name of a parameter is not valid."""

    def __init__(self, parameters: object) -> None:
        super().__init__("Invalid parameter name", parameters)


class InvalidParameterTypeException(ParameterException):
    """The value of a parameter has another type than the declared one."""

    def __init__(self, desired: object, expected: str) -> None:
        name, value, kind = desired.name, desired.value, desired.type_.name  # type: ignore[attr-defined]
        Exception.__init__(
            self, f"Trying to set parameter '{name}' to '{value}' of type '{kind}', expecting type '{expected}'"
        )
        self.parameters = name

    def __str__(self) -> str:
        return str(self.args[0])


class InvalidParameterValueException(ParameterException):
    """The value of a parameter was refused by its descriptor."""

    def __init__(self, name: str, value: object, reason: str) -> None:
        Exception.__init__(self, f"Invalid parameter value ({value}) for parameter '{name}'. Reason: {reason}")
        self.parameters = name

    def __str__(self) -> str:
        return str(self.args[0])
