"""Parameters of the CRF in a TOML file: what `atrous tune` writes and `--preset` and `--crf` read.

Role: reader and writer.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from atrous._types import PathLike
from atrous.crf.dense import resolved_params
from atrous.crf.params import CRFParams
from atrous.errors import AtrousError, ParameterError


def params_text(params: CRFParams, remark: str = "") -> str:
    """Return parameters as TOML, with `remark` as a comment above them.

    Examples
    --------
    >>> print(params_text(CRFParams(), "the defaults").splitlines()[1])
    bilateral_weight = 10.0
    """
    lines = [f"# {line}" for line in remark.splitlines()]
    for name, value in params._asdict().items():
        lines.append(f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value!r}")
    return "\n".join(lines) + "\n"


def read_params(path: PathLike) -> CRFParams:
    """Return the parameters in a TOML file; fields that it leaves out have their defaults.

    Raises
    ------
    ParameterError
        The file is missing, is no TOML, or a field is unknown or out of range. The message names it.
    """
    owner, path = "read_params", Path(path)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(f"{owner}: cannot read {path}: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{owner}: {path} is not TOML: {error}.") from error
    unknown = [name for name in found if name not in CRFParams._fields]
    if unknown:
        raise ParameterError(f"{owner}: {path} has no field {unknown[0]!r}. It has {', '.join(CRFParams._fields)}.")
    try:
        return resolved_params(owner, CRFParams(**found), None, None)
    except AtrousError as error:
        raise ParameterError(f"{error} It stands in {path}.") from None
