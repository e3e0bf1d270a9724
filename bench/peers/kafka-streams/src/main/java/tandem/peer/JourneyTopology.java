package tandem.peer;

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/** Marketing events in, journeys out: one keyed aggregate in a RocksDB store. */
final class JourneyTopology {
    private JourneyTopology() {}

    static StreamsBuilder build(Settings settings) {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, MarketingEvent> events = builder.stream(
                settings.input(), Consumed.with(Serdes.String(), Json.serde(MarketingEvent.class)));
        byJourney(events.filter((key, event) -> event.journey() != null), settings.repartition())
                .groupByKey(Grouped.with("by-journey", Serdes.String(), Json.serde(Contact.class)))
                .aggregate(Journey::empty, (journey, contact, state) -> state.with(contact), store())
                .toStream()
                .to(settings.output(), Produced.with(Serdes.String(), Json.serde(Journey.class)));
        return builder;
    }

    /**
     * The events under their journey's key. A new key means that Streams sends them through a repartition topic. Without
     * it the producer's key is trusted to be the journey's, which holds for the benchmark's workload and for few others.
     */
    private static KStream<String, Contact> byJourney(KStream<String, MarketingEvent> events, boolean repartition) {
        return repartition
                ? events.map((key, event) -> KeyValue.pair(event.journey(), Contact.of(event)))
                : events.mapValues(Contact::of);
    }

    private static Materialized<String, Journey, KeyValueStore<Bytes, byte[]>> store() {
        return Materialized.<String, Journey, KeyValueStore<Bytes, byte[]>>as("journeys")
                .withKeySerde(Serdes.String())
                .withValueSerde(Json.serde(Journey.class));
    }
}
