-- Identity: rulings, releases and quarantine; accounts over time; feed rows that say why; finding one person's events.

ALTER TABLE projection ADD COLUMN register_version bigint NOT NULL DEFAULT 0; -- counts batches that changed the tables below

-- What people decided about identifiers. Of several rulings on the same pair the last by (occurred_at, id, source) holds.
CREATE TABLE rulings (
    id          uuid    NOT NULL,
    source      text    NOT NULL,
    occurred_at bigint  NOT NULL,
    joined      boolean NOT NULL,                 -- true: one person; false: not
    keys        uuid[]  NOT NULL,                 -- identifier keys, sorted, as they are without releases
    batch_id    bigint  NOT NULL,
    PRIMARY KEY (id, source)
);

-- From when on an identifier is a new one.
CREATE TABLE releases (
    key         uuid   NOT NULL,
    released_at bigint NOT NULL,
    later_key   uuid   NOT NULL,                  -- the identifier's key from then on
    batch_id    bigint NOT NULL,
    PRIMARY KEY (key, released_at)
);

-- Identifiers that are linked to more others than the playbook's breaker allows: they join nobody.
CREATE TABLE quarantine (
    key      uuid   PRIMARY KEY,
    type     text   NOT NULL,
    value    text   NOT NULL,
    batch_id bigint NOT NULL
);

-- Whom events linked to an identifier in quarantine.
CREATE TABLE victims (
    key         uuid   NOT NULL,                  -- of the identifier in quarantine
    victim      uuid   NOT NULL,                  -- identifier key
    occurred_at bigint NOT NULL,
    PRIMARY KEY (key, victim)
);

-- A journey's stays with accounts.
ALTER TABLE journeys ADD COLUMN accounts text[] NOT NULL DEFAULT '{}'; -- all accounts there ever were
ALTER TABLE journeys ADD COLUMN stays jsonb;      -- [[account, since, until, weak, {currency: minor units}], ...]
CREATE INDEX journeys_accounts ON journeys USING gin (accounts) WHERE accounts <> '{}';

-- Why a journey changed (0: an event, 1: identity), and the other journey of a merge or a split.
ALTER TABLE changes ADD COLUMN cause smallint NOT NULL DEFAULT 0;
ALTER TABLE changes RENAME COLUMN successor TO related;

-- Journeys that refused links tie to others, in the order of their ids.
CREATE INDEX journeys_conflicts ON journeys (journey_id) WHERE component IS NOT NULL;

-- Which of a bucket's blocks have events of a person: the first four bytes of each event's strongest identifier's key.
ALTER TABLE archive ADD COLUMN names int[] NOT NULL DEFAULT '{}';
