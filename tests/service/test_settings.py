"""What is wrong in the environment is refused at start, by name."""

import pytest

from service.settings import SettingsError, load_settings


def test_prices_are_read() -> None:
    prices = load_settings(stripe_prices="price_1=PRO, price_2=ENTERPRISE,price_3 = PRO,").plan_prices
    assert prices == {"price_1": "PRO", "price_2": "ENTERPRISE", "price_3": "PRO"}
    assert load_settings(stripe_prices="").plan_prices == {}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("price_1", "must look like price_123=PRO"),
        ("price_1=", "must look like price_123=PRO"),
        ("=PRO", "must look like price_123=PRO"),
        ("price_1=pro", "must look like price_123=PRO"),
        ("price_1=GOLD", "must look like price_123=PRO"),
        ("price_1=PRO=FREE", "must look like price_123=PRO"),
        ("price_1:PRO", "must look like price_123=PRO"),
        ("price_1=PRO;price_2=PRO", "must look like price_123=PRO"),
        ("price_1=PRO,price_1=ENTERPRISE", "lists price_1 twice"),
        ("price_1=PRO,price_2=PRO, price_1=PRO", "lists price_1 twice"),
    ],
)
def test_prices_that_say_no_plan_or_two_are_refused(
    monkeypatch: pytest.MonkeyPatch, given: str, complaint: str
) -> None:
    monkeypatch.setenv("STRIPE_PRICES", given)
    with pytest.raises(SettingsError, match=f"^Configuration is not valid. STRIPE_PRICES: {complaint}"):
        load_settings()
