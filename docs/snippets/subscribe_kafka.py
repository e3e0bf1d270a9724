"""Follow the journeys from Kafka: TANDEM_KAFKA=127.0.0.1:9092 python subscribe_kafka.py"""

import asyncio
import json
import os

from aiokafka import AIOKafkaConsumer


async def main() -> None:
    options = {"group_id": "my-crm", "isolation_level": "read_committed", "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer("tandem.journeys", bootstrap_servers=os.environ["TANDEM_KAFKA"], **options) as journeys:
        async for record in journeys:
            journey = json.loads(record.value) if record.value else None  # None: it is no more, delete yours
            print(record.key.decode(), journey and journey["stage"], flush=True)


asyncio.run(main())
