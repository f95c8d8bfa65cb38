"""Stories of identifiers that have nothing in common, so that one run of the job tells all of them."""

from __future__ import annotations

from typing import Any

from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from tests.spark.identity_rows import event, member

KIOSK = "00" * 15 + "07"


def on_tv(event_id: str, minutes: float, *names: str) -> tuple[Any, ...]:
    return event(event_id, minutes, "device:tv", *names, authenticated=bool(names))


MEMBERS_AT_FIRST = [member("1", -60, "phone:1", "login:ann"), member("2", -30, "phone:2", "login:cat")]
AT_FIRST = [
    # What was done before a login.
    event("anonymous", 0, "device:d1", "cookie:c1", authenticated=False),
    event("login", 5, "login:ann", "device:d1"),
    # The same OpenID text in two apps is two identifiers.
    event("a", 0, "login:sue", "openid@app1:same"),
    event("b", 1, "login:bob", "openid@app2:same"),
    # An event that only carries devices does not say who was authenticated.
    event("c", 2, "device:d9", "cookie:c9"),
    # Five members on one phone: above its limit of three.
    *[event(f"p{n}", n, f"member_no:1{n}", "phone:hotline") for n in range(5)],
    # Two members on one phone: within the limit, but one person cannot be both.
    event("x", 1, "member_no:71", "phone:shared"),
    event("y", 2, "member_no:72", "phone:shared"),
    # Company without authentication is no link.
    event("z", 3, "login:sue", "login:bob", authenticated=False),
    # One device, two people after each other.
    on_tv("early", 0),
    on_tv("a1", 10, "login:tv-ann"),
    on_tv("anns", 15),
    on_tv("a2", 20, "login:tv-ann"),
    on_tv("between", 30),
    on_tv("b1", 40, "login:tv-bob"),
    on_tv("bobs", 45),
    on_tv("b2", 50, "login:tv-bob"),
    on_tv("late", 60),
    # Two pairs, each of two people of whom it turns out later that they are one.
    event("e1", 0, "login:eve", "device:e1"),
    event("e2", 5, "phone:eve", "openid:eve"),
    event("f1", 0, "login:fay", "device:f1"),
    event("f2", 5, "phone:fay", "openid:fay", "device:f2"),
    # One person of three identifiers, of whom two turn out to be somebody else's.
    event("h1", 0, "login:hal", "phone:hal"),
    event("h2", 5, "phone:hal", "unionid:hal"),
]
LATER = [event("e3", -30 * 24 * 60, "login:eve", "phone:eve"), event("f3", 9, "login:fay", "phone:fay")]


def put_kiosk(lake: Lake) -> None:
    """5,000 logins on one device."""
    numbers = lake.spark.range(5000).select(F.col("id").cast("string").alias("n"))
    template = lake.spark.createDataFrame([event("x", 0, "login:x")], EVENTS.ddl)
    device = F.struct(F.lit("device"), F.lit("web"), F.unhex(F.lit(KIOSK)), F.lit("k1"))
    login = F.struct(F.lit("login"), F.lit("shop"), F.unhex(F.substring(F.sha2("n", 256), 1, 32)), F.lit("k1"))
    kiosk = numbers.crossJoin(template).withColumns({"event_id": F.col("n"), "identifiers": F.array(device, login)})
    rows = kiosk.withColumn("subject_token", F.col("identifiers")[1]["col3"])
    delta.append(rows, lake, EVENTS, once=delta.Transaction("kiosk", 1))
