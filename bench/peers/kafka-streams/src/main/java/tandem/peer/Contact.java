package tandem.peer;

import java.time.OffsetDateTime;

/** What the fold needs of an event; this is what travels through the repartition topic. `at` is in epoch milliseconds. */
record Contact(String type, String channel, long at, boolean named) {

    static Contact of(MarketingEvent event) {
        String channel = event.data() == null ? null : event.data().channel();
        long at = OffsetDateTime.parse(event.occurredAt()).toInstant().toEpochMilli();
        return new Contact(event.type(), channel, at, event.names());
    }
}
