"""Milestones: the events that a journey keeps one by one."""

#: Event types. All others, custom ones too, are grouped by day.
MILESTONES = frozenset(
    {
        *("lead_captured", "lead_qualified", "lead_accepted", "lead_rejected", "lead_recycled"),
        *("call_logged", "meeting_booked", "meeting_held", "satisfaction_answered"),
        *("opportunity_opened", "opportunity_stage_changed", "opportunity_won", "opportunity_lost"),
        *("contract_renewed", "contract_cancelled"),
        *("handoff_offered", "handoff_accepted", "handoff_rejected", "handoff_withdrawn"),
        *("lead_converted", "subject_erased"),
    }
)
