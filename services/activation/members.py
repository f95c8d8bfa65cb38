"""The members of an audience that a campaign goes by: as it was published, on the tags in force, from its bitmaps."""

from __future__ import annotations

import pyarrow as pa

from services.activation.campaigns import Campaign
from services.activation.tables import add, make
from services.audiences.counting import chunks_of
from services.audiences.published import Published as Audiences
from services.audiences.published import newest_published
from services.profiles.lake import Lake
from services.profiles.published import Published
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.people.bitmaps import persons_of


def audiences_of(lake: Lake, campaign: Campaign, tags: Published) -> Audiences:
    """The audiences in force, of which the campaign goes by one.

    RetryableError where they stand on other tags than those in force: members and words of both would be of no moment.
    TerminalError where there is no such audience, or it is of a sensitive class.
    """
    found, name = newest_published(lake, tags.workspace), campaign.audience.name
    if found.tags_behind:
        raise RetryableError(
            f"campaign {campaign.name}: the audiences stand on publication {tags.number - found.tags_behind} of tags, "
            f"in force is {tags.number}; run `./databank audience build --workspace {tags.workspace}`, then start the "
            "campaign again"
        )
    if name not in found.audiences:
        known = ", ".join(sorted(set(found.audiences) - found.sensitive)) or "none"
        raise TerminalError(f"campaign {campaign.name}: no audience {name!r} is published; wanted: one of {known}")
    if name in found.sensitive:
        raise TerminalError(
            f"campaign {campaign.name}: audience {name!r} is of a sensitive class, or made of a tag that is; a message "
            "would tell of it"
        )
    return found


def make_members(lake: Lake, audiences: Audiences, name: str) -> None:
    """Table `members` of the person numbers of an audience, a chunk of 2^20 at a time."""
    make(lake, "members", pa.table({"person_no": pa.array([], pa.int64())}))
    for chunk, sets in chunks_of(lake, audiences, [name]):
        add(lake, "members", pa.table({"person_no": pa.array(persons_of(chunk, sets[name]))}))


def refuse_incomplete(lake: Lake, audiences: Audiences, name: str) -> None:
    """RetryableError where table `chosen` has not as many persons as the audience had when it was published."""
    ((found,),) = lake.rows("SELECT count(*) FROM chosen", {}, {})
    if found != (wanted := int(audiences.audiences[name]["persons"])):
        raise RetryableError(
            f"audience {name} of publication {audiences.number} has {found:,} members, wanted {wanted:,}: newer ones "
            "were published meanwhile; start the campaign again"
        )
