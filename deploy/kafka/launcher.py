"""Runs a real Kafka of one or three nodes from its own jars, for tests and for `make kafka`.

    python deploy/kafka/launcher.py [--nodes 1|3] [--port 9092] [--folder DIR]

Maven fetches the jars once into `.cache/kafka` under the repository root, or into the folder
that BRAID_KAFKA_JARS names. Only processes that it started are ever ended.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any, Self

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # this is a program, in no package

from jars import LaunchError, fetch_jars, missing  # noqa: E402 - found by the line above

__all__ = ["Cluster", "LaunchError", "Lock", "missing"]

JVM = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-Xshare:auto")
SHORT_LIVED = ("-XX:TieredStopAtLevel=1",)  # starts faster; slower once warm
CLUSTER_ID = "YnJhaWRzdHJlYW0ta2Fma2E"  # 16 bytes in base64; any will do
TRIES = 3


@dataclass(frozen=True)
class Lock:
    """What a client must show: TLS to this certificate, a SASL password, and rights.

    Parameters
    ----------
    key, certificate
        PEM files of the brokers; the certificate is for 127.0.0.1 and signs itself.
    users
        Passwords by name; the first may do everything, the others what ACLs grant.
    """

    key: Path
    certificate: Path
    users: Mapping[str, str]

    def login(self, user: str) -> dict[str, Any]:
        """Options of a client."""
        return {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": user,
            "sasl_plain_password": self.users[user],
            "ssl_cafile": str(self.certificate),
        }

    def properties(self, place: Path) -> dict[str, str]:
        """Of a broker; its key goes into a file at `place`."""
        both = place / "broker.pem"
        both.write_text(self.key.read_text("utf-8") + self.certificate.read_text("utf-8"), "utf-8")
        first = next(iter(self.users))
        known = "".join(f' user_{name}="{word}"' for name, word in self.users.items())
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        return {
            "listener.security.protocol.map": "CLIENT:SASL_SSL,INTERNAL:PLAINTEXT,"
            "CONTROLLER:PLAINTEXT",
            "listener.name.client.ssl.keystore.type": "PEM",
            "listener.name.client.ssl.keystore.location": str(both),
            "listener.name.client.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.client.plain.sasl.jaas.config": f"{module} required{known};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{first};User:ANONYMOUS",  # the brokers among themselves
        }


class Cluster:
    """A Kafka cluster on loopback.

    Parameters
    ----------
    nodes
        One or three; each is broker and controller.
    folder
        Where configuration, logs and data go; a temporary one, removed by `stop`, when None.
    port
        The first node's client port; a free one when 0.
    short_lived
        Start fast rather than run fast (for tests).
    lock
        What clients must show; None lets everyone in.
    gated
        Give each node one more door, at which it names another port than its own to clients, so
        that something may stand between; see `gates`.
    """

    def __init__(
        self, nodes: int = 1, folder: Path | None = None, port: int = 0,
        short_lived: bool = True, lock: Lock | None = None, gated: bool = False,
    ) -> None:  # fmt: skip
        if nodes not in (1, 3):
            raise ValueError(f"nodes={nodes}: write 1 or 3")
        self.nodes = nodes
        self._own = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="braid-kafka-")) if folder is None else folder
        self._port = port
        self._lock = lock
        self._flags = JVM + (SHORT_LIVED if short_lived else ())
        self._gated = gated
        self.gates: list[tuple[int, int]] = []
        """For each node the port that clients at its gate are told, and the one behind it."""
        self._ports: list[tuple[int, int, int]] = []
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []

    @property
    def bootstrap(self) -> str:
        """host:port of every node, comma separated."""
        return ",".join(f"127.0.0.1:{client}" for client, _, _ in self._ports)

    def start(self) -> Self:
        """Format, start and wait until a topic can be made."""
        try:
            for left in reversed(range(TRIES)):
                self._ports = _pick(self.nodes, self._port)
                if self._gated:
                    self.gates = [(told, behind) for told, behind, _ in _pick(self.nodes, 0)]
                self._format()
                for node in range(self.nodes):
                    self._launch(node)
                try:
                    self._wait()
                except LaunchError:
                    if left == 0 or "BindException" not in self._tails():
                        raise
                    self._end_all()  # somebody took a port between the pick and the bind
                else:
                    return self
        except BaseException:
            self.stop()
            raise
        raise AssertionError("unreachable")

    def kill(self, node: int = 0) -> None:
        """SIGKILL one node (counted from 0) and wait until it is gone."""
        process = self._running.pop(node)
        process.kill()
        process.wait()

    def pause(self, node: int = 0) -> None:
        """SIGSTOP one node: its connections stay open and nobody answers."""
        self._running[node].send_signal(signal.SIGSTOP)

    def resume(self, node: int = 0) -> None:
        """Let a paused node go on."""
        self._running[node].send_signal(signal.SIGCONT)

    def restart(self, node: int = 0) -> None:
        """Start a killed node again on the same folder and ports; wait until all are ready."""
        self._launch(node)
        self._wait()

    def place(self, node: int = 0) -> Path:
        """The folder of a node: its configuration, its log, and below `data` its data."""
        return self.folder / f"node-{node}"

    def alive(self, node: int = 0) -> bool:
        """Whether a node runs; one whose disk is full ends by itself."""
        return node in self._running and self._running[node].poll() is None

    def tool(self, main: str, *args: str) -> str:
        """Run one of Kafka's own tools against the cluster; what it prints."""
        command = self._java(0, main, "--bootstrap-server", self.bootstrap, *args)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def stop(self) -> None:
        """End every node; idempotent."""
        self._end_all()
        for log in self._logs:
            log.close()
        self._logs.clear()
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end_all(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _java(self, node: int, main: str, *args: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        jars = str(fetch_jars() / "*")
        own = (f"-Dkafka.logs.dir={self.place(node)}", log4j)
        return ["java", *self._flags, *own, "-cp", jars, main, *args]

    def _format(self) -> None:
        for node in range(self.nodes):
            place = self.place(node)
            place.mkdir(parents=True, exist_ok=True)
            config = place / "server.properties"
            values = _properties(node, self._ports, place / "data")
            if self._gated:
                told, behind = self.gates[node]
                values["listeners"] += f",GATE://127.0.0.1:{behind}"
                values["advertised.listeners"] += f",GATE://127.0.0.1:{told}"
                values["listener.security.protocol.map"] += ",GATE:PLAINTEXT"
            if self._lock is not None:
                values |= self._lock.properties(place)
            lines = "".join(f"{name}={value}\n" for name, value in values.items())
            config.write_text(lines, "utf-8")
            if (place / "data" / "meta.properties").is_file():
                continue  # data of an earlier run: keep it
            command = self._java(
                node, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(config)
            )
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise LaunchError(f"formatting failed:\n{done.stdout}{done.stderr}")

    def _launch(self, node: int) -> None:
        place = self.place(node)
        log = (place / "broker.log").open("ab")
        self._logs.append(log)
        command = self._java(node, "kafka.Kafka", str(place / "server.properties"))
        # A session of its own: Ctrl-C at a terminal reaches us alone, and we stop it in order.
        self._running[node] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )

    def _wait(self, timeout_s: float = 90.0) -> None:
        """Wait until all nodes are known and a topic can be made, or one has ended."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for node, process in self._running.items():
                if process.poll() is not None:
                    raise LaunchError(f"node {node} ended at its start:\n{self._tails()}")
            if all(_listens(self._ports[node][0]) for node in self._running) and self._ready():
                return
            time.sleep(0.1)
        raise LaunchError(f"the broker was not ready in {timeout_s:.0f} s:\n{self._tails()}")

    def _ready(self) -> bool:
        from kafka import KafkaAdminClient  # noqa: PLC0415 - fetching jars needs no client
        from kafka.errors import KafkaError, TopicAlreadyExistsError  # noqa: PLC0415

        lock = self._lock
        login = {} if lock is None else lock.login(next(iter(lock.users)))
        try:
            with KafkaAdminClient(
                bootstrap_servers=self.bootstrap.split(","), bootstrap_timeout_ms=5_000, **login
            ) as admin:
                if len(admin.describe_cluster()["brokers"]) < len(self._running):
                    return False
                with suppress(TopicAlreadyExistsError):
                    admin.create_topics({"braid-ready": {"num_partitions": 1}})
                admin.wait_for_topics(["braid-ready"], timeout_ms=2_000)
                return True
        except (KafkaError, OSError):
            return False

    def _tails(self) -> str:
        logs = [self.place(node) / "broker.log" for node in range(self.nodes)]
        return "\n".join(log.read_text("utf-8", "replace")[-4_000:] for log in logs if log.exists())


def _pick(nodes: int, first: int) -> list[tuple[int, int, int]]:
    """Free ports for each node: client, internal, controller."""
    held = [socket.socket() for _ in range(3 * nodes)]
    try:
        for at, one in enumerate(held):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", first if at == 0 else 0))
            except OSError as error:
                raise LaunchError(f"port {first} is taken ({error.strerror})") from None
        ports = [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()
    return [(ports[at], ports[at + 1], ports[at + 2]) for at in range(0, 3 * nodes, 3)]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _properties(node: int, ports: list[tuple[int, int, int]], data: Path) -> dict[str, Any]:
    client, internal, controller = ports[node]
    copies = len(ports)
    return {
        "process.roles": "broker,controller",
        "node.id": node + 1,
        "controller.quorum.voters": ",".join(
            f"{at + 1}@127.0.0.1:{voter}" for at, (_, _, voter) in enumerate(ports)
        ),
        "listeners": f"CLIENT://127.0.0.1:{client},INTERNAL://127.0.0.1:{internal},"
        f"CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{client},INTERNAL://127.0.0.1:{internal}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,"
        "CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": min(copies, 2),
        "default.replication.factor": copies,
        "min.insync.replicas": min(copies, 2),
        # A killed broker may register again only once its old session is over (default 9 s).
        "broker.session.timeout.ms": 2000,
        "broker.heartbeat.interval.ms": 400,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "auto.create.topics.enable": "false",
    }


def main() -> int:
    """Run a cluster until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description="Run Kafka on this machine.")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    parser.add_argument("--port", type=int, default=9092, help="the first node's port; 0: free")
    parser.add_argument("--folder", type=Path, help="keep the data here (default: throw it away)")
    asked = parser.parse_args()

    def stop(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    signal.signal(signal.SIGTERM, stop)
    try:
        print("starting Kafka (the first time, Maven fetches it) ...", flush=True)
        with Cluster(asked.nodes, asked.folder, asked.port, short_lived=False) as cluster:
            print(f"BRAID_BOOTSTRAP_SERVERS={cluster.bootstrap}", flush=True)
            print("Ctrl-C stops it", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        print("stopped")
        return 0
    except LaunchError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
