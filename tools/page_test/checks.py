"""checks.py — the list of checks of the page; each is a function that is given a Run."""

import fake_api

CHECKS = []  # (function, whether it holds for any server)
STATE = fake_api.STATE


def check(any_server=False):
    def register(function):
        CHECKS.append((function, any_server))
        return function

    return register
