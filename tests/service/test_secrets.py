"""Sealed secrets: they come back whole, with any of the keys, and neither they nor the keys are ever shown."""

import base64
import os
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.secrets import PREFIX, SecretBox, SecretUnreadable
from service.settings import SettingsError

OLD, NEW, OTHER = (base64.urlsafe_b64encode(byte * 32).decode() for byte in (b"\x0f", b"\xf0", b"\x99"))


@given(st.text())
def test_every_text_comes_back(text: str) -> None:
    sealed = SecretBox(NEW).seal(text)
    assert sealed.startswith(PREFIX)
    assert SecretBox(NEW).open(sealed) == text


def test_the_same_text_is_never_sealed_the_same_way() -> None:
    box = SecretBox(NEW)
    assert box.seal("whsec_same") != box.seal("whsec_same")


def test_the_first_key_seals_and_every_key_opens() -> None:
    rotating = SecretBox(f" {NEW} ,{OLD}")
    assert rotating.open(SecretBox(OLD).seal("one")) == "one"
    assert SecretBox(NEW).open(rotating.seal("two")) == "two"


def test_resealing_makes_the_old_key_unnecessary() -> None:
    old, rotating = SecretBox(OLD).seal("secret"), SecretBox(f"{NEW},{OLD}")
    assert not rotating.is_current(old)
    resealed = rotating.reseal(old)
    assert rotating.is_current(resealed)
    assert SecretBox(NEW).open(resealed) == "secret"
    assert rotating.reseal(resealed) == resealed


def test_a_plain_value_is_read_as_it_is_and_sealed_at_the_next_rotation() -> None:
    box = SecretBox(NEW)
    assert box.open("whsec_plain") == "whsec_plain"
    assert not box.is_current("whsec_plain")
    assert box.open(box.reseal("whsec_plain")) == "whsec_plain"


@pytest.mark.parametrize(
    "sealed",
    [SecretBox(OTHER).seal("theirs"), PREFIX, PREFIX + "garbage", PREFIX + "ü"],
    ids=["other key", "nothing", "garbage", "not ascii"],
)
def test_what_cannot_be_decrypted_says_what_to_do(sealed: str) -> None:
    box = SecretBox(f"{NEW},{OLD}")
    assert not box.is_current(sealed)
    for use in (box.open, box.reseal):
        with pytest.raises(SecretUnreadable, match="ENCRYPTION_KEY"):
            use(sealed)


def test_a_changed_letter_is_noticed() -> None:
    sealed = SecretBox(NEW).seal("secret")
    changed = sealed[:-9] + ("A" if sealed[-9] != "A" else "B") + sealed[-8:]
    with pytest.raises(SecretUnreadable):
        SecretBox(NEW).open(changed)


def test_a_key_as_openssl_prints_it_will_do() -> None:
    key = base64.b64encode(b"\xff\xef" + os.urandom(30)).decode()
    assert "/" in key
    assert SecretBox(key).open(SecretBox(key).seal("secret")) == "secret"


@pytest.mark.parametrize("bad", ["", "short", "x" * 44, NEW[:-2], NEW + NEW, "schlüssel"])
@pytest.mark.parametrize("template", ["{}", NEW + ",{}", "{}," + NEW])
def test_a_bad_key_is_refused_and_not_repeated(bad: str, template: str) -> None:
    with pytest.raises(SettingsError, match="ENCRYPTION_KEY") as caught:
        SecretBox(template.format(bad))
    shown = "".join(traceback.format_exception_only(caught.value))
    assert NEW not in shown
    assert caught.value.__suppress_context__
    assert not bad or bad not in shown


def test_a_box_shows_nothing() -> None:
    box = SecretBox(f"{NEW},{OLD}")
    assert (repr(box), str(box)) == ("SecretBox()", "SecretBox()")
