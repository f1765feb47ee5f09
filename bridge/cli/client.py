"""A client of the HTTP API with nothing but the standard library, so that commands start quickly."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode
from uuid import uuid4

from bridge.cli.acting import ask_for_change
from bridge.cli.errors import CallFailedError

TIMEOUT_S = 60
ATTEMPTS = 4
ADMIN_CREDENTIAL = "admin.credential"
JSON = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubClient:
    """Calls one hub with one credential."""

    url: str
    token: str

    def get(self, path: str, **query: object) -> JSON:
        """Read something.

        Raises:
            CallFailedError: The hub said no, or does not answer.
        """
        given = {name: value for name, value in query.items() if value is not None}
        return self._call("GET", path + (f"?{urlencode(given)}" if given else ""), None)

    def post(self, path: str, body: JSON | None = None) -> JSON:
        """Change something; carried out once, even where the answer gets lost and the call is repeated.

        Raises:
            CallFailedError: The hub said no, or does not answer.
        """
        ask_for_change()
        return self._call("POST", path, body or {})

    def rehearse(self, path: str, body: JSON) -> JSON:
        """Have the hub say whether it would do something: no change, so whoever leaves now has changed nothing.

        Raises:
            CallFailedError: It would say no, or does not answer.
        """
        return self._call("POST", path, body)

    def items(self, path: str, **query: object) -> Iterator[JSON]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            answer = self.get(path, **query, cursor=cursor)
            yield from answer["items"]
            cursor = answer["next"]
            if cursor is None:
                return

    def stream(self, path: str) -> HTTPResponse:
        """The body of an answer, as a file.

        Raises:
            CallFailedError: The hub said no, or does not answer.
        """
        return self._open(self._request("GET", path, None, {}))

    def _call(self, method: str, path: str, body: JSON | None) -> JSON:
        headers = {} if body is None else {"Content-Type": "application/json", "Idempotency-Key": uuid4().hex}
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._open(self._request(method, path, data, headers)) as response:
                    return cast(JSON, json.load(response))
            except CallFailedError as error:
                if (
                    error.problem_code not in ("unreachable", "interrupted", "database_unavailable")
                    or attempt == ATTEMPTS
                ):
                    raise
                if error.problem_code == "unreachable" and attempt > 1:
                    raise
            except (HTTPException, OSError, ValueError) as error:
                if attempt == ATTEMPTS:
                    raise _interrupted(self.url, error) from None
            time.sleep(0.2 * attempt)
        raise AssertionError("the last attempt returns or raises")

    def _request(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> urllib.request.Request:
        if not self.url.startswith(("http://", "https://")):
            raise CallFailedError(
                f"{self.url!r} is not the address of a hub",
                code="address",
                hint="such as https://hub.contoso.example",
                usage=True,
            )
        return urllib.request.Request(  # noqa: S310  # the scheme was checked
            self.url + path, data=data, method=method, headers={**headers, "Authorization": f"Bearer {self.token}"}
        )

    def _open(self, request: urllib.request.Request) -> HTTPResponse:
        try:
            return cast(HTTPResponse, urllib.request.urlopen(request, timeout=TIMEOUT_S))  # noqa: S310  # checked
        except urllib.error.HTTPError as error:
            raise _problem(error) from None
        except urllib.error.URLError as error:
            reason = error.reason.strerror if isinstance(error.reason, OSError) else error.reason
            raise CallFailedError(
                f"no hub answers at {self.url}: {reason}", code="unreachable", hint="conclave up, or check --hub"
            ) from None
        except (HTTPException, OSError) as error:
            raise _interrupted(self.url, error) from None


def _interrupted(url: str, error: Exception) -> CallFailedError:
    return CallFailedError(
        f"the connection to {url} was interrupted: {error}",
        code="interrupted",
        hint="look whether it was done, then repeat",
    )


def _problem(error: urllib.error.HTTPError) -> CallFailedError:
    try:
        problem = json.load(error)
        code, detail, hint = str(problem["code"]), str(problem["detail"]), str(problem.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        return CallFailedError(f"the hub answered {error.code} {error.reason}", code="unknown", hint="is this a hub?")
    return CallFailedError(detail, code=code, hint=hint, usage=error.code == 422)


def segment(value: str) -> str:
    """``value`` as one segment of a path."""
    return quote(value, safe="")


def local_hub(state: Path) -> HubClient | None:
    """The hub that runs, or ran, on this machine with the state directory ``state``."""
    try:
        return HubClient(
            url=(state / "hub.url").read_text().strip(), token=(state / ADMIN_CREDENTIAL).read_text().strip()
        )
    except OSError:
        return None
