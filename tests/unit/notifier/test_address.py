"""Where webhooks may go."""

import pytest

from services.notifier import domain
from services.notifier.domain import AddressRules, ForbiddenUrl

DENIED = [
    # what the standard library calls global although it is not
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "::10.0.0.1", "fec0::1", "224.0.0.1",
    "192.88.99.1", "192.0.0.8", "3fff::1", "5f00::1", "::ffff:0:127.0.0.1",
    # loopback, unspecified, private, link-local, metadata
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255",
    "127.0.0.1", "127.255.255.254", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255",
    "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255",
    # documentation, reserved, multicast, broadcast
    "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.0.0.170", "192.31.196.1", "192.52.193.1", "192.175.48.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255",
    # IPv6
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0",
    "fc00::1", "fd00:ec2::254", "ff02::1", "2001::1", "2001:0:4136:e378::1", "2001:10::1", "2001:20::1",
    "2001:db8::1", "2002:7f00:1::1", "2002::1", "100::1", "2620:4f:8000::1", "4000::1",
    # not an address at all
    "localhost", "", "127.1", "0x7f000001",
]  # fmt: skip
ALLOWED = ["1.1.1.1", "8.8.8.8", "100.128.0.1", "172.32.0.1", "198.20.0.1", "223.255.255.255", "2606:4700::1111"]


@pytest.mark.parametrize("address", DENIED)
def test_is_public_inside_address_is_denied(address: str) -> None:
    assert not domain.is_public(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_is_public_outside_address_is_allowed(address: str) -> None:
    assert domain.is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.com/", "ftp://shop.example.com/", "gopher://shop.example.com/", "file:///etc/passwd",
        "//shop.example.com/", "shop.example.com", "https://", "https:///path", "https://user@shop.example.com/",
        "https://user:secret@shop.example.com/", "https://shop.example.com@127.0.0.1/", "https://shop.example.com/#x",
        "https://shop.example.com:22/", "https://shop.example.com:25/", "https://shop.example.com:6379/",
        "https://shop.example.com:80/", "https://shop.example.com:0/", "https://shop.example.com:99999/",
        "https://shop.example.com:x/", "https://localhost/", "https://intranet/", "https://127.0.0.1/",
        "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://0/",
        "https://127.0.0.1./", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://[fe80::1%25eth0]/",
        "https://①②⑦.⓪.⓪.①/", "https://shop.example.com\\@127.0.0.1/", "https://shop.example.com/\r\nHost: x",
        "https://shop.exam ple.com/", "https://[64:ff9b::a9fe:a9fe]/", "https://[::1", "https://" + "a" * 2050,
        "https://1.2.3.0x7f/",
    ],
)  # fmt: skip
def test_parse_endpoint_forbidden_form_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenUrl):
        domain.parse_endpoint(url, AddressRules())


def test_parse_endpoint_takes_url_apart() -> None:
    endpoint = domain.parse_endpoint("https://Hooks.Shop.Example.com./in?tenant=1", AddressRules())
    assert (endpoint.host, endpoint.port, endpoint.target) == ("hooks.shop.example.com", 443, "/in?tenant=1")
    assert endpoint.authority == "hooks.shop.example.com"


def test_parse_endpoint_extra_port_needs_a_setting() -> None:
    rules = AddressRules(frozenset({8443}))
    assert domain.parse_endpoint("https://shop.example.com:8443/", rules).authority == "shop.example.com:8443"


def test_rules_loopback_opens_loopback_and_nothing_else() -> None:
    rules = AddressRules(loopback=True)
    assert domain.parse_endpoint("http://127.0.0.1:9000/in", rules).port == 9000
    assert rules.allows("127.0.0.1")
    assert rules.allows("::1")
    assert not rules.allows("10.0.0.1")
    with pytest.raises(ForbiddenUrl):
        domain.parse_endpoint("http://10.0.0.1/", rules)
    with pytest.raises(ForbiddenUrl):
        domain.parse_endpoint("http://shop.example.com/", rules)
