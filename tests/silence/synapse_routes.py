"""Every address that Synapse serves with the configuration file in ``argv[1]``, one ``METHOD path`` a line.

Run by ``tests.silence.routes`` in a process of its own: it builds Synapse's tree of resources as ``homeserver.py``
does, without a database or a port, and writes down what is in it. Where a pattern has choices each is written out;
what a client fills in stands in braces.
"""

import sre_constants as op
import sre_parse
import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any
from unittest.mock import MagicMock

from synapse.app.homeserver import SynapseHomeServer
from synapse.config.homeserver import HomeServerConfig
from synapse.http.server import JsonResource

_PLAIN: dict[Any, Callable[[Any], str]] = {op.LITERAL: chr, op.ANY: lambda _: ".", op.AT: lambda _: ""}


def expand(pattern: Any, group: str, names: dict[int, str]) -> list[str]:
    """Each text that the parsed ``pattern`` stands for."""
    parts = [_one(code, value, group, names) for code, value in pattern]
    return ["".join(chosen) for chosen in product(*parts)]


def _one(code: Any, value: Any, group: str, names: dict[int, str]) -> list[str]:
    if code in _PLAIN:
        return [_PLAIN[code](value)]
    if code is op.SUBPATTERN:
        return expand(value[3], names.get(value[0], group), names)
    if code is op.BRANCH:
        return [text for branch in value[1] for text in expand(branch, group, names)]
    if code is op.MAX_REPEAT and value[:2] == (0, 1):
        return ["", *expand(value[2], group, names)]
    return [f"{{{group or '?'}}}"]


def served(path: str, resource: Any) -> Iterator[str]:
    """What is below ``path``."""
    if isinstance(resource, JsonResource):
        for pattern, methods in resource._routes.items():
            parsed = sre_parse.parse(pattern.pattern)
            names = {number: name for name, number in parsed.state.groupdict.items()}
            for text in expand(parsed, "", names):
                yield from (f"{method.decode()} {text}" for method in methods)
        return
    yield f"GET {path}"
    yield f"POST {path}"
    for name, child in resource.children.items():
        yield from served(f"{path}/{name.decode()}", child)


def main() -> None:
    config = HomeServerConfig.load_config("", ["-c", sys.argv[1]])
    homeserver = SynapseHomeServer(config.server.server_name, config=config)
    homeserver.datastores = MagicMock()
    listener = config.server.listeners[0]
    resources: dict[str, Any] = {}
    for resource in listener.http_options.resources:  # type: ignore[union-attr]  # ours is an HTTP listener
        for name in resource.names:
            resources |= homeserver._configure_named_resource(name)
    sys.stdout.write("\n".join(sorted({line for path, found in resources.items() for line in served(path, found)})))


if __name__ == "__main__":
    main()
