-- The joint playbook: all that was said of proposed playbooks, and how far stored journeys follow the terms agreed.

CREATE TABLE playbook_events (
    id           uuid   NOT NULL,
    source       text   NOT NULL,
    occurred_at  bigint NOT NULL,
    type         text   NOT NULL,
    department   text,                            -- in whose name
    said_by      text   NOT NULL,
    proposal     bytea  NOT NULL,                 -- id of the event that proposed; its own of a proposal; empty where none is named
    digest       text,                            -- SHA-256 of the playbook's text, as hex
    body         text   NOT NULL,                 -- of a proposal the playbook, else what was said
    effective_at text,                            -- of a proposal, as it was written
    comment      text,                            -- of a proposal
    batch_id     bigint NOT NULL,
    PRIMARY KEY (id, source)
);

-- After other terms were agreed: journeys up to this id follow them. Null: all do.
ALTER TABLE projection ADD COLUMN swept_until uuid;
