"""The mutant gate: seeded bugs in the laws' own code, each of which the suite must catch."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "projections", "store", "streams", "audit", "cli", "api", "deploy", "tests", "sdk")


class Mutant(NamedTuple):
    """One bug: replacements of text in files, and the tests one of which must fail."""

    edits: tuple[tuple[str, str, str], ...]
    tests: tuple[str, ...]


_TRANSACTION = "tests/faults/test_transaction.py"
_HOSTILE = "tests/laws/test_convergence.py::test_hostile_identity_histories_converge"
_CASES = "tests/projections/test_identity.py"
_FORGETFUL = "tests/projections/test_past.py::test_a_worker_that_forgets_everything_after_each_batch_writes_the_same"

MUTANTS = {
    "the fence is not checked": Mutant(
        (("store/commit.py", "if len(chains) != len(advances):", "if False:"),),
        (f"{_TRANSACTION}::test_a_worker_that_lost_its_partition_writes_nothing",),
    ),
    "offsets move outside the transaction": Mutant(
        (
            (
                "store/commit.py",
                "    async with connection.transaction():\n",
                "    seals = [letter_seal(*letter) for letter in batch.dead_letters]\n"
                "    batch_id, chains = await _fence(connection, batch, seals)\n"
                "    async with connection.transaction():\n",
            ),
            (
                "store/commit.py",
                "        batch_id, chains = await _fence(connection, batch, seals)\n",
                "",
            ),
        ),
        (f"{_TRANSACTION}::test_crash_before_and_after_every_step_of_the_transaction",),
    ),
    "dead letters are written after the transaction": Mutant(
        (
            (
                "store/commit.py",
                "        await _write_leftovers(connection, batch, seals, batch_id)\n",
                "",
            ),
            (
                "store/commit.py",
                "    return batch_id\n\n\nasync def lock_journeys",
                "    await _write_leftovers(connection, batch, seals, batch_id)\n    return batch_id\n\n\n"
                "async def lock_journeys",
            ),
        ),
        (f"{_TRANSACTION}::test_crash_before_and_after_every_step_of_the_transaction",),
    ),
    "dedupe is off": Mutant(
        (("store/commit.py", "body_hash, bucket in events]", "body_hash, bucket in list(events)[:0]]"),),
        (f"{_TRANSACTION}::test_duplicates_have_one_effect_and_are_counted",),
    ),
    "arrival order is used": Mutant(
        (
            (
                "projections/journey/journey.py",
                "return before.at < last.at or (before.at == last.at and before.order < last.order)",
                "return True",
            ),
        ),
        ("tests/laws/test_convergence.py::test_any_order_and_any_restarts_give_the_same_bytes",),
    ),
    "links are judged as they come": Mutant(
        (
            (
                "projections/identity/resolve.py",
                "verdicts: Verdicts = {}\n    for link in sorted(links, key=groups.strength):\n        roots",
                "verdicts: Verdicts = {}\n    for link in links:\n        roots",
            ),
        ),
        (_HOSTILE,),
    ),
    "devices are judged as they come": Mutant(
        (
            (
                "projections/identity/resolve.py",
                "for link in sorted(links, key=groups.strength):\n        by_device",
                "for link in links:\n        by_device",
            ),
        ),
        (_HOSTILE,),
    ),
    "the first ruling to arrive holds": Mutant(
        (("projections/identity/register.py", "ruling.order < known.order", "True"),),
        (_HOSTILE,),
    ),
    "what happens on a contested device is not dealt out": Mutant(
        (("projections/fold.py", "and _is_contested(workspace, moment.device):", "and False:"),),
        (_HOSTILE,),
    ),
    "a release forgets who came before it": Mutant(
        (("projections/fold.py", "journey.identifiers[before].last >= at", "False"),),
        (_HOSTILE,),
    ),
    "links between two identifiers in quarantine are forgotten": Mutant(
        (("projections/identity/register.py", "if victim.victim in self.quarantined:", "if False:"),),
        (_CASES,),
    ),
    "a stronger word on a link in quarantine gets lost": Mutant(
        (("projections/fold.py", "if end in free or place in one.links]", "if end in free]"),),
        (_CASES,),
    ),
    "a worker with an old register commits": Mutant(
        (("store/commit.py", "WHERE register_version = $3", "WHERE $3 >= 0"),),
        ("tests/faults/test_identity_races.py::test_a_batch_folded_with_an_old_register_is_refused",),
    ),
    "whom a ruling did not find may have come meanwhile": Mutant(
        (("store/commit.py", "    if consulted.absent and", "    if False and"),),
        ("tests/faults/test_identity_races.py::test_whom_a_ruling_did_not_find_must_not_have_come_meanwhile",),
    ),
    "who was judged with others may have changed meanwhile": Mutant(
        (("store/commit.py", "    if consulted.journeys:", "    if False:"),),
        ("tests/faults/test_identity_races.py::test_who_was_judged_with_others_must_be_as_they_were",),
    ),
    "an identifier may find two journeys": Mutant(
        (
            (
                "store/commit.py",
                'WHERE i.key = u.key AND i.journey_id = u.before\n"""\n\n_UNUSED',
                'WHERE i.key = u.key\n"""\n\n_UNUSED',
            ),
            ("store/commit.py", "WHERE journeys.rev = excluded.rev - 1", ""),
        ),
        ("tests/faults/test_identity_races.py::test_merges_in_opposite_order_on_two_workers",),
    ),
    "changes are numbered before they can be seen, like a serial column": Mutant(
        (
            (
                "store/commit.py",
                "    async with connection.transaction():\n        seals =",
                "    drawn = await connection.fetchval(\n"
                '        "UPDATE projection SET feed_seq = feed_seq + $1 RETURNING feed_seq", len(batch.changes)\n'
                "    )\n"
                "    async with connection.transaction():\n        seals =",
            ),
            (
                "store/commit.py",
                "    UPDATE projection SET feed_seq = feed_seq + $1, register_version = register_version + $2\n"
                "    WHERE register_version = $3 RETURNING feed_seq\n",
                "    SELECT feed_seq + 0 * ($1::int + $2::int) FROM projection WHERE register_version = $3\n",
            ),
            (
                "store/commit.py",
                "            await write_changes(connection, changes, first, batch_id)\n",
                "            await write_changes(connection, changes, drawn - len(changes) + 1, batch_id)\n",
            ),
        ),
        ("tests/api/test_changes.py::test_who_commits_late_is_not_passed_over",),
    ),
    "a row in flight shares what the next batch changes": Mutant(
        (("projections/journey/row.py", "handoffs=future.handoffs.copy(),", "handoffs=future.handoffs,"),),
        ("tests/projections/test_row.py::test_rows_do_not_change_while_the_fold_goes_on",),
    ),
    "the cache lets go of what is not committed yet": Mutant(
        (
            (
                "streams/engine/cache.py",
                "busy, self._committing = self._committing | touched, touched",
                "busy, self._committing = touched, touched",
            ),
        ),
        ("tests/streams/test_preparation.py::test_what_is_not_committed_yet_stays_in_memory",),
    ),
    "late events bring an erased person back": Mutant(
        (("streams/engine/preparation.py", "        if self._workspace.register.erased:\n", "        if False:\n"),),
        ("tests/audit/test_erase.py::test_nobody_is_brought_back_by_what_comes_late_or_again",),
    ),
    "an erasure does not ask who came meanwhile": Mutant(
        (("store/commit.py", "if await somebody_came(connection, batch.erasing, first):", "if False:"),),
        ("tests/audit/test_erase.py::test_what_another_worker_writes_meanwhile_is_erased_as_well",),
    ),
    "what is erased stays in the archive": Mutant(
        (("store/commit.py", "await take_out(connection, batch.erasing, batch_id)", "pass"),),
        ("tests/audit/test_erase.py::test_nothing_is_left_and_everybody_else_is_as_before",),
    ),
    "an erasure forgets that a device is shared": Mutant(
        (("projections/fold.py", "{*own, *shared, *listed} & workspace", "{*own, *listed} & workspace"),),
        ("tests/laws/test_erasure.py::test_an_erasure_at_any_time_leaves_the_fold_of_what_is_not_erased",),
    ),
    "the chain does not cover what a batch stored": Mutant(
        (("store/chain.py", "sha256(content + _step.pack(*step))", "sha256(_step.pack(*step))"),),
        ("tests/audit/test_chain.py::test_a_change_is_found_and_named_without_any_checkpoint[_swap_blocks]",),
    ),
    "the feed forgets that it told of a silence": Mutant(
        (("store/commit.py", "await retold(connection, batch.changes, batch.journeys)", "batch.changes"),),
        ("tests/store/test_silence.py::test_a_late_event_shows_that_there_was_no_silence",),
    ),
    "a subscriber is joined to the hub without a second look": Mutant(
        (("api/feed/subscription.py", "            while cursor.seq < joined.seq:", "            while False:"),),
        ("tests/api/test_changes.py::test_what_comes_between_the_last_page_and_the_hub_is_told",),
    ),
    "the conflict's first arrival wins": Mutant(
        (("streams/engine/preparation.py", "elif precedes(archived.value, candidate.value):", "elif True:"),),
        ("tests/streams/test_projector.py::test_conflicting_bodies_give_the_same_winner_in_either_order",),
    ),
    "a ruling that has lost its id still holds": Mutant(
        (("streams/engine/refolding.py", "        self._take_back(old)\n", ""),),
        (
            "tests/streams/test_joint_conflicts.py::"
            "test_the_winner_counts_whenever_it_comes[winner second-joined, others joined]",
        ),
    ),
    "holes are passed over": Mutant(
        (("streams/engine/positions.py", "if record.offset > self.next_offset:", "if False:"),),
        ("tests/faults/test_log.py::test_a_missing_offset_is_recorded_as_a_hole",),
    ),
    "the log is not recognised": Mutant(
        (("streams/engine/positions.py", "if witness_of(record) != self.lease.witness:", "if False:"),),
        ("tests/faults/test_log.py::test_a_recreated_topic_halts",),
    ),
    "what the policy does not name is allowed": Mutant(
        (
            (
                "api/access/policy.py",
                "return bool(rules) and all(rule is not None and rule.roles & roles for rule in rules)",
                "return all(rule is None or rule.roles & roles for rule in rules)",
            ),
        ),
        ("tests/api/test_access.py::test_a_route_without_a_policy_is_denied",),
    ),
    "windows are not held before lists": Mutant(
        (
            (
                "projections/playbook/windows.py",
                "self._inside(one, held_in, left_out) for one in value]",
                "one for one in value]",
            ),
        ),
        ("tests/projections/test_windows.py",),
    ),
    "a decision that would not count is published": Mutant(
        (("api/routes/handoffs.py", "    if reason is not None:\n", "    if False:\n"),),
        ("tests/api/test_handoffs.py::test_decisions_count_and_those_that_cannot_are_refused",),
    ),
    "half a key opens": Mutant(
        (("api/access/keys.py", "if key is None or not right:", "if key is None:"),),
        ("tests/api/test_credentials.py::test_keys_that_are_none",),
    ),
    "an answer leaves without its record": Mutant(
        (("api/access/read_log.py", "recorded.set_result(done)", "recorded.set_result(True)"),),
        ("tests/api/test_credentials.py::test_what_cannot_be_recorded_is_not_answered",),
    ),
    "what rounding leaves is lost": Mutant(
        (
            (
                "projections/attribution/credit.py",
                "key=lambda place: -lost[place])[:left]:",
                "key=lambda place: -lost[place])[:0]:",
            ),
        ),
        ("tests/projections/test_attribution.py::test_credit_adds_up_to_what_was_booked",),
    ),
    "who did not book has no part in the rates": Mutant(
        (
            (
                "projections/attribution/shapley.py",
                "self._paths[group] += 1",
                "self._paths[group] += booking is not None",
            ),
        ),
        ("tests/projections/test_path_models.py::test_values_are_what_a_name_adds_in_whatever_order_they_come",),
    ),
    "the feed's position is not in the transaction of its records": Mutant(
        (("streams/feed/topics.py", "if published is not None:", "if False:"),),
        ("tests/faults/test_publish.py::test_crash_before_and_after_every_step",),
    ),
    "journeys that are no more stay in the topic": Mutant(
        (("streams/feed/publisher.py", "        left = sorted(gone)\n", "        left = []\n"),),
        ("tests/streams/test_publisher.py::test_where_the_feed_does_not_go_on_all_journeys_are_told",),
    ),
    "a shorter silence is not judged again": Mutant(
        (
            (
                "projections/journey/journey.py",
                "self.settled &= self.recent[-1].at < known.last + rules.shortest_silence[known.type]",
                "pass",
            ),
        ),
        ("tests/projections/test_silence.py",),
    ),
    "what is stored is not asked for a group's moments": Mutant(
        (
            (
                "projections/journey/journey.py",
                "if self.past is not None and moment.kin_since <= self.past.until:",
                "if False:",
            ),
        ),
        (_FORGETFUL,),
    ),
    "what scored on the last stored day scores again": Mutant(
        (("projections/journey/journey.py", "self.past.until // DAY >= day", "False"),),
        (_FORGETFUL,),
    ),
    "late events of the last stored day are stepped through alone": Mutant(
        (("projections/journey/journey.py", "and moments[0].at // DAY > past.until // DAY:", "and moments:"),),
        ("tests/projections/test_past.py::test_late_news_of_the_last_stored_day_score_once",),
    ),
    "what is stored holds under other terms": Mutant(
        (("projections/journey/journey.py", "self.past = self.past._replace(life=None)", "pass"),),
        ("tests/laws/test_convergence.py::test_playbook_changes_converge",),
    ),
    "hand-offs that a worker has not written itself are taken for none": Mutant(
        (("store/loading.py", 'None if row["handoffs"] else []', "[]"),),
        ("tests/streams/test_preparation.py::test_hand_offs_that_are_as_they_were_are_not_written_again",),
    ),
    "stays before the last load are forgotten": Mutant(
        (
            (
                "projections/journey/membership.py",
                "[(account, since, False) for account, since in journey.past.stays]",
                "[]",
            ),
        ),
        (_FORGETFUL,),
    ),
    "one department can change the playbook": Mutant(
        (
            (
                "projections/playbook/proposals.py",
                "if len(self.approved) == len(DEPARTMENTS) else None",
                "if self.approved else None",
            ),
        ),
        ("tests/projections/test_proposals.py::test_one_department_alone_changes_nothing",),
    ),
    "a playbook holds before both have approved it": Mutant(
        (
            (
                "projections/playbook/proposals.py",
                "max(agreed[0], self.effective_at or agreed[0])",
                "self.effective_at or agreed[0]",
            ),
        ),
        (
            "tests/projections/test_proposals.py::test_it_holds_from_its_effective_time_and_never_before_both_have_approved",
        ),
    ),
    "events are judged by the playbook of today": Mutant(
        (("projections/journey/journey.py", "terms = rules.at(moment.at)", "terms = rules.terms[-1]"),),
        ("tests/projections/test_proposals.py::test_every_event_is_judged_by_the_playbook_in_force_at_its_time",),
    ),
    "decisions are taken in the order of their arrival": Mutant(
        (("projections/playbook/proposals.py", "for one in sorted(said, key=_order):", "for one in list(said):"),),
        ("tests/laws/test_convergence.py::test_playbook_changes_converge",),
    ),
    "a deadline counts closed hours": Mutant(
        (("projections/playbook/handoffs.py", "deadline(self.calendar, offered_at, span)", "offered_at + span"),),
        ("tests/projections/test_handoffs.py::test_entering_a_stage_offers_it_once_with_deadlines_in_open_time",),
    ),
    "a late touch takes no breach back": Mutant(
        (("projections/journey/handoffs.py", "(met is None or met > due)", "True"),),
        ("tests/projections/test_handoffs.py",),
    ),
    "several hand-offs of a kind are open at once": Mutant(
        (
            (
                "projections/journey/handoffs.py",
                "    if n is not None:\n        made =",
                "    if False:\n        made =",
            ),
        ),
        ("tests/projections/test_handoffs.py::test_hand_offs_are_what_the_simplest_model_says",),
    ),
    "a hand-off that was closed is taken for open": Mutant(
        (("projections/journey/handoffs.py", "        del life.open_handoffs[one.kind]\n", "        pass\n"),),
        ("tests/projections/test_handoffs.py::test_hand_offs_are_what_the_simplest_model_says",),
    ),
    "what was told of a hand-off is not taken back": Mutant(
        (
            (
                "store/handoffs.py",
                "retracted = [what for what in told if what not in names]",
                "retracted = list(told)[:0]",
            ),
        ),
        ("tests/store/test_handoffs.py",),
    ),
    "hand-offs by silence are shown before their time": Mutant(
        (("store/handoffs.py", "h.open_until > $1 AND h.offered_at <= $1", "h.open_until > $1"),),
        ("tests/store/test_handoffs.py::test_silence_makes_a_hand_off_that_nobody_sees_before_its_time",),
    ),
    "credit is told anew instead of corrected": Mutant(
        (("projections/attribution/corrections.py", "now.get(place, 0) - before.get(place, 0)", "now.get(place, 0)"),),
        ("tests/store/test_handoffs.py::test_the_corrections_of_credit_add_up_to_the_credit_as_it_is",),
    ),
    "stored journeys do not follow a new playbook": Mutant(
        (("store/commit.py", "    if entries.renewed:\n        await begin_sweep(connection)\n", ""),),
        ("tests/streams/test_sweep.py::test_two_workers_and_a_rebuild_agree",),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_the_suite_catches(name: str, tmp_path: Path, kafka: str, postgres_server: str) -> None:
    mutant = MUTANTS[name]
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file, old, new in mutant.edits:
        source = (tmp_path / file).read_text("utf-8")
        assert source.count(old) == 1, f"{file} has changed: bring the mutant up to date"
        (tmp_path / file).write_text(source.replace(old, new), "utf-8")
    environment = {
        **os.environ,
        "TANDEM_TEST_KAFKA": kafka,
        "TANDEM_TEST_DATABASE_URL": postgres_server,
        "TANDEM_TEST_PATIENCE": "8",
        "TANDEM_TEST_PROFILE": "first-failure",
    }
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *mutant.tests]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, f"the mutant lives: {name}\n{done.stdout[-2000:]}"
    assert "1 failed" in done.stdout
