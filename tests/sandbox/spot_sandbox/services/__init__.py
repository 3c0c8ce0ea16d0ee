"""One file or package for each AWS service or part of one; what a file adds, it declares in module-level names, all optional:

``RESPONSES``  ``{service: class}``: a subclass of moto's response class, or of ``BaseResponse`` for what moto lacks.
               Classes of several files for one service are combined by inheritance, in the order of their names.
``CONTROL``    ``{"POST /sandbox/thing": function}``: takes the JSON body (GET: the query) as a dict, returns a dict;
               raises ``ValueError`` for bad input.
``unsigned(environ)``  for a request without credentials that the service takes: who answers it (given ``environ``), the
               service, region, protocol and operation; ``None`` for any other.
``reset()``    called on start and on ``POST /sandbox/reset``, after moto's own state is cleared.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def modules() -> list[ModuleType]:
    """All service modules, by name."""
    return [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
