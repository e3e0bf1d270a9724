import asyncio
import os

import tandem

ADDRESS, TOKEN = os.environ.get("TANDEM_API", "http://127.0.0.1:8765"), os.environ.get("TANDEM_TOKEN")


async def main() -> None:
    async with tandem.AsyncClient(ADDRESS, token=TOKEN) as client:
        async for change in client.subscribe(department="sales"):
            print(change.kind, change.journey_id, change.stage_from, "->", change.stage_to, flush=True)


asyncio.run(main())
