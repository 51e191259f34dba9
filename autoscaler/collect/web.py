"""Requests to servers of metrics, and one clear message for each way in which they can go wrong.

What stands before a metrics server is often a proxy that answers with a page to log in at, so an answer counts only if
it has the type that was asked for, and a redirect is told instead of followed: it could carry a token elsewhere.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

from streamer.errors import MetricsError
from streamer.limits import MIB

_TIMEOUT_S = 5.0
"""A source of metrics that has not answered after this time is not waited for: the next pass asks again."""
_ANSWER_BYTES_MAX = 64 * MIB
"""A pass reads at most so much at once: some 200,000 series of a window of 30 s."""
_WORDS_MAX = 200
_REMEDIES = {
    401: "Give a token that may read there: --token-file FILE.",
    403: "The token may not read there: give another one with --token-file FILE, or the tenant with --tenant NAME.",
    404: "Give the address up to and without /api/v1, with the path under which Prometheus is served.",
    407: "A proxy wants to know who asks: set no_proxy for this address, or name one that is reached directly.",
}


@dataclass(frozen=True, slots=True)
class Access:
    """How a server lets us in. Files are read for each request, since tokens and certificates are renewed in place.

    `ca_file` has the certificates that are trusted, the system's if it is None; `tenant` goes into X-Scope-OrgID.
    """

    token_file: Path | None = None
    ca_file: Path | None = None
    tenant: str = ""

    def check(self) -> None:
        """Raises MetricsError for a file that cannot be read by now: what is wrong from the start is said then."""
        self.headers()
        self.context()

    def headers(self) -> dict[str, str]:
        headers = {"X-Scope-OrgID": self.tenant} if self.tenant else {}
        if self.token_file is not None:
            try:
                headers["Authorization"] = f"Bearer {self.token_file.read_text(encoding='utf-8').strip()}"
            except (OSError, ValueError) as error:
                raise MetricsError(
                    f"the token in {self.token_file} cannot be read: {error}",
                    remedy="Name a file with the token alone in it: --token-file FILE.",
                ) from error
        return headers

    def context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ValueError) as error:
            raise MetricsError(
                f"the certificates in {self.ca_file} cannot be read: {error}",
                remedy="Name a file of certificates in PEM form: --ca-file FILE.",
            ) from error


OPEN = Access()
"""To a server that lets everybody in."""


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],  # noqa: ARG002 - the base class gives all of these
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: HTTPMessage,  # noqa: ARG002
        newurl: str,
    ) -> NoReturn:
        raise MetricsError(
            f"{_shown(req.full_url)} leads on to {_shown(newurl)}",
            remedy="Give the address at which metrics are served; if this one asks people to log in, give a token too.",
        )


def check_address(url: str) -> str:
    """The address without a slash at its end. Raises MetricsError if it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise MetricsError(
            f"{url!r} is no address of a metrics server", remedy="Write it as http://HOST:PORT or https://HOST/PATH."
        )
    if parts.username or parts.password:
        raise MetricsError(
            f"the address of {parts.hostname} has a password in it",
            remedy="An address is shown in logs: put the token into a file and give --token-file FILE.",
        )
    return url.rstrip("/")


def ask(
    url: str,
    content_type: str,
    access: Access = OPEN,
    form: dict[str, str] | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> bytes:
    """The body of the answer, which has this type. With a form it is a POST. Raises MetricsError."""
    request = Request(url, None if form is None else urlencode(form).encode(), access.headers())
    try:
        with _opener(access, request).open(request, timeout=timeout_s) as answer:
            found = answer.headers.get_content_type()
            body: bytes = answer.read(_ANSWER_BYTES_MAX + 1)
    except HTTPError as error:
        raise _refused(url, error) from error
    except (URLError, HTTPException, OSError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise MetricsError(
            f"{_shown(url)} does not answer: {reason or type(error).__name__}",
            remedy="See that the server is up and its address right; nothing is scaled down until it answers.",
        ) from error
    if found != content_type:
        raise MetricsError(
            f"{_shown(url)} answers with {found} and not as a metrics server does ({content_type})",
            remedy="Give the address of Prometheus itself: this is a page for people, or another service.",
        )
    if len(body) > _ANSWER_BYTES_MAX:
        raise MetricsError(
            f"{_shown(url)} answers with more than {_ANSWER_BYTES_MAX // MIB} MiB",
            remedy="Let Prometheus scrape less often, or start one autoscaler for each part of the jobs.",
        )
    return body


def _opener(access: Access, request: Request) -> OpenerDirector:
    handlers = [_NoRedirect(), HTTPSHandler(context=access.context())] if request.type == "https" else [_NoRedirect()]
    if request.host.rpartition(":")[0] in ("127.0.0.1", "localhost", "[::1]"):
        handlers = [*handlers, ProxyHandler({})]
    return build_opener(*handlers)


def _refused(url: str, error: HTTPError) -> MetricsError:
    """Prometheus says in JSON what it does not like, and proxies in HTML, which nobody wants to read in a line."""
    words = ""
    if error.headers.get_content_type() in ("application/json", "text/plain"):
        words = error.read(_WORDS_MAX).decode(errors="replace").strip()
    told = f"{_shown(url)} answers {error.code} {error.reason}{f': {words}' if words else ''}"
    return MetricsError(told, remedy=_REMEDIES.get(error.code))


def _shown(url: str) -> str:
    """Without what may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
