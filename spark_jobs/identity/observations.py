"""What events and records show: which identifiers exist, and which were seen together."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.declared import Rules
from spark_jobs.identity.rules import CO_OCCURRENCE, REGISTRATION, priority

MEMBER_RECORDS = "members"
_VALUE = ("rank", "scope", "token", "type", "kid")
# Behind every declared type: what nobody declared is numbered and parked, and leads nobody beside anything else.
_LAST = 1_000_000


def sightings(events: DataFrame, members: DataFrame, rules: Rules) -> DataFrame:
    """One row per event or member record: what it showed, when, and whether the source had checked who it was.

    Out: kind, source, event_id, seen_at, authenticated, `seen` (identifiers, strongest first).
    """
    from_events = events.select(
        F.lit(CO_OCCURRENCE).alias("kind"),
        "source",
        "event_id",
        F.col("occurred_at").alias("seen_at"),
        "authenticated",
        _strongest_first(rules).alias("seen"),
    )
    # A value that came onto the record later counts since then, not since the person registered.
    from_members = members.select(
        F.lit(REGISTRATION).alias("kind"),
        F.lit(MEMBER_RECORDS).alias("source"),
        F.concat_ws("/", "origin", F.col("origin_position").cast("string")).alias("event_id"),
        F.greatest("registered_at", "valid_from").alias("seen_at"),
        F.lit(True).alias("authenticated"),
        _strongest_first(rules).alias("seen"),
    )
    return from_events.unionByName(from_members)


def _strongest_first(rules: Rules) -> Column:
    """The row's identifiers with its subject among them; order by priority, scope, token never depends on arrival."""
    subject = F.struct(
        F.col("subject_type").alias("type"),
        F.col("subject_scope").alias("scope"),
        F.col("subject_token").alias("token"),
        F.lit(None).cast("string").alias("kid"),
    )
    listed = F.coalesce(
        "identifiers", F.array().cast("array<struct<type:string,scope:string,token:binary,kid:string>>")
    )
    is_listed = F.exists(listed, lambda i: (i["type"] == subject["type"]) & (i["token"] == subject["token"]))
    whole = F.when(is_listed, listed).otherwise(F.concat(listed, F.array(subject)))
    good = F.filter(whole, lambda i: i["type"].isNotNull() & i["token"].isNotNull())
    return F.array_sort(F.array_distinct(F.transform(good, lambda i: _ranked(i, rules))))


def _ranked(identifier: Column, rules: Rules) -> Column:
    values = {
        "rank": F.coalesce(priority(identifier["type"], rules), F.lit(_LAST)),
        "scope": F.coalesce(identifier["scope"], F.lit("")),
        "token": identifier["token"],
        "type": identifier["type"],
        "kid": F.coalesce(identifier["kid"], F.lit("")),
    }
    return F.struct(*[values[name].alias(name) for name in _VALUE])


def stars(rows: DataFrame) -> DataFrame:
    """Each identifier with the strongest one that it was seen with; an identifier without company is its own hub.

    In:  rows of `sightings`. Only authenticated ones show company: a form or a link in a message proves nothing.
    Out: one row per hub, identifier, kind and source: kid, first_seen_at, last_seen_at, observations, event_id (the
         first), digest (changes when a sighting comes, goes or moves in time).
    """
    each = rows.select("kind", "source", "event_id", "seen_at", "authenticated", "seen", F.explode("seen").alias("one"))
    hub = F.when(F.col("authenticated"), F.col("seen")[0]).otherwise(F.col("one"))
    paired = each.select(
        "kind",
        "source",
        *[hub[name].alias(f"hub_{name}") for name in ("type", "scope", "token")],
        *[F.col(f"one.{name}").alias(name) for name in ("type", "scope", "token", "kid")],
        "event_id",
        "seen_at",
    )
    first = F.min(F.struct("seen_at", "event_id"))
    return paired.groupBy("kind", "source", "hub_type", "hub_scope", "hub_token", "type", "scope", "token").agg(
        F.max("kid").alias("kid"),
        first["seen_at"].alias("first_seen_at"),
        F.max("seen_at").alias("last_seen_at"),
        F.count(F.lit(1)).alias("observations"),
        first["event_id"].alias("event_id"),
        F.bit_xor(F.xxhash64("event_id", "seen_at")).alias("digest"),
    )
