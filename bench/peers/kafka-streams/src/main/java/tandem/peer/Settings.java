package tandem.peer;

import java.util.Map;

/** What the runner sets, by environment variable. */
record Settings(
        String kafka,
        String application,
        String input,
        String output,
        String stateFolder,
        boolean repartition,
        int commitMillis,
        String jdbcUrl,
        String jdbcUser,
        String jdbcPassword) {

    static Settings of(Map<String, String> environment) {
        return new Settings(
                need(environment, "PEER_KAFKA"),
                need(environment, "PEER_APPLICATION"),
                need(environment, "PEER_INPUT"),
                need(environment, "PEER_OUTPUT"),
                need(environment, "PEER_STATE_FOLDER"),
                Boolean.parseBoolean(need(environment, "PEER_REPARTITION")),
                Integer.parseInt(need(environment, "PEER_COMMIT_MS")),
                need(environment, "PEER_JDBC_URL"),
                need(environment, "PEER_JDBC_USER"),
                need(environment, "PEER_JDBC_PASSWORD"));
    }

    private static String need(Map<String, String> environment, String name) {
        String value = environment.get(name);
        if (value == null) {
            throw new IllegalArgumentException(name + " is not set");
        }
        return value;
    }
}
