package tandem.peer;

import java.util.Map;
import java.util.TreeMap;

/** The state kept for one journey. Times are in epoch milliseconds. */
record Journey(long events, long firstSeen, long lastSeen, Map<String, Long> channels, long score, Stage stage) {

    enum Stage {
        VISITOR,
        KNOWN,
        ENGAGED,
        MARKETING_QUALIFIED
    }

    private static final Map<String, Integer> POINTS = Map.ofEntries(
            Map.entry("page_viewed", 1),
            Map.entry("campaign_touched", 2),
            Map.entry("email_opened", 2),
            Map.entry("email_clicked", 5),
            Map.entry("content_downloaded", 10),
            Map.entry("form_submitted", 15),
            Map.entry("event_attended", 20));

    static Journey empty() {
        return new Journey(0, Long.MAX_VALUE, Long.MIN_VALUE, Map.of(), 0, Stage.VISITOR);
    }

    Journey with(Contact contact) {
        Map<String, Long> counts = channels;
        if (contact.channel() != null) {
            counts = new TreeMap<>(channels);
            counts.merge(contact.channel(), 1L, Long::sum);
        }
        long points = score + POINTS.getOrDefault(contact.type(), 0);
        return new Journey(
                events + 1,
                Math.min(firstSeen, contact.at()),
                Math.max(lastSeen, contact.at()),
                counts,
                points,
                later(stage, reached(contact, points)));
    }

    private static Stage reached(Contact contact, long points) {
        if (contact.type().equals("lead_qualified") || points >= 100) {
            return Stage.MARKETING_QUALIFIED;
        }
        if (contact.type().equals("form_submitted") || points >= 30) {
            return Stage.ENGAGED;
        }
        return contact.named() ? Stage.KNOWN : Stage.VISITOR;
    }

    private static Stage later(Stage one, Stage other) {
        return one.compareTo(other) >= 0 ? one : other;
    }
}
