"""Agents of your own, in ten lines: `tandem agents --agents examples/agents/hello.py`."""

from uuid import NAMESPACE_URL, uuid5


def register(app, tandem):
    @app.agent(tandem.transitions, name="hello")
    async def hello(changes):
        async for change in changes:
            if change["stage_to"] == "customer":
                await tandem.publish("sales", call_after(change))


def call_after(change):
    who = [known for known in change["journey"]["identifiers"] if known["type"] in ("email", "crm_contact")]
    return {
        # the same id whenever the change is read, so that reading it twice calls once
        "id": str(uuid5(NAMESPACE_URL, f"hello:{change['journey_id']}:{change['seq']}:{change['at']}")),
        "type": "welcome_call_planned",
        "version": 1,
        "source": "hello-agent",
        "occurred_at": change["at"],
        "identities": who,
        "data": {},
    }
