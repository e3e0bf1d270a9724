-- The core tables. Folded times are bigint microseconds since 1970 UTC; database times are timestamptz.

-- One row per topic partition of one log epoch: position, fence, lease and the counts of law 4.
-- Law 4, per row: next_offset - first_offset = applied + duplicates + dead + holes.
CREATE TABLE partitions (
    partition_id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_epoch      int    NOT NULL,
    topic          text   NOT NULL,
    partition      int    NOT NULL,
    owner_room     text   NOT NULL,              -- marketing, sales or joint: who may write here (law 6)
    cluster_id     text   NOT NULL,
    first_offset   bigint NOT NULL DEFAULT 0,
    next_offset    bigint NOT NULL DEFAULT 0,
    witness        bigint,                       -- digest of the record before next_offset; proves the log is the same log
    epoch          bigint NOT NULL DEFAULT 0,    -- the fence: grows with each takeover
    worker         uuid,                         -- who holds the lease; alive while its row in workers is
    applied        bigint NOT NULL DEFAULT 0,
    duplicates     bigint NOT NULL DEFAULT 0,
    dead           bigint NOT NULL DEFAULT 0,
    holes          bigint NOT NULL DEFAULT 0,
    UNIQUE (log_epoch, topic, partition)
) WITH (fillfactor = 50);

-- Workers that are alive, so that each takes its fair share of the partitions.
CREATE TABLE workers (
    worker        uuid        PRIMARY KEY,
    backend_pid   int         NOT NULL,          -- of the connection that commits; terminated if the worker hangs
    backend_start timestamptz NOT NULL,
    heartbeat_at  timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What the projection was built with; a worker that differs refuses to run.
CREATE TABLE projection (
    singleton    boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    log_epoch    int    NOT NULL,
    cluster_id   text   NOT NULL,
    playbook     text   NOT NULL,                -- sha256 of the canonical playbook
    feed_seq     bigint NOT NULL DEFAULT 0,      -- last number of the change feed; locked last in each transaction
    feed_epoch   uuid   NOT NULL DEFAULT gen_random_uuid()
) WITH (fillfactor = 50);

-- Source names, interned: events and archive refer to the number.
CREATE TABLE sources (
    source_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name      text NOT NULL UNIQUE
);

-- Exact dedupe by (source, id), for ever, and the way from an event to its archive block.
CREATE TABLE events (
    id        uuid     NOT NULL,
    source_id int      NOT NULL,
    body_hash bigint   NOT NULL,                 -- of the raw bytes; equal bytes need no closer look
    batch_id  bigint   NOT NULL,
    bucket    smallint NOT NULL,
    PRIMARY KEY (id, source_id)
);

-- The archive: each batch's applied events, by bucket of their anchor identifier, as one zstd block.
CREATE TABLE archive (
    bucket   smallint NOT NULL,
    batch_id bigint   NOT NULL,
    events   int      NOT NULL,
    payload  bytea    NOT NULL,
    PRIMARY KEY (bucket, batch_id)
);
ALTER TABLE archive ALTER COLUMN payload SET STORAGE EXTERNAL; -- already compressed

-- One row per batch and partition: the log of what was committed together.
CREATE SEQUENCE batch_ids;
CREATE TABLE batches (
    batch_id     bigint NOT NULL,
    partition_id int    NOT NULL,
    from_offset  bigint NOT NULL,
    to_offset    bigint NOT NULL,                -- exclusive
    applied      int    NOT NULL,
    duplicates   int    NOT NULL,
    dead         int    NOT NULL,
    holes        bigint NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (batch_id, partition_id)
);

-- Offsets that the log did not hold (transaction markers, deleted records): recorded, never passed over in silence.
CREATE TABLE holes (
    partition_id int    NOT NULL,
    from_offset  bigint NOT NULL,
    to_offset    bigint NOT NULL,                -- exclusive
    batch_id     bigint NOT NULL,
    PRIMARY KEY (partition_id, from_offset)
);

-- What could not be applied, with its original bytes and the reason.
CREATE TABLE dead_letters (
    partition_id int    NOT NULL,
    record_offset bigint NOT NULL,
    reason       text   NOT NULL,
    field        text   NOT NULL,
    message      text   NOT NULL,
    payload      bytea,                          -- null for a tombstone
    recorded_at  bigint NOT NULL,
    batch_id     bigint NOT NULL,
    PRIMARY KEY (partition_id, record_offset)
);

-- Every identifier finds its journey. The key is the journey id this identifier would give (or once gave) to a journey,
-- so former journey ids stay valid for ever without a table of aliases.
CREATE TABLE identifiers (
    key        uuid PRIMARY KEY,
    journey_id uuid NOT NULL
) WITH (fillfactor = 80);

-- One row per person: the folded state, and the columns that lists and funnels read.
CREATE TABLE journeys (
    journey_id  uuid     PRIMARY KEY,
    component   uuid,                            -- set where refused links tie this journey to others
    rev         bigint   NOT NULL,               -- counts writes; a worker with an older copy must reload
    stage       smallint NOT NULL,               -- index in the playbook's stages
    stage_since bigint   NOT NULL,
    due         jsonb,                           -- [[time, stage index], ...] what silence will make of it
    reached     bigint[] NOT NULL,               -- per stage: when its criterion was first met, or null
    first_seen  bigint   NOT NULL,
    last_seen   bigint   NOT NULL,
    events      bigint   NOT NULL,               -- distinct events folded: the journey's version
    channel     text,                            -- of the first touchpoint
    campaign    text,
    owner       text,
    account     text,
    score       int      NOT NULL,
    value       jsonb    NOT NULL,               -- {currency: minor units}
    state       bytea    NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX journeys_component ON journeys (component) WHERE component IS NOT NULL;
CREATE INDEX journeys_stage ON journeys (stage, journey_id);
CREATE INDEX journeys_account ON journeys (account, journey_id) WHERE account IS NOT NULL;
CREATE INDEX journeys_owner ON journeys (owner, journey_id) WHERE owner IS NOT NULL;
CREATE INDEX journeys_channel ON journeys (channel, journey_id) WHERE channel IS NOT NULL;

-- The change feed: one row per journey and batch, numbered without gaps in commit order.
CREATE TABLE changes (
    seq        bigint   PRIMARY KEY,
    journey_id uuid     NOT NULL,
    kind       smallint NOT NULL,                -- 0 changed, 1 created, 2 merged into successor, 3 vanished
    stage_from smallint,
    stage_to   smallint,
    successor  uuid,                             -- for a merged journey: where it went
    batch_id   bigint   NOT NULL
);
CREATE INDEX batches_committed ON batches (committed_at);
