"""The command line, and the life of the process."""

import argparse
import asyncio
import json
import os
import signal
import ssl
import sys
import threading

from .config import default_config, merge_config
from .http_server import Connection
from .simulator import Simulator

HOST = "127.0.0.1"
BACKLOG = 1024


def main(description):
    options = parse_arguments(description)
    try:
        base_config = read_config(options.config)
    except (OSError, ValueError) as error:
        sys.exit(f"clari_sim: {options.config}: {error}")
    log_file = open(options.log, "a", buffering=1, encoding="utf-8") if options.log else None
    asyncio.run(serve(options, Simulator(base_config, log_file)))


def parse_arguments(description):
    parser = argparse.ArgumentParser(
        prog="clari_sim", description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: the kernel chooses)")
    parser.add_argument("--port-file", metavar="FILE", help="write the port here once it is listened on")
    parser.add_argument("--tls-cert", metavar="PEM", help="speak TLS with this certificate chain ...")
    parser.add_argument("--tls-key", metavar="PEM", help="... and this private key")
    parser.add_argument("--control-port-file", metavar="FILE",
                        help="listen on a second port, without TLS, and write it here")
    parser.add_argument("--log", metavar="FILE", help="append every finished request as a line of JSON")
    parser.add_argument("--config", metavar="FILE", help="settings (JSON) that replace the defaults")
    parser.add_argument("--exit-with-parent", action="store_true", help="exit when standard input ends")
    options = parser.parse_args()
    if bool(options.tls_cert) != bool(options.tls_key):
        parser.error("--tls-cert and --tls-key belong together")
    return options


def read_config(path):
    if path is None:
        return default_config()
    with open(path, encoding="utf-8") as file:
        return merge_config(default_config(), json.load(file))


async def serve(options, simulator):
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.exit_with_parent:
        stop_at_end_of_input(loop, stop)
    port = await listen(simulator, options.port, tls_context(options))
    if options.control_port_file:
        write_atomically(options.control_port_file, await listen(simulator, 0, None))
    if options.port_file:
        write_atomically(options.port_file, port)
    print(f"listening on {HOST}:{port}", flush=True)
    await stop.wait()


async def listen(simulator, port, tls):
    """Accept connections on the port, or one that the kernel chooses; the port."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(simulator), HOST, port, ssl=tls, backlog=BACKLOG)
    return server.sockets[0].getsockname()[1]


def tls_context(options):
    if options.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.tls_cert, options.tls_key)
    return context


def stop_at_end_of_input(loop, stop):
    """Watched by a thread, as an event loop cannot wait for every kind of file."""
    def watch():
        while os.read(sys.stdin.fileno(), 4096):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, daemon=True).start()


def write_atomically(path, number):
    """So that a reader finds the whole number or no file."""
    unfinished = f"{path}.{os.getpid()}"
    with open(unfinished, "w", encoding="ascii") as file:
        file.write(f"{number}\n")
    os.replace(unfinished, path)
