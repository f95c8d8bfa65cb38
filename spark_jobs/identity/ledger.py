"""The dictionary of identifiers and the ledger of links: what a run adds to what is known."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.declared import Rules
from spark_jobs.identity.numbering import numbered
from spark_jobs.identity.rules import (
    FROZEN,
    JOINED,
    JOINING_KINDS,
    NEGATIVE,
    is_hint,
    is_sliced,
    owner_limit,
    priority,
    unique_key,
)

VALUE = ("type", "scope", "token")
# Behind the priority of every type.
_WEAKEST = 1_000_000


def identifier_changes(observed: DataFrame, known: DataFrame) -> DataFrame:
    """Identifiers that are new, and known ones that turn out to be older.

    In:  rows of `stars`; rows of `core.identifiers`.
    Out: type, scope, token, kid, first_seen_at, run_id and identifier_no, both null where the identifier is new.
    """
    seen = observed.groupBy(*VALUE).agg(F.max("kid").alias("kid"), F.min("first_seen_at").alias("first_seen_at"))
    before = known.select(*VALUE, "identifier_no", "run_id", F.col("first_seen_at").alias("known_since"))
    # known is unique on its contract key, so this join cannot add rows.
    both = seen.join(before, on=list(VALUE), how="left")
    is_changed = F.col("identifier_no").isNull() | (F.col("first_seen_at") < F.col("known_since"))
    return both.where(is_changed).drop("known_since")


def number_new(changes: DataFrame, rules: Rules, *, after: int, run_id: str) -> DataFrame:
    """New identifiers with their numbers: by first seen, then strength of type, scope and token."""
    new = changes.where(F.col("identifier_no").isNull()).drop("identifier_no", "run_id")
    ranked = new.withColumn("rank", priority(F.col("type"), rules))
    ties = ("rank", "scope", "token", "type")
    placed = numbered(ranked, "identifier_no", moment="first_seen_at", ties=ties, after=after)
    return placed.withColumn("run_id", F.lit(run_id)).drop("rank")


def observed_links(observed: DataFrame, identifiers: DataFrame) -> DataFrame:
    """Each star's spokes as links between numbers, smaller first; one row per pair, kind and source.

    In:  rows of `stars`; rows of `core.identifiers`.
    Out: link rows; an identifier that has no number leaves null ends, which is for the caller to refuse.
    """
    numbers = identifiers.select(*VALUE, "identifier_no")
    hubs = numbers.select(*[F.col(name).alias(f"hub_{name}") for name in VALUE], F.col("identifier_no").alias("hub_no"))
    # numbers is unique on (type, scope, token): neither join can add rows.
    spokes = observed.join(numbers, on=list(VALUE), how="left")
    pairs = spokes.join(hubs, on=[f"hub_{name}" for name in VALUE], how="left")
    is_numbered = F.col("hub_no").isNotNull() & F.col("identifier_no").isNotNull()
    a = F.when(is_numbered, F.least("hub_no", "identifier_no"))
    b = F.when(is_numbered, F.greatest("hub_no", "identifier_no"))
    ends = F.concat_ws("/", a.cast("string"), b.cast("string"), "kind", "source")
    return pairs.where(~is_numbered | (F.col("hub_no") != F.col("identifier_no"))).select(
        F.substring(F.sha2(ends, 256), 1, 32).alias("link_id"),
        a.alias("identifier_a"),
        b.alias("identifier_b"),
        "kind",
        F.lit(True).alias("authenticated"),
        "source",
        "event_id",
        "observations",
        "first_seen_at",
        "last_seen_at",
    )


def link_additions(links: DataFrame, ledger: DataFrame) -> DataFrame:
    """Ledger rows that make the ledger, added up by link, say what `links` say; none where it does already."""
    held = ledger.groupBy("link_id").agg(
        F.sum("observations").alias("known_observations"),
        F.min("first_seen_at").alias("known_first"),
        F.max("last_seen_at").alias("known_last"),
    )
    more = F.col("observations") - F.coalesce("known_observations", F.lit(0))
    is_news = (
        F.col("known_observations").isNull()
        | (more > 0)
        | (F.col("first_seen_at") < F.col("known_first"))
        | (F.col("last_seen_at") > F.col("known_last"))
    )
    # held is unique on link_id, so this join cannot add rows. Evidence that left the events stays in the ledger.
    both = links.join(held, on="link_id", how="left").where(is_news)
    return both.withColumn("observations", F.greatest(more, F.lit(0))).drop(
        "known_observations", "known_first", "known_last"
    )


def exclusive(identifiers: DataFrame, rules: Rules) -> DataFrame:
    """Identifiers that belong to one person for ever: neither of a type that passes on, nor barred."""
    return identifiers.where(~is_sliced(F.col("type"), rules) & F.col("barred").isNull())


def pairs_of(ledger: DataFrame) -> DataFrame:
    """The ledger as a graph: one row per pair that anything joins.

    `is_separated` where a decision keeps it apart; `decided` is more than 0 where one joins it, or holds it together.
    """
    joins = F.col("kind").isin(*JOINING_KINDS)
    by_pair = ledger.groupBy("identifier_a", "identifier_b").agg(
        F.max(F.when(joins, F.col("authenticated"))).alias("authenticated"),
        F.min(F.when(joins, F.col("first_seen_at"))).alias("first_seen_at"),
        F.max(F.col("kind") == NEGATIVE).alias("is_separated"),
        _decided().alias("decided"),
    )
    return by_pair.where(F.col("authenticated").isNotNull())


def _decided() -> Column:
    """What was decided of a pair: 0 nothing, 1 to join it, 2 to keep it so, 3 the same where nothing else joins it."""
    is_frozen, joins = F.col("kind") == FROZEN, F.col("kind").isin(*JOINING_KINDS)
    return (
        F.when(F.max(F.col("kind") == JOINED), F.lit(1))
        .when(F.min(F.when(joins, is_frozen)), F.lit(3))
        .when(F.max(is_frozen), F.lit(2))
        .otherwise(F.lit(0))
    )


def separations_of(ledger: DataFrame) -> DataFrame:
    """identifier_a, identifier_b of the pairs that a decision keeps apart, whether anything links them or not."""
    is_one = (F.col("kind") == NEGATIVE) & (F.col("identifier_a") != F.col("identifier_b"))
    return ledger.where(is_one).select("identifier_a", "identifier_b").dropDuplicates()


def with_ends(pairs: DataFrame, identifiers: DataFrame, rules: Rules) -> DataFrame:
    """Add what the rules ask of both ends, and `strength`: the smaller, the stronger.

    In:  rows of `pairs_of`; rows of `barred` with `lock`.
    Out: a_/b_ priority, sliced, limit, unique, hint, barred, lock; strength = (weaker end's priority, not
         authenticated, first seen, tokens), which is total and knows nothing of the order in which anything arrived.
    """
    end = identifiers.select(
        "identifier_no",
        priority(F.col("type"), rules).alias("priority"),
        is_sliced(F.col("type"), rules).alias("sliced"),
        owner_limit(F.col("type"), rules).alias("limit"),
        unique_key(F.col("type"), F.col("scope"), rules).alias("unique"),
        is_hint(F.col("type"), rules).alias("hint"),
        "barred",
        "lock",
        "token",
    )
    # identifier_no is unique: each join gives every pair exactly one row more of columns, never more rows.
    both = pairs.join(_side(end, "a"), on="identifier_a", how="inner").join(
        _side(end, "b"), on="identifier_b", how="inner"
    )
    strength = F.struct(
        # Who joins two by hand knows more than what was seen; a lock only fills in where what was seen joins no longer.
        F.when(F.col("decided") == 1, F.lit(0))
        .when(F.col("decided") == 3, F.lit(_WEAKEST))
        .otherwise(F.greatest("a_priority", "b_priority"))
        .alias("priority"),
        (~F.col("authenticated")).alias("unchecked"),
        F.col("first_seen_at"),
        F.concat(F.least("a_token", "b_token"), F.greatest("a_token", "b_token")).alias("tokens"),
    )
    return both.withColumn("strength", strength).drop("a_token", "b_token", "authenticated", "first_seen_at")


def _side(end: DataFrame, side: str) -> DataFrame:
    number = F.col("identifier_no").alias(f"identifier_{side}")
    return end.select(number, *[F.col(name).alias(f"{side}_{name}") for name in end.columns if name != "identifier_no"])
