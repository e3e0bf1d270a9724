"""The two departments, and whose topic may carry which facts."""

from typing import Literal, get_args

Department = Literal["marketing", "sales"]
DEPARTMENTS: tuple[Department, ...] = get_args(Department)
#: Joint events have a topic of their own.
TopicDepartment = Literal["marketing", "sales", "joint"]
