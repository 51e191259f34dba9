"""Everything that may stand in the place of a metrics server, and the one message that each of them gives."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from autoscaler.collect.prometheus import Prometheus
from autoscaler.collect.web import Access
from streamer.errors import MetricsError
from tests.autoscaler.answering import Answering, answering

EMPTY = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}})


def ask(url: str, access: Access = Access()) -> str:  # noqa: B008 - it is frozen
    return Prometheus(url, access, span_s=10.0).read(["job"], 1000.0).failure


@pytest.mark.parametrize(
    ("server", "said", "remedy"),
    [
        pytest.param(
            lambda: Answering(200, "text/html", "<html>Please log in</html>"),
            "answers with text/html",
            "a page for people",
            id="a page in HTML",
        ),
        pytest.param(lambda: Answering(401, "text/plain", "who are you?"), "401", "--token-file", id="no token"),
        pytest.param(lambda: Answering(403, "text/html", "<p>no"), "403", "--tenant", id="not this tenant"),
        pytest.param(lambda: Answering(404, "text/plain", "not here"), "404", "path", id="not at this path"),
        pytest.param(
            lambda: Answering(302, "text/html", "", {"Location": "https://login.example/?secret=1"}),
            "leads on to https://login.example/",
            "the address at which metrics are served",
            id="elsewhere",
        ),
        pytest.param(
            lambda: Answering(422, "application/json", '{"status": "error", "error": "too many samples"}'),
            "too many samples",
            "Prometheus",
            id="an error of Prometheus",
        ),
        pytest.param(lambda: Answering(200, "application/json", "[1]"), "not answer as", "API", id="other JSON"),
        pytest.param(lambda: Answering(200, "application/json", "{"), "not answer as", "API", id="half of it"),
    ],
)
def test_what_is_no_metrics_server_gives_one_message_with_its_remedy(
    server: Callable[[], Answering], said: str, remedy: str
) -> None:
    with answering(server()) as there, pytest.raises(MetricsError) as raised:
        ask(there.url)

    assert said in str(raised.value)
    assert "secret" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert remedy in raised.value.advice


def test_a_server_that_is_not_there_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(MetricsError, match=r"does not answer: .*refused") as raised:
        ask(url)

    assert "nothing is scaled down" in raised.value.advice


def test_an_empty_answer_is_unknown_and_is_told() -> None:
    with answering(Answering(200, "application/json", EMPTY)) as there:
        assert "has no series of job job" in ask(there.url)


def test_a_token_and_a_tenant_go_into_the_headers_and_into_no_message(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc123\n")
    with answering(Answering(200, "application/json", EMPTY)) as there:
        told = ask(there.url, Access(token_file=token, tenant="blue"))
        [headers] = there.asked

    assert (headers["authorization"], headers["x-scope-orgid"]) == ("Bearer abc123", "blue")
    assert "abc123" not in told


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("prometheus:9090", "is no address", id="no scheme"),
        pytest.param("ftp://prometheus", "is no address", id="another scheme"),
        pytest.param("http://", "is no address", id="no host"),
        pytest.param("http://me:secret@prometheus", "has a password in it", id="a password"),
    ],
)
def test_what_is_no_address_is_refused_before_anything_is_asked(url: str, said: str) -> None:
    with pytest.raises(MetricsError, match=said) as refused:
        Prometheus(url, span_s=10.0)

    assert "secret" not in str(refused.value)


def test_a_token_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(MetricsError, match=r"token in .*nothing cannot be read"):
        ask("http://127.0.0.1:1", Access(token_file=tmp_path / "nothing"))


def test_a_server_with_tls_is_trusted_by_its_certificate_and_not_without(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    server = Answering(200, "application/json", EMPTY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with answering(server) as there:
        url = there.url.replace("http", "https")
        assert "has no series" in ask(url, Access(ca_file=certificate))
        with pytest.raises(MetricsError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(url)
