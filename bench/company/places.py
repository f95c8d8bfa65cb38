"""Where the company meets people: apps, sites, accounts, and the time of which events are made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

WORKSPACE = "grocery"
LOGIN_APP = "shop"  # scope of login names: one account for site and app
SITE = "shop.grocery.example"  # scope of cookies
OPEN_ACCOUNT = "wx-open-grocery"  # scope of UnionIDs
MINI_PROGRAM = "wx-mini-grocery"  # scopes of OpenIDs: an appid each
OFFICIAL_ACCOUNT = "wx-official-grocery"

# 2017-11-01 and 2018-01-01, 0:00 in New York.
SINCE = datetime(2017, 11, 1, 4, tzinfo=UTC)
UNTIL = datetime(2018, 1, 1, 5, tzinfo=UTC)

KIOSK = "5b0c1f7e-93a4-4c5e-8d21-6f1d7e0a9c34"  # the device in the shop at which everybody logs in


@dataclass(frozen=True, slots=True)
class Place:
    """One way of meeting the company: the source of its events and the touchpoint that they show."""

    source: str
    app: str
    terminal: str


PLACES = {
    "web": Place("web", "site", "pc"),
    "android": Place("app", "shop", "mobile"),
    "ios": Place("app", "shop", "mobile"),
    "mini": Place("mini_program", "mini", "mini_program"),
    "official": Place("wechat", "official", "mobile"),
    "kiosk": Place("kiosk", "kiosk", "pc"),
}
