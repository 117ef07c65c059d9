"""What is signed without TLS: golden proofs, made with another HMAC, and claims of the wrong form."""

from toastbox.core.plain import (
    MAX_COUNTER,
    STREAMED,
    authorization,
    paired_key,
    parse_claim,
    plain_key,
    prove_paired,
    prove_secret,
    sign_answer,
    sign_request,
)

KEY = bytes(range(32))
HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


def test_golden_proofs():
    key = plain_key(KEY)
    assert key.hex() == "36b612ce40591039dc411f89bb82d913fc7a18798bdbbb5ff18434d3cfe4b750"
    request = sign_request(key, "POST", "/v1/missing?x=1", 7, 5, HELLO)
    assert request == "7f6d463d2189b5300d3313232188329ebce206ce2ed29093216802ac8cb9f190"
    assert sign_answer(key, 7, 200, 3, HELLO) == "5c080e10bcd04257db311f8f84d841d3634d7823eb073dfcd279e664804ccb1f"
    assert sign_answer(key, 7, 200, 0, STREAMED) == "2d488234691b5eef03ce0e03b54b45f7c95fc5832762e87293967ac3e4f990cd"
    assert prove_secret(KEY, b"{}") == "e0440b5e02098e4f2003767f82622cc5f011c79d0d8b9bd78d73c2494d0e0e4a"
    paired = paired_key(KEY, b"d" * 16, b"h" * 16)
    assert paired.hex() == "050e019ed731664adc08939ab37f761278b45e53b58c074532e96fd86e7d890a"
    assert prove_paired(paired, b"{}") == "2b56df4976a14f871e57f557333716334d4bfd7204bc97194a3e5d14b6abaf15"


def test_every_part_of_a_request_is_covered():
    parts = (b"k", "GET", "/v1/pull?after=1", 7, 0, HELLO)
    others = (b"l", "PUT", "/v1/pull?after=2", 8, 1, "0" * 64)
    for at in range(len(parts)):
        changed = parts[:at] + (others[at],) + parts[at + 1 :]
        assert sign_request(*changed) != sign_request(*parts), at


def test_a_claim_comes_back_as_it_was():
    claim = parse_claim(authorization(12, MAX_COUNTER, HELLO, "a" * 64))
    assert (claim.device, claim.counter, claim.body, claim.proof) == (12, MAX_COUNTER, HELLO, "a" * 64)


def test_claims_of_the_wrong_form():
    proof = "a" * 64
    for value in (
        "",
        "Toastbox 1:" + proof,
        "Toastbox-Plain ",
        authorization(0, 1, HELLO, proof),
        authorization(1, 0, HELLO, proof),
        authorization(1 << 32, 1, HELLO, proof),
        authorization(1, MAX_COUNTER + 1, HELLO, proof),
        authorization(1, 10**19, HELLO, proof),
        authorization(1, 1, HELLO[1:], proof),
        authorization(1, 1, HELLO, proof.upper()),
        authorization(1, 1, HELLO, proof) + ":",
        authorization(1, 1, HELLO, proof) + " ",
        "Toastbox-Plain 01:1:" + HELLO + ":" + proof,
        "Toastbox-Plain +1:1:" + HELLO + ":" + proof,
        "Toastbox-Plain 1:1:" + HELLO + ":" + proof + "x" * 300,
    ):
        assert parse_claim(value) is None, value
