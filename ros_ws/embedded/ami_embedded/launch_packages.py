"""Where a ROS package is on this machine: its share folder and the Python function behind an executable.

A package is looked for in the workspace of the launch file, then in the workspace this layer lives in, then installed:
``AMENT_PREFIX_PATH`` and ``sys.prefix``, where ``share/<package>`` is the layout of ament and of pip's data files.
"""

from __future__ import annotations

import importlib.metadata
import os
import runpy
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ami_embedded.launch_errors import LaunchError

OWN_SOURCES = Path(__file__).resolve().parents[2] / "src"


class Packages:
    """Finds packages for one launch file."""

    def __init__(self, launch_file: Path | None = None):
        beside = next((p for p in launch_file.parents if (p / "package.xml").is_file()), None) if launch_file else None
        self._sources = [*([beside.parent] if beside else []), OWN_SOURCES]
        prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
        self._prefixes = [*prefixes, Path(sys.prefix)]

    def share(self, package: str) -> Path:
        """Share folder of a package. Raises LaunchError when it is nowhere."""
        for folder in self._folders(package):
            if folder.is_dir():
                return folder
        looked = ", ".join(str(f.parent) for f in self._folders(package))
        raise LaunchError(f"there is no package '{package}' in {looked}")

    def executable(self, package: str, name: str) -> tuple[str, Path | None]:
        """``module:function`` of a package's console script, and the source folder to import it from (None: installed).

        Raises LaunchError naming the executables that there are.
        """
        source = next((s / package for s in self._sources if (s / package / "setup.py").is_file()), None)
        scripts = _scripts_of_source(source) if source else _scripts_of_installed(package)
        if name not in scripts:
            self.share(package)  # a missing package is the clearer complaint
            has = f"it has {', '.join(sorted(scripts))}" if scripts else "it has no Python executables"
            raise LaunchError(f"package '{package}' has no executable '{name}'; {has}")
        return scripts[name], source

    def _folders(self, package: str) -> Iterator[Path]:
        for source in self._sources:
            yield source / package
        for prefix in self._prefixes:
            yield prefix / "share" / package


def _scripts_of_installed(package: str) -> dict[str, str]:
    try:
        entries = importlib.metadata.distribution(package).entry_points
    except importlib.metadata.PackageNotFoundError:
        return {}
    return {e.name: e.value.split()[0] for e in entries if e.group == "console_scripts"}


def _scripts_of_source(folder: Path) -> dict[str, str]:
    """The console_scripts that a package's setup.py hands to setup(), without building anything."""
    seen: dict[str, Any] = {}
    stand_in = types.ModuleType("setuptools")
    stand_in.setup = seen.update  # type: ignore[attr-defined]
    stand_in.find_packages = lambda *_, **__: []  # type: ignore[attr-defined]
    real, directory = sys.modules.get("setuptools"), os.getcwd()
    sys.modules["setuptools"] = stand_in
    os.chdir(folder)  # where setuptools would run it
    try:
        runpy.run_path("setup.py", run_name="__main__")
    except ImportError as error:
        raise LaunchError(f"{folder / 'setup.py'} cannot be read for its executables: {error}") from error
    finally:
        os.chdir(directory)
        del sys.modules["setuptools"]
        if real is not None:
            sys.modules["setuptools"] = real
    lines = seen.get("entry_points", {}).get("console_scripts", [])
    return {name.strip(): target.strip() for name, _, target in (line.partition("=") for line in lines)}
