-- "department" is the word for marketing, sales and joint everywhere; "owner" is the person who owns a lead.
ALTER TABLE partitions RENAME COLUMN owner_room TO department; -- who may write here (law 6)
