"""Public names of a package, imported from their modules when they are first used (PEP 562)."""

from importlib import import_module


def attach(package, modules):
    """Return (__getattr__, names) for a package whose modules have these public names.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    modules : dict
        For each module of the package, the names that it defines, separated by spaces.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def __getattr__(name):  # noqa: N807
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(import_module(package), name, value)
        return value

    return __getattr__, sorted(homes)
