"""XML with line numbers, and the tags and attributes that a launch file may hold (all known to work on Jazzy)."""

from __future__ import annotations

import xml.sax
import xml.sax.handler
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ami_embedded.launch_errors import LaunchError


@dataclass
class Element:
    """One tag."""

    tag: str
    attributes: dict[str, str]
    line: int
    children: list[Element] = field(default_factory=list)

    def of(self, tag: str) -> Iterator[Element]:
        """The children with this tag, in order."""
        return (child for child in self.children if child.tag == tag)


@dataclass(frozen=True)
class Form:
    """What a tag has to hold, may hold, and may contain."""

    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    children: dict[str, Form] = field(default_factory=dict)


def _form(required: str, optional: str = "", children: dict[str, Form] | None = None) -> Form:
    return Form(frozenset(required.split()), frozenset(optional.split()), children or {})


_CONDITION = "if unless"
ACTIONS: dict[str, Form] = {
    "arg": _form("name", f"default description {_CONDITION}", {"choice": _form("value")}),
    "let": _form("name value", _CONDITION),
    "node": _form(
        "pkg exec",
        f"name namespace args output on_exit respawn respawn_delay {_CONDITION}",
        {"param": _form("", "name value from"), "remap": _form("from to"), "env": _form("name value")},
    ),
    "include": _form("file", _CONDITION, {"arg": _form("name value")}),
    "push_ros_namespace": _form("namespace", _CONDITION),
    "push-ros-namespace": _form("namespace", _CONDITION),
    "set_parameter": _form("name value", _CONDITION),
    "set_env": _form("name value", _CONDITION),
}
ACTIONS["group"] = Form(frozenset(), frozenset(_CONDITION.split()), ACTIONS)  # a group holds what a file holds
ROOT = Form(frozenset(), frozenset(), ACTIONS)


def read_document(path: Path) -> Element:
    """The checked ``<launch>`` element of a file. Raises LaunchError with file and line."""
    if not path.is_file():
        raise LaunchError(f"there is no launch file {path}")
    builder = _Builder()
    try:
        xml.sax.parseString(path.read_bytes(), builder)
    except xml.sax.SAXParseException as error:
        raise LaunchError(f"{path}:{error.getLineNumber()}: not well-formed XML: {error.getMessage()}") from error
    root = builder.top.children[0]
    if root.tag != "launch":
        raise LaunchError(f"{path}:{root.line}: the outermost tag is <{root.tag}>, it has to be <launch>")
    _check(root, ROOT, path)
    return root


def _check(element: Element, form: Form, path: Path) -> None:
    place = f"{path}:{element.line}:"
    if unknown := sorted(element.attributes.keys() - form.required - form.optional):
        valid = ", ".join(sorted(form.required | form.optional)) or "none"
        raise LaunchError(f"{place} <{element.tag}> has no attribute '{unknown[0]}'; there are: {valid}")
    if missing := sorted(form.required - element.attributes.keys()):
        raise LaunchError(f"{place} <{element.tag}> lacks the attribute '{missing[0]}'")
    for child in element.children:
        if child.tag == "#text":
            raise LaunchError(f"{path}:{child.line}: stray text in <{element.tag}>: '{child.attributes['text']}'")
        if child.tag not in form.children:
            valid = ", ".join(f"<{tag}>" for tag in form.children) or "none"
            raise LaunchError(f"{path}:{child.line}: <{child.tag}> cannot be in <{element.tag}>; there can be: {valid}")
        _check(child, form.children[child.tag], path)


class _Builder(xml.sax.handler.ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.top = Element("#document", {}, 0)
        self._open = [self.top]
        self._locator = xml.sax.xmlreader.Locator()

    def setDocumentLocator(self, locator: xml.sax.xmlreader.Locator) -> None:  # noqa: N802 - SAX's name
        self._locator = locator

    def startElement(self, name: str, attrs: xml.sax.xmlreader.AttributesImpl) -> None:  # noqa: N802
        element = Element(name, dict(attrs.items()), self._locator.getLineNumber() or 0)
        self._open[-1].children.append(element)
        self._open.append(element)

    def endElement(self, name: str) -> None:  # noqa: N802
        self._open.pop()

    def characters(self, content: str) -> None:
        if content.strip():
            line = self._locator.getLineNumber() or 0
            self._open[-1].children.append(Element("#text", {"text": content.strip()}, line))
