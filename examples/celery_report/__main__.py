"""Starts Redis, three Celery workers and the web server, and stops them all on Ctrl+C.

Run: python -m examples.celery_report
"""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from tempfile import TemporaryDirectory
from threading import Event
from time import monotonic

HOST = "127.0.0.1"
PORT = int(os.environ.get("PORT", "8050"))
WORKERS = ("worker1", "worker2", "worker3")
START_SECONDS = 60
STOP_SECONDS = 8
LOOK_SECONDS = 0.1

Process = subprocess.Popen[bytes]


def main() -> None:
    """Runs until a signal, or until one of the processes ends, which is an error."""
    check_port()
    asked_to_stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: asked_to_stop.set())
    processes: dict[str, Process] = {}
    with TemporaryDirectory(prefix="celery_report") as directory:
        try:
            run(processes, directory, asked_to_stop)
        finally:
            # The server first: it cancels its tasks, so that the workers are idle.
            for names in (("server",), WORKERS, ("redis",)):
                stop([processes[name] for name in names if name in processes])


def run(processes: dict[str, Process], directory: str, asked_to_stop: Event) -> None:
    """Starts the processes, and monitors them."""
    broker = os.environ.get("FLASH_EVENTS_BROKER")
    if broker is None:
        port = free_port()
        broker = f"redis://{HOST}:{port}/0"
        processes["redis"] = start(redis_command(port, directory), broker, quiet=True)
        wait_for(port, processes, asked_to_stop)
    for name in WORKERS:
        processes[name] = start(worker_command(name), broker)
    processes["server"] = start(server_command(), broker)
    wait_for(PORT, processes, asked_to_stop)
    print(f"Open http://{HOST}:{PORT}/ (Ctrl+C stops it)", flush=True)
    while not asked_to_stop.wait(LOOK_SECONDS):
        check(processes)


def redis_command(port: int, directory: str) -> list[str]:
    """Returns the command of a Redis without persistence."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit(
            "redis-server is missing: apt-get install redis-server, or name one that runs: "
            "FLASH_EVENTS_BROKER=redis://host:6379/0"
        )
    options = f"--port {port} --bind {HOST} --dir {directory} --appendonly no --loglevel warning"
    return [program, *options.split(), "--save", ""]


def worker_command(name: str) -> list[str]:
    app = f"{__package__}.tasks:celery_app"
    options = f"-n {name}@%h --concurrency 1 --loglevel WARNING --without-mingle"
    return [sys.executable, "-m", "celery", "-q", "-A", app, "worker", *options.split()]


def server_command() -> list[str]:
    app = f"{__package__}.app:server"
    options = f"--bind {HOST}:{PORT} --log-level warning"
    return [sys.executable, "-m", "hypercorn", *options.split(), app]


def start(command: list[str], broker: str, quiet: bool = False) -> Process:
    """Starts a process in its own process group: Ctrl+C reaches only us, and we stop all."""
    environment = {**os.environ, "FLASH_EVENTS_BROKER": broker}
    output = subprocess.DEVNULL if quiet else None
    return subprocess.Popen(command, env=environment, stdout=output, process_group=0)


def stop(processes: list[Process]) -> None:
    """Terminates them, and kills the remaining ones and their children."""
    for process in processes:
        process.terminate()
    deadline = monotonic() + STOP_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0, deadline - monotonic()))
        with suppress(ProcessLookupError):  # none is left, as it should be
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def check(processes: dict[str, Process]) -> None:
    """Exits with a message if one has ended."""
    for name, process in processes.items():
        code = process.poll()
        if code is not None:
            raise SystemExit(f"{name} has ended (exit code {code}), so all the rest was stopped.")


def wait_for(port: int, processes: dict[str, Process], asked_to_stop: Event) -> None:
    """Waits until the port accepts connections."""
    deadline = monotonic() + START_SECONDS
    while not listens(port):
        if asked_to_stop.wait(LOOK_SECONDS):
            raise SystemExit(0)
        check(processes)
        if monotonic() > deadline:
            raise SystemExit(f"Nothing listens on port {port} after {START_SECONDS} s.")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def check_port() -> None:
    """Exits with a message if the server could not have its port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((HOST, PORT))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise SystemExit(f"Cannot serve at port {PORT}: {error.strerror}.") from None
            raise SystemExit(
                f"Port {PORT} is taken by another program. Use another port: PORT={PORT + 1}"
            ) from None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
