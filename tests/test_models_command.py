"""`codex models`: what a provider offers, what is said where it cannot be asked, proxies and certificates."""

from __future__ import annotations

import json
import select
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from codex_host._model import _model_ids
from codex_host.errors import ModelError
from codex_host.testing.model_server import ModelServer, Status

OPENSSL = shutil.which("openssl")
CA_VARIABLES = (
    "CODEX_CA_CERTIFICATE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
CLEAR = dict.fromkeys((*CA_VARIABLES, *PROXY_VARIABLES, *map(str.upper, PROXY_VARIABLES)))


@pytest.fixture
def models(run_codex, codex_home):
    """Run `codex models` with a provider at this address."""

    def run(base_url, *words, wire="chat", fields="", env=None, model="b"):
        table = f'[model_providers.test]\nname = "Test"\nbase_url = "{base_url}"\nwire_api = "{wire}"\n{fields}\n'
        (codex_home / "config.toml").write_text(f'model = "{model}"\nmodel_provider = "test"\n{table}', "utf-8")
        return run_codex("models", *words, env={**CLEAR, **(env or {})})

    return run


# --- The list


@pytest.mark.parametrize("wire", ["responses", "chat"])
def test_one_a_line_sorted_and_the_configured_one_marked(models, wire):
    with ModelServer(models=["c", "b", "a"]) as server:
        done = models(server.base_url, wire=wire).assert_success()
    assert (done.stdout, done.stderr) == ("  a\n* b\n  c\n", "")
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/v1/models")]
    assert "content-type" not in server.requests[0].headers


def test_a_configured_model_that_is_not_there(models):
    with ModelServer(models=["a", "c"]) as server:
        done = models(server.base_url).assert_success()
    assert done.stdout == "  a\n  c\n"
    assert "the configured model, b, is not among them" in done.stderr


def test_as_json(models):
    with ModelServer(models=["b", "a"]) as server:
        done = models(server.base_url, "--json").assert_success()
    assert json.loads(done.stdout) == {"provider": "test", "configured": "b", "models": ["a", "b"]}


def test_another_provider_than_the_configured_one(models):
    with ModelServer(models=["gpt-x"]) as server:
        words = ("--provider", "openai", "-c", f"model_providers.openai.base_url={server.base_url}")
        done = models("http://127.0.0.1:9/v1", *words, env={"OPENAI_API_KEY": "k"}).assert_success()
    assert done.stdout == "  gpt-x\n"
    assert server.requests[0].headers["authorization"] == "Bearer k"


def test_names_cannot_move_the_cursor(models):
    with ModelServer(models=["a\x1b[2Jb\r\nc"]) as server:
        done = models(server.base_url).assert_success()
    assert done.stdout == "  a\\x1b[2Jb\\r c\n"


def test_it_is_asked_as_every_other_request(models):
    fields = """
env_key = "THE_KEY"
query_params = { "api-version" = "1" }
http_headers = { "X-Team" = "tools" }
env_http_headers = { "x-project" = "PROJECT" }
"""
    with ModelServer() as server:
        models(server.base_url, fields=fields, env={"THE_KEY": "k", "PROJECT": "p"}).assert_success()
    (request,) = server.requests
    assert request.path == "/v1/models?api-version=1"
    assert request.headers["authorization"] == "Bearer k"
    assert (request.headers["x-team"], request.headers["x-project"]) == ("tools", "p")


@pytest.mark.parametrize(
    "answer",
    [
        {"object": "list", "data": [{"id": "b"}, {"id": "a"}]},
        {"models": [{"name": "b"}, {"name": "a", "model": "x"}]},
        [{"id": "a"}, {"id": "b"}, {"id": "b"}],
        ["b", "a", None, 7, {}],
    ],
)
def test_lists_of_other_shapes(answer):
    assert _model_ids(json.dumps(answer).encode(), "http://x/models") == ("a", "b")


@pytest.mark.parametrize("answer", [b"", b"<html>no</html>", b"{}", b"7", b'{"data": {}}', b'{"error": "no"}'])
def test_answers_that_are_no_list(answer):
    with pytest.raises(ModelError, match="http://x/models answered with no list of models") as caught:
        _model_ids(answer, "http://x/models")
    assert caught.value.retry is None


# --- What goes wrong


def test_a_refused_connection(models):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        models(address).assert_exit(4, f"cannot connect to {address}/models", "is the server running")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key(models, status):
    body = {"error": {"message": "the key sesame-sesame is wrong", "code": "invalid_api_key"}}
    with ModelServer(models=Status(status, body)) as server:
        done = models(server.base_url, fields='env_key = "THE_KEY"', env={"THE_KEY": "sesame-sesame"})
    done.assert_exit(3, "the key *** is wrong")
    assert len(server.requests) == 1


def test_a_missing_key(models):
    with ModelServer() as server:
        fields = 'env_key = "THE_KEY"\nenv_key_instructions = "ask the keeper"'
        models(server.base_url, fields=fields).assert_exit(3, "THE_KEY is not set or blank; ask the keeper")
    assert server.requests == []


def test_a_server_without_a_list(models):
    with ModelServer(models=Status(404, {"detail": "Not Found"})) as server:
        models(server.base_url).assert_exit(4, "404", "Not Found")
    assert len(server.requests) == 1


def test_a_server_in_trouble_is_asked_again(models):
    with ModelServer(models=Status(503, headers={"Retry-After": "0.01"})) as server:
        models(server.base_url, fields="request_max_retries = 2").assert_exit(4, "503", "asked 3 times")
    assert len(server.requests) == 3


def test_a_provider_that_is_not_there(models):
    models("http://127.0.0.1:9/v1", "--provider", "opneai").assert_exit(2, "opneai")


def test_a_table_that_is_wrong(models):
    models("http://127.0.0.1:9/v1", fields="request_max_retries = -1").assert_exit(2, "[model_providers.test]")
    with ModelServer() as server:
        models(server.base_url, fields="retries = 1").assert_success().assert_exit(0, "unknown key 'retries'")


def test_a_provider_without_a_network(models):
    models("http://127.0.0.1:9/v1", "--provider", "replay").assert_exit(2)


# --- Proxies and certificates of one's own


class Tunnel(BaseHTTPRequestHandler):
    """A proxy that sends every tunnel and every plain request to one server, whatever host is asked for."""

    def log_message(self, *arguments):
        pass

    def do_CONNECT(self):
        self.server.asked.append(f"CONNECT {self.path}")
        with socket.create_connection(self.server.behind) as inner:
            self.send_response(200)
            self.end_headers()
            self.carry(inner)

    def do_GET(self):
        self.server.asked.append(f"GET {self.path}")
        with socket.create_connection(self.server.behind) as inner:
            path = "/" + self.path.split("/", 3)[3]
            inner.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            self.carry(inner)
        self.close_connection = True

    def carry(self, inner):
        ends = {self.connection: inner, inner: self.connection}
        while True:
            for end in select.select(list(ends), [], [])[0]:
                data = end.recv(65536)
                if not data:
                    return
                ends[end].sendall(data)


@contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def proxy_to(port):
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Tunnel)
    proxy.behind, proxy.asked = ("127.0.0.1", port), []
    with serving(proxy):
        yield proxy, f"http://127.0.0.1:{proxy.server_port}"


class Listing(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        body = json.dumps({"data": [{"id": "b"}]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A folder with an authority (ca.pem, and in `folder` as OpenSSL looks it up) and a certificate of its making."""
    if OPENSSL is None:
        pytest.skip("there is no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*words):
        return subprocess.run([OPENSSL, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

    key = ("-newkey", "rsa:2048", "-nodes")
    ca = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", "-x509", *key, *ca, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=models.example.test")
    (folder / "names").write_text("subjectAltName=DNS:models.example.test\nauthorityKeyIdentifier=keyid\n")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "2", "-extfile", "names", "-days", "2")
    openssl("x509", "-req", "-in", "server.csr", "-out", "server.pem", *signed)
    (folder / "folder").mkdir()
    name = openssl("x509", "-hash", "-noout", "-in", "ca.pem")
    shutil.copy(folder / "ca.pem", folder / "folder" / f"{name}.0")
    return folder


@pytest.fixture
def tls(authority):
    """A TLS server with a certificate of its own authority, and a proxy that leads to it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Listing)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem", authority / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with serving(server), proxy_to(server.server_port) as found:
        yield found


@pytest.mark.parametrize("proxy_variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_https_through_a_proxy(models, tls, authority, proxy_variable):
    proxy, address = tls
    env = {proxy_variable: address, "SSL_CERT_FILE": str(authority / "ca.pem")}
    assert models("https://models.example.test/v1", env=env).assert_success().stdout == "* b\n"
    assert proxy.asked == ["CONNECT models.example.test:443"]


@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_an_authority_of_ones_own(models, tls, authority, variable):
    _, address = tls
    place = authority / ("folder" if variable == "SSL_CERT_DIR" else "ca.pem")
    env = {"HTTPS_PROXY": address, variable: str(place)}
    assert models("https://models.example.test/v1", env=env).assert_success().stdout == "* b\n"


def test_an_authority_that_nobody_named(models, tls):
    _, address = tls
    done = models("https://models.example.test/v1", env={"HTTPS_PROXY": address})
    done.assert_exit(4, "certificate", "SSL_CERT_FILE")


@pytest.mark.parametrize("content", [None, "this is no certificate"])
def test_authorities_that_cannot_be_read_are_named(models, tmp_path, content):
    file = tmp_path / "broken.pem"
    if content is not None:
        file.write_text(content)
    env = {"CODEX_CA_CERTIFICATE": str(file)}
    models("https://127.0.0.1:9/v1", env=env).assert_exit(4, f"CODEX_CA_CERTIFICATE names {file}")


@pytest.mark.parametrize("proxy_variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_http_through_a_proxy(models, proxy_variable):
    with (
        serving(ThreadingHTTPServer(("127.0.0.1", 0), Listing)) as server,
        proxy_to(server.server_port) as found,
    ):
        proxy, address = found
        assert models("http://models.example.test/v1", env={proxy_variable: address}).assert_success().stdout == "* b\n"
    assert proxy.asked == ["GET http://models.example.test/v1/models"]


@pytest.mark.parametrize("no_proxy", ["NO_PROXY", "no_proxy"])
def test_past_a_proxy(models, no_proxy):
    with ModelServer(models=["b"]) as server:
        env = {"HTTP_PROXY": "http://127.0.0.1:9", no_proxy: "127.0.0.1"}
        assert models(server.base_url, env=env).assert_success().stdout == "* b\n"
