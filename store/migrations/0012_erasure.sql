-- Erasure: who was erased, as keyed hashes, and which records went with them.

-- What hashes are keyed with. Whoever has it, and can name a person, can tell whether that person was erased.
CREATE TABLE secrets (
    name   text  PRIMARY KEY,                    -- tells nothing of the secret
    secret bytea NOT NULL
);

CREATE TABLE erasures (
    id          uuid   NOT NULL,                 -- of the event
    source      text   NOT NULL,
    occurred_at bigint NOT NULL,                 -- events up to then are erased
    secret      text   NOT NULL,                 -- name of the one that the hashes are made with
    subjects    text[] NOT NULL,                 -- hashes of the person's identifiers
    shared      text[] NOT NULL,                 -- of devices that others use, too
    events      text[] NOT NULL,                 -- the person's, though they name none of the identifiers
    reason      text,
    said_by     text,
    batch_id    bigint NOT NULL,
    PRIMARY KEY (id, source)
);

-- Records of which only the seal is left: of the archive, or dead letters. They are part of the batch's content.
CREATE TABLE erased_records (
    batch_id      bigint NOT NULL,               -- of the batch that erased them
    partition_id  int    NOT NULL,
    record_offset bigint NOT NULL,
    PRIMARY KEY (partition_id, record_offset)
);
CREATE INDEX erased_records_batch ON erased_records (batch_id);
