"""Pairing codes: read as people copy them, refused when mistyped."""

from toastbox.core.pairing import ALPHABET, decode_code, encode_code

FINGERPRINT = bytes(range(100, 116))
SECRET = bytes(range(10))
CODE = encode_code(FINGERPRINT, SECRET)


def refused(text):
    try:
        decode_code(text)
    except ValueError:
        return True
    return False


def test_code_comes_back():
    for fingerprint, secret in [(FINGERPRINT, SECRET), (bytes(16), bytes(10)), (b"\xff" * 16, b"\xff" * 10)]:
        assert decode_code(encode_code(fingerprint, secret)) == (fingerprint, secret)


def test_code_is_spelled_as_specified():
    assert CODE.startswith("TBX1-")
    groups = CODE.split("-")[1:]
    assert [len(group) for group in groups] == [6] * 7 + [5]
    assert all([character in ALPHABET for group in groups for character in group])


def test_code_is_read_case_blind_with_any_spacing():
    for text in (CODE.lower(), CODE.replace("-", ""), CODE.replace("-", " "), " " + CODE + "\r\n"):
        assert decode_code(text) == (FINGERPRINT, SECRET)


def test_mistyped_codes_are_refused():
    for at in range(5, len(CODE)):
        if CODE[at] != "-":
            other = ALPHABET[(ALPHABET.find(CODE[at]) + 1) % 32]
            assert refused(CODE[:at] + other + CODE[at + 1 :]), at


def test_what_is_no_code_is_refused():
    for text in ("", "TBX1", "TBX2" + CODE[4:], CODE[:-1], CODE + "0", CODE + "U", CODE[5:], "é" * 40, "T" * 100000):
        assert refused(text), text[:60]
