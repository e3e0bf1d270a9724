package tandem.peer;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;

/** An event as it lies in the marketing topic, as far as this application reads it. */
@JsonIgnoreProperties(ignoreUnknown = true)
record MarketingEvent(
        String type, @JsonProperty("occurred_at") String occurredAt, List<Identity> identities, Data data) {

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Identity(String type, String value) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Data(String channel) {}

    /** Whose journey it belongs to: the user's, else that of the first identity. Null where it names nobody. */
    String journey() {
        if (identities == null || identities.isEmpty()) {
            return null;
        }
        Identity chosen = identities.get(0);
        for (Identity identity : identities) {
            if (identity.type().equals("user_id")) {
                chosen = identity;
                break;
            }
        }
        return chosen.type() + ":" + chosen.value();
    }

    /** Whether it says who somebody is, not only which device they hold. */
    boolean names() {
        return identities.stream().anyMatch(identity -> !identity.type().equals("anonymous_id"));
    }
}
