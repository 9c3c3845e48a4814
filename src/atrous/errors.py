"""The errors that atrous raises, each also a built-in type, so that plain ``except ValueError`` works."""


class AtrousError(Exception):
    """Base of every error that atrous raises on purpose."""


class ShapeError(AtrousError, ValueError):
    """An array has the wrong number of axes or sizes that do not fit together."""


class DTypeError(AtrousError, TypeError):
    """An array holds the wrong kind of number."""


class ParameterError(AtrousError, ValueError):
    """An option has a value outside its range."""


class BackendUnavailable(AtrousError, RuntimeError):
    """The machine lacks what the chosen method needs."""
