package tandem.peer;

import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.LogAndContinueExceptionHandler;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** Starts the topology and the sink, says RUNNING once the partitions are held, ends in order on SIGTERM. */
public final class App {
    private App() {}

    public static void main(String[] arguments) throws InterruptedException {
        Settings settings = Settings.of(System.getenv());
        CountDownLatch end = new CountDownLatch(1);
        AtomicInteger failed = new AtomicInteger();
        PostgresSink sink = new PostgresSink(settings);
        Thread writer = new Thread(sink, "postgres-sink");
        Properties options = options(settings);
        KafkaStreams streams = new KafkaStreams(JourneyTopology.build(settings).build(options), options);

        writer.setUncaughtExceptionHandler((thread, error) -> fail(error, failed, end));
        streams.setUncaughtExceptionHandler(error -> {
            fail(error, failed, end);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                System.out.println("RUNNING");
            }
        });
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            end.countDown();
            join(main);
        }));
        writer.start();
        streams.start();
        end.await();
        streams.close();
        sink.stop();
        writer.join();
        Runtime.getRuntime().halt(failed.get()); // after SIGTERM the exit code would otherwise be the signal's
    }

    private static Properties options(Settings settings) {
        Properties options = new Properties();
        options.put(StreamsConfig.APPLICATION_ID_CONFIG, settings.application());
        options.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, settings.kafka());
        options.put(StreamsConfig.STATE_DIR_CONFIG, settings.stateFolder());
        options.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        options.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, settings.commitMillis());
        options.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        options.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        // one update a journey and commit goes on, not one an event
        options.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L * 1024 * 1024);
        options.put(
                StreamsConfig.DESERIALIZATION_EXCEPTION_HANDLER_CLASS_CONFIG, LogAndContinueExceptionHandler.class);
        options.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        options.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 4_000);
        options.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 128 * 1024);
        return options;
    }

    private static void fail(Throwable error, AtomicInteger failed, CountDownLatch end) {
        error.printStackTrace();
        failed.set(1);
        end.countDown();
    }

    private static void join(Thread thread) {
        try {
            thread.join();
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
