"""Nodes: the place where publishers, subscriptions, services, clients, timers and parameters are made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ami_embedded import dds, graph, interfaces

from . import logging, names
from .arguments import Arguments
from .callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup
from .clock import Clock, ROSClock
from .context import Context
from .exceptions import NotInitializedException, ParameterException
from .guard_condition import GuardCondition
from .node_graph import GraphMixin
from .node_parameters import ParametersMixin
from .parameter import Parameter
from .publisher import Publisher
from .qos import QoSProfile, qos_from, qos_profile_rosout_default, qos_profile_services_default
from .qos_overriding_options import QoSOverridingOptions, overridden
from .service import Client, Service
from .subscription import Subscription
from .time_source import TimeSource
from .timer import Timer
from .utilities import get_default_context


class Node(ParametersMixin, GraphMixin):
    """A ROS node. See rclpy.node.Node; keywords that our nodes do not use are left out."""

    def __init__(
        self,
        node_name: str,
        *,
        context: Context | None = None,
        cli_args: list[str] | None = None,
        namespace: str | None = None,
        use_global_arguments: bool = True,
        enable_rosout: bool = True,
        start_parameter_services: bool = True,
        parameter_overrides: list[Parameter] | None = None,
        allow_undeclared_parameters: bool = False,
        automatically_declare_parameters_from_overrides: bool = False,
    ) -> None:
        self.context = context or get_default_context()
        if not self.context.ok():
            raise NotInitializedException()
        self._arguments = [Arguments(cli_args or [])]
        self._arguments += [self.context.arguments] if use_global_arguments else []
        name, space = names.remap_node(self._arguments, node_name, namespace or "/")
        names.check_node_name(name)
        self._entry = graph.NodeEntry(names.normal_namespace(space), name)
        self._entities_list: list[Any] = []
        self._publisher_list: list[Publisher] = []
        self._timer_list: list[Timer] = []
        self._lock = threading.RLock()
        self._executor: Any = None
        self._destroyed = False
        self._default_callback_group = MutuallyExclusiveCallbackGroup()
        self._clock = ROSClock()
        self._logger = logging.get_logger(self.get_fully_qualified_name()[1:].replace("/", "."))
        with self.context.graph.batch():
            self.context.graph.add(self._entry)
            if enable_rosout:
                self._start_rosout()
            self._time_source = TimeSource(self, self._clock)
            overrides = self._overrides(parameter_overrides or [])
            self._init_parameters(overrides, allow_undeclared_parameters, start_parameter_services)
            if automatically_declare_parameters_from_overrides:
                self.declare_parameters("", [(n, p.value) for n, p in overrides.items()])
            if not self.has_parameter("use_sim_time"):
                self.declare_parameter("use_sim_time", False)

    def _overrides(self, given: list[Parameter]) -> dict[str, Parameter]:
        overrides: dict[str, Parameter] = {}
        for arguments in reversed(self._arguments):
            for name, value in arguments.overrides_for(self.get_fully_qualified_name()).items():
                try:
                    overrides[name] = Parameter(name, value=_with_one_type(value))
                except TypeError as error:
                    raise ParameterException(f"cannot use the value {value!r} ({error})", name) from error
        overrides.update({p.name: p for p in given})
        return overrides

    def _start_rosout(self) -> None:
        from rcl_interfaces.msg import Log

        publisher = self.create_publisher(Log, "/rosout", qos_profile_rosout_default)

        def publish(level: int, name: str, text: str, file: str, function: str, line: int, ns: int) -> None:
            log = Log(level=int(level), name=name, msg=text, file=file, function=function, line=line)
            log.stamp.sec, log.stamp.nanosec = divmod(ns, 1_000_000_000)
            with suppress(dds.DDSError):  # after the shutdown; it was shown on stderr
                publisher.publish(log)

        logging._rosout[self._logger.name] = publish

    @property
    def executor(self) -> Any:
        """The executor that serves this node, if any."""
        return self._executor

    @executor.setter
    def executor(self, executor: Any) -> None:
        if executor is None:
            if self._executor is not None:
                self._executor.remove_node(self)
        else:
            executor.add_node(self)

    def get_name(self) -> str:
        """The name."""
        return self._entry.name

    def get_fully_qualified_name(self) -> str:
        """Namespace and name."""
        return f"{self._entry.namespace.rstrip('/')}/{self._entry.name}"

    def get_logger(self) -> logging.RcutilsLogger:
        """The logger of this node."""
        return self._logger

    def get_clock(self) -> ROSClock:
        """The ROS clock of this node."""
        return self._clock

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        """Return the fully qualified and remapped name of a topic."""
        return self._resolve(topic, False, only_expand)

    def _resolve(self, name: str, is_service: bool, only_expand: bool = False) -> str:
        where = (self._entry.name, self._entry.namespace)
        full = names.expand(name, *where, is_service=is_service)
        return full if only_expand else names.remap(self._arguments, full, *where, is_service=is_service)

    def _entities(self) -> list[Any]:
        with self._lock:
            return list(self._entities_list)

    @property
    def _timers(self) -> list[Timer]:
        with self._lock:
            return list(self._timer_list)

    def _set_executor(self, executor: Any) -> None:
        self._executor = executor

    def _on_change(self) -> None:
        if self._executor is not None:
            self._executor._on_change()

    def _wake(self) -> None:
        if self._executor is not None:
            self._executor.wake()

    def _list_of(self, entity: Any) -> list[Any]:
        return self._publisher_list if isinstance(entity, Publisher) else self._entities_list

    def _add(self, entity: Any, readers: list[dds.Reader], writers: list[dds.Writer]) -> Any:
        with self._lock:
            self._list_of(entity).append(entity)
            self._entry.readers += [r.gid for r in readers]
            self._entry.writers += [w.gid for w in writers]
        self.context.graph.announce()
        self._on_change()
        return entity

    def _remove(self, entity: Any, readers: list[dds.Reader], writers: list[dds.Writer]) -> bool:
        with self._lock:
            if entity not in self._list_of(entity):
                return False
            self._list_of(entity).remove(entity)
            if self.context.ok():
                for gids, endpoints in ((self._entry.readers, readers), (self._entry.writers, writers)):
                    for endpoint in endpoints:
                        if endpoint.handle:
                            gids.remove(endpoint.gid)
        self._on_change()
        entity.destroy()
        if self.context.ok():
            self.context.graph.announce()
        return True

    def create_publisher(
        self,
        msg_type: Any,
        topic: str,
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        qos_overriding_options: QoSOverridingOptions | None = None,
        publisher_class: type[Publisher] = Publisher,
    ) -> Any:
        """Publish a topic; `qos_profile` may be the history depth."""
        writer, name, qos = self._endpoint(dds.Writer, msg_type, topic, qos_profile, qos_overriding_options)
        return self._add(publisher_class(writer, msg_type, name, qos), [], [writer])

    def create_subscription(
        self,
        msg_type: Any,
        topic: str,
        callback: Callable[..., Any],
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        qos_overriding_options: QoSOverridingOptions | None = None,
        raw: bool = False,
    ) -> Subscription:
        """Subscribe to a topic; `qos_profile` may be the history depth."""
        if not callable(callback):
            raise TypeError(f"the callback of {topic} is not callable: {callback!r}")
        reader, name, qos = self._endpoint(dds.Reader, msg_type, topic, qos_profile, qos_overriding_options)
        group = callback_group or self._default_callback_group
        subscription = Subscription(reader, msg_type, name, callback, group, qos, raw, self._logger)
        return self._add(subscription, [reader], [])

    def _endpoint(
        self,
        kind: Any,
        msg_type: Any,
        topic: str,
        qos_profile: QoSProfile | int,
        options: QoSOverridingOptions | None,
    ) -> Any:
        type_name = getattr(msg_type, "_type_name", "")
        if not hasattr(msg_type, "_fields"):
            raise TypeError(f"{msg_type!r} is not a ROS message type")
        name, qos = self._resolve(topic, False), qos_from(qos_profile)
        if options is not None:
            qos = overridden(self, "publisher" if kind is dds.Writer else "subscription", name, qos, options)
        interfaces.store.prepare(type_name)
        data = graph.user_data(type_name)
        dds_type = interfaces.dds_type_name(type_name)
        return kind(self.context.participant, f"rt{name}", dds_type, qos._to_dds(data)), name, qos

    def create_service(
        self,
        srv_type: Any,
        srv_name: str,
        callback: Callable[[Any, Any], Any],
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Service:
        """Offer a service: callback(request, response) returns the response."""
        group = callback_group or self._default_callback_group
        arguments = self._service_arguments(srv_type, srv_name, qos_profile, True)
        service = Service(*arguments, callback=callback, callback_group=group)
        return self._add(service, [service._reader], [service._writer])

    def create_client(
        self,
        srv_type: Any,
        srv_name: str,
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Client:
        """Make it possible to call a service."""
        group = callback_group or self._default_callback_group
        arguments = self._service_arguments(srv_type, srv_name, qos_profile, False)
        client = Client(*arguments, callback_group=group, context=self.context, executor=lambda: self._executor)
        return self._add(client, [client._reader], [client._writer])

    def _service_arguments(self, srv_type: Any, name: str, qos: QoSProfile, is_server: bool) -> tuple[Any, ...]:
        if not hasattr(srv_type, "Request") or not hasattr(srv_type, "_type_name"):
            raise TypeError(f"{srv_type!r} is not a ROS service type")
        return self.context.participant, srv_type, self._resolve(name, True), qos, is_server, self._logger

    def create_timer(
        self,
        timer_period_sec: float,
        callback: Callable[..., Any] | None,
        callback_group: CallbackGroup | None = None,
        clock: Clock | None = None,
        autostart: bool = True,
    ) -> Timer:
        """Call back every so many seconds of the node's clock, or of the given one."""
        group = callback_group or self._default_callback_group
        period_ns = int(float(timer_period_sec) * 1_000_000_000)
        timer = Timer(callback, group, period_ns, clock or self._clock, self._wake, autostart=autostart)
        with self._lock:
            self._timer_list.append(timer)
        self._on_change()
        return timer

    def create_guard_condition(
        self, callback: Callable[..., Any], callback_group: CallbackGroup | None = None
    ) -> GuardCondition:
        """Call back when it is triggered."""
        guard = GuardCondition(callback, callback_group or self._default_callback_group, self.context)
        return self._add(guard, [], [])

    def destroy_publisher(self, publisher: Publisher) -> bool:
        """Delete a publisher."""
        return self._remove(publisher, [], [publisher._writer])

    def destroy_subscription(self, subscription: Subscription) -> bool:
        """Delete a subscription."""
        return self._remove(subscription, [subscription._reader], [])

    def destroy_service(self, service: Service) -> bool:
        """Delete a service."""
        return self._remove(service, [service._reader], [service._writer])

    def destroy_client(self, client: Client) -> bool:
        """Delete a client."""
        return self._remove(client, [client._reader], [client._writer])

    def destroy_guard_condition(self, guard: GuardCondition) -> bool:
        """Delete a guard condition."""
        return self._remove(guard, [], [])

    def destroy_timer(self, timer: Timer) -> bool:
        """Delete a timer."""
        with self._lock:
            if timer not in self._timer_list:
                return False
            self._timer_list.remove(timer)
        timer.destroy()
        self._on_change()
        return True

    def destroy_node(self) -> None:
        """Leave the graph with everything that was made here. Harmless when repeated and after the shutdown."""
        if self._destroyed:
            return
        self._destroyed = True
        self.executor = None
        logging._rosout.pop(self._logger.name, None)
        for timer in self._timers:
            self.destroy_timer(timer)
        for entity in (*self._entities(), *self._publisher_list):
            entity.destroy()
        self._entities_list.clear()
        self._publisher_list.clear()
        if self.context.ok():
            self.context.graph.remove(self._entry)

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy_node()


def _with_one_type(value: Any) -> Any:
    """A YAML list of ints and floats is a list of floats."""
    if isinstance(value, list) and any(isinstance(x, float) for x in value):
        return [float(x) if isinstance(x, int) and not isinstance(x, bool) else x for x in value]
    return value
