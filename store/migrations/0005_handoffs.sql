-- Hand-offs, audiences, and rows of the feed that tell of them.

-- One row per hand-off, also of those that silence will lead to: what is not offered yet, nobody is shown. Times are
-- microseconds since 1970 UTC.
CREATE TABLE handoffs (
    handoff_id     uuid     PRIMARY KEY,
    journey_id     uuid     NOT NULL,
    kind           text     NOT NULL,
    sender         text     NOT NULL,             -- department
    receiver       text     NOT NULL,
    team           text     NOT NULL,
    tier           text,
    owner          text,
    state          smallint NOT NULL,             -- 0 offered, 1 accepted, 2 rejected, 3 withdrawn, 4 expired, 5 resolved, 6 superseded
    since          bigint   NOT NULL,             -- when it comes, or came, into that state
    offered_at     bigint   NOT NULL,
    touched_at     bigint,
    touch_due      bigint,
    resolution_due bigint,
    expires_at     bigint,
    due_at         bigint   NOT NULL,             -- the deadline that an open one waits for; after all times where none is set
    open_until     bigint,                        -- when time alone ends it; null: it has ended
    note           text,
    rival          text,                          -- somebody else who accepted it, too
    successor      uuid,
    alarms         jsonb    NOT NULL,             -- [[time, what], ...] what time alone does
    told           text[]   NOT NULL,             -- what the feed has told
    alarm_at       bigint                         -- of the first alarm that is not told
) WITH (fillfactor = 80);
CREATE INDEX handoffs_journey ON handoffs (journey_id);
CREATE INDEX handoffs_queue ON handoffs (team, due_at, handoff_id) WHERE open_until IS NOT NULL;
CREATE INDEX handoffs_overdue ON handoffs (due_at, handoff_id) WHERE open_until IS NOT NULL;
CREATE INDEX handoffs_alarm ON handoffs (alarm_at) WHERE alarm_at IS NOT NULL;

ALTER TABLE journeys ADD COLUMN audiences text[] NOT NULL DEFAULT '{}'; -- by the folded stage; `due` has those after it
ALTER TABLE journeys ADD COLUMN handoffs int NOT NULL DEFAULT 0;        -- rows of the table handoffs
ALTER TABLE announced ADD COLUMN audiences text[] NOT NULL DEFAULT '{}';

-- What a row of the feed tells beside stages: of a hand-off, an audience, credit.
ALTER TABLE changes ADD COLUMN detail jsonb;
