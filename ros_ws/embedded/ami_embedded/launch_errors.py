"""The one error of the launcher."""


class LaunchError(Exception):
    """The launch file, an argument or a package cannot be used; the text is one sentence saying what and where."""
