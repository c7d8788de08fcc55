"""Webhooks connect only to where they may, and to exactly what was checked."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.notifier.domain import AddressRules, Deferred, Delivered, Rejected
from services.notifier.transports import Webhooks
from tests.component.notifier.lab import endpoint
from tests.unit.notifier.test_address import DENIED

SECRET = "whsec_" + "QUJD" * 11
NOW = datetime(2026, 11, 21, tzinfo=UTC)
TRUST = ssl.create_default_context()


class Names:
    """A name server that answers as told, one answer after another; it counts the questions."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def attempt(url: str, rules: AddressRules, names: Names | None = None, trust: ssl.SSLContext | None = None):
    webhooks = Webhooks(rules, connect_timeout_s=0.5, timeout_s=2, resolver=names, trust=trust or TRUST)
    try:
        return await webhooks.send(url, [SECRET], "delivery-1", "{}", NOW)
    finally:
        await webhooks.close()


FORMS = [
    "https://127.0.0.1:{port}/", "https://127.1:{port}/", "https://2130706433:{port}/", "https://0x7f000001:{port}/",
    "https://0177.0.0.1:{port}/", "https://0:{port}/", "https://0.0.0.0:{port}/", "https://localhost:{port}/",
    "https://localhost.:{port}/", "https://①②⑦.⓪.⓪.①:{port}/", "https://[::1]:{port}/", "https://[::]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/", "https://[::ffff:7f00:1]:{port}/", "https://[::ffff:0:127.0.0.1]:{port}/",
    "https://shop.example.com@127.0.0.1:{port}/", "https://127.0.0.1:{port}\\@shop.example.com/",
    "https://127.0.0.1:{port}#@shop.example.com/", "https://127.0.0.1.:{port}/", "http://127.0.0.1:{port}/",
    "http://localhost:{port}/", "HTTP://127.0.0.1:{port}/", "https://127.0.0.1%2f:{port}/",
]  # fmt: skip


async def test_send_every_way_inside_is_blocked_without_a_connection() -> None:
    vectors = 0
    async with endpoint() as v4, endpoint(host="::1") as v6:
        rules = AddressRules(frozenset({v4.port, v6.port}))
        for sink in (v4, v6):
            for form in FORMS:
                outcome = await attempt(form.format(port=sink.port), rules, Names(["127.0.0.1"]))
                assert isinstance(outcome, Rejected), form
                vectors += 1
        for address in filter(None, DENIED):
            names = Names([address])
            outcome = await attempt(f"https://hooks.shop.example:{v4.port}/", rules, names)
            assert isinstance(outcome, Rejected), address
            vectors += 1
            both = await attempt(f"https://hooks.shop.example:{v4.port}/", rules, Names(["93.184.216.34", address]))
            assert isinstance(both, Rejected), f"{address} beside a public one"
            vectors += 1
        assert (v4.connections, v6.connections) == (0, 0)
    assert vectors >= 60


async def test_send_connects_to_the_address_that_was_checked() -> None:
    """A name that leads elsewhere when it is asked again (rebinding) is not asked again."""
    async with endpoint() as sink:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        outcome = await attempt(
            f"https://localhost:{sink.port}/x", AddressRules(frozenset({sink.port}), loopback=True), names
        )
    assert isinstance(outcome, Deferred), "the sink speaks no TLS"
    assert names.asked == 1
    assert sink.connections == 1


async def test_send_name_without_address_is_deferred() -> None:
    class Nowhere(Names):
        async def __call__(self, host: str, port: int) -> list[str]:
            raise OSError("no such name")

    assert isinstance(await attempt("https://hooks.shop.example/", AddressRules(), Nowhere([])), Deferred)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for hooks.shop.example."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.shop.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.shop.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def serving_tls(certificate: tuple[Path, Path], seen: list[str | None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def note(_: object, name: str | None, __: object) -> None:
        seen.append(name)

    context.sni_callback = note
    return context


async def test_send_over_tls_keeps_the_name_although_it_connects_to_an_address(certificate: tuple[Path, Path]) -> None:
    seen: list[str | None] = []
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    async with endpoint(tls=serving_tls(certificate, seen)) as sink:
        rules = AddressRules(frozenset({sink.port}), loopback=True)
        outcome = await attempt(f"https://hooks.shop.example:{sink.port}/x?y=1", rules, Names(["127.0.0.1"]), trust)
    assert outcome == Delivered(200)
    assert seen == ["hooks.shop.example"]
    assert sink.requests[0].headers["host"] == f"hooks.shop.example:{sink.port}"
    assert sink.requests[0].path == "/x?y=1"


@pytest.mark.parametrize("case", ["another name", "unknown issuer"])
async def test_send_certificate_that_does_not_fit_is_not_accepted(certificate: tuple[Path, Path], case: str) -> None:
    host = "other.shop.example" if case == "another name" else "hooks.shop.example"
    trust = ssl.create_default_context(cafile=str(certificate[0])) if case == "another name" else TRUST
    async with endpoint(tls=serving_tls(certificate, [])) as sink:
        rules = AddressRules(frozenset({sink.port}), loopback=True)
        outcome = await attempt(f"https://{host}:{sink.port}/", rules, Names(["127.0.0.1"]), trust)
    assert isinstance(outcome, Deferred)
    assert "certificate was not accepted" in outcome.error
    assert sink.requests == []


async def test_send_ignores_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with endpoint() as proxy, endpoint() as sink:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await attempt(sink.url, AddressRules(loopback=True)) == Delivered(200)
    assert (proxy.connections, sink.connections) == (0, 1)
