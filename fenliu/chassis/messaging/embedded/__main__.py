"""`python -m fenliu.chassis.messaging.embedded --port N`: the embedded broker as a process of its own."""

import argparse
import asyncio
import logging
import signal

from fenliu.chassis.messaging.embedded.broker import EmbeddedBroker


async def _run(options: argparse.Namespace) -> None:
    broker = EmbeddedBroker(port=options.port, retention_bytes=options.retention_bytes)
    await broker.start()
    says = "in memory, one node, for development only. A restart starts it empty. Production runs on Apache Kafka."
    print(f"Embedded broker on {broker.bootstrap}: {says}", flush=True)  # noqa: T201 - said to whoever started it
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    await stop.wait()
    await broker.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m fenliu.chassis.messaging.embedded", description=__doc__)
    parser.add_argument("--port", type=int, default=8092, help="0 takes a free port (default: %(default)s)")
    parser.add_argument("--retention-bytes", type=int, default=64 << 20, help="kept per partition (default: 64 MiB)")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_run(parser.parse_args()))
