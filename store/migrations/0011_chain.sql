-- Tamper evidence: every batch is a leaf of one Merkle tree, in the order of commits, and a link of the chain of each
-- partition that it advances. docs/audit.md says what is hashed.

-- How many leaves there are. Each commit takes this row last, so the order of leaves is the order of commits.
CREATE TABLE tree (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    size      bigint  NOT NULL DEFAULT 0,
    log_id    uuid    NOT NULL DEFAULT gen_random_uuid()
) WITH (fillfactor = 50);
INSERT INTO tree DEFAULT VALUES;

ALTER TABLE partitions ADD COLUMN chain bytea NOT NULL DEFAULT ''; -- SHA-256 over the chain before and the last link

ALTER TABLE batches ADD COLUMN leaf  bigint;  -- the batch's place in the tree, from 0; null: from before the tree
ALTER TABLE batches ADD COLUMN chain bytea;   -- the partition's chain after this batch
CREATE INDEX batches_leaf ON batches (leaf) WHERE leaf IS NOT NULL;

ALTER TABLE archive ADD COLUMN root bytea;        -- SHA-256 over the block's place, names and seals of its events

ALTER TABLE dead_letters ADD COLUMN salt bytea;   -- hides what was sealed from those who would guess it
ALTER TABLE dead_letters ADD COLUMN seal bytea;   -- SHA-256 over the row and its salt
