"""iCEM plans what it planned before its parts were shared with other planners: a change of a plan has to be meant."""

import json
from pathlib import Path

import numpy as np
from icem_cases import PLANS_EACH, planned

BEFORE = Path(__file__).with_name("icem_plans.json")
"""Made by `icem_cases.planned` with the code of commit 9411f34."""

SAME = 1e-12
"""On the machine that made it, equal to the bit; elsewhere another processor may round a sum differently."""


def test_plans_are_those_from_before_other_planners_shared_the_code():
    before, seen = json.loads(BEFORE.read_text()), {}
    for name, plan in planned():
        old = before[name][seen.setdefault(name, 0)]
        seen[name] += 1
        np.testing.assert_allclose(plan.actions, old["actions"], rtol=0, atol=SAME, err_msg=name)
        np.testing.assert_allclose((plan.cost, plan.margin), (old["cost"], old["margin"]), rtol=0, atol=SAME)
        assert (plan.candidates, plan.masked) == (old["candidates"], old["masked"])
    assert seen == dict.fromkeys(before, PLANS_EACH)
