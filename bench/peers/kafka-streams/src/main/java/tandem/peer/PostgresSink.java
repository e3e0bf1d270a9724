package tandem.peer;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * The output topic into PostgreSQL, as a JDBC sink connector would do it: committed records only, one transaction a batch,
 * offsets afterwards. It may write a batch again after a crash; an upsert of whole states bears that.
 */
final class PostgresSink implements Runnable {
    private static final int BATCH = 4_000;
    private static final String UPSERT =
            """
            INSERT INTO journeys (journey, events, first_seen, last_seen, channels, score, stage)
            VALUES (?, ?, ?, ?, ?::jsonb, ?, ?)
            ON CONFLICT (journey) DO UPDATE SET events = excluded.events, first_seen = excluded.first_seen,
                last_seen = excluded.last_seen, channels = excluded.channels, score = excluded.score,
                stage = excluded.stage
            """;

    private final Settings settings;
    private final KafkaConsumer<String, Journey> consumer;

    PostgresSink(Settings settings) {
        this.settings = settings;
        this.consumer = new KafkaConsumer<>(
                consumerOptions(settings), new StringDeserializer(), Json.serde(Journey.class).deserializer());
    }

    @Override
    public void run() {
        try (consumer; Connection connection = connect()) {
            consumer.subscribe(List.of(settings.output()));
            try (PreparedStatement upsert = connection.prepareStatement(UPSERT)) {
                while (true) {
                    ConsumerRecords<String, Journey> records = consumer.poll(Duration.ofSeconds(1));
                    if (!records.isEmpty()) {
                        write(connection, upsert, latest(records));
                        consumer.commitSync();
                    }
                }
            }
        } catch (WakeupException stop) {
            // the process ends
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
    }

    /** End `run` soon; may be called from another thread. */
    void stop() {
        consumer.wakeup();
    }

    /** Journey -> its last state in the batch, in the order of keys; one statement may not touch a row twice. */
    private static Map<String, Journey> latest(ConsumerRecords<String, Journey> records) {
        Map<String, Journey> found = new TreeMap<>();
        for (ConsumerRecord<String, Journey> record : records) {
            found.put(record.key(), record.value());
        }
        return found;
    }

    private static void write(Connection connection, PreparedStatement upsert, Map<String, Journey> states)
            throws SQLException {
        for (Map.Entry<String, Journey> state : states.entrySet()) {
            Journey journey = state.getValue();
            upsert.setString(1, state.getKey());
            upsert.setLong(2, journey.events());
            upsert.setObject(3, time(journey.firstSeen()));
            upsert.setObject(4, time(journey.lastSeen()));
            upsert.setString(5, Json.text(journey.channels()));
            upsert.setLong(6, journey.score());
            upsert.setString(7, journey.stage().name().toLowerCase().replace('_', '-'));
            upsert.addBatch();
        }
        upsert.executeBatch();
        connection.commit();
    }

    private static OffsetDateTime time(long millis) {
        return Instant.ofEpochMilli(millis).atOffset(ZoneOffset.UTC);
    }

    private Connection connect() throws SQLException {
        Properties options = new Properties();
        options.put("user", settings.jdbcUser());
        options.put("password", settings.jdbcPassword());
        options.put("reWriteBatchedInserts", "true");
        Connection connection = DriverManager.getConnection(settings.jdbcUrl(), options);
        connection.setAutoCommit(false);
        return connection;
    }

    private static Map<String, Object> consumerOptions(Settings settings) {
        return Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, settings.kafka(),
                ConsumerConfig.GROUP_ID_CONFIG, settings.application() + "-sink",
                ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed",
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
                ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false,
                ConsumerConfig.MAX_POLL_RECORDS_CONFIG, BATCH,
                // a fetch that waits a little brings a larger batch
                ConsumerConfig.FETCH_MIN_BYTES_CONFIG, 512 * 1024,
                ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG, 200);
    }
}
