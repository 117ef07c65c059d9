"""Keys and what they prove, with the vectors of RFC 4231 and Standard Webhooks."""

from toastbox.core.auth import (
    equal,
    hmac_sha256,
    hook_key,
    parse_authorization,
    sign_hook,
    token,
    verify_hook,
)

RFC_4231 = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
]


def test_hmac_is_that_of_the_rfc():
    for key, message, wanted in RFC_4231:
        assert hmac_sha256(key, message).hex() == wanted


def test_equal():
    assert equal(b"", b"") and equal(b"abc", b"abc")
    assert not equal(b"abc", b"abd") and not equal(b"abc", b"ab") and not equal(b"", b"a")


def test_token_and_hook_key_differ_and_depend_on_the_key():
    one, other = b"k" * 32, b"l" * 32
    assert len(token(one)) == 64 and token(one) != token(other)
    assert token(one) == hmac_sha256(one, b"toastbox token 1").hex()
    assert hook_key(one) == hmac_sha256(one, b"toastbox webhook 1") != hook_key(other)


def test_authorization_is_read():
    secret = token(b"k" * 32)
    assert parse_authorization("Toastbox 12:" + secret) == (12, secret)
    assert parse_authorization("Toastbox 4294967295:" + secret) == (4294967295, secret)


def test_malformed_authorization_is_none():
    secret = "0123456789abcdef" * 4
    for value in [
        "",
        "Toastbox",
        "Toastbox ",
        "Toastbox :" + secret,
        "Toastbox 12:",
        "Toastbox 12:" + secret[:-1],
        "Toastbox 12:" + secret + "0",
        "Toastbox 12:" + secret[:-1] + "g",
        "Toastbox 12:" + secret.upper(),
        "Toastbox 12 :" + secret,
        "Toastbox  12:" + secret,
        "Toastbox -1:" + secret,
        "Toastbox 4294967296:" + secret,
        "Toastbox 99999999999:" + secret,
        "Toastbox ٣:" + secret,
        "toastbox 12:" + secret,
        "Basic 12:" + secret,
        "Toastbox 12:" + secret + " ",
        "Toastbox 12:" + "0" * 4096,
    ]:
        assert parse_authorization(value) is None, value


def test_hook_signature_is_that_of_standard_webhooks():
    key = bytes.fromhex("31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0")
    signed = sign_hook(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_one_good_signature_among_several_is_enough():
    key = b"k" * 32
    signed = sign_hook(key, "7:3", "1700000000", b"{}")
    assert verify_hook(key, "7:3", "1700000000", b"{}", signed)
    assert verify_hook(key, "7:3", "1700000000", b"{}", "v1,xxxx " + signed)


def test_forged_hooks_are_refused():
    key = b"k" * 32
    signed = sign_hook(key, "7:3", "1700000000", b"{}")
    for attempt in [
        (b"l" * 32, "7:3", "1700000000", b"{}", signed),
        (key, "7:4", "1700000000", b"{}", signed),
        (key, "7:3", "1700000001", b"{}", signed),
        (key, "7:3", "1700000000", b"{ }", signed),
        (key, "7:3", "1700000000", b"{}", ""),
        (key, "7:3", "1700000000", b"{}", "v1,"),
        (key, "7:3", "1700000000", b"{}", signed[3:]),
        (key, "7:3", "1700000000", b"{}", "v2" + signed[2:]),
        (key, "7:3", "1700000000", b"{}", " " * 2000 + signed),
    ]:
        assert not verify_hook(*attempt)
