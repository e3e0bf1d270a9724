"""Who says that two identifiers are one person, as answers name it."""

from projections.subjects import CRM, FORM, LOGIN, MERGE
from schemas.answers.parts import Authority

#: By how much a link's word weighs; 0 stands for a ruling.
AUTHORITIES: dict[int, Authority] = {0: "ruling", MERGE: "crm-merge", CRM: "crm", LOGIN: "login", FORM: "form"}
