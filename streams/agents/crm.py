"""The CRM adapter: changes of its leads and opportunities, as Debezium tells them, into sales' facts."""

from typing import Any

import faust

from schemas.rejection import Rejection
from streams.agents.changes import UnfitChange, change_of
from streams.agents.crm_mapping import DEFAULT_MAPPING, CrmMapping, events_of, load_crm_mapping
from streams.agents.tandem import FOR_EVER, Tandem


def register(app: faust.App, tandem: Tandem) -> None:
    """One agent for each table of the mapping, on `<prefix>.crm.<table>`. Raises InvalidCrmMapping."""
    mapping = load_crm_mapping(tandem.settings.crm_mapping or DEFAULT_MAPPING)
    for table in mapping.tables:
        _adapt(app, tandem, table, mapping)


def _adapt(app: faust.App, tandem: Tandem, table: str, mapping: CrmMapping) -> None:
    topic = f"{tandem.prefix}.crm.{table}"
    tandem.topics[topic] = FOR_EVER

    @app.agent(tandem.topic(topic, raw=True), name=f"crm-{table}")
    async def crm(changes: Any) -> None:
        async for event in changes.events():
            if event.value is None:
                continue  # a tombstone follows each deletion
            try:
                change = change_of(event.value)
                for fact in () if change is None else events_of(change, table, mapping):
                    await tandem.publish("sales", fact)
            except (UnfitChange, Rejection) as error:
                await tandem.dead_letter(event, error.reason, str(error))
