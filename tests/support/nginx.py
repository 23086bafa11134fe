"""nginx on a port of the test's own, with any configuration, such as that of the docs."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.support.server import ROOT, START_SECONDS, free_port, wait_until

DOCUMENTED = ROOT / "docs/nginx.conf"


@contextmanager
def running(configuration: str, directory: Path, url: str) -> Iterator[None]:
    """Runs nginx in the foreground until the block ends.

    Args:
        configuration: the whole file.
        directory: for the file, the logs and what nginx puts aside.
        url: answers when nginx is ready.
    """
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    assert nginx, "nginx is needed for the fault tests: apt-get install nginx-light"
    paths = "".join(
        f"{kind}_temp_path {directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = directory / "nginx.conf"
    file.write_text(configuration.replace("http {", f"http {{ {paths}", 1), "utf-8")
    said = directory / "nginx.log"
    options = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    with said.open("wb") as output:
        process = subprocess.Popen(
            [nginx, "-p", str(directory), "-e", str(said), "-c", str(file), "-g", options],
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: answers(url) or process.poll() is not None, START_SECONDS, "nginx")
        assert process.poll() is None, said.read_text("utf-8")
        yield
    finally:
        process.terminate()
        process.wait(10)


def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url, verify=False, timeout=5).status_code == 200
    return False


def documented(directory: Path, servers: tuple[str, str]) -> tuple[str, str]:
    """Returns the docs' configuration with this machine's ports and paths, and its URL."""
    key, certificate = certify(directory)
    port = free_port()
    text = DOCUMENTED.read_text("utf-8")
    for documented, real in {
        "/run/nginx.pid": f"{directory}/nginx.pid",
        "/var/log/nginx/error.log": f"{directory}/error.log",
        "/var/log/nginx/access.log": f"{directory}/access.log",
        "/etc/nginx/tls/privkey.pem": str(key),
        "/etc/nginx/tls/fullchain.pem": str(certificate),
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "127.0.0.1:8050": servers[0],
        "127.0.0.1:8051": servers[1],
        "dash.example.com": "localhost",
    }.items():
        assert text.count(documented) == 1, documented
        text = text.replace(documented, real)
    return text, f"https://localhost:{port}/"


def certify(directory: Path) -> tuple[Path, Path]:
    """Creates a key and a self-signed certificate for localhost."""
    openssl = shutil.which("openssl")
    assert openssl, "openssl is needed for the fault tests: apt-get install openssl"
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate


def hostile(directory: Path, server: str, idle_seconds: int = 5) -> tuple[str, dict[str, str]]:
    """Returns the configuration of one nginx with a port for each kind of interference, and their
    URLs.

    All have a short read timeout.
    """
    ways = {
        "buffers": "proxy_http_version 1.1; proxy_buffering on; proxy_buffers 8 64k;",
        "buffers whatever is said": (
            "proxy_http_version 1.1; proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;"
        ),
        "gzips": "proxy_http_version 1.1; gzip on; gzip_proxied any; gzip_types *;",
        "speaks HTTP/1.0": "proxy_http_version 1.0;",
    }
    ports = {name: free_port() for name in ways}
    blocks = "".join(
        f"""
        server {{
            listen 127.0.0.1:{ports[name]};
            location / {{
                proxy_pass http://{server};
                proxy_set_header Host $http_host;
                proxy_read_timeout {idle_seconds}s;
                {directives}
            }}
        }}"""
        for name, directives in ways.items()
    )
    text = f"pid {directory}/nginx.pid; events {{}} http {{ access_log off; {blocks}\n}}"
    return text, {name: f"http://127.0.0.1:{port}/" for name, port in ports.items()}
