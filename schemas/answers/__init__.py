"""Answers: the contract of every success answer of the API, one typed class each; what reads them may rely on it.

Frozen values without behaviour: `projections.views`, `store`, `audit` and `api` build them, OpenAPI and the SDK are
generated from them. Nobody else adds a field to an answer.
"""
