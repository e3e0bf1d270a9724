import asyncio
import os

import tandem


async def main() -> None:
    async with tandem.AsyncClient(os.environ.get("TANDEM_API", "http://127.0.0.1:8765")) as client:
        async for change in client.subscribe(department="sales"):
            print(change.kind, change.journey_id, change.stage_from, "->", change.stage_to, flush=True)


asyncio.run(main())
