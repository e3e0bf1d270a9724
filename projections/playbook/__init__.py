"""The playbook: what both departments agreed to, its proposals, and the rules compiled from it.

The fold reads only `rules`; `store`, `streams`, `audit` and `api` may load, propose and show playbooks.
"""
