-- The feed for subscribers: when each change was committed, what time alone has changed, who has read how far.

-- A change is of a batch, or of no batch where time alone was the cause (2).
ALTER TABLE changes ALTER COLUMN batch_id DROP NOT NULL;
ALTER TABLE changes ADD COLUMN committed_at timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE INDEX changes_committed ON changes USING brin (committed_at) WITH (pages_per_range = 16);

-- When silence will next lead a journey to another stage that the feed has not told yet; microseconds since 1970 UTC.
ALTER TABLE journeys ADD COLUMN due_at bigint;
UPDATE journeys SET due_at = (due -> 0 ->> 0)::bigint WHERE due IS NOT NULL;
CREATE INDEX journeys_due ON journeys (due_at) WHERE due_at IS NOT NULL;

-- Up to when the feed has told what silence did; microseconds since 1970 UTC.
ALTER TABLE projection ADD COLUMN told_until bigint NOT NULL DEFAULT 0;

-- Journeys of which the feed has last told a stage that silence led to, and not the fold.
CREATE TABLE announced (
    journey_id uuid     PRIMARY KEY,
    stage      smallint NOT NULL
);

-- How far the feed was published to Kafka, by publisher. The position is the fence: who moves it must know it.
CREATE TABLE publications (
    name       text   PRIMARY KEY,
    feed_epoch uuid   NOT NULL,
    seq        bigint NOT NULL                   -- of the last change that is published
);

-- Keys by which systems write. The secret itself is nowhere: only its SHA-256.
CREATE TABLE api_keys (
    key_id     text        PRIMARY KEY,
    hash       bytea       NOT NULL,
    department text        NOT NULL,             -- whose topic it may write
    sources    text[]      NOT NULL,             -- that its events may name; empty for any
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,                      -- null: never
    revoked_at timestamptz
);

-- Who has read personal data through the API.
CREATE TABLE reads (
    read_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    read_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    reader   text        NOT NULL,               -- the token's subject, or the key's id
    role     text        NOT NULL,
    endpoint text        NOT NULL,
    asked    jsonb       NOT NULL,               -- the request's parameters
    journeys uuid[]      NOT NULL                -- whose data was in the answer
);
CREATE INDEX reads_journeys ON reads USING gin (journeys);
CREATE INDEX reads_at ON reads USING brin (read_at);
