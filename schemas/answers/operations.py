"""Which answer each operation of the API gives on success. The API and the SDK read this table."""

from typing import Final

from schemas.answers.accounts import Account
from schemas.answers.attribution import Attribution
from schemas.answers.audiences import AudienceList, AudiencePage
from schemas.answers.changes import ChangePage
from schemas.answers.dead_letters import DeadLetterPage
from schemas.answers.events import Published
from schemas.answers.funnel import Funnel
from schemas.answers.handoffs import HandoffDecided, HandoffDetails, HandoffPage, HandoffReport
from schemas.answers.health import Alive, Ready
from schemas.answers.identity import (
    ConflictPage,
    IdentityExplanation,
    Person,
    QuarantinePage,
    RulingPreview,
    RulingPublished,
    VictimPage,
)
from schemas.answers.journeys import Journey, JourneyPage
from schemas.answers.parts import Answer
from schemas.answers.past import Diff, JourneyExplanation
from schemas.answers.playbook import PlaybookInForce, Proposal, ProposalList, ProposalPublished
from schemas.answers.reads import ReadPage
from schemas.answers.what_if import WhatIfError, WhatIfProgress, WhatIfResult

#: By operation id: the type of the answer; where it is lines of JSON, the types that a line may have. `get_metrics`
#: answers text and `get_dead_letter` bytes: they are not here.
ANSWERS: Final[dict[str, tuple[type[Answer], ...]]] = {
    "get_health": (Alive,),
    "get_readiness": (Ready,),
    "get_journey": (Journey,),
    "list_journeys": (JourneyPage,),
    "get_funnel": (Funnel,),
    "get_account": (Account,),
    "get_attribution": (Attribution,),
    "list_changes": (ChangePage,),
    "get_person": (Person,),
    "explain_identity": (IdentityExplanation,),
    "list_conflicts": (ConflictPage,),
    "list_quarantine": (QuarantinePage,),
    "list_victims": (VictimPage,),
    "preview_ruling": (RulingPreview,),
    "publish_ruling": (RulingPublished,),
    "diff_journey": (Diff,),
    "explain_journey": (JourneyExplanation,),
    "list_handoffs": (HandoffPage,),
    "get_handoff_report": (HandoffReport,),
    "get_handoff": (HandoffDetails,),
    "decide_handoff": (HandoffDecided,),
    "list_audiences": (AudienceList,),
    "list_audience_members": (AudiencePage,),
    "get_playbook": (PlaybookInForce,),
    "list_proposals": (ProposalList,),
    "get_proposal": (Proposal,),
    "propose_playbook": (ProposalPublished,),
    "decide_proposal": (ProposalPublished,),
    "ask_what_if": (WhatIfProgress, WhatIfResult, WhatIfError),
    "list_dead_letters": (DeadLetterPage,),
    "list_reads": (ReadPage,),
    "publish_events": (Published,),
}
